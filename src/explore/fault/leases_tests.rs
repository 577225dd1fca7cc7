//! Executions with a fault, and what they left that runs out.

use super::*;
use crate::serial::{Answer, Class, Outcome, Settings};

/// When all documents were written.
const WRITTEN: i64 = 1_795_755_600_000;
const BEFORE: Value = Value::Date(WRITTEN - 50);
const LATER: Value = Value::Date(WRITTEN + 50);

fn document(until: Value, count: i64) -> Value {
    Value::Map(BTreeMap::from([("until".to_owned(), until), ("count".to_owned(), Value::Int(count))]))
}

fn change(collection: &str, name: &str, before: Option<Value>, after: Value) -> Change {
    let id = Value::Text(format!("{collection}-{name}"));
    Change { collection: collection.to_owned(), id, before, after: Some(after) }
}

/// An execution of these requests, with their statuses, and the documents that it left: collection, name, moment.
fn sample(statuses: &[(usize, u16)], touched: bool, left: &[(&str, &str, Value)]) -> Sample {
    let made =
        |(collection, name, until): &(&str, &str, Value)| change(collection, name, None, document(until.clone(), 1));
    let answer = |(request, status): &(usize, u16)| (*request, Answer { status: *status, body: Value::Null });
    let outcome = Outcome {
        answers: statuses.iter().map(answer).collect(),
        probes: Vec::new(),
        changes: left.iter().map(made).collect(),
    };
    let touched = touched.then(|| BTreeSet::from([0]));
    Sample { order: statuses.iter().map(|(request, _)| *request).collect(), marks: Vec::new(), outcome, touched }
}

fn class(statuses: &[(usize, u16)], left: &[(&str, &str, Value)], expiring: &[&str]) -> Class {
    class_of(sample(statuses, true, left), expiring)
}

/// Held against requests that each leave a payout. The index of a collection whose documents expire is on `until`.
fn class_of(execution: Sample, expiring: &[&str]) -> Class {
    let mut judge = Judge::new(Settings::default());
    for _ in 0..3 {
        judge.learn(sample(&[(0, 201)], false, &[("payouts", "one", LATER)]));
        judge.learn(sample(&[(1, 201)], false, &[("payouts", "two", LATER)]));
        let both = [("payouts", "one", LATER), ("payouts", "two", LATER)];
        judge.learn(sample(&[(0, 201), (1, 201)], false, &both));
        judge.end_round();
    }
    let samples = [Arc::new(execution)];
    let until = || vec![Removal { field: "until".to_owned(), only: Vec::new() }];
    let expiring = expiring.iter().map(|name| ((*name).to_owned(), until())).collect();
    let moments = |_, one: &Sample| vec![WRITTEN; one.outcome.changes.len()];
    pardon(judge.judge(&samples), &judge, &samples, moments, &expiring).executions[0].class
}

const WELL: [(usize, u16); 1] = [(0, 201)];
const KILLED: [(usize, u16); 1] = [(0, 409)];

#[test]
fn a_lock_that_runs_out_accuses_nobody() {
    assert_eq!(class(&KILLED, &[("locks", "one", BEFORE)], &[]), Class::Lasting);
    assert_eq!(class(&KILLED, &[("locks", "one", LATER)], &[]), Class::Serial);
    assert_eq!(class(&KILLED, &[("locks", "one", Value::Int(WRITTEN + 50))], &[]), Class::Serial, "a number");
    assert_eq!(class(&KILLED, &[("locks", "one", BEFORE)], &["locks"]), Class::Serial);
    let something_else = [("locks", "one", LATER), ("rooms", "one", BEFORE)];
    assert_eq!(class(&KILLED, &something_else, &[]), Class::Lasting);
}

#[test]
fn a_lock_that_the_server_never_removes_is_found_whatever_the_indexes_of_its_collection() {
    for until in [Value::Null, Value::Int(1), Value::Text("2026-11-27T05:00:00Z".to_owned())] {
        let locked = [("locks", "one", until.clone())];
        assert_eq!(class(&KILLED, &locked, &["locks"]), Class::Lasting, "{until:?} is no date");
        let beside = [("payouts", "one", LATER), ("payouts", "again", until.clone())];
        assert_eq!(class(&WELL, &beside, &["payouts"]), Class::Lasting, "{until:?} beside one that goes");
    }
    let dates = Value::List(vec![Value::Null, BEFORE]);
    assert_eq!(class(&KILLED, &[("locks", "one", dates)], &["locks"]), Class::Serial, "a date in a list is one");
}

#[test]
fn what_was_to_stay_and_is_given_a_date_is_lost() {
    let before = Value::Map(BTreeMap::from([("count".to_owned(), Value::Int(1))]));
    let mut lost = sample(&WELL, true, &[("payouts", "one", BEFORE)]);
    lost.outcome.changes.push(change("payouts", "precious", Some(before), document(BEFORE, 1)));
    assert_eq!(class_of(lost, &["payouts"]), Class::Lasting);
}

#[test]
fn a_partial_index_removes_its_documents_only() {
    let index = |partial: &str| IndexFact {
        key: "until: 1".to_owned(),
        partial: Some(partial.to_owned()),
        expires_after_s: Some(9),
        ..IndexFact::default()
    };
    let removes = |partial: &str| Removal::of(&index(partial)).unwrap().removes(&document(BEFORE, 1));
    assert!(removes(r#"{"count":1}"#) && removes(r#"{"count":{"$gte":1}}"#) && !removes(r#"{"count":2}"#));
    assert!(!removes(r#"{"status":"held"}"#));
    assert!(Removal::of(&IndexFact { expires_after_s: None, ..index("{}") }).is_none());
}

#[test]
fn what_others_left_that_runs_out_stays() {
    let left = [("locks", "one", LATER), ("payouts", "two", LATER)];
    assert_eq!(class(&[(0, 409), (1, 201)], &left, &[]), Class::Serial);
    let many = ["a", "b", "c", "d", "e"].map(|name| ("locks", name, LATER));
    let left: Vec<_> = many.into_iter().chain([("payouts", "two", LATER)]).collect();
    assert_eq!(class(&[(0, 409), (1, 201)], &left, &[]), Class::Serial, "all of a collection");
}

#[test]
fn what_is_made_twice_by_who_was_answered_well_is_no_lock() {
    let twice = [("payouts", "one", LATER), ("payouts", "again", LATER)];
    assert_eq!(class(&WELL, &twice, &[]), Class::Lasting);
    assert_eq!(class(&WELL, &[("payouts", "one", LATER), ("locks", "one", LATER)], &[]), Class::Serial);
}

#[test]
fn attempts_that_are_logged_or_counted_where_documents_expire_accuse_nobody() {
    let logged = ["one", "again", "b", "c", "d", "e"].map(|name| ("payouts", name, BEFORE));
    for count in [2, logged.len()] {
        assert_eq!(class(&WELL, &logged[..count], &[]), Class::Lasting, "{count}");
        assert_eq!(class(&WELL, &logged[..count], &["payouts"]), Class::Serial, "{count}: one for each delivery");
    }
    for before in [None, Some(document(BEFORE, 1))] {
        for statuses in [WELL, KILLED] {
            let mut counted = sample(&statuses, true, &[]);
            counted.outcome.changes.push(change("payouts", "one", before.clone(), document(BEFORE, 2)));
            assert_eq!(class_of(counted.clone(), &[]), Class::Lasting, "{before:?} {statuses:?}");
            assert_eq!(class_of(counted, &["payouts"]), Class::Serial, "{before:?} {statuses:?}: it counts them");
        }
    }
}

#[test]
fn what_is_missing_where_documents_expire_is_found_and_so_is_what_is_elsewhere() {
    let logged = [("payouts", "one", BEFORE), ("payouts", "again", BEFORE), ("rooms", "one", BEFORE)];
    assert_eq!(class(&WELL, &logged, &["payouts"]), Class::Lasting, "there is something else");
    assert_eq!(class(&WELL, &[], &["payouts"]), Class::Lasting, "it is missing");
    let of_the_other = [("payouts", "one", BEFORE)];
    assert_eq!(class(&[(0, 201), (1, 201)], &of_the_other, &["payouts"]), Class::Lasting, "one of two is");
}
