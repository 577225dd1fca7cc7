//! `onlyone merge`: one verdict and one report from the shards of a run, or from parts that were judged apart.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use jiff::Timestamp;

use super::ci::Announcer;
use super::show::{show, with_unwritten};
use super::values::{Ci, Format};
use super::{CliError, Io};
use crate::assess::{MergedRun, Recording, ShardRun, Unmergeable, assess, merge as merged, status_of};
use crate::history::History;
use crate::history::file::{Header, HistoryError, HistoryWriter};
use crate::session::parts;
use crate::session::store::{self, Store};
use crate::verdict::ExitStatus;

/// `onlyone merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Folders that the shards of one run wrote, or files that `check --part` wrote, in any order
    #[arg(value_name = "SHARD_DIR|PART", required = true)]
    pub shard_dirs: Vec<PathBuf>,
    /// Folder in which the merged run gets a folder of its own, called after it
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub out: PathBuf,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// For whom the result is announced beside the files: on GitHub, the step summary and annotations
    #[arg(long, value_enum, default_value_t = Ci::Auto)]
    pub ci: Ci,
}

/// Joins the shards, judges the run that they are, and writes its folder.
pub(super) fn merge(args: &MergeArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    if args.shard_dirs.iter().any(|path| parts::is_part(path)) {
        return join(args, io);
    }
    let runs = args.shard_dirs.iter().map(|directory| read(directory)).collect::<Result<Vec<_>, _>>()?;
    for run in &runs {
        // The report says that its history breaks off.
        if let Some(lost) = &run.history.lost {
            io.note(&format!("note: {}: {lost}\n", run.folder));
        }
    }
    let MergedRun { record, history, observation } = merged(runs).map_err(refused)?;
    let (report, stats) = assess(Recording { record: &record, history: &history, observation: observation.as_ref() })
        .map_err(CliError::usage)?;
    let started: SystemTime = record.started_at.parse::<Timestamp>().map_err(CliError::usage)?.into();
    store::check_run_id(&record.run_id)?;
    let store = Store::create(&args.out, &record.run_id)?;
    let written = [
        store.write_record(&record),
        write_history(&store, &record.run_id, &history).map_err(CliError::setup),
        store.write_observation(&record.run_id, observation.as_ref()),
        store.write_reports(&report, &stats, started),
    ];
    show(&report, Some(&store.directory.display().to_string()), args.format, io)?;
    Announcer::new(args.ci).announce(&report, io);
    Ok(with_unwritten(status_of(&report), written, io))
}

/// Joins the parts of a run that were judged apart. Nothing is written, as by `check`.
fn join(args: &MergeArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let (report, ..) = parts::join(&args.shard_dirs)?;
    let shown = show(&report, None, args.format, io);
    Announcer::new(args.ci).announce(&report, io);
    Ok(with_unwritten(status_of(&report), [shown], io))
}

/// Reads what one shard recorded.
fn read(directory: &Path) -> Result<ShardRun, CliError> {
    let record = store::read_record(directory)?;
    let history = store::read_history(directory, &record)?;
    let observation = store::read_observation(directory, &record)?;
    Ok(ShardRun { folder: directory.display().to_string(), record, history, observation })
}

/// What to do about folders that are not shards of one run.
fn refused(error: Unmergeable) -> CliError {
    let hint = match &error {
        Unmergeable::Nothing | Unmergeable::NotAShard(_) => {
            "name the folders that `onlyone run --shard I/N` wrote; `onlyone check` judges a run that one process made"
        }
        Unmergeable::Merged(_) => "judge it again with `onlyone check`, or name the folders of its shards",
        Unmergeable::Different { .. } => {
            "name the folders of one run: they are called after it, `ID.shard-0-of-4` and so on"
        }
        Unmergeable::Twice { .. } => "name each shard once",
        Unmergeable::Damaged { .. } => "copy the folders again from where they were written",
    };
    CliError::usage(error).hint(hint)
}

/// Writes all operations. A history that lacks some gets no end line, like that of a run that died.
fn write_history(store: &Store, run_id: &str, history: &History) -> Result<(), HistoryError> {
    let mut writer = HistoryWriter::create(&store.history(), &Header::new(run_id))?;
    for operation in &history.operations {
        writer.append(operation)?;
    }
    match history.partial {
        true => writer.flush(),
        false => writer.finish(history.interrupted),
    }
}
