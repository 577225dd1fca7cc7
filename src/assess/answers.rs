//! What the answers of a run over HTTP mean in the light of all of them: one answer alone does not tell whether an interface
//! names the document to everyone, or whether a read asks where the documents are.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::checker::Naming;
use crate::history::{Action, Appended, Cause, CauseKind, History, Nanos, Operation, Outcome, Returned, Value};

/// A history as it is judged, and why nothing good can be said where answers do not fit their description.
pub(super) struct Understood<'a> {
    /// The history.
    pub(super) history: Cow<'a, History>,
    /// Why the run is inconclusive.
    pub(super) reasons: Vec<String>,
}

/// Whether it is a read that found something.
pub(super) fn sees(operation: &Operation) -> bool {
    reads(&operation.action) && operation.value().is_some_and(|value| !value.found_nothing())
}

/// Reads the answers of one run together; `seeing` are the kinds of reads of which some found something.
pub(super) fn understand<'a>(history: &'a History, seeing: &BTreeSet<String>) -> Understood<'a> {
    let blind = reads_that_find_nothing(history, seeing);
    let naming = Naming::of(history.phase(crate::history::Phase::Control));
    let by_design = history.operations.iter().any(|operation| naming.is_by_design(operation));
    if blind.is_empty() && !by_design {
        return Understood { history: Cow::Borrowed(history), reasons: Vec::new() };
    }
    let operations = history.operations.iter().map(|operation| match operation {
        operation if naming.is_by_design(operation) => nameless(operation),
        operation if blind.contains_key(operation.action.name()) => proves_nothing(operation),
        operation => operation.clone(),
    });
    let history = history.with_operations(operations.collect());
    let reasons = blind.into_iter().map(|(name, read)| {
        format!(
            "the scenario does not describe this service: none of {} `{name}` found anything, although {} had been \
             answered with what was there on the key `{}`; look at the path of `{name}`",
            read.count, read.after, read.key
        )
    });
    Understood { history: Cow::Owned(history), reasons: reasons.collect() }
}

/// A kind of read that never found what was there.
struct Blind {
    count: u64,
    key: String,
    after: crate::history::OpId,
}

/// Kinds of reads none of which found anything, although one of them came after an answer with the document.
fn reads_that_find_nothing(history: &History, seeing: &BTreeSet<String>) -> BTreeMap<String, Blind> {
    let mut first: BTreeMap<&str, (Nanos, &Operation)> = BTreeMap::new();
    for operation in &history.operations {
        match &operation.outcome {
            Outcome::Ok(value) if value.found_nothing() => {}
            Outcome::Ok(value) => {
                if shows_existence(value) {
                    let known = first.entry(&operation.key).or_insert((operation.completed, operation));
                    if operation.completed < known.0 {
                        *known = (operation.completed, operation);
                    }
                }
            }
            Outcome::Failed(_) | Outcome::Unknown(_) => {}
        }
    }
    let mut blind: BTreeMap<String, Blind> = BTreeMap::new();
    let nothing = history.operations.iter().filter(|operation| {
        reads(&operation.action)
            && operation.value().is_some_and(Value::found_nothing)
            && !seeing.contains(operation.action.name())
    });
    for operation in nothing.clone() {
        let Some((_, before)) = first.get(&*operation.key).filter(|(at, _)| *at < operation.invoked) else { continue };
        let name = operation.action.name();
        blind.entry(name.to_owned()).or_insert_with(|| Blind {
            count: nothing.clone().filter(|other| other.action.name() == name).count() as u64,
            key: operation.key.to_string(),
            after: before.id,
        });
    }
    blind
}

fn reads(action: &Action) -> bool {
    matches!(action, Action::Get | Action::Read | Action::CheckExisting(_) | Action::ReadThread)
}

fn shows_existence(value: &Value) -> bool {
    matches!(value, Value::Document(_) | Value::Appended(_) | Value::Thread(_) | Value::Found(Some(_)))
}

/// An answer that says yes without a name, as the interface has it for those who did not create.
fn nameless(operation: &Operation) -> Operation {
    let created = match &operation.outcome {
        Outcome::Unknown(Cause { kind: CauseKind::Unnamed { created, .. }, .. }) => *created,
        _ => return operation.clone(),
    };
    let returned = Returned { created, nameless: true, ..Returned::default() };
    let value = match operation.action {
        Action::Append(_) => Value::Appended(Appended { session: returned, position: None }),
        _ => Value::Document(returned),
    };
    Operation { outcome: Outcome::Ok(value), ..operation.clone() }
}

/// A read that asks where nothing is.
fn proves_nothing(operation: &Operation) -> Operation {
    let cause = Cause::http(404, "answered with nothing, as every read of this kind");
    Operation { outcome: Outcome::Failed(cause), ..operation.clone() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::assess::gather::Facts;

    fn operation(op: u64, phase: &str, key: &str, action: serde_json::Value, outcome: Outcome) -> Operation {
        let line = json!({
            "op": op, "client": 0, "round": 0, "phase": phase, "key": key, "action": action, "intended_ns": op * 10,
            "invoked_ns": op * 10, "completed_ns": op * 10 + 5, "outcome": outcome,
        });
        serde_json::from_value(line).unwrap()
    }

    fn create() -> serde_json::Value {
        json!({ "create-or-get": { "reversed": false } })
    }

    fn named() -> Outcome {
        Outcome::Ok(Value::Document(Returned { id: Some([7; 12].into()), ..Returned::default() }))
    }

    fn unnamed() -> Outcome {
        Outcome::Unknown(Cause { kind: CauseKind::Unnamed { status: 200, created: None }, message: "no id".into() })
    }

    fn read(history: &History) -> Understood<'_> {
        understand(history, &Facts::of(history).seeing)
    }

    #[test]
    fn a_name_that_serially_only_creators_are_told_is_missed_by_nobody() {
        let control = |later: Outcome| {
            vec![
                operation(0, "control", "c", create(), named()),
                operation(1, "control", "c", create(), later),
                operation(2, "main", "k", create(), unnamed()),
            ]
        };
        let history = History { operations: control(unnamed()), ..History::default() };
        let understood = read(&history);
        assert!(understood.history.operations[2].returned_document().is_some_and(|answer| answer.nameless));
        let history = History { operations: control(named()), ..History::default() };
        assert!(read(&history).history.operations[2].is_unknown());
    }

    #[test]
    fn reads_that_never_find_what_is_there_prove_nothing() {
        let history = |found: Option<crate::history::Id>| History {
            operations: vec![
                operation(0, "control", "c", create(), named()),
                operation(1, "control", "c", json!("get"), Outcome::Ok(Value::Found(None))),
                operation(2, "main", "k", create(), named()),
                operation(3, "main", "k", json!("get"), Outcome::Ok(Value::Found(found))),
            ],
            ..History::default()
        };
        let blind = history(None);
        let understood = read(&blind);
        assert!(understood.reasons[0].contains("none of 2 `get` found anything"), "{:?}", understood.reasons);
        assert!(!understood.history.operations[1].is_ok());
        // One that found something shows where the documents are: then the other is evidence.
        let seeing = history(Some([7; 12].into()));
        assert!(read(&seeing).reasons.is_empty() && read(&seeing).history.operations[1].is_ok());
    }
}
