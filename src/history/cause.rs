//! Why an operation failed or is unknown: [`Cause`], and what said so: [`CauseKind`].
//!
//! A number alone says nothing about where it comes from: an HTTP status, a code of the database and a code of the
//! application's own share their range. The kind says it, and rules look at the kind.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why an operation failed or is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "Stored", into = "Stored")]
pub struct Cause {
    /// What said so.
    pub kind: CauseKind,
    /// One line without secrets.
    pub message: Arc<str>,
}

/// What said that an operation failed, or left it unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CauseKind {
    /// The database, seen by a client of its own.
    Database(DatabaseError),
    /// A service's answer.
    Http {
        /// Its status.
        status: u16,
        /// The database's error that it passes on, by name or text; never by a number alone.
        database: Option<DatabaseError>,
    },
    /// A service's answer that the scenario calls a refusal: what the loser of a unique create is rightly told.
    Refused {
        /// Its status.
        status: u16,
    },
    /// A service's answer that says yes and names no document, although the scenario says where it would.
    Unnamed {
        /// Its status.
        status: u16,
        /// Whether it says that the operation created the document.
        created: Option<bool>,
    },
    /// What lies between the harness and its target.
    Transport(Transport),
    /// The harness or a strategy itself.
    Other,
}

/// What became of a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Nothing took it: it was not sent.
    Unreachable,
    /// It could not be sent for another reason: no effect.
    NotSent,
    /// It was sent, and the answer did not come whole.
    Lost,
    /// It was sent, and no answer came in time.
    TimedOut,
    /// The harness had something happen to it on purpose.
    Injected,
}

/// An error of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseError {
    /// 11000: a unique index refused a second document.
    DuplicateKey,
    /// 112: another write got in between.
    WriteConflict,
    /// 246: the transaction began before another request made the collection that it uses.
    SnapshotUnavailable,
    /// 24: a transaction did not get its lock within the few milliseconds that the server waits, because of another's.
    LockTimeout,
    /// Mongoose's optimistic concurrency: the document has another version than was read.
    VersionError,
    /// Any other, by its code and, where it was told, its name.
    Other {
        /// The code.
        code: i32,
        /// The name.
        name: Option<Arc<str>>,
    },
}

impl DatabaseError {
    const DUPLICATE_KEY: i32 = 11000;
    const WRITE_CONFLICT: i32 = 112;
    const SNAPSHOT_UNAVAILABLE: i32 = 246;
    const LOCK_TIMEOUT: i32 = 24;

    /// The error with this code.
    pub fn of_code(code: i32, name: Option<&str>) -> Self {
        match code {
            Self::DUPLICATE_KEY => DatabaseError::DuplicateKey,
            Self::WRITE_CONFLICT => DatabaseError::WriteConflict,
            Self::SNAPSHOT_UNAVAILABLE => DatabaseError::SnapshotUnavailable,
            Self::LOCK_TIMEOUT => DatabaseError::LockTimeout,
            code => DatabaseError::Other { code, name: name.filter(|name| !name.is_empty()).map(Arc::from) },
        }
    }

    /// The error that a text names, if any: a service that passes an error on quotes it in many forms, and these words are in
    /// all of them.
    pub fn in_text(text: &str) -> Option<Self> {
        if text.contains("E11000") || text.contains("DuplicateKey") {
            Some(DatabaseError::DuplicateKey)
        } else if text.contains("WriteConflict") || text.contains("Write conflict during plan execution") {
            Some(DatabaseError::WriteConflict)
        } else if text.contains("SnapshotUnavailable") || text.contains("due to pending collection catalog changes") {
            Some(DatabaseError::SnapshotUnavailable)
        } else if text.contains("within a max lock request timeout of") {
            // Not by its name, which locks of other makers have as well.
            Some(DatabaseError::LockTimeout)
        } else if text.contains("VersionError")
            || (text.contains("No matching document found for id") && text.contains("version"))
        {
            Some(DatabaseError::VersionError)
        } else {
            None
        }
    }

    /// Its code; an error of the object mapper has none.
    pub fn code(&self) -> Option<i32> {
        match self {
            DatabaseError::DuplicateKey => Some(Self::DUPLICATE_KEY),
            DatabaseError::WriteConflict => Some(Self::WRITE_CONFLICT),
            DatabaseError::SnapshotUnavailable => Some(Self::SNAPSHOT_UNAVAILABLE),
            DatabaseError::LockTimeout => Some(Self::LOCK_TIMEOUT),
            DatabaseError::VersionError => None,
            DatabaseError::Other { code, .. } => Some(*code),
        }
    }

    /// Its name, where it is known.
    pub fn name(&self) -> Option<&str> {
        match self {
            DatabaseError::DuplicateKey => Some("DuplicateKey"),
            DatabaseError::WriteConflict => Some("WriteConflict"),
            DatabaseError::SnapshotUnavailable => Some("SnapshotUnavailable"),
            DatabaseError::LockTimeout => Some("LockTimeout"),
            DatabaseError::VersionError => Some("VersionError"),
            DatabaseError::Other { name, .. } => name.as_deref(),
        }
    }

    /// Whether the database tells this to the loser of a race.
    pub fn is_lost_race(&self) -> bool {
        !matches!(self, DatabaseError::Other { .. })
    }
}

impl std::fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code(), self.name()) {
            (Some(code), Some(name)) => write!(f, "{code} ({name})"),
            (Some(code), None) => write!(f, "{code}"),
            (None, name) => f.write_str(name.unwrap_or("unnamed")),
        }
    }
}

impl Cause {
    /// A cause of the harness's own, or of a strategy.
    pub fn new(message: impl Into<Arc<str>>) -> Self {
        Cause { kind: CauseKind::Other, message: message.into() }
    }

    /// The database's error with this code.
    pub fn database(code: i32, message: impl Into<Arc<str>>) -> Self {
        Cause { kind: CauseKind::Database(DatabaseError::of_code(code, None)), message: message.into() }
    }

    /// A service's answer that names no error of the database.
    pub fn http(status: u16, message: impl Into<Arc<str>>) -> Self {
        Cause { kind: CauseKind::Http { status, database: None }, message: message.into() }
    }

    /// What became of a request on its way.
    pub fn transport(what: Transport, message: impl Into<Arc<str>>) -> Self {
        Cause { kind: CauseKind::Transport(what), message: message.into() }
    }

    /// The database's error that it is or passes on.
    pub fn database_error(&self) -> Option<&DatabaseError> {
        match &self.kind {
            CauseKind::Database(error) | CauseKind::Http { database: Some(error), .. } => Some(error),
            _ => None,
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> Option<u16> {
        match self.kind {
            CauseKind::Http { status, .. } | CauseKind::Refused { status } | CauseKind::Unnamed { status, .. } => {
                Some(status)
            }
            CauseKind::Database(_) | CauseKind::Transport(_) | CauseKind::Other => None,
        }
    }

    /// Whether the operation was not sent because nothing took it.
    pub fn is_unreachable(&self) -> bool {
        self.kind == CauseKind::Transport(Transport::Unreachable)
    }

    /// Whether the harness had something happen to it on purpose.
    pub fn is_injected(&self) -> bool {
        self.kind == CauseKind::Transport(Transport::Injected)
    }

    /// Whether the service did not know its caller.
    pub fn is_unauthenticated(&self) -> bool {
        self.status() == Some(401)
    }

    /// Whether the scenario calls it a refusal.
    pub fn is_refusal(&self) -> bool {
        matches!(self.kind, CauseKind::Refused { .. })
    }

    /// Whether the answer said yes and named no document.
    pub fn is_unnamed(&self) -> bool {
        matches!(self.kind, CauseKind::Unnamed { .. })
    }

    /// Whether the cause is a duplicate-key error: the key's document existed at some moment of the operation.
    pub fn is_duplicate_key(&self) -> bool {
        self.database_error() == Some(&DatabaseError::DuplicateKey)
    }

    /// Whether it is what the database tells the loser of a race.
    pub fn is_lost_race(&self) -> bool {
        self.database_error().is_some_and(DatabaseError::is_lost_race)
    }
}

/// A cause in a file. Files of earlier versions have `code` alone, for an HTTP status and the database's code alike.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct Stored {
    /// The database's code, or else the status: what earlier versions wrote, kept for those who read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Name of the database's error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    database: Option<Arc<str>>,
    /// What became of a request on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transport: Option<Transport>,
    /// The scenario calls it a refusal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    refused: bool,
    /// The answer said yes and named no document.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unnamed: bool,
    /// What such an answer said of the creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
    /// One line without secrets.
    message: Arc<str>,
}

/// Stands for a database's error without a name.
const UNNAMED: &str = "unnamed";

impl From<Cause> for Stored {
    fn from(cause: Cause) -> Self {
        let database = cause.database_error();
        let code = database.map_or_else(|| cause.status().map(i32::from), DatabaseError::code);
        let (transport, created) = match cause.kind {
            CauseKind::Transport(what) => (Some(what), None),
            CauseKind::Unnamed { created, .. } => (None, created),
            _ => (None, None),
        };
        Stored {
            code,
            status: cause.status(),
            database: database.map(|error| Arc::from(error.name().unwrap_or(UNNAMED))),
            transport,
            refused: cause.is_refusal(),
            unnamed: cause.is_unnamed(),
            created,
            message: cause.message,
        }
    }
}

impl From<Stored> for Cause {
    fn from(stored: Stored) -> Self {
        let Stored { code, status, database, transport, refused, unnamed, created, message } = stored;
        let named = database.map(|name| match (&*name, code) {
            ("VersionError", _) => DatabaseError::VersionError,
            ("DuplicateKey", _) => DatabaseError::DuplicateKey,
            ("WriteConflict", _) => DatabaseError::WriteConflict,
            ("SnapshotUnavailable", _) => DatabaseError::SnapshotUnavailable,
            ("LockTimeout", _) => DatabaseError::LockTimeout,
            (UNNAMED, code) => DatabaseError::of_code(code.unwrap_or_default(), None),
            (name, code) => DatabaseError::Other { code: code.unwrap_or_default(), name: Some(Arc::from(name)) },
        });
        let kind = match (status, named, transport, code) {
            (Some(status), _, _, _) if refused => CauseKind::Refused { status },
            (Some(status), _, _, _) if unnamed => CauseKind::Unnamed { status, created },
            (Some(status), database, _, _) => CauseKind::Http { status, database },
            (None, Some(error), _, _) => CauseKind::Database(error),
            (None, None, Some(transport), _) => CauseKind::Transport(transport),
            (None, None, None, Some(code)) => of_earlier_version(code, &message),
            (None, None, None, None) if message.starts_with("cannot connect") => {
                CauseKind::Transport(Transport::Unreachable)
            }
            (None, None, None, None) => CauseKind::Other,
        };
        Cause { kind, message }
    }
}

/// An earlier version began the message of an answer with its status, and wrote a code of the database in its stead.
fn of_earlier_version(code: i32, message: &str) -> CauseKind {
    let status = message.strip_prefix("HTTP ").and_then(|rest| rest.get(..3)?.parse().ok());
    match status {
        Some(status) => CauseKind::Http { status, database: DatabaseError::in_text(message) },
        None => CauseKind::Database(DatabaseError::of_code(code, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(cause: &Cause) -> Cause {
        serde_json::from_str(&serde_json::to_string(cause).unwrap()).unwrap()
    }

    #[test]
    fn every_kind_comes_back_from_a_file() {
        let kinds = [
            CauseKind::Database(DatabaseError::DuplicateKey),
            CauseKind::Database(DatabaseError::Other { code: 50, name: Some("MaxTimeMSExpired".into()) }),
            CauseKind::Database(DatabaseError::Other { code: 4_242, name: None }),
            CauseKind::Http { status: 500, database: None },
            CauseKind::Http { status: 500, database: Some(DatabaseError::VersionError) },
            CauseKind::Http { status: 200, database: Some(DatabaseError::WriteConflict) },
            CauseKind::Http { status: 500, database: Some(DatabaseError::SnapshotUnavailable) },
            CauseKind::Database(DatabaseError::LockTimeout),
            CauseKind::Refused { status: 409 },
            CauseKind::Unnamed { status: 200, created: Some(false) },
            CauseKind::Unnamed { status: 200, created: None },
            CauseKind::Transport(Transport::Unreachable),
            CauseKind::Transport(Transport::TimedOut),
            CauseKind::Transport(Transport::Injected),
            CauseKind::Other,
        ];
        for kind in kinds {
            let cause = Cause { kind, message: "why".into() };
            assert_eq!(back(&cause), cause);
        }
    }

    #[test]
    fn files_of_earlier_versions_are_read_and_accuse_nobody_by_a_number() {
        let read = |text: &str| serde_json::from_str::<Cause>(text).unwrap().kind;
        let cases = [
            (r#"{"code":11000,"message":"E11000 duplicate key"}"#, CauseKind::Database(DatabaseError::DuplicateKey)),
            (
                r#"{"code":11000,"message":"HTTP 500: E11000 duplicate key"}"#,
                CauseKind::Http { status: 500, database: Some(DatabaseError::DuplicateKey) },
            ),
            (
                r#"{"code":112,"message":"HTTP 422: {\"code\": 112, \"message\": \"daily quota\"}"}"#,
                CauseKind::Http { status: 422, database: None },
            ),
            (r#"{"code":401,"message":"HTTP 401"}"#, CauseKind::Http { status: 401, database: None }),
            (r#"{"message":"cannot connect: refused"}"#, CauseKind::Transport(Transport::Unreachable)),
            (r#"{"message":"no answer within 10s"}"#, CauseKind::Other),
        ];
        for (text, kind) in cases {
            assert_eq!(read(text), kind, "{text}");
        }
    }

    #[test]
    fn a_race_is_known_by_a_name_or_a_text_and_by_no_number() {
        let cases = [
            ("MongoServerError: E11000 duplicate key error collection", Some(DatabaseError::DuplicateKey)),
            (r#"{"codeName":"DuplicateKey"}"#, Some(DatabaseError::DuplicateKey)),
            ("WriteConflict error: this operation conflicted", Some(DatabaseError::WriteConflict)),
            ("Caused by :: Write conflict during plan execution and yielding", Some(DatabaseError::WriteConflict)),
            ("VersionError: No matching document", Some(DatabaseError::VersionError)),
            (
                "Unable to read from a snapshot due to pending collection catalog changes; please retry the operation.",
                Some(DatabaseError::SnapshotUnavailable),
            ),
            (
                "Unable to acquire IX lock on '{8222600421779576400: Database}' within a max lock request timeout of '5ms'",
                Some(DatabaseError::LockTimeout),
            ),
            ("LockTimeout: the lock `orders` was not given within 5 s", None),
            (
                r#"No matching document found for id "65a" version 1 modifiedPaths "messages""#,
                Some(DatabaseError::VersionError),
            ),
            (r#"{"code":11000}"#, None),
            (r#"{"code":112,"message":"daily quota exceeded"}"#, None),
            ("No document found for query", None),
        ];
        for (text, error) in cases {
            assert_eq!(DatabaseError::in_text(text), error, "{text}");
        }
    }
}
