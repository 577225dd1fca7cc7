//! Which commands commute: released in either order, they leave the same data and give the same answers.
//!
//! Only what is certain counts. Two commands on one collection that both write are never taken to commute, because a unique
//! index may lie between them.

use mongodb::bson::{Document, RawBsonRef, RawDocumentBuf};

use super::wire::command::{Change, Command, Kind, Pinned, Statement};

/// Whether the order of two commands cannot matter.
pub fn commute(a: &Command, b: &Command) -> bool {
    match (a.kind, b.kind) {
        (Kind::Control, _) | (_, Kind::Control) | (Kind::Read, Kind::Read) => true,
        _ if a.spans || b.spans || a.in_transaction || b.in_transaction => false,
        _ if (&a.database, &a.collection) != (&b.database, &b.collection) => true,
        (Kind::Write, Kind::Write) => false,
        (Kind::Read, Kind::Write) => misses(a, b),
        (Kind::Write, Kind::Read) => misses(b, a),
    }
}

/// Whether a change may concern what a command looks at: by the collection alone.
pub fn may_touch(change: &Command, look: &Command) -> bool {
    let broad = |command: &Command| command.spans || command.in_transaction;
    broad(change) || broad(look) || (&change.database, &change.collection) == (&look.database, &look.collection)
}

/// Whether a command may concern this document: by its collection, and the fields that it asks for by value.
pub(super) fn may_meet(command: &Command, namespace: &str, document: &Document) -> bool {
    if command.spans {
        return true;
    }
    let own = format!("{}.{}", command.database, command.collection.as_deref().unwrap_or_default());
    if own != namespace || command.kind == Kind::Control {
        return false;
    }
    let Ok(raw) = RawDocumentBuf::try_from(document) else { return true };
    let unknown = command.collation || command.batch != command.statements.len();
    unknown || command.statements.iter().any(|statement| statement_meets(statement, &raw))
}

fn statement_meets(statement: &Statement, document: &RawDocumentBuf) -> bool {
    let inserts = matches!(statement.change, Change::Insert);
    let asked = statement.filter.equalities.iter().filter(|(field, _)| !inserts || *field == "_id");
    asked.filter(|(field, _)| !field.contains('.')).all(|(field, asked)| match document.get(field) {
        // Who asks for one value also finds a list that holds it.
        Ok(Some(RawBsonRef::Array(_))) => true,
        Ok(Some(value)) => !Pinned::new(value).differs(asked),
        // A field that is not there may have been, or may yet be.
        Ok(None) | Err(_) => !asked.is_scalar(),
    })
}

/// Whether the read cannot see what the write does.
fn misses(read: &Command, write: &Command) -> bool {
    let whole = read.batch == 1 && write.batch == write.statements.len() && write.batch > 0;
    if !whole || read.collation || write.collation {
        return false;
    }
    let read = &read.statements[0].filter.equalities;
    write.statements.iter().all(|statement| match &statement.change {
        // Every field of the new document is known: the read asks for another value of one of them.
        Change::Insert => read.iter().any(|(field, asked)| {
            statement.filter.equalities.get(field).is_some_and(|inserted| inserted.differs(asked))
        }),
        // `_id` never changes and is never an array, so that different values mean different documents.
        _ if !statement.upsert => match (read.get("_id"), statement.filter.equalities.get("_id")) {
            (Some(asked), Some(changed)) => asked.differs(changed),
            _ => false,
        },
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::explore::wire::Message;
    use crate::explore::wire::message::tests::msg;

    fn command(document: RawDocumentBuf) -> Command {
        Command::parse(&Message::parse(&msg(0, &document, &[])).unwrap()).unwrap()
    }

    fn find(filter: RawDocumentBuf) -> Command {
        command(rawdoc! { "find": "chats", "filter": filter, "$db": "app" })
    }

    fn insert(document: RawDocumentBuf) -> Command {
        command(rawdoc! { "insert": "chats", "documents": [document], "$db": "app" })
    }

    fn update(filter: RawDocumentBuf, upsert: bool) -> Command {
        let update = rawdoc! { "q": filter, "u": { "$set": { "a": 1 } }, "upsert": upsert };
        command(rawdoc! { "update": "chats", "updates": [update], "$db": "app" })
    }

    #[test]
    fn only_what_certainly_commutes_does() {
        let other = command(rawdoc! { "insert": "users", "documents": [{ "k": "a" }], "$db": "app" });
        let collated = command(
            rawdoc! { "find": "chats", "filter": { "k": "A" }, "collation": { "locale": "en", "strength": 2 }, "$db": "app" },
        );
        let lookup =
            command(rawdoc! { "aggregate": "chats", "pipeline": [{ "$lookup": { "from": "users" } }], "$db": "app" });
        let in_transaction =
            command(rawdoc! { "insert": "other", "documents": [{ "k": "a" }], "$db": "app", "autocommit": false });
        let cases = [
            (find(rawdoc! { "k": "a" }), find(rawdoc! { "k": "a" }), true),
            (find(rawdoc! { "k": "a" }), insert(rawdoc! { "k": "a" }), false),
            (find(rawdoc! { "k": "a" }), insert(rawdoc! { "k": "b" }), true),
            (find(rawdoc! { "k": "a" }), insert(rawdoc! { "k": ["b"] }), false),
            (find(rawdoc! { "k": "a" }), insert(rawdoc! { "n": 1 }), false),
            (find(rawdoc! {}), insert(rawdoc! { "k": "b" }), false),
            (collated, insert(rawdoc! { "k": "a" }), false),
            (insert(rawdoc! { "k": "a" }), insert(rawdoc! { "k": "b" }), false),
            (insert(rawdoc! { "k": "a" }), other.clone(), true),
            (lookup, other, false),
            (find(rawdoc! { "k": "a" }), update(rawdoc! { "k": "b" }, false), false),
            (find(rawdoc! { "_id": "a" }), update(rawdoc! { "_id": "b" }, false), true),
            (find(rawdoc! { "_id": "a" }), update(rawdoc! { "_id": "b" }, true), false),
            (find(rawdoc! { "k": "a" }), in_transaction, false),
        ];
        for (a, b, expected) in cases {
            assert_eq!(commute(&a, &b), expected, "{a:?} {b:?}");
            assert_eq!(commute(&b, &a), expected, "{b:?} {a:?}");
        }
    }
}
