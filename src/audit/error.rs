//! Why an audit, a repair or a seed could not be carried out.

use crate::strategy::server_answer;

/// Why the command stopped. What it found is in the report, not here.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The server refused a step, or did not answer.
    #[error("{step} failed")]
    Server {
        /// What was tried.
        step: String,
        /// Why.
        #[source]
        source: ServerError,
    },
    /// The user lacks a right.
    #[error("the user may not {action}: it needs the role `{role}` on the database `{database}`")]
    Rights {
        /// What was tried.
        action: String,
        /// The smallest built-in role that allows it.
        role: &'static str,
        /// The database.
        database: String,
        /// The server's words.
        #[source]
        source: ServerError,
    },
    /// The collection is not there.
    #[error("the database `{database}` has no collection `{collection}`{}", hint(.others))]
    NoCollection {
        /// The database.
        database: String,
        /// The collection.
        collection: String,
        /// What it has instead.
        others: Vec<String>,
    },
    /// The collection is of a kind that cannot be audited or repaired.
    #[error("`{collection}` is {kind}: {hint}")]
    Unsuitable {
        /// The collection.
        collection: String,
        /// `a view on ...`, `a time-series collection`, `a capped collection`.
        kind: String,
        /// What to do.
        hint: String,
    },
    /// A seed would mix with what is there.
    #[error(
        "`{collection}` in `{database}` holds documents already: seed an empty collection, or name another database"
    )]
    NotEmpty {
        /// The database.
        database: String,
        /// The collection.
        collection: String,
    },
    /// The numbers asked for contradict each other.
    #[error("{0}")]
    Usage(String),
    /// A backup that is not there, or not of this tool.
    #[error("{0}")]
    Backup(String),
    /// Another repair is at work.
    #[error("{0}")]
    Busy(String),
    /// Another repair took over, because this one gave no sign of life.
    #[error(
        "another repair took over, because this one gave no sign of life for too long: it stopped before its next write"
    )]
    LeaseLost,
    /// The server answered a write with an error for all of it.
    #[error("{step} failed: {message} (code {code})")]
    Refused {
        /// What was tried.
        step: String,
        /// The server's code.
        code: i32,
        /// The server's words.
        message: String,
    },
    /// The user lacks rights that the repair would need later.
    #[error("the user may not {}: it needs the role `readWrite` on the database `{database}`; nothing was written", .actions.join(", "))]
    Forbidden {
        /// What is missing: `update in \`chats\``.
        actions: Vec<String>,
        /// The database.
        database: String,
    },
    /// The repair could not be finished, and was not begun.
    #[error("{}; nothing was written", .0.join("; "))]
    NotPossible(Vec<String>),
}

/// What the driver said, in one line: the server's message and code, without the whole reply that the driver encloses.
#[derive(Debug)]
pub struct ServerError(Box<mongodb::error::Error>);

impl ServerError {
    /// The server's code, if it was the server that refused.
    pub fn code(&self) -> Option<i32> {
        code(&self.0)
    }
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match server_answer(&self.0) {
            Some((code, message)) => write!(f, "{message} (code {code})"),
            None => f.write_str(self.0.kind.to_string().lines().next().unwrap_or_default()),
        }
    }
}

impl std::error::Error for ServerError {}

impl AuditError {
    /// The server's code, where its answer is the reason.
    pub fn code(&self) -> Option<i32> {
        match self {
            AuditError::Server { source, .. } | AuditError::Rights { source, .. } => source.code(),
            AuditError::Refused { code, .. } => Some(*code),
            AuditError::Forbidden { .. } => Some(UNAUTHORIZED),
            _ => None,
        }
    }
}

/// Result of a step.
pub(super) type Result<T, E = AuditError> = std::result::Result<T, E>;

/// Names the step that failed, and the missing right where that is the reason.
pub(super) trait Step<T> {
    /// A read of the database.
    fn reading(self, database: &str, step: &str) -> Result<T>;
    /// A write to the database.
    fn writing(self, database: &str, step: &str) -> Result<T>;
}

/// The server's code for a missing right.
pub(super) const UNAUTHORIZED: i32 = 13;

/// The server's code for a document, or an index, that a unique index refuses.
pub(super) const DUPLICATE_KEY: i32 = 11000;

impl<T> Step<T> for mongodb::error::Result<T> {
    fn reading(self, database: &str, step: &str) -> Result<T> {
        self.map_err(|source| named(source, database, step, "read"))
    }

    fn writing(self, database: &str, step: &str) -> Result<T> {
        self.map_err(|source| named(source, database, step, "readWrite"))
    }
}

fn named(source: mongodb::error::Error, database: &str, step: &str, role: &'static str) -> AuditError {
    let source = ServerError(Box::new(source));
    match source.code() {
        Some(UNAUTHORIZED) => {
            AuditError::Rights { action: step.to_owned(), role, database: database.to_owned(), source }
        }
        _ => AuditError::Server { step: step.to_owned(), source },
    }
}

/// The server's code of an error, whichever way it came.
pub(super) fn code(error: &mongodb::error::Error) -> Option<i32> {
    use mongodb::error::{ErrorKind, WriteFailure};
    match &*error.kind {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::InsertMany(error) => error.write_errors.as_ref()?.first().map(|error| error.code),
        _ => None,
    }
}

fn hint(others: &[String]) -> String {
    match others {
        [] => " (it is empty or does not exist: is the name right?)".to_owned(),
        others => format!(" (it has {})", others.join(", ")),
    }
}
