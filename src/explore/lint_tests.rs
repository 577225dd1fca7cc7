//! Tests of the lint: good, bad and near miss for each rule.

use std::sync::Arc;
use std::time::SystemTime;

use mongodb::bson::{RawDocumentBuf, rawdoc};

use super::super::wire::message::tests::msg;
use super::super::wire::{Command, Message, Reply};
use super::*;

fn execution(commands: &[(RawDocumentBuf, RawDocumentBuf)]) -> Execution {
    let step = |(ordinal, (command, reply)): (usize, &(RawDocumentBuf, RawDocumentBuf))| Step {
        request: 0,
        ordinal,
        release: ordinal,
        sent: SystemTime::UNIX_EPOCH,
        command: Arc::new(Command::parse(&Message::parse(&msg(0, command, &[])).unwrap()).unwrap()),
        reply: Some(Reply::parse(&Message::parse(&msg(0, reply, &[])).unwrap())),
    };
    Execution { steps: commands.iter().enumerate().map(step).collect(), ..Execution::default() }
}

fn index(key: &str) -> IndexFact {
    IndexFact { name: key.to_owned(), key: key.to_owned(), unique: true, sparse: false }
}

fn rules(commands: &[(RawDocumentBuf, RawDocumentBuf)], unique: &[&str]) -> Vec<String> {
    let facts = [("app.chats".to_owned(), unique.iter().map(|key| index(key)).collect())].into();
    let indexes = Indexes { facts, ..Indexes::new() };
    lint(&execution(commands), &["op".to_owned()], &indexes).into_iter().map(|finding| finding.rule).collect()
}

fn none() -> RawDocumentBuf {
    rawdoc! { "ok": 1, "cursor": { "firstBatch": [] } }
}

fn one() -> RawDocumentBuf {
    rawdoc! { "ok": 1, "cursor": { "firstBatch": [{ "k": "a" }] } }
}

fn find(filter: RawDocumentBuf, reply: RawDocumentBuf) -> (RawDocumentBuf, RawDocumentBuf) {
    (rawdoc! { "find": "chats", "filter": filter, "$db": "app" }, reply)
}

fn update(filter: RawDocumentBuf, change: RawDocumentBuf, upsert: bool) -> (RawDocumentBuf, RawDocumentBuf) {
    let update = rawdoc! { "q": filter, "u": change, "upsert": upsert };
    (rawdoc! { "update": "chats", "updates": [update], "$db": "app" }, rawdoc! { "ok": 1, "n": 1 })
}

fn insert(document: RawDocumentBuf) -> (RawDocumentBuf, RawDocumentBuf) {
    (rawdoc! { "insert": "chats", "documents": [document], "$db": "app" }, rawdoc! { "ok": 1, "n": 1 })
}

#[test]
fn upserts_are_held_against_the_unique_indexes() {
    let change = || rawdoc! { "$setOnInsert": { "by": 1 } };
    let key = || update(rawdoc! { "k": "a" }, change(), true);
    let guarded = || update(rawdoc! { "k": "a", "m.id": { "$ne": 1 } }, change(), true);
    let cases: [(_, &[&str], &[&str]); 7] = [
        (key(), &["_id: 1"], &["upsert-without-unique-index"]),
        (key(), &["k: 1"], &[]),
        (key(), &["k: 1, n: 1"], &["upsert-without-unique-index"]),
        (guarded(), &["k: 1"], &["upsert-not-retried"]),
        (update(rawdoc! { "k": "a", "archived": false }, change(), true), &["k: 1"], &["upsert-not-retried"]),
        (update(rawdoc! { "_id": "a" }, change(), true), &[], &[]),
        (update(rawdoc! { "k": "a" }, change(), false), &[], &[]),
    ];
    for (command, unique, expected) in cases {
        assert_eq!(rules(&[command], unique), expected);
    }
}

#[test]
fn a_check_that_the_write_does_not_repeat_is_named() {
    let push = || rawdoc! { "$push": { "messages": { "mergeId": "m" } } };
    let checked = || find(rawdoc! { "k": "a", "messages.mergeId": "m" }, none());
    let cases: [(Vec<_>, &[&str]); 6] = [
        (vec![find(rawdoc! { "k": "a" }, none()), insert(rawdoc! { "k": "a" })], &["check-then-act"]),
        (vec![find(rawdoc! { "k": "b" }, none()), insert(rawdoc! { "k": "a" })], &[]),
        (vec![find(rawdoc! { "k": "a" }, one()), insert(rawdoc! { "k": "a" })], &[]),
        (vec![checked(), update(rawdoc! { "k": "a" }, push(), false)], &["check-then-act"]),
        (vec![checked(), update(rawdoc! { "k": "a", "messages.mergeId": { "$ne": "m" } }, push(), false)], &[]),
        (vec![find(rawdoc! { "k": "a" }, one()), update(rawdoc! { "k": "a" }, push(), false)], &[]),
    ];
    for (commands, expected) in cases {
        assert_eq!(rules(&commands, &[]), expected);
    }
}

#[test]
fn writing_back_what_was_read_is_named() {
    let read = || find(rawdoc! { "k": "a" }, one());
    let whole = update(rawdoc! { "k": "a" }, rawdoc! { "$set": { "messages": [1, 2] } }, false);
    let replace = update(rawdoc! { "k": "a" }, rawdoc! { "messages": [1, 2] }, false);
    let single = update(rawdoc! { "k": "a" }, rawdoc! { "$set": { "title": "t" } }, false);
    assert_eq!(rules(&[read(), whole], &[]), ["read-modify-write"]);
    assert_eq!(rules(&[read(), replace], &[]), ["read-modify-write"]);
    assert!(rules(&[read(), single], &[]).is_empty());
}

#[test]
fn the_id_of_the_run_is_not_shown() {
    let cases = [
        ("app.onlyone_20260101-1.2_user_chats", "app.user_chats"),
        ("app.chats", "app.chats"),
        ("app.onlyone_chats", "app.onlyone_chats"),
    ];
    for (namespace, expected) in cases {
        assert_eq!(shown(namespace), expected);
    }
}
