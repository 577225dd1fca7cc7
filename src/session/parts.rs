//! A stored run that is judged by parts of its keys: each by itself, and then all of them together.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::SessionError;
use super::store::{read_history_part, read_observation, read_record};
use crate::assess::{
    Facts, Joined, PART_FORMAT_VERSION, Part, PartError, Recording, RunRecord, indivisible, judge_part as judged,
};
use crate::history::{KeyPart, named_elsewhere};
use crate::report::{Report, write_atomic};
use crate::stats::{LatencyStats, Moments};

/// Judges one part of the keys of the run that a folder holds.
pub(crate) fn judge_part(directory: &Path, part: KeyPart) -> Result<Part, SessionError> {
    let record = read_record(directory)?;
    let observation = read_observation(directory, &record)?;
    if let Some(why) = indivisible(&record, observation.as_ref()).map_err(SessionError::usage)? {
        return Err(unjoinable(PartError::Indivisible(why)));
    }
    let mut facts = Facts::default();
    let (mut history, file) = read_history_part(directory, &record, part, &mut |operation| facts.meet(operation))?;
    facts.ended(&history);
    let documents = observation.as_ref().map_or(&[][..], |observation| &observation.documents);
    let elsewhere = named_elsewhere(part, &history.operations, documents);
    if let Some(path) = file.filter(|_| !elsewhere.is_empty()) {
        history.context = crate::history::file::read_some(&path, &elsewhere).map_err(SessionError::usage)?;
    }
    let run = Recording { record: &record, history: &history, observation: observation.as_ref() };
    judged(run, facts).map_err(SessionError::usage)
}

/// Writes what was found in a part into a file of its own, which is called after the run.
pub(crate) fn write(part: &Part, out: &Path) -> Result<PathBuf, SessionError> {
    let KeyPart { index, of } = part.part;
    let path = out.join(format!("{}.part-{index}-of-{of}.json", part.record.run_id));
    let written = || -> anyhow::Result<()> {
        fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
        write_atomic(&path, &serde_json::to_vec(part)?)?;
        Ok(())
    };
    written().map_err(|error| SessionError::setup(error).hint("choose a folder that can be written, with --out"))?;
    Ok(path)
}

/// Whether this is named as the file of a part: anything but a folder.
pub(crate) fn is_part(path: &Path) -> bool {
    path.is_file()
}

/// Reads the file of a part.
fn read(path: &Path) -> Result<Part, SessionError> {
    #[derive(serde::Deserialize)]
    struct Version {
        format_version: u32,
        tool: String,
    }
    let part = || -> anyhow::Result<Part> {
        let bytes = fs::read(path)?;
        let version: Version = serde_json::from_slice(&bytes).context("it is not the file of a part")?;
        anyhow::ensure!(version.tool == "onlyone", "it is not the file of a part");
        let found = version.format_version;
        anyhow::ensure!(
            found == PART_FORMAT_VERSION,
            "it has format version {found}; this onlyone reads version {PART_FORMAT_VERSION}"
        );
        Ok(serde_json::from_slice(&bytes)?)
    };
    let named = part().with_context(|| format!("cannot use {}", path.display()));
    named.map_err(|error| SessionError::usage(error).hint("name files that `onlyone check RUN_DIR --part I/N` wrote"))
}

/// Joins parts to the report of the whole run, whatever the order in which they are named.
pub(crate) fn join(paths: &[PathBuf]) -> Result<(Report, LatencyStats, RunRecord), SessionError> {
    let mut parts = paths.iter().map(|path| read(path)).collect::<Result<Vec<Part>, _>>()?;
    parts.sort_by_key(|part| (part.part.of, part.part.index));
    let mut parts = parts.into_iter();
    let first = parts.next().ok_or_else(|| unjoinable(PartError::Nothing))?;
    let (mut joined, moments) = Joined::new(first).map_err(unjoinable)?;
    let mut all = vec![moments];
    for part in parts {
        all.push(joined.add(part).map_err(unjoinable)?);
    }
    let starts = all.iter().map(|one| one.starts.as_slice()).collect();
    let peak = Moments::peak(starts, all.iter().map(|one| one.ends.as_slice()).collect());
    let peak = peak.context("a part is damaged: it breaks off").map_err(SessionError::usage)?;
    joined.conclude(peak).map_err(unjoinable)
}

/// What to do about parts that make no whole.
fn unjoinable(error: PartError) -> SessionError {
    let hint = match &error {
        PartError::Nothing | PartError::Damaged { .. } => "name files that `onlyone check RUN_DIR --part I/N` wrote",
        PartError::Indivisible(_) => "judge it as a whole, with `onlyone check RUN_DIR`",
        PartError::Different { .. } => {
            "name the parts of one run, which are called after it, all of the same number of parts"
        }
        PartError::Twice(_) => "name each part once",
        PartError::Missing { .. } => "judge them too, with `onlyone check RUN_DIR --part I/N`, and name all parts",
        PartError::Assess(_) => "the run was recorded by another version",
    };
    SessionError::usage(error).hint(hint)
}
