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
        pick: Default::default(),
        answered: None,
        ordinal,
        release: ordinal,
        sent: SystemTime::UNIX_EPOCH,
        command: Arc::new(Command::parse(&Message::parse(&msg(0, command, &[])).unwrap()).unwrap()),
        reply: Some(Reply::parse(&Message::parse(&msg(0, reply, &[])).unwrap())),
    };
    Execution { steps: commands.iter().enumerate().map(step).collect(), ..Execution::default() }
}

fn index(key: &str) -> IndexFact {
    IndexFact { name: key.to_owned(), key: key.to_owned(), unique: true, sparse: false, ..IndexFact::default() }
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

/// The explanations of the findings on one request.
fn explained(commands: &[(RawDocumentBuf, RawDocumentBuf)], unique: &[&str]) -> Vec<String> {
    let facts = [("app.chats".to_owned(), unique.iter().map(|key| index(key)).collect())].into();
    let indexes = Indexes { facts, ..Indexes::new() };
    lint(&execution(commands), &["op".to_owned()], &indexes).into_iter().map(|finding| finding.explanation).collect()
}

#[test]
fn an_index_that_is_there_is_not_asked_for() {
    let commands = [find(rawdoc! { "k": "a" }, none()), insert(rawdoc! { "k": "a", "n": 1 })];
    for (unique, told, untold) in [
        (&[][..], "and a unique index", "`k: 1` refuses"),
        (&["n: 1"][..], "and a unique index", "refuses"),
        (&["k: 1"][..], "`k: 1` refuses the second", "and a unique index"),
    ] {
        let found = explained(&commands, unique).remove(0);
        assert!(found.contains(told) && !found.contains(untold), "{unique:?}: {found}");
    }
}

#[test]
fn filters_with_alternatives_are_read() {
    let pair = || rawdoc! { "$or": [{ "from": "a", "to": "b" }, { "from": "b", "to": "a" }] };
    let created = |from: &str| insert(rawdoc! { "from": from, "to": "b" });
    assert_eq!(rules(&[find(pair(), none()), created("a")], &[]), ["check-then-act"]);
    assert!(rules(&[find(pair(), none()), created("c")], &[]).is_empty(), "another pair");
    let upsert = || update(pair(), rawdoc! { "$setOnInsert": { "n": 1 } }, true);
    assert_eq!(rules(&[upsert()], &["from: 1, to: 1"]), ["upsert-not-retried"]);
    assert_eq!(rules(&[upsert()], &["key: 1"]), ["upsert-without-unique-index"]);
}

#[test]
fn writing_back_an_object_or_by_the_identifier_is_named_and_a_version_is_no_race() {
    let cart =
        || rawdoc! { "ok": 1, "cursor": { "firstBatch": [{ "_id": 7, "k": "a", "cart": { "tea": 1 }, "v": 3 }] } };
    let read = || find(rawdoc! { "k": "a" }, cart());
    let set = |filter: RawDocumentBuf, set: RawDocumentBuf| update(filter, rawdoc! { "$set": set }, false);
    let object = || rawdoc! { "cart": { "tea": 1, "milk": 2 } };
    let cases: [(_, &[&str]); 7] = [
        (set(rawdoc! { "k": "a" }, object()), &["read-modify-write"]),
        (set(rawdoc! { "_id": 7 }, object()), &["read-modify-write"]),
        (set(rawdoc! { "_id": 7 }, rawdoc! { "list": [1] }), &["read-modify-write"]),
        (set(rawdoc! { "_id": 8 }, object()), &[]),
        // A version is compared: the write notices what came in between.
        (set(rawdoc! { "_id": 7, "v": 3 }, object()), &[]),
        // It was not there when it was read.
        (set(rawdoc! { "_id": 7 }, rawdoc! { "address": { "city": "x" } }), &[]),
        (set(rawdoc! { "_id": 7 }, rawdoc! { "cart.milk": { "n": 2 } }), &[]),
    ];
    for (number, (write, expected)) in cases.into_iter().enumerate() {
        assert_eq!(rules(&[read(), write], &[]), expected, "{number}");
    }
}

#[test]
fn a_push_that_depends_on_what_was_read_is_named() {
    let answered = |commands: &[(RawDocumentBuf, RawDocumentBuf)]| {
        let outcome = crate::history::Outcome::Failed(crate::history::Cause::new("x"));
        let completion = Some(crate::target::Completion { outcome, connected: None, attempts: 1, answer: None });
        let now = std::time::Instant::now();
        let request = super::super::execution::Request { invoked: now, completed: Some(now), completion };
        Execution { requests: vec![request], ..execution(commands) }
    };
    let read = |messages: RawDocumentBuf| {
        find(rawdoc! { "k": "a" }, rawdoc! { "ok": 1, "cursor": { "firstBatch": [messages] } })
    };
    let empty = || read(rawdoc! { "_id": 7, "messages": [] });
    let there = || read(rawdoc! { "_id": 7, "messages": ["m"] });
    let push = |filter: RawDocumentBuf| update(filter, rawdoc! { "$push": { "messages": "m" } }, false);
    let by_id = || push(rawdoc! { "_id": 7 });
    let guarded = push(rawdoc! { "_id": 7, "messages": { "$ne": "m" } });
    let (pushes_it, holds_back) = (answered(&[empty(), by_id()]), answered(&[there()]));
    let nothing_there = answered(&[find(rawdoc! { "k": "a" }, none())]);
    for (executions, found) in [
        (vec![&pushes_it, &holds_back], 1),
        // It pushes whatever it reads, or holds back because there is no document.
        (vec![&pushes_it, &pushes_it], 0),
        (vec![&pushes_it, &nothing_there], 0),
        (vec![&answered(&[empty(), guarded]), &holds_back], 0),
    ] {
        let findings = pushes(executions.into_iter(), &["op".to_owned()]);
        assert_eq!(findings.len(), found, "{findings:?}");
        assert!(
            findings.iter().all(|finding| finding.explanation.contains("`messages.id`")
                || finding.explanation.contains("\"messages.id\""))
        );
    }
}
