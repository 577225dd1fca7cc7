//! Tests of the histories of keys.

use std::sync::Arc;

use super::*;
use crate::history::{Appended, Cause, Effects, Elements, KeyElements, MessagePath, Observed, Said};
use crate::verdict::Invariant;

fn append(op: u64, times: [Nanos; 2], outcome: Outcome) -> Operation {
    let said = Said { path: MessagePath::Text, sender: 0, n: 0, text: format!("t{op}").into(), answered: false };
    crate::history::fixture::operation(op, "k", Action::Append(said), [times[0], times[1]], outcome)
}

fn ok() -> Outcome {
    Outcome::Ok(Value::Appended(Appended::default()))
}

fn stored(ops: &[u64]) -> Observation {
    let message = |op: &u64| Message {
        op: Some(OpId(*op)),
        role: Role::User,
        text: format!("t{op}").into(),
        sender: None,
        n: None,
        sequence: None,
        identity: None,
    };
    let document = Observed {
        id: [1; 12].into(),
        key: "k".into(),
        stored_key: None,
        created_by: None,
        missing: Vec::new(),
        messages: ops.iter().map(message).collect(),
        last_message: None,
        thread: None,
        fields: serde_json::Value::Null,
    };
    Observation { source: Source::Mongo, quiescent: true, documents: vec![document], ..Observation::default() }
}

fn violated(operations: &[Operation]) -> Vec<InvariantResult> {
    let witness =
        Witness { key: "k".into(), operations: operations.to_vec(), documents: Vec::new(), explanation: String::new() };
    vec![InvariantResult::new(Invariant::NoLostMessages, 1, 1, vec![witness])]
}

fn one(operations: Vec<Operation>, proving: usize, observation: Option<&Observation>) -> KeyHistory {
    let results = violated(&operations[proving..=proving]);
    let history = History { operations, ..History::default() };
    histories(&results, &history, observation, |_| None).remove(0)
}

fn missing(history: &KeyHistory) -> Vec<(u64, Vec<u64>)> {
    let numbers = |ops: &[OpId]| ops.iter().map(|op| op.0).collect();
    history.missing.iter().map(|missing| (missing.op.0, numbers(&missing.in_flight))).collect()
}

#[test]
fn what_is_missing_names_who_was_in_flight_with_it_and_is_stored() {
    let operations = vec![
        append(1, [0, 10], ok()),
        append(2, [20, 30], ok()),
        append(3, [15, 28], ok()),
        append(4, [22, 40], ok()),
        append(5, [23, 41], Outcome::Failed(Cause::new("no"))),
    ];
    // 1 was over before, 3 ended before it, 4 after it; 5 had no effect.
    let history = one(operations, 1, Some(&stored(&[1, 3, 4])));
    assert_eq!(missing(&history), [(2, vec![4, 3])]);
    assert_eq!(history.operations.len(), 5);
    assert!(history.lists[0].elements.iter().all(|element| !element.repeated));
}

#[test]
fn what_is_there_twice_is_marked_the_second_time() {
    let history = one(vec![append(1, [0, 10], ok())], 0, Some(&stored(&[1, 1])));
    let repeated: Vec<bool> = history.lists[0].elements.iter().map(|element| element.repeated).collect();
    assert_eq!((repeated, missing(&history)), (vec![false, true], Vec::new()));
}

#[test]
fn nothing_is_called_missing_where_nothing_was_read() {
    let unread = Observation::default();
    for observation in [None, Some(&unread)] {
        let history = one(vec![append(1, [0, 10], ok())], 0, observation);
        assert!(history.missing.is_empty() && history.lists.is_empty());
    }
}

#[test]
fn long_keys_are_told_around_their_violation() {
    let operations: Vec<Operation> = (0..1_000).map(|op| append(op, [op * 10, op * 10 + 15], ok())).collect();
    let ops: Vec<u64> = (0..1_000).filter(|op| *op != 500).collect();
    let history = one(operations, 500, Some(&stored(&ops)));
    assert_eq!((history.operations.len(), history.left_out), (MOST_OPERATIONS, 800));
    let is_there = |op: u64| history.operations.iter().any(|operation| operation.id == OpId(op));
    assert!(is_there(500) && !is_there(0));
    let list = &history.lists[0];
    assert_eq!(list.before + list.elements.len() as u64 + list.after, 999);
    let shown: Vec<u64> = list.elements.iter().filter_map(|element| element.op).map(|op| op.0).collect();
    assert!(shown.contains(&499) && shown.contains(&501) && shown.len() == MOST_ELEMENTS);
    assert_eq!(missing(&history), [(500, vec![501, 499])]);
}

#[test]
fn elements_of_a_users_own_operations_are_told_as_well() {
    let texts = |texts: &[&str]| texts.iter().map(|text| Arc::from(*text)).collect::<Vec<Arc<str>>>();
    let of_key = |found: &[&str]| KeyElements {
        found: vec![texts(found)],
        left: vec![(OpId(1), "a".into()), (OpId(2), "b".into()), (OpId(3), "a".into())],
    };
    let operations: Vec<Operation> =
        (1..=3).map(|op| Operation { action: Action::Custom("tag".into()), ..append(op, [op, 100], ok()) }).collect();
    for (count, found, lost, again) in [
        (ElementCount::ExactlyOnce, &["a", "a", "a"][..], vec![(2, vec![1, 3])], 1),
        (ElementCount::ExactlyOnce, &["a"], vec![(2, vec![1]), (3, vec![1])], 0),
        (ElementCount::Set, &["a"], vec![(2, vec![1])], 0),
        (ElementCount::AtMostOnce, &["b"], Vec::new(), 0),
        (ElementCount::AtLeastOnce, &["a", "a", "a", "b"], Vec::new(), 0),
    ] {
        let keys = [("k".into(), of_key(found))].into();
        let elements = Elements { count, ordered: false, form: ("".into(), "".into()), keys };
        let effects = Effects { elements: Some(elements), ..Effects::default() };
        let observation = Observation { source: Source::Mongo, effects: Arc::new(effects), ..Observation::default() };
        let history = one(operations.clone(), 1, Some(&observation));
        let repeated = history.lists[0].elements.iter().filter(|element| element.repeated).count();
        assert_eq!((missing(&history), repeated), (lost, again), "{count:?} {found:?}");
    }
}

#[test]
fn an_element_that_is_there_is_of_one_who_was_told_so() {
    let refused = Outcome::Failed(Cause::new("there is one"));
    let tag = |op, outcome| Operation { action: Action::Custom("tag".into()), ..append(op, [op, 100], outcome) };
    let operations = vec![tag(1, refused), tag(2, ok()), tag(3, Outcome::Unknown(Cause::new("timed out")))];
    let left = (1..=3).map(|op| (OpId(op), "a".into())).collect();
    let keys = [("k".into(), KeyElements { found: vec![vec!["a".into()]], left })].into();
    let elements = Elements { count: ElementCount::ExactlyOnce, ordered: false, form: ("".into(), "".into()), keys };
    let effects = Effects { elements: Some(elements), ..Effects::default() };
    let observation = Observation { source: Source::Mongo, effects: Arc::new(effects), ..Observation::default() };
    let history = one(operations, 1, Some(&observation));
    assert_eq!(missing(&history), []);
    assert_eq!(history.lists[0].elements[0].op, Some(OpId(2)));
}
