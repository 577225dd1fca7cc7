//! Many writes by one command. Each statement has a condition of its own; the reply tells how many matched, and which failed.

use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::lease::Lease;
use super::merging::size;
use crate::audit::error::{AuditError, Result, Step};

/// Statements of one command.
const STATEMENTS: usize = 500;

/// Bytes of one command; the server takes 48 MB.
const BYTES: usize = 12 * 1024 * 1024;

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
    send(database, lease, ("update", "updates"), collection, statements).await
}

/// Removes documents: each statement has `q`.
pub(super) async fn delete(
    database: &Database,
    lease: &Lease,
    collection: &str,
    statements: &[Document],
) -> Result<Reply> {
    send(database, Some(lease), ("delete", "deletes"), collection, statements).await
}

/// Inserts documents.
pub(super) async fn insert(
    database: &Database,
    lease: &Lease,
    collection: &str,
    documents: &[Document],
) -> Result<Reply> {
    send(database, Some(lease), ("insert", "documents"), collection, documents).await
}

/// The lease is checked before each command; entries of the journal need none, because they carry its token.
async fn send(
    database: &Database,
    lease: Option<&Lease>,
    (command, list): (&str, &str),
    collection: &str,
    statements: &[Document],
) -> Result<Reply> {
    let step = format!("{command} documents of `{collection}`");
    let mut reply = Reply::default();
    let mut sent = 0;
    for piece in pieces(statements) {
        let command = doc! {
            command: collection, list: piece.to_vec(), "ordered": false, "writeConcern": { "w": "majority" },
        };
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
fn pieces(statements: &[Document]) -> Vec<&[Document]> {
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
