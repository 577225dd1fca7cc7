//! Statuses and refusals: what is said to have had no effect has none, and a request that is answered with success is served.
//!
//! Only answers with a status of success are looked at: where HTTP says yes and the scenario says no, one of them is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Cases;
use super::context::Context;
use crate::history::{Action, ElementCount, Operation, Outcome};
use crate::report::FitRow;
use crate::scenario::WorkloadKind;

pub(super) fn rows(context: &Context<'_>) -> Vec<FitRow> {
    let mut effects: BTreeMap<(&str, u16), Cases> = BTreeMap::new();
    let mut served: BTreeMap<&str, Cases> = BTreeMap::new();
    for operation in context.operations {
        let name = operation.action.name();
        match yes_taken_for_no(operation) {
            Some(status) => {
                served.entry(name).or_default().count(false);
                effects.entry((name, status)).or_default().count(!left_something(context, operation));
            }
            None if operation.is_ok() => served.entry(name).or_default().count(true),
            None => {}
        }
    }
    let first = first_on_fresh_keys(context);
    let setting = |name: &str| format!("target.http.operations.{name}.status");
    let first = first.into_iter().filter(|(name, _)| effects.keys().any(|(other, _)| other == name));
    let first: Vec<FitRow> = first
        .map(|(name, cases)| {
            cases.row(setting(name), "the first request on a fresh key is served", || {
                Some("each was answered with a status of success, which counts as failed or refused".to_owned())
            })
        })
        .collect();
    let served = served.into_iter().map(|(name, cases)| {
        cases.row(setting(name), "an answer with a status of success is one", || {
            Some("each counts as failed or refused".to_owned())
        })
    });
    let effects = effects.into_iter().map(|((name, status), cases)| {
        cases.row(setting(name), format!("a request that is answered HTTP {status} leaves nothing"), || {
            Some("what each was to leave is there".to_owned())
        })
    });
    served.chain(effects).chain(first).collect()
}

/// Whether whoever comes first of all to a fresh key, and alone, is served: there is nothing yet for which one could be refused.
fn first_on_fresh_keys<'a>(context: &Context<'a>) -> BTreeMap<&'a str, Cases> {
    let mut by_name: BTreeMap<&str, Cases> = BTreeMap::new();
    let unique = context.scenario.workload == WorkloadKind::Unique;
    for key in context.keys() {
        let Some(first) = key.operations.iter().copied().min_by_key(|operation| operation.invoked) else { continue };
        let creates = match first.action {
            Action::CreateOrGet { .. } | Action::Append(_) => true,
            Action::Custom(_) => unique,
            _ => false,
        };
        let alone = key.operations.iter().all(|other| other.id == first.id || other.invoked > first.completed);
        if creates && alone && (first.is_ok() || yes_taken_for_no(first).is_some()) {
            by_name.entry(first.action.name()).or_default().count(first.is_ok());
        }
    }
    by_name
}

/// The status of success of an operation that counts as failed.
fn yes_taken_for_no(operation: &Operation) -> Option<u16> {
    match &operation.outcome {
        Outcome::Failed(cause) => cause.status().filter(|status| (200..300).contains(status)),
        Outcome::Ok(_) | Outcome::Unknown(_) => None,
    }
}

/// Whether something in the final state is certainly of this operation.
fn left_something(context: &Context<'_>, operation: &Operation) -> bool {
    let documents = context.documents_of(&operation.key);
    let stamped = documents.iter().any(|document| {
        document.created_by == Some(operation.id)
            || document.messages.iter().any(|message| message.op == Some(operation.id))
    });
    stamped || left_element(context, operation).is_some_and(|left| left)
}

/// Whether the element that the operation leaves is there, where each operation leaves another one.
fn left_element(context: &Context<'_>, operation: &Operation) -> Option<bool> {
    let elements = context.effects?.elements.as_ref().filter(|elements| elements.count != ElementCount::Set)?;
    let of_key = elements.keys.get(&operation.key)?;
    let is_its = |left: &&(crate::history::OpId, Arc<str>)| left.0 == operation.id;
    let (_, element) = of_key.left.iter().find(is_its)?;
    Some(of_key.found.iter().flatten().any(|found| found == element))
}
