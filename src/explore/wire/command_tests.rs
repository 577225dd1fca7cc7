//! Tests of the command view.

use mongodb::bson::{RawDocumentBuf, rawdoc};

use super::super::frame::Frame;
use super::super::message::tests::{msg, query};
use super::*;

fn parse(frame: &Frame) -> Command {
    Command::parse(&Message::parse(frame).unwrap()).unwrap()
}

fn command(document: RawDocumentBuf) -> Command {
    parse(&msg(0, &document, &[]))
}

#[test]
fn commands_are_told_apart() {
    use Kind::{Control, Read, Write};
    let cases = [
        (rawdoc! { "find": "chats", "filter": { "k": 1 }, "$db": "app" }, Read, "chats"),
        (rawdoc! { "count": "chats", "query": { "k": 1 }, "$db": "app" }, Read, "chats"),
        (rawdoc! { "distinct": "chats", "key": "k", "$db": "app" }, Read, "chats"),
        (rawdoc! { "aggregate": "chats", "pipeline": [{ "$match": { "k": 1 } }], "$db": "app" }, Read, "chats"),
        (rawdoc! { "aggregate": "chats", "pipeline": [{ "$out": "x" }], "$db": "app" }, Write, "chats"),
        (rawdoc! { "aggregate": "chats", "pipeline": [{ "$changeStream": {} }], "$db": "app" }, Control, "chats"),
        (rawdoc! { "getMore": 7_i64, "collection": "chats", "$db": "app" }, Read, "chats"),
        (rawdoc! { "insert": "chats", "documents": [{ "k": 1 }], "$db": "app" }, Write, "chats"),
        (rawdoc! { "findAndModify": "chats", "query": {}, "remove": true, "$db": "app" }, Write, "chats"),
        (
            rawdoc! { "findandmodify": "chats", "query": {}, "update": { "$set": { "a": 1 } }, "$db": "app" },
            Write,
            "chats",
        ),
        (rawdoc! { "find": "system.users", "filter": {}, "$db": "app" }, Control, "system.users"),
        (rawdoc! { "find": "x", "filter": {}, "$db": "admin" }, Control, "x"),
        (rawdoc! { "commitTransaction": 1, "$db": "admin" }, Write, ""),
        (rawdoc! { "abortTransaction": 1, "$db": "admin" }, Write, ""),
        (rawdoc! { "create": "chats", "viewOn": "all", "$db": "app" }, Write, "chats"),
        (rawdoc! { "dropDatabase": 1, "$db": "app" }, Write, ""),
        (rawdoc! { "collMod": "chats", "$db": "admin" }, Control, "chats"),
        (rawdoc! { "hello": 1, "$db": "admin" }, Control, ""),
        (rawdoc! { "ping": 1, "$db": "app" }, Control, ""),
        (rawdoc! { "endSessions": [], "$db": "admin" }, Control, ""),
        (rawdoc! { "createIndexes": "chats", "indexes": [], "$db": "app" }, Write, "chats"),
    ];
    for (document, kind, collection) in cases {
        let command = command(document);
        assert_eq!(command.kind, kind, "{}", command.name);
        assert_eq!(command.collection.as_deref().unwrap_or_default(), collection, "{}", command.name);
    }
}

#[test]
fn statements_come_from_the_document_and_from_sequences() {
    let update = rawdoc! { "q": { "k": "a" }, "u": { "$setOnInsert": { "by": 1 }, "$push": { "m": { "$each": [1] } } }, "upsert": true };
    let inline = command(rawdoc! { "update": "chats", "updates": [update.clone()], "$db": "app" });
    let sequenced =
        parse(&msg(0, &rawdoc! { "update": "chats", "$db": "app" }, &[("updates", std::slice::from_ref(&update))]));
    assert_eq!(inline.statements, sequenced.statements);
    let statement = &inline.statements[0];
    assert!(statement.upsert && !statement.multi && statement.filter.is_equality());
    let Change::Update { fields, .. } = &statement.change else { panic!("not an update") };
    let fields: Vec<_> = fields.iter().map(|field| (field.operator.as_str(), field.path.as_str())).collect();
    assert_eq!(fields, [("$setOnInsert", "by"), ("$push", "m")]);
}

#[test]
fn replacements_pipelines_and_whole_arrays_are_seen() {
    let change = |update: RawDocumentBuf| modify_statement(&update).change;
    assert!(matches!(change(rawdoc! { "update": { "k": 1 } }), Change::Replace { .. }));
    assert!(matches!(change(rawdoc! { "update": [{ "$set": { "k": 1 } }] }), Change::Update { .. }));
    assert_eq!(change(rawdoc! { "remove": true }), Change::Delete);
    let Change::Update { fields, .. } = change(rawdoc! { "update": { "$set": { "m": [1, 2] } } }) else {
        panic!("not an update")
    };
    assert!(fields[0].array);
}

#[test]
fn a_batch_is_counted_beyond_what_is_kept() {
    let documents = vec![rawdoc! { "k": 1 }; 40];
    let command = parse(&msg(0, &rawdoc! { "insert": "chats", "$db": "app" }, &[("documents", &documents)]));
    assert_eq!((command.statements.len(), command.batch), (MAX_STATEMENTS, 40));
}

#[test]
fn sessions_and_transactions_are_seen() {
    let insert = |autocommit: Option<bool>| {
        let mut document = rawdoc! { "insert": "chats", "$db": "app", "txnNumber": 1_i64 };
        if let Some(autocommit) = autocommit {
            document.append(mongodb::bson::cstr!("autocommit"), autocommit);
        }
        command(document)
    };
    assert!(insert(Some(false)).in_transaction);
    assert!(!insert(None).in_transaction);
    assert!(!parse(&msg(2, &rawdoc! { "insert": "chats", "$db": "app" }, &[])).answered);
    for (concern, acknowledged) in [
        (rawdoc! { "w": 0 }, false),
        (rawdoc! { "w": 0_i64 }, false),
        (rawdoc! { "w": 0.0 }, false),
        (rawdoc! { "w": 1 }, true),
        (rawdoc! { "w": "majority" }, true),
        (rawdoc! {}, true),
    ] {
        let insert = rawdoc! { "insert": "chats", "$db": "app", "writeConcern": concern };
        assert_eq!(parse(&msg(0, &insert, &[])).acknowledged, acknowledged, "{insert:?}");
        assert!(!parse(&msg(2, &insert, &[])).acknowledged);
    }
}

#[test]
fn older_drivers_are_understood() {
    let hello = parse(&query("admin.$cmd", &rawdoc! { "isMaster": 1 }));
    assert!(hello.is_hello() && hello.kind == Kind::Control);
    let wrapped = parse(&query("app.$cmd", &rawdoc! { "$query": { "count": "chats" }, "$readPreference": {} }));
    assert_eq!((wrapped.name.as_str(), wrapped.kind), ("count", Kind::Read));
    let find = parse(&query("app.chats", &rawdoc! { "$query": { "k": "a" }, "$orderby": {} }));
    assert_eq!((find.name.as_str(), find.collection.as_deref(), find.kind), ("find", Some("chats"), Kind::Read));
    assert!(find.statements[0].filter.is_equality());
}

#[test]
fn a_secondary_that_lags_may_answer_what_does_not_wait_for_it() {
    use mongodb::bson::Timestamp;
    let find = |mode: &str, more: RawDocumentBuf| {
        let mut document = rawdoc! { "find": "chats", "filter": {}, "$db": "app", "$readPreference": { "mode": mode } };
        for (key, value) in more.iter().flatten() {
            document.append(key, value);
        }
        command(document).may_lag()
    };
    assert!(["secondary", "secondaryPreferred", "nearest"].iter().all(|mode| find(mode, rawdoc! {})));
    // Without a primary nothing is written, and so nothing is missed.
    assert!(["primary", "primaryPreferred"].iter().all(|mode| !find(mode, rawdoc! {})));
    let after = Timestamp { time: 1, increment: 1 };
    assert!(!find("secondary", rawdoc! { "readConcern": { "level": "majority", "afterClusterTime": after } }));
    assert!(!find("secondary", rawdoc! { "readConcern": { "level": "snapshot", "atClusterTime": after } }));
    assert!(find("secondary", rawdoc! { "readConcern": { "level": "majority" } }));
    assert!(!find("secondary", rawdoc! { "autocommit": false }));
    assert!(!command(rawdoc! { "find": "chats", "filter": {}, "$db": "app" }).may_lag());
    let more =
        rawdoc! { "getMore": 7_i64, "collection": "chats", "$db": "app", "$readPreference": { "mode": "secondary" } };
    assert!(!command(more).may_lag());
}
