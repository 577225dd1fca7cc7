//! `onlyone check`: judges a stored run again.

use std::path::Path;

use super::args::CheckArgs;
use super::show::show;
use super::store::with_unwritten;
use super::{CliError, Io, store};
use crate::assess::{Recording, RunRecord, assess, status_of};
use crate::report::Report;
use crate::stats::LatencyStats;
use crate::verdict::ExitStatus;

/// Reads the stored run and judges it by the same code that judged it first. Nothing is written.
pub(super) fn check(args: &CheckArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let (report, ..) = judge(&args.run_dir)?;
    let shown = show(&report, Some(&args.run_dir.display().to_string()), args.format, io);
    Ok(with_unwritten(status_of(&report), [shown], io))
}

/// Judges a stored run.
pub(super) fn judge(directory: &Path) -> Result<(Report, LatencyStats, RunRecord), CliError> {
    let record = store::read_record(directory)?;
    let history = store::read_history(directory, &record)?;
    let observation = store::read_observation(directory)?;
    let recording = Recording { record: &record, history: &history, observation: observation.as_ref() };
    let (report, stats) = assess(recording).map_err(CliError::usage)?;
    Ok((report, stats, record))
}
