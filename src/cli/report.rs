//! `onlyone report`: writes the reports of a stored run again.
//!
//! They come from `report.json` and `latency.hlog`, which hold all that the others show: the cost does not grow with the
//! number of operations. `--judge` reads the history instead and judges it by this version.

use std::time::SystemTime;

use jiff::Timestamp;

use super::args::ReportArgs;
use super::check::judge;
use super::show::show;
use super::{CliError, Io, store};
use crate::assess::status_of;
use crate::report::{hgrm_of_log, write_all, write_atomic};
use crate::verdict::ExitStatus;

/// Writes the reports into the run's own folder.
pub(super) fn report(args: &ReportArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let directory = &args.run_dir;
    let report = if args.judge {
        let (report, stats, record) = judge(directory)?;
        let started = record.started_at.parse::<Timestamp>().map_err(CliError::usage)?;
        write_all(directory, &report, Some((&stats, SystemTime::from(started)))).map_err(CliError::setup)?;
        report
    } else {
        let report = store::read_report(directory)
            .map_err(|error| error.hint("if the history is there, judge it and write all reports: --judge"))?;
        write_all(directory, &report, None).map_err(CliError::setup)?;
        // Runs of some kinds have no latency.
        if directory.join("latency.hlog").exists() {
            let text = hgrm_of_log(&store::read_latency(directory)?).map_err(CliError::usage)?;
            write_atomic(&directory.join("latency.hgrm"), text.as_bytes()).map_err(CliError::setup)?;
        }
        report
    };
    show(&report, Some(&directory.display().to_string()), args.format, io)?;
    Ok(status_of(&report))
}
