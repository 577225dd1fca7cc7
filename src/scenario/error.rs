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
            ScenarioError::NotFound { near, .. } if !near.is_empty() => {
                let files: Vec<String> = near.iter().map(|path| format!("  {}", path.display())).collect();
                format!("error: {self}\nthere are:\n{}\n", files.join("\n"))
            }
            ScenarioError::Unreadable { source, .. } => format!("error: {self}: {source}\n"),
            ScenarioError::NotFound { .. } | ScenarioError::TooLarge { .. } => format!("error: {self}\n"),
        }
    }
}
