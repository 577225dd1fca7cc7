//! `onlyone check`: judges a stored run again.

use std::path::Path;

use anyhow::Context;

use super::args::{CheckArgs, Format};
use super::{CliError, Io, store};
use crate::assess::{Recording, RunRecord, assess, status_of};
use crate::report::{Report, Terminal, terminal, to_json};
use crate::stats::LatencyStats;
use crate::verdict::ExitStatus;

/// Reads the stored run and judges it by the same code that judged it first. Nothing is written.
pub(super) fn check(args: &CheckArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let (report, ..) = judge(&args.run_dir)?;
    show(&report, Some(&args.run_dir.display().to_string()), args.format, io)?;
    Ok(status_of(&report))
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

/// Puts a report on stdout.
pub(super) fn show(report: &Report, directory: Option<&str>, format: Format, io: &mut Io) -> Result<(), CliError> {
    let text = match format {
        Format::Human => terminal(report, Terminal { colour: io.out_colour, width: io.width, directory }),
        Format::Json => {
            let bytes = to_json(report).map_err(CliError::setup)?;
            String::from_utf8(bytes).context("the report is not UTF-8").map_err(CliError::setup)?
        }
    };
    io.result(&text).context("cannot write to stdout").map_err(CliError::setup)
}
