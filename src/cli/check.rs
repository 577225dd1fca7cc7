//! `onlyone check`: judges a stored run again.

use anyhow::Context;

use super::args::{CheckArgs, Format};
use super::{CliError, Io, store};
use crate::assess::{Recording, assess, status_of};
use crate::history::file;
use crate::report::{Report, Terminal, terminal, to_json};
use crate::verdict::ExitStatus;

/// Reads the stored run and judges it by the same code that judged it first. Nothing is written.
pub(super) fn check(args: &CheckArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let directory = &args.run_dir;
    let record = store::read_record(directory)?;
    let (header, history) = file::read(&directory.join("history.jsonl")).map_err(CliError::usage)?;
    if header.run_id != record.run_id {
        return Err(CliError::usage(anyhow::anyhow!(
            "history.jsonl belongs to run {}, run.json to run {}",
            header.run_id,
            record.run_id
        )));
    }
    let observation = store::read_observation(directory)?;
    let recording = Recording { record: &record, history: &history, observation: observation.as_ref() };
    let (report, _) = assess(recording).map_err(CliError::usage)?;
    show(&report, Some(&directory.display().to_string()), args.format, io)?;
    Ok(status_of(&report))
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
