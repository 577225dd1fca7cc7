//! Many writes by one command. Each statement has a condition of its own; the reply tells how many matched, and which failed.

use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::lease::Lease;
use super::merging::size;
use crate::audit::error::{AuditError, Result, Step, UNAUTHORIZED};

/// Statements of one command.
const STATEMENTS: usize = 500;

/// Bytes of one command; the server takes 48 MB.
const BYTES: usize = 12 * 1024 * 1024;

/// The server's code for a document that the validator of its collection refuses.
const VALIDATION: i32 = 121;

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reply {
    /// Statements that matched, those that inserted included.
    pub(super) matched: u64,
    /// Statements that the server refused: position and code.
    pub(super) refused: Vec<(usize, i32, String)>,
}

/// Updates documents: each statement has `q` and `u`.
pub(super) async fn update(
    database: &Database,
    lease: Option<&Lease>,
    collection: &str,
    statements: &[Document],
) -> Result<Reply> {
    send(database, lease, UPDATE, collection, statements).await
}

/// Removes documents: each statement has `q`.
pub(super) async fn delete(
    database: &Database,
    lease: &Lease,
    collection: &str,
    statements: &[Document],
) -> Result<Reply> {
    send(database, Some(lease), DELETE, collection, statements).await
}

/// Puts removed documents back.
pub(super) async fn insert_again(
    database: &Database,
    lease: &Lease,
    collection: &str,
    documents: &[Document],
) -> Result<Reply> {
    send_past_validation(database, lease, INSERT, collection, documents).await
}

/// Makes documents again what they were: each statement has `q` and `u`.
pub(super) async fn replace_again(
    database: &Database,
    lease: &Lease,
    collection: &str,
    statements: &[Document],
) -> Result<Reply> {
    send_past_validation(database, lease, UPDATE, collection, statements).await
}

/// What was there before a validator was, or before it was tightened, comes back past it, if the user may do that.
async fn send_past_validation(
    database: &Database,
    lease: &Lease,
    kind: Kind,
    collection: &str,
    statements: &[Document],
) -> Result<Reply> {
    let mut reply = send(database, Some(lease), kind, collection, statements).await?;
    let (invalid, refused): (Vec<_>, Vec<_>) =
        std::mem::take(&mut reply.refused).into_iter().partition(|(_, code, _)| *code == VALIDATION);
    reply.refused = refused;
    if invalid.is_empty() {
        return Ok(reply);
    }
    let again: Vec<Document> =
        invalid.iter().filter_map(|(position, _, _)| statements.get(*position).cloned()).collect();
    match send(database, Some(lease), Kind { past_validation: true, ..kind }, collection, &again).await {
        Ok(second) => {
            reply.matched += second.matched;
            let at = |(again, code, message): (usize, i32, String)| Some((invalid.get(again)?.0, code, message));
            reply.refused.extend(second.refused.into_iter().filter_map(at));
        }
        Err(error) if error.code() == Some(UNAUTHORIZED) => reply.refused.extend(invalid),
        Err(error) => return Err(error),
    }
    Ok(reply)
}

/// A kind of write command.
#[derive(Debug, Clone, Copy)]
struct Kind {
    command: &'static str,
    /// The field of its statements.
    list: &'static str,
    past_validation: bool,
}

const UPDATE: Kind = Kind { command: "update", list: "updates", past_validation: false };
const DELETE: Kind = Kind { command: "delete", list: "deletes", past_validation: false };
const INSERT: Kind = Kind { command: "insert", list: "documents", past_validation: false };

/// The lease is checked before each command; entries of the journal need none, because they carry its token.
async fn send(
    database: &Database,
    lease: Option<&Lease>,
    kind: Kind,
    collection: &str,
    statements: &[Document],
) -> Result<Reply> {
    let step = format!("{} documents of `{collection}`", kind.command);
    let mut reply = Reply::default();
    let mut sent = 0;
    for piece in pieces(statements) {
        let mut command = doc! {
            kind.command: collection, kind.list: piece.to_vec(), "ordered": false, "writeConcern": { "w": "majority" },
        };
        if kind.past_validation {
            command.insert("bypassDocumentValidation", true);
        }
        if let Some(lease) = lease {
            lease.check().await?;
        }
        let answer = database.run_command(command).await.writing(database.name(), &step)?;
        add(&mut reply, &answer, sent).map_err(|(code, message)| AuditError::Refused {
            step: step.clone(),
            code,
            message,
        })?;
        sent += piece.len();
    }
    Ok(reply)
}

/// Adds an answer whose first statement has this position. An answer that is not known to be durable is an error.
fn add(reply: &mut Reply, answer: &Document, first: usize) -> Result<(), (i32, String)> {
    let said = |document: &Document| {
        (document.get_i32("code").unwrap_or(0), document.get_str("errmsg").unwrap_or_default().to_owned())
    };
    reply.matched += match answer.get("n") {
        Some(Bson::Int32(n)) => u64::try_from(*n).unwrap_or(0),
        Some(Bson::Int64(n)) => u64::try_from(*n).unwrap_or(0),
        _ => 0,
    };
    for error in answer.get_array("writeErrors").into_iter().flatten().filter_map(Bson::as_document) {
        let (code, message) = said(error);
        let position = usize::try_from(error.get_i32("index").unwrap_or(0)).unwrap_or(0);
        reply.refused.push((first + position, code, message));
    }
    match answer.get_document("writeConcernError") {
        Ok(error) => Err(said(error)),
        Err(_) => Ok(()),
    }
}

/// Cuts statements into commands of bounded size.
pub(super) fn pieces(statements: &[Document]) -> Vec<&[Document]> {
    let mut pieces = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (position, statement) in statements.iter().enumerate() {
        let size = size(statement);
        if position > begin && (bytes + size > BYTES || position - begin == STATEMENTS) {
            pieces.push(&statements[begin..position]);
            (begin, bytes) = (position, 0);
        }
        bytes += size;
    }
    if begin < statements.len() {
        pieces.push(&statements[begin..]);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_bounded_in_number_and_size() {
        let small = vec![doc! { "q": {} }; 1_201];
        assert_eq!(pieces(&small).iter().map(|piece| piece.len()).collect::<Vec<_>>(), [500, 500, 201]);
        let large = vec![doc! { "q": "x".repeat(5 * 1024 * 1024) }; 5];
        assert_eq!(pieces(&large).iter().map(|piece| piece.len()).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(pieces(&[]).len(), 0);
    }

    #[test]
    fn answers_tell_what_matched_and_what_failed() {
        let mut reply = Reply::default();
        let error = doc! { "index": 1, "code": 11000, "errmsg": "E11000" };
        add(&mut reply, &doc! { "n": 2, "ok": 1, "writeErrors": [error] }, 500).unwrap();
        assert_eq!((reply.matched, reply.refused.len(), reply.refused[0].0), (2, 1, 501));
        let lagging = doc! { "n": 1, "writeConcernError": { "code": 64, "errmsg": "waiting" } };
        assert_eq!(add(&mut reply, &lagging, 0), Err((64, "waiting".to_owned())));
    }
}
