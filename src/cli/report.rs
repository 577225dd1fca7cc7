//! `onlyone report`: writes the reports of a stored run again.
//!
//! They come from `report.json` and `latency.hlog`, which hold all that the others show: the cost does not grow with the
//! number of operations. `--judge` reads the history instead and judges it by this version.

use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;

use super::args::ReportArgs;
use super::show::{show, with_unwritten};
use super::{CliError, Io};
use crate::assess::status_of;
use crate::report::{hgrm_of_log, write_all, write_atomic};
use crate::session::{judge_again, store};
use crate::verdict::ExitStatus;

/// Writes the reports into the run's own folder.
pub(super) fn report(args: &ReportArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let directory = &args.run_dir;
    let (report, written) = if args.judge {
        let (report, stats, record) = judge_again(directory)?;
        let started = record.started_at.parse::<Timestamp>().map_err(CliError::usage)?;
        let written = write_all(directory, &report, Some((&stats, SystemTime::from(started))));
        (report, written.map(drop).map_err(CliError::setup))
    } else {
        let report = store::read_report(directory)
            .map_err(|error| error.hint("if the history is there, judge it and write all reports: --judge"))?;
        let written = write_all(directory, &report, None).map(drop).map_err(CliError::setup);
        (report, written.and_then(|()| write_latency(directory)))
    };
    let shown = show(&report, Some(&directory.display().to_string()), args.format, io);
    Ok(with_unwritten(status_of(&report), [written, shown], io))
}

/// Writes the table of latency again; runs of some kinds have none.
fn write_latency(directory: &Path) -> Result<(), CliError> {
    if !directory.join("latency.hlog").exists() {
        return Ok(());
    }
    let text = hgrm_of_log(&store::read_latency(directory)?).map_err(CliError::usage)?;
    write_atomic(&directory.join("latency.hgrm"), text.as_bytes()).map_err(CliError::setup)
}
