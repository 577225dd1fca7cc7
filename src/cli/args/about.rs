//! Arguments of the commands that tell of the program itself.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `onlyone explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Names, as in `single-document`, `upsert-not-retried`, `C5` or `3`; every name in a line each when none is given
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Print the page of documentation that explains every name
    #[arg(long, conflicts_with = "names")]
    pub markdown: bool,
}

/// `onlyone schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of what
    #[arg(value_enum)]
    pub kind: SchemaKind,
}

/// What has a JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaKind {
    /// The scenario file.
    Scenario,
    /// `report.json`.
    Report,
    /// The profile of an audit.
    Profile,
}

/// `onlyone completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `onlyone man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Command whose page is wanted; the program's when not given
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
    /// Write the pages of all commands into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub out: Option<PathBuf>,
}
