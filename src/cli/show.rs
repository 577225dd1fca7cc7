//! The result of a command on stdout, in the form that was asked for.

use anyhow::Context;

use super::values::Format;
use super::{CliError, Io};
use crate::report::{Report, Terminal, terminal, to_json};

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
