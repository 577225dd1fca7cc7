//! How a scenario is run, beside what it says itself. Main type: [`Options`].

use std::path::PathBuf;
use std::sync::Arc;

use super::Interrupt;
use crate::target::{Guard, MongoUri};

/// Is told in one line, without its end, before something that takes long, such as the installation of a server.
pub(crate) type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// Where MongoDB is.
#[derive(Debug, Clone, Default)]
pub(crate) enum MongoLocation {
    /// Nowhere yet: the session starts a server of its own.
    #[default]
    Embedded,
    /// At a connection string, which is looked at when the session connects.
    Named(MongoUri),
}

impl MongoLocation {
    /// What a text names: `embedded`, or a connection string.
    pub(crate) fn of(text: &str) -> Self {
        if text == "embedded" { MongoLocation::Embedded } else { MongoLocation::Named(MongoUri::new(text)) }
    }

    /// Whether the session starts the server.
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self, MongoLocation::Embedded)
    }
}

/// How a scenario is run.
#[derive(Clone)]
pub(crate) struct Options {
    /// Where MongoDB is.
    pub(crate) mongo: MongoLocation,
    /// Folder in which each run gets a folder of its own.
    pub(crate) out: PathBuf,
    /// What may be loaded although it is not this machine's, or not the harness's own.
    pub(crate) guard: Guard,
    /// Keys of the scenario that were overridden, as `key=value`: for the commands that reports name.
    pub(crate) overrides: Vec<String>,
    /// Is told what takes long.
    pub(crate) log: Log,
    /// What ends the run before its time.
    pub(crate) interrupt: Interrupt,
}

impl Default for Options {
    /// A server of the session's own, this machine alone, runs below `reports`, and nobody is told anything.
    fn default() -> Self {
        Options {
            mongo: MongoLocation::Embedded,
            out: PathBuf::from("reports"),
            guard: Guard::default(),
            overrides: Vec::new(),
            log: Arc::new(|_| {}),
            interrupt: Interrupt::default(),
        }
    }
}
