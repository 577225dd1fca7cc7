//! From a driver's error to an outcome: certainly no effect, or unknown.
//!
//! The table follows what the server does, not what an error sounds like. Whatever is not known to be without effect is
//! unknown.

use mongodb::error::{Error, ErrorKind, WriteFailure};

use crate::history::{Cause, CauseKind, DatabaseError, Outcome, Transport};
use crate::strategy::{Failure, Reason, server_answer};

/// The outcome of an operation that ended in this failure.
pub fn outcome(failure: &Failure) -> Outcome {
    let cause = cause(failure);
    if failure.after_write {
        // A write before the one that failed may have left its effect.
        return Outcome::Unknown(cause);
    }
    match &failure.reason {
        Reason::GaveUp(_) | Reason::Conflict(_) => Outcome::Failed(cause),
        // A read changes nothing, whatever became of it.
        Reason::Driver(_) if !failure.in_write => Outcome::Failed(cause),
        Reason::Driver(error) if certainly_without_effect(error) => Outcome::Failed(cause),
        Reason::Driver(_) => Outcome::Unknown(cause),
    }
}

fn cause(failure: &Failure) -> Cause {
    match &failure.reason {
        Reason::GaveUp(reason) => Cause::new(reason.as_str()),
        // What a service would answer with.
        Reason::Conflict(reason) => Cause { kind: CauseKind::Refused { status: 409 }, message: reason.as_str().into() },
        Reason::Driver(error) => match (server_answer(error), error.kind.as_ref()) {
            (Some((code, message)), kind) => {
                let name = match kind {
                    ErrorKind::Command(command) => Some(command.code_name.as_str()),
                    ErrorKind::Write(WriteFailure::WriteError(write)) => write.code_name.as_deref(),
                    _ => None,
                };
                let kind = CauseKind::Database(DatabaseError::of_code(code, name));
                Cause { kind, message: message.into() }
            }
            (None, ErrorKind::ServerSelection { .. }) => Cause::transport(Transport::Unreachable, describe(error)),
            (None, ErrorKind::Io(_)) => Cause::transport(Transport::Lost, describe(error)),
            (None, _) => Cause::new(describe(error)),
        },
    }
}

/// One line for an error that is not an answer of the server. Addresses may be in it, credentials are not.
fn describe(error: &Error) -> String {
    error.kind.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Whether a write that ended in this error certainly had no effect.
fn certainly_without_effect(error: &Error) -> bool {
    match error.kind.as_ref() {
        // Never sent.
        ErrorKind::ServerSelection { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Authentication { .. }
        | ErrorKind::InvalidArgument { .. }
        | ErrorKind::InvalidTlsConfig { .. }
        | ErrorKind::BsonSerialization(_)
        | ErrorKind::Shutdown => true,
        ErrorKind::Command(command) => error.contains_label("NoWritesPerformed") || REJECTED.contains(&command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => REJECTED.contains(&write.code),
        // Applied, but not yet durable by the concern asked for: it may stay or be rolled back.
        ErrorKind::Write(_) => false,
        // The connection broke, the answer is unreadable, or the kind is new: it may have been applied.
        _ => false,
    }
}

/// Codes with which the server rejects a single-document write before it has an effect.
const REJECTED: [i32; 22] = [
    2,     // BadValue
    9,     // FailedToParse
    13,    // Unauthorized
    14,    // TypeMismatch
    18,    // AuthenticationFailed
    20,    // IllegalOperation
    26,    // NamespaceNotFound
    28,    // PathNotViable
    40,    // ConflictingUpdateOperators
    52,    // DollarPrefixedFieldName
    54,    // NotSingleValueField
    59,    // CommandNotFound
    61,    // ShardKeyNotFound
    66,    // ImmutableField
    73,    // InvalidNamespace
    112,   // WriteConflict, outside a transaction
    121,   // DocumentValidationFailure
    166,   // CommandNotSupportedOnView
    10334, // BSONObjectTooLarge
    11000, // DuplicateKey
    17419, // resulting document too large
    17420, // document to upsert too large
];

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: ErrorKind, in_write: bool, after_write: bool) -> Failure {
        Failure { reason: Reason::Driver(Box::new(Error::from(kind))), in_write, after_write }
    }

    fn io() -> ErrorKind {
        ErrorKind::Io(std::sync::Arc::new(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset")))
    }

    fn command(code: i32) -> ErrorKind {
        let text = format!("{{\"code\":{code},\"codeName\":\"X\",\"errmsg\":\"m\"}}");
        ErrorKind::Command(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn errors_have_the_outcome_that_the_server_gives_them() {
        let cases: [(ErrorKind, bool, bool, &str); 10] = [
            (command(11000), true, false, "failed"),
            (command(112), true, false, "failed"),
            (command(11602), true, false, "unknown"),
            (command(91), true, false, "unknown"),
            (command(10107), true, false, "unknown"),
            (command(4_242_424), true, false, "unknown"),
            (io(), true, false, "unknown"),
            (io(), false, false, "failed"),
            (io(), false, true, "unknown"),
            (command(11000), true, true, "unknown"),
        ];
        for (kind, in_write, after_write, expected) in cases {
            let shown = format!("{kind} in_write={in_write} after_write={after_write}");
            let found = match outcome(&failure(kind, in_write, after_write)) {
                Outcome::Ok(_) => "ok",
                Outcome::Failed(_) => "failed",
                Outcome::Unknown(_) => "unknown",
            };
            assert_eq!(found, expected, "{shown}");
        }
    }

    #[test]
    fn a_duplicate_key_keeps_its_code() {
        let Outcome::Failed(cause) = outcome(&failure(command(11000), true, false)) else { panic!() };
        assert!(cause.is_duplicate_key());
    }
}
