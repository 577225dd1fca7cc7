//! Facts that a service derives from the order of its messages: sequence numbers, the last message, positions.

use crate::history::{Message, Observed, Operation};

use super::KeyEvidence;
use super::findings::Findings;
use super::lists::{List, Lists, name, told_position};

/// Compares them with the order itself.
pub(super) fn derived(key: &KeyEvidence<'_>, lists: &Lists<'_>, longest: Option<&List<'_>>, findings: &mut Findings) {
    for document in key.documents() {
        sequence(key.key, lists, document, findings);
        last_message(key.key, lists, document, findings);
    }
    // A position says something only where there is one list that it can be looked up in.
    if let (Some(longest), true) = (longest, lists.finals().len() <= 1) {
        positions(key.key, lists, longest, findings);
    }
}

/// Numbers grow along the list.
fn sequence(key: &str, lists: &Lists<'_>, document: &Observed, findings: &mut Findings) {
    let mut last: Option<(&Message, u32)> = None;
    for message in &document.messages {
        let Some(number) = message.sequence else { continue };
        findings.checked += 1;
        if let Some((before, smaller)) = last
            && number <= smaller
        {
            findings.add(key, &writers(lists, &[before, message]), &[document], || {
                format!(
                    "{} has sequence number {smaller}, and {} after it has {number}; numbers are given once, in order",
                    name(before.element()),
                    name(message.element())
                )
            });
        }
        last = Some((message, number));
    }
}

/// The document's note of its last message names the last one.
fn last_message(key: &str, lists: &Lists<'_>, document: &Observed, findings: &mut Findings) {
    let (Some(noted), Some(last)) = (document.last_message, document.messages.last()) else { return };
    findings.checked += 1;
    if last.op.is_some_and(|op| op != noted) {
        let mut operations = writers(lists, &[last]);
        operations.extend(lists.position(noted).map(|at| lists.operations[at]));
        findings.add(key, &operations, &[document], || {
            format!(
                "the document notes {noted} as its last message, but {} is the last; what is derived must follow in the \
                 same step",
                name(last.element())
            )
        });
    }
}

/// A message stands where its append was told.
fn positions(key: &str, lists: &Lists<'_>, longest: &List<'_>, findings: &mut Findings) {
    for operation in &lists.operations {
        let Some((position, element)) = told_position(operation) else { continue };
        if longest.elements.get(position as usize) == Some(&element) {
            continue;
        }
        // A message that is not there at all is lost, which others judge.
        let Some(found) = longest.elements.iter().position(|other| *other == element) else { continue };
        let mut operations = vec![*operation];
        operations.extend(longest.view.operation());
        let documents: Vec<_> = longest.view.document().into_iter().collect();
        findings.add(key, &operations, &documents, || {
            format!(
                "{} was told that its message stands at {position}, but {} shows it at {found}; messages stay where they are",
                operation.id,
                longest.view.name()
            )
        });
    }
}

fn writers<'a>(lists: &Lists<'a>, messages: &[&Message]) -> Vec<&'a Operation> {
    let mut writers: Vec<&Operation> =
        messages.iter().filter_map(|message| lists.writer(message.element())).map(|at| lists.operations[at]).collect();
    writers.dedup_by_key(|operation| operation.id);
    writers
}
