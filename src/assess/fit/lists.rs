//! Messages: what they name, where they stand, what deliveries are told of them.

use rustc_hash::FxHashMap;

use super::Cases;
use super::context::{Context, OfKey, precedes, value};
use crate::history::{Action, Appended, Delivered, OpId, Operation, Role, Value};
use crate::report::FitRow;
use crate::scenario::WorkloadKind;

pub(super) fn rows(context: &Context<'_>) -> Vec<FitRow> {
    if !context.scenario.workload.has_messages() {
        return Vec::new();
    }
    let mut rows = vec![stored_stamps(context), read_stamps(context)];
    rows.extend(positions(context));
    if context.scenario.workload == WorkloadKind::Merge {
        rows.extend(deliveries(context));
    }
    rows
}

/// Stored messages name operations on their key.
fn stored_stamps(context: &Context<'_>) -> FitRow {
    let mut cases = Cases::default();
    for document in context.documents {
        for op in document.messages.iter().filter_map(|message| message.op) {
            cases.count(context.is_stamp_on(op, &document.key));
        }
    }
    cases.row("target.http.messages.op", "a stored message names an operation on the key", || None)
}

/// Messages in answers name operations on their key.
fn read_stamps(context: &Context<'_>) -> FitRow {
    let mut cases = Cases::default();
    for operation in context.operations {
        let Some(Value::Messages(seen)) = value(operation) else { continue };
        for op in seen.body.iter().flat_map(|body| body.iter().filter_map(|element| element.op())) {
            cases.count(context.is_stamp_on(op, &operation.key));
        }
    }
    let setting = "target.http.operations.read.outcome.messages";
    cases.row(setting, "a message that is read names an operation on the key", || None)
}

/// Where an append says that its message stands is where it stands in the end.
fn positions(context: &Context<'_>) -> Option<FitRow> {
    let mut cases = Cases::default();
    let mut example = None;
    for operation in context.operations {
        let Some(Value::Appended(Appended { position: Some(told), .. })) = value(operation) else { continue };
        for document in context.documents_of(&operation.key) {
            let is_its = |op: Option<OpId>, role: Role| op == Some(operation.id) && role == Role::User;
            let stands = document.messages.iter().position(|message| is_its(message.op, message.role));
            let Some(stands) = stands.and_then(|at| u32::try_from(at).ok()) else { continue };
            cases.count(stands == *told);
            example.get_or_insert((*told, stands));
        }
    }
    (cases.looked_at > 0).then(|| {
        let expected = "a message stands where its answer says, counted from 0";
        cases.row("target.http.operations.append.outcome.position", expected, || {
            example.map(|(told, stands)| format!("{told} was answered, and it stands at {stands}"))
        })
    })
}

/// What deliveries are told: the first of a content pushes it, a later one does not, and knows the chat.
fn deliveries(context: &Context<'_>) -> Vec<FitRow> {
    let (mut first, mut later, mut seen) = (Cases::default(), Cases::default(), Cases::default());
    let mut pushed = Cases::default();
    for key in context.keys() {
        let mut contents: FxHashMap<u32, Vec<(&Operation, Delivered)>> = FxHashMap::default();
        for operation in &key.operations {
            if let (Action::Deliver(delivery), Some(Value::Delivered(told))) = (&operation.action, value(operation)) {
                contents.entry(delivery.content).or_default().push((operation, *told));
            }
        }
        let told = contents.values().flatten().filter(|(_, told)| told.applied);
        let named = key.documents.iter().any(|document| document.messages.iter().any(|message| message.op.is_some()));
        told.filter(|_| named).for_each(|(operation, _)| pushed.count(has_message(key, operation)));
        for deliveries in contents.values() {
            for (operation, told) in deliveries {
                let earlier = deliveries.iter().any(|(other, of_other)| of_other.applied && precedes(other, operation));
                let alone =
                    deliveries.iter().all(|(other, _)| other.id == operation.id || other.invoked > operation.completed);
                if earlier {
                    later.count(!told.applied || has_message(key, operation));
                    if let (false, Some(chat)) = (told.applied, told.chat_seen) {
                        seen.count(chat);
                    }
                } else if alone && told.chat_seen != Some(false) {
                    first.count(told.applied);
                }
            }
        }
    }
    let applied = "target.http.operations.deliver.outcome.applied";
    let chat_seen = "target.http.operations.deliver.outcome.chat_seen";
    vec![
        first.row(applied, "the first delivery of a content is told that it was applied", || None),
        later.row(applied, "a repeated one is told that it was not", || {
            Some("each is told that it was applied, and nothing of it is stored".to_owned())
        }),
        pushed.row(applied, "what is told to be applied is stored, with the number of its operation", || None),
        seen.row(chat_seen, "a repeated delivery is told that the chat is there", || None),
    ]
}

fn has_message(key: &OfKey<'_>, operation: &Operation) -> bool {
    let mut messages = key.documents.iter().flat_map(|document| &document.messages);
    messages.any(|message| message.op == Some(operation.id))
}
