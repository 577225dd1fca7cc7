//! `onlyone explain`: what a name in a report means.

use std::fmt::Write;

use anyhow::Context;

use super::args::ExplainArgs;
use super::{CliError, Io};
use crate::explain::{self, Entry};
use crate::scenario::nearest;
use crate::verdict::ExitStatus;

/// Explains the names that were given, or lists all names.
pub(super) fn explain(args: &ExplainArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let text = if args.markdown {
        explain::markdown()
    } else if args.names.is_empty() {
        list()
    } else {
        let entries: Vec<Entry> = args.names.iter().map(|name| entry(name)).collect::<Result<_, _>>()?;
        entries.iter().map(page).collect::<Vec<_>>().join("\n")
    };
    io.result(&text).context("cannot write to stdout").map_err(CliError::setup)?;
    Ok(ExitStatus::Holds)
}

fn entry(name: &str) -> Result<Entry, CliError> {
    explain::find(name).ok_or_else(|| {
        let names: Vec<String> = explain::all().into_iter().map(|entry| entry.name).collect();
        let error = CliError::usage(anyhow::anyhow!("nothing is called `{name}`"));
        match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`onlyone explain` lists every name"),
        }
    })
}

fn page(entry: &Entry) -> String {
    let mut page = format!("{}  ({})\n  {}\n", entry.name, entry.kind, entry.text.meaning);
    for (label, text) in [("Usual cause", entry.text.cause), ("Fix", entry.text.fix)] {
        if !text.is_empty() {
            // Writing to a string does not fail.
            writeln!(page, "  {label}: {text}").ok();
        }
    }
    page
}

fn list() -> String {
    let entries = explain::all();
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for kind in explain::Kind::ALL {
        writeln!(text, "{}", kind.heading()).ok();
        for entry in entries.iter().filter(|entry| entry.kind == kind) {
            writeln!(text, "  {:width$}  {}", entry.name, entry.text.meaning).ok();
        }
        text.push('\n');
    }
    text
}
