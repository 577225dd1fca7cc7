//! The folder of a run: made before anything is started, filled at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use jiff::Timestamp;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::SessionError;
use crate::assess::{RUN_FORMAT_VERSION, RunRecord};
use crate::history::{History, KeyPart, Observation, Operation, file};
use crate::report::{Report, from_json, read_hlog, write_all, write_atomic};
use crate::stats::LatencyStats;
use crate::stats::LoggedInterval;

/// What to do when a file of a run is not there.
const NAME_A_RUN: &str = "name the folder of a run, such as reports/20260131-120000-1a2b";

/// The plan of a run.
const RECORD: &str = "run.json";
/// Version of `observation.json`.
const OBSERVATION_FORMAT_VERSION: u32 = 1;

/// The folder of one run.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    /// Its path.
    pub(crate) directory: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct StoredObservation {
    format_version: u32,
    /// Whose final state it is; older ones do not say.
    #[serde(default)]
    run_id: Option<String>,
    observation: Option<Observation>,
}

/// An identifier made from the time, with a few random digits: two runs may start in one second.
pub(crate) fn fresh_run_id() -> String {
    let now = Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    format!("{now}-{:04x}", rand::rng().random::<u16>())
}

/// Whether it is the name of a file or a folder in the one at hand, and leads nowhere else.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

/// Refuses an identifier that is no plain file name, or no part of a collection's name.
pub(crate) fn check_run_id(id: &str) -> Result<(), SessionError> {
    if is_plain_name(id) && id.len() <= 64 {
        return Ok(());
    }
    Err(SessionError::usage(anyhow::anyhow!("the run id `{id}` cannot be used"))
        .hint("use up to 64 letters, digits, `-`, `_` and `.`, not beginning with `.`"))
}

impl Store {
    /// Makes the folder. One that exists is never written into.
    pub(crate) fn create(out: &Path, run_id: &str) -> Result<Self, SessionError> {
        let directory = out.join(run_id);
        let failed = |error: io::Error| {
            let taken = error.kind() == io::ErrorKind::AlreadyExists;
            let chain = anyhow::Error::new(error).context(format!("cannot create {}", directory.display()));
            if taken && directory.exists() {
                SessionError::usage(chain).hint("that run exists: give another --run-id")
            } else {
                SessionError::setup(chain).hint("choose a folder that can be written, with --out")
            }
        };
        fs::create_dir_all(out).map_err(failed)?;
        fs::create_dir(&directory).map_err(failed)?;
        Ok(Store { directory })
    }

    /// Removes the folder of a run that never began, if nothing but the plan is in it.
    pub(crate) fn discard(&self) {
        // If something is in it after all, such as the service's log, it is better kept, and the plan with it.
        let only_the_plan = fs::read_dir(&self.directory)
            .is_ok_and(|entries| entries.filter_map(Result::ok).all(|entry| entry.file_name() == RECORD));
        if only_the_plan {
            fs::remove_dir_all(&self.directory).ok();
        }
    }

    /// Path of the history.
    pub(crate) fn history(&self) -> PathBuf {
        self.directory.join("history.jsonl")
    }

    /// Writes what is run, before its first operation and again when more is known: from then on it can be judged, whatever
    /// becomes of this process.
    pub(crate) fn write_record(&self, record: &RunRecord) -> Result<(), SessionError> {
        write_json(&self.directory.join(RECORD), record)
    }

    /// Writes what was read back of this run.
    pub(crate) fn write_observation(
        &self,
        run_id: &str,
        observation: Option<&Observation>,
    ) -> Result<(), SessionError> {
        let observation = StoredObservation {
            format_version: OBSERVATION_FORMAT_VERSION,
            run_id: Some(run_id.to_owned()),
            observation: observation.cloned(),
        };
        write_json(&self.directory.join("observation.json"), &observation)
    }

    /// Writes every report.
    pub(crate) fn write_reports(
        &self,
        report: &Report,
        stats: &LatencyStats,
        started: SystemTime,
    ) -> Result<(), SessionError> {
        write_all(&self.directory, report, Some((stats, started))).map(|_| ()).map_err(SessionError::setup)
    }
}

/// Reads `run.json`.
pub(crate) fn read_record(directory: &Path) -> Result<RunRecord, SessionError> {
    let path = directory.join(RECORD);
    if !path.exists() {
        return Err(report_alone(directory).unwrap_or_else(|| no_run(directory, RECORD)));
    }
    let record: RunRecord = read_json(&path)?;
    if record.tool != "onlyone" || record.format_version != RUN_FORMAT_VERSION {
        let version = record.format_version;
        return Err(SessionError::usage(anyhow::anyhow!(
            "{} has format version {version} of {}; this onlyone reads version {RUN_FORMAT_VERSION}",
            path.display(),
            record.tool
        )));
    }
    Ok(record)
}

/// The answer for a folder that is not there, or is not that of a run.
fn no_run(directory: &Path, file: &str) -> SessionError {
    let shown = directory.display();
    let error = SessionError::usage(match directory.is_dir() {
        true => anyhow::anyhow!("{shown} is no folder of a run: there is no {file} in it"),
        false => anyhow::anyhow!("cannot read {shown}/{file}: there is no folder {shown}"),
    });
    // The folder itself may hold runs; else they are beside it, or where runs are by default.
    let beside = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    let places = [Some(directory), beside, Some(Path::new("reports"))];
    match places.into_iter().flatten().find_map(newest_run) {
        Some(run) => error.hint(format!("name the folder of a run; the newest is {}", run.display())),
        None => error.hint(format!("{NAME_A_RUN}; `onlyone run` and `onlyone explore` make one")),
    }
}

/// The run in this folder that was written last.
fn newest_run(folder: &Path) -> Option<PathBuf> {
    let runs = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path().join(RECORD));
    let dated = runs.filter_map(|record| Some((record.metadata().ok()?.modified().ok()?, record)));
    dated.max().and_then(|(_, record)| record.parent().map(Path::to_owned))
}

/// The answer for a folder of a command that keeps a report and no history, such as `audit` and `selftest`.
fn report_alone(directory: &Path) -> Option<SessionError> {
    let bytes = fs::read(directory.join("report.json")).ok()?;
    let report: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    // Variables may come before it.
    let mut words = report["reproduce"].as_str()?.split_whitespace().skip_while(|word| *word != "onlyone");
    let command = words.nth(1)?.to_owned();
    let told = anyhow::anyhow!(
        "{} is the report of `onlyone {command}`, which records no history of operations",
        directory.display()
    );
    Some(
        SessionError::usage(told).hint("`onlyone report` renders it again; name the folder of a `run` or an `explore`"),
    )
}

/// Reads `observation.json`, which must be that of the record; a run that died before its final read has none.
pub(crate) fn read_observation(directory: &Path, record: &RunRecord) -> Result<Option<Observation>, SessionError> {
    let path = directory.join("observation.json");
    if !path.exists() {
        return Ok(None);
    }
    let stored: StoredObservation = read_json(&path)?;
    if stored.format_version != OBSERVATION_FORMAT_VERSION {
        return Err(SessionError::usage(anyhow::anyhow!(
            "{} has format version {}; this onlyone reads version {OBSERVATION_FORMAT_VERSION}",
            path.display(),
            stored.format_version
        )));
    }
    match stored.run_id {
        Some(run_id) if run_id != record.run_id => Err(SessionError::usage(anyhow::anyhow!(
            "observation.json belongs to run {run_id}, run.json to run {}",
            record.run_id
        ))),
        _ => Ok(stored.observation),
    }
}

/// Reads `history.jsonl`, which must be that of the record. A run that was killed before its first line was written has none.
pub(crate) fn read_history(directory: &Path, record: &RunRecord) -> Result<History, SessionError> {
    match written_history(directory)? {
        Some(path) => of_the_record(file::read(&path), record),
        None => Ok(History { partial: true, ..History::default() }),
    }
}

/// Reads what it has of one part of the keys, and meets all operations on the way. With it comes the file, if there is one.
pub(crate) fn read_history_part(
    directory: &Path,
    record: &RunRecord,
    part: KeyPart,
    meet: &mut dyn FnMut(&Operation),
) -> Result<(History, Option<PathBuf>), SessionError> {
    match written_history(directory)? {
        Some(path) => Ok((of_the_record(file::read_part(&path, part, meet), record)?, Some(path))),
        None => Ok((History { partial: true, part: Some(part), ..History::default() }, None)),
    }
}

/// The history's file, if anything was written into it.
pub(crate) fn written_history(directory: &Path) -> Result<Option<PathBuf>, SessionError> {
    let path = directory.join("history.jsonl");
    let unwritten = !path.exists() || file::is_unwritten(&path).map_err(SessionError::usage)?;
    Ok((!unwritten).then_some(path))
}

/// A history that must be that of the record.
fn of_the_record(
    read: Result<(file::Header, History), file::HistoryError>,
    record: &RunRecord,
) -> Result<History, SessionError> {
    let (header, history) = read.map_err(SessionError::usage)?;
    check_header(&header, record)?;
    Ok(history)
}

/// Refuses the history of another run.
pub(crate) fn check_header(header: &file::Header, record: &RunRecord) -> Result<(), SessionError> {
    if header.run_id == record.run_id {
        return Ok(());
    }
    Err(SessionError::usage(anyhow::anyhow!(
        "history.jsonl belongs to run {}, run.json to run {}",
        header.run_id,
        record.run_id
    )))
}

/// Reads `report.json`.
pub(crate) fn read_report(directory: &Path) -> Result<Report, SessionError> {
    let path = directory.join("report.json");
    if !path.exists() {
        return Err(no_run(directory, "report.json"));
    }
    let read = || -> anyhow::Result<Report> {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        from_json(&bytes).with_context(|| format!("{} cannot be used", path.display()))
    };
    read().map_err(|error| SessionError::usage(error).hint(NAME_A_RUN))
}

/// Reads `latency.hlog`.
pub(crate) fn read_latency(directory: &Path) -> Result<Vec<LoggedInterval>, SessionError> {
    let path = directory.join("latency.hlog");
    let read = || -> anyhow::Result<Vec<LoggedInterval>> {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        read_hlog(&bytes).with_context(|| format!("{} is damaged", path.display()))
    };
    read().map_err(|error| SessionError::usage(error).hint(NAME_A_RUN))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, SessionError> {
    let read = || -> anyhow::Result<T> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
    };
    read().map_err(|error| SessionError::usage(error).hint(NAME_A_RUN))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), SessionError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(SessionError::setup)?;
    bytes.push(b'\n');
    write_atomic(path, &bytes).map_err(SessionError::setup)
}
