//! The result of a command on stdout, in the form that was asked for.

use anyhow::Context;

use super::values::Format;
use super::{CliError, Io};
use crate::report::{Report, Terminal, terminal, to_json};
use crate::verdict::ExitStatus;

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

/// The status of a command of whose result something could not be written: that is told, and masks no violation.
pub(super) fn with_unwritten(
    status: ExitStatus,
    written: impl IntoIterator<Item = Result<(), CliError>>,
    io: &mut Io,
) -> ExitStatus {
    let errors = written.into_iter().filter_map(Result::err);
    let told = errors.map(|error| {
        let text = error.render(io.err_colour);
        io.note(&text);
        error.status
    });
    ExitStatus::combine([status].into_iter().chain(told))
}
