//! Tests of the lint for locks: short and long ones, and what only looks like one.

use std::sync::Arc;

use mongodb::bson::{DateTime, RawDocumentBuf, rawdoc};

use super::super::wire::message::tests::msg;
use super::super::wire::{Command, Message, Reply};
use super::*;

/// When the first command is sent, in milliseconds.
const BEGIN: i64 = 1_000_000;

fn at(offset: i64) -> DateTime {
    DateTime::from_millis(BEGIN + offset)
}

fn step(offset: i64, command: &RawDocumentBuf) -> Step {
    let reply = rawdoc! { "ok": 1, "n": 1 };
    Step {
        request: 0,
        pick: Default::default(),
        answered: None,
        ordinal: 0,
        release: 0,
        sent: SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(BEGIN + offset).unwrap()),
        command: Arc::new(Command::parse(&Message::parse(&msg(0, command, &[])).unwrap()).unwrap()),
        reply: Some(Reply::parse(&Message::parse(&msg(0, &reply, &[])).unwrap())),
    }
}

fn insert(document: RawDocumentBuf) -> RawDocumentBuf {
    rawdoc! { "insert": "locks", "documents": [document], "$db": "app" }
}

fn update(filter: RawDocumentBuf, change: RawDocumentBuf) -> RawDocumentBuf {
    rawdoc! { "update": "locks", "updates": [{ "q": filter, "u": change }], "$db": "app" }
}

fn release(filter: RawDocumentBuf) -> RawDocumentBuf {
    rawdoc! { "delete": "locks", "deletes": [{ "q": filter, "limit": 1 }], "$db": "app" }
}

fn work() -> RawDocumentBuf {
    rawdoc! { "find": "chats", "filter": { "k": "a" }, "$db": "app" }
}

fn findings(steps: Vec<Step>, expiring: &[(&str, u64)]) -> usize {
    let execution = Execution { steps, ..Execution::default() };
    let expiring = expiring.iter().map(|(field, seconds)| ((*field).to_owned(), *seconds)).collect();
    let indexes = Indexes { expiring: [("app.locks".to_owned(), expiring)].into(), ..Indexes::new() };
    let found = lint(&execution, &["op".to_owned()], &indexes);
    assert!(found.iter().all(|finding| finding.rule == RULE));
    found.len()
}

#[test]
fn a_lock_that_runs_out_under_the_work_is_named() {
    let lock = |until| insert(rawdoc! { "_id": "l", "holder": 1, "expiresAt": at(until) });
    let run =
        |until: i64, back: i64, free: RawDocumentBuf| vec![step(0, &lock(until)), step(1, &work()), step(back, &free)];
    let by_id = || release(rawdoc! { "_id": "l", "holder": 1 });
    assert_eq!(findings(run(20, 60, by_id()), &[]), 1);
    assert_eq!(findings(run(60_000, 60, by_id()), &[]), 0, "long enough");
    assert_eq!(findings(run(60, 60, by_id()), &[]), 0, "just long enough");
    assert_eq!(findings(run(20, 60, release(rawdoc! { "_id": "other" })), &[]), 0, "another lock");
    assert_eq!(findings(run(20, 60, release(rawdoc! { "holder": 1 })), &[]), 1, "by its holder");
    assert_eq!(findings(run(-20, 60, by_id()), &[]), 0, "a time that is past");
    assert_eq!(findings(vec![step(0, &lock(20)), step(60, &by_id())], &[]), 0, "no work under it");
    assert_eq!(findings(vec![step(0, &lock(20)), step(60, &work())], &[]), 0, "it is not given back");
    let unlock = update(rawdoc! { "_id": "l" }, rawdoc! { "$unset": { "expiresAt": 1 } });
    assert_eq!(findings(run(20, 60, unlock), &[]), 1);
}

#[test]
fn a_ttl_index_and_an_extension_count() {
    let lock = insert(rawdoc! { "_id": "l", "createdAt": at(0) });
    let free = || release(rawdoc! { "_id": "l" });
    let run = |back| vec![step(0, &lock), step(1, &work()), step(back, &free())];
    assert_eq!(findings(run(3_000), &[("createdAt", 2)]), 1);
    assert_eq!(findings(run(3_000), &[("createdAt", 60)]), 0);
    assert_eq!(findings(run(3_000), &[]), 0, "without the index it does not run out");
    let short = insert(rawdoc! { "_id": "l", "expiresAt": at(50) });
    let extend = update(rawdoc! { "_id": "l" }, rawdoc! { "$set": { "expiresAt": at(100) } });
    let run = |extended, back| {
        let steps = [(0, &short), (1, &work()), (extended, &extend), (extended + 1, &work()), (back, &free())];
        steps.iter().map(|(offset, command)| step(*offset, command)).collect()
    };
    assert_eq!(findings(run(40, 90), &[]), 0, "extended in time");
    assert_eq!(findings(run(60, 90), &[]), 1, "extended too late");
    assert_eq!(findings(run(40, 120), &[]), 1, "extended by too little");
}
