//! `onlyone export`: the history of a stored run for another checker.

use std::io::{BufWriter, Write};

use anyhow::Context;

use super::args::{ExportArgs, ExportFormat};
use super::{CliError, Io};
use crate::history::export::{Form, elle_has_a_form, export as write_export};
use crate::report::write_atomic;
use crate::session::store;
use crate::verdict::ExitStatus;

/// Writes to the file named, or to stdout.
pub(super) fn export(args: &ExportArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let record = store::read_record(&args.run_dir)?;
    let history = store::read_history(&args.run_dir, &record)?;
    let observation = store::read_observation(&args.run_dir, &record)?;
    let form = match args.format {
        ExportFormat::ElleEdn => Form::ElleEdn,
        ExportFormat::ElleJson => Form::ElleJson,
        ExportFormat::PorcupineJson => Form::PorcupineJson,
    };
    if form != Form::PorcupineJson && !elle_has_a_form(&history) {
        return Err(CliError::usage(anyhow::anyhow!("Elle has no form for the operations of this run"))
            .hint("create-or-get and append have one; for others: --format porcupine-json"));
    }
    match &history.lost {
        Some(lost) => io.note(&format!("note: {lost}, and missing from the export\n")),
        None if history.partial => io.note("note: the run died, so operations may be missing from the export\n"),
        None => {}
    }
    match &args.out {
        Some(path) => {
            let mut bytes = Vec::new();
            write_export(&history, observation.as_ref(), form, &mut bytes).map_err(CliError::setup)?;
            write_atomic(path, &bytes).map_err(CliError::setup)?;
        }
        None => {
            let mut out = BufWriter::new(io.out());
            let written = write_export(&history, observation.as_ref(), form, &mut out).and_then(|()| out.flush());
            match written {
                // A reader that has gone away had what it wanted.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
                other => other.context("cannot write to stdout").map_err(CliError::setup)?,
            }
        }
    }
    Ok(ExitStatus::Holds)
}
