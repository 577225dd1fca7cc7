//! `onlyone schema`, `completions` and `man`: what other programs want to know about this one.

use anyhow::Context;
use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, ManArgs, SchemaArgs, SchemaKind};
use super::{CliError, Io};
use crate::verdict::ExitStatus;
use crate::{audit, report, scenario, strategy};

/// Prints a JSON Schema.
pub(super) fn schema(args: &SchemaArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let schema = match args.kind {
        SchemaKind::Scenario => scenario::schema(&strategy::names),
        SchemaKind::Report => report::schema(),
        SchemaKind::Profile => audit::schema(),
    };
    let text = serde_json::to_string_pretty(&schema).map_err(CliError::setup)?;
    print(io, &format!("{text}\n"))
}

/// Prints a completion script.
pub(super) fn completions(args: &CompletionsArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "onlyone", &mut script);
    print(io, &String::from_utf8_lossy(&script))
}

/// Prints the manual page of the program, or of one command; or writes all of them.
pub(super) fn man(args: &ManArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let mut program = super::settings::command();
    program.build();
    if let Some(directory) = &args.out {
        let failed = || format!("cannot write the manual pages to {}", directory.display());
        std::fs::create_dir_all(directory).with_context(failed).map_err(CliError::setup)?;
        clap_mangen::generate_to(program, directory).with_context(failed).map_err(CliError::setup)?;
        return Ok(ExitStatus::Holds);
    }
    let command = match &args.command {
        None => program,
        Some(name) => program.find_subcommand(name).cloned().ok_or_else(|| {
            CliError::usage(anyhow::anyhow!("there is no command `{name}`")).hint("`onlyone --help` lists them")
        })?,
    };
    // Its name when it is built as a subcommand has a space, which no page's name has.
    let name = command.get_display_name().unwrap_or("onlyone").replace(' ', "-");
    let mut page = Vec::new();
    clap_mangen::Man::new(command.name(name)).render(&mut page).map_err(CliError::setup)?;
    print(io, &String::from_utf8_lossy(&page))
}

fn print(io: &mut Io, text: &str) -> Result<ExitStatus, CliError> {
    io.result(text).context("cannot write to stdout").map_err(CliError::setup)?;
    Ok(ExitStatus::Holds)
}
