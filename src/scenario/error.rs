//! What can go wrong between a scenario's path and a [`Scenario`](super::Scenario). Main type: [`ScenarioError`].

use std::io;
use std::path::PathBuf;

use super::diagnostic::Diagnostics;

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file does not exist.
    #[error("there is no scenario file `{}`", path.display())]
    NotFound {
        /// As the user gave it.
        path: PathBuf,
        /// Scenario files that exist there, the most similar name first.
        near: Vec<PathBuf>,
        /// How many there are in all.
        all: usize,
        /// Whether the first of them is likely to be meant.
        meant: bool,
    },
    /// The file exists but cannot be read.
    #[error("cannot read the scenario file `{}`", path.display())]
    Unreadable {
        /// As the user gave it.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is far larger than any scenario.
    #[error("`{}` is no scenario: it is larger than {limit} bytes", path.display())]
    TooLarge {
        /// As the user gave it.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// The file, or a `--set` argument, has mistakes.
    #[error("{0}")]
    Invalid(Diagnostics),
}

impl ScenarioError {
    /// The error as text for people: every mistake with its line. Ends with a line feed.
    pub fn render(&self, color: bool) -> String {
        match self {
            ScenarioError::Invalid(diagnostics) => diagnostics.render(color),
            ScenarioError::NotFound { near, all, meant, .. } if !near.is_empty() => {
                let meant = match (near.first(), meant) {
                    (Some(first), true) => format!("  hint: did you mean `{}`?\n", first.display()),
                    _ => String::new(),
                };
                let files: Vec<String> = near.iter().map(|path| format!("  {}", path.display())).collect();
                let title = match near.len() == *all {
                    true => "there are:".to_owned(),
                    false => format!("the {} most similar names of {all} scenario files:", near.len()),
                };
                format!("error: {self}\n{meant}{title}\n{}\n", files.join("\n"))
            }
            ScenarioError::NotFound { .. } => format!(
                "error: {self}\n  hint: there is no scenario file near it; `onlyone init` writes one for your service\n"
            ),
            ScenarioError::Unreadable { path, source } if source.kind() == io::ErrorKind::IsADirectory => format!(
                "error: `{0}` is a folder, not a scenario file\n  hint: name the files in it, as in {0}/*.toml\n",
                path.display()
            ),
            ScenarioError::Unreadable { source, .. } => format!("error: {self}: {source}\n"),
            ScenarioError::TooLarge { .. } => format!(
                "error: {self}\n  hint: name a scenario file, a short TOML file such as scenarios/create-or-get.toml\n"
            ),
        }
    }
}
