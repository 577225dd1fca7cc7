//! [`Scenario`]: what is run, read from a file or a text.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Error;
use crate::scenario::{self, ScenarioError};
use crate::strategy;

/// Name in messages, and in `run.json`, of a scenario that came from no file.
const NO_FILE: &str = "scenario.toml";

/// What is run, against what, and what must hold: a [scenario file](https://docs.rs/crate/onlyone), read and checked.
///
/// ```
/// # fn main() -> Result<(), onlyone::Error> {
/// let text = r#"
///     name = "one document per pair"
///     workload = "create-or-get"
///     [target.mongo]
///     strategy = "upsert"
///     [load.burst]
///     clients = 8
///     rounds = 20
/// "#;
/// let scenario = onlyone::Scenario::parse(text, ".")?.set("load.burst.rounds", 50)?;
/// assert_eq!(scenario.name(), "one document per pair");
///
/// // A mistake is shown with its place, and with what was probably meant.
/// let mistake = scenario.set("load.burst.round", 1).unwrap_err();
/// assert!(mistake.to_string().contains("rounds"), "{mistake}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Scenario {
    source: Source,
    overrides: Vec<String>,
    resolved: scenario::Scenario,
}

/// Where a scenario is written.
#[derive(Clone)]
enum Source {
    File(PathBuf),
    /// In a text, as if it stood in this file.
    Text(PathBuf, String),
}

impl Source {
    fn read(&self, overrides: &[String]) -> Result<scenario::Scenario, ScenarioError> {
        let environment = |name: &str| std::env::var(name).ok();
        match self {
            Source::File(path) => scenario::load(path, overrides, &environment, &strategy::names),
            Source::Text(path, text) => {
                scenario::load_text(path, text.clone(), overrides, &environment, &strategy::names)
            }
        }
    }
}

impl Scenario {
    /// Reads a scenario file. `${NAME}` in it is replaced by the variable of this process's environment.
    ///
    /// # Errors
    /// When it cannot be read, or is no valid scenario.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::read(Source::File(path.as_ref().to_owned()), Vec::new())
    }

    /// Reads the text of a scenario file. Paths in it, such as `service.dir`, are taken from `folder`. Commands that a report
    /// recommends name `scenario.toml` there: they work once the text is in that file.
    ///
    /// # Errors
    /// When it is no valid scenario.
    pub fn parse(text: &str, folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::read(Source::Text(folder.as_ref().join(NO_FILE), text.to_owned()), Vec::new())
    }

    /// The scenario with another value for a key, as `--set KEY=VALUE` of the command line gives it: the key is dotted, the
    /// value is TOML or a word.
    ///
    /// # Errors
    /// When there is no such key, or the scenario is not valid with this value.
    pub fn set(self, key: &str, value: impl fmt::Display) -> Result<Self, Error> {
        let Scenario { source, mut overrides, .. } = self;
        overrides.push(format!("{key}={value}"));
        Self::read(source, overrides)
    }

    fn read(source: Source, overrides: Vec<String>) -> Result<Self, Error> {
        let resolved = source.read(&overrides).map_err(Error::of)?;
        Ok(Scenario { source, overrides, resolved })
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.resolved.name
    }

    pub(super) fn resolved(&self) -> &scenario::Scenario {
        &self.resolved
    }

    pub(super) fn overrides(&self) -> &[String] {
        &self.overrides
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.source, Source::File(_))
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        f.debug_struct("Scenario").field("name", &self.resolved.name).finish_non_exhaustive()
    }
}
