//! Threads that say how many messages they have, and not which: too few, or too many. The main functions are
//! [`too_few`] and [`too_many`].
//!
//! Soundness: a thread has at least the messages of the operations that were answered with it and succeeded, and at most
//! those of all operations of the family that may have written to it. Who started a thread before the run's own operations
//! may have sent one message with it.

use crate::history::{Observed, Operation, ThreadState};

use super::findings::{Findings, count, short};
use super::lists::Write;
use super::thread_view::{Thread, ThreadView, thread_answer};
use super::{Evidence, KeyEvidence};

/// Whether the final documents of a key are threads whose messages were only counted.
pub(super) fn are_all_there_is(key: &KeyEvidence<'_>) -> bool {
    let mut states = key.documents().map(|document| document.thread.as_deref()).peekable();
    states.peek().is_some() && states.all(|state| state.is_some_and(|state| state.messages_hidden))
}

/// Threads that have fewer messages than were acknowledged to be in them.
pub(super) fn too_few(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, findings: &mut Findings) {
    let view = ThreadView::of(evidence, key);
    for (thread, document, says) in counted(&view) {
        let acknowledged: Vec<&Operation> = thread.answers.iter().map(|(operation, _)| *operation).collect();
        let acknowledged: Vec<&Operation> =
            acknowledged.into_iter().filter(|operation| Write::of(operation) == Some(Write::Acknowledged)).collect();
        findings.checked += acknowledged.len() as u64;
        if (acknowledged.len() as u64) > says {
            let explain = || {
                format!(
                    "thread {} says that it has {}, but {} of it were acknowledged; what was acknowledged must stay",
                    short(&document.id),
                    count(usize::try_from(says).unwrap_or(usize::MAX), "message"),
                    acknowledged.len()
                )
            };
            findings.add(key.key, &acknowledged, &[document], explain);
        }
    }
}

/// Threads that have more messages than can have been sent to them.
pub(super) fn too_many(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, findings: &mut Findings) {
    let view = ThreadView::of(evidence, key);
    for (thread, document, says) in counted(&view) {
        let elsewhere = |operation: &Operation| {
            let answered = thread_answer(operation).and_then(|answer| answer.id.as_ref());
            answered.is_some_and(|answered| *answered != document.id)
        };
        let may = |operation: &&&Operation| {
            Write::of(operation).is_some_and(|write| write != Write::Failed) && !elsewhere(operation)
        };
        let writers: Vec<&Operation> = view.operations.iter().filter(may).copied().collect();
        let started = thread.answers.iter().any(|(_, answer)| answer.created == Some(true));
        let most = writers.len() as u64 + u64::from(!started);
        findings.checked += writers.len() as u64;
        if says > most {
            let explain = || {
                format!(
                    "thread {} says that it has {}, but at most {most} were sent to it; a message is stored once",
                    short(&document.id),
                    count(usize::try_from(says).unwrap_or(usize::MAX), "message"),
                )
            };
            findings.add(key.key, &writers, &[document], explain);
        }
    }
}

/// Final threads that count their messages.
fn counted<'s, 'a>(view: &'s ThreadView<'a>) -> impl Iterator<Item = (&'s Thread<'a>, &'a Observed, u64)> {
    view.threads.values().filter_map(|thread| {
        let (document, state): (&Observed, &ThreadState) = thread.last?;
        Some((thread, document, state.message_count?))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::checker::{Budget, Checker, Evidence, NoDuplicateMessages, NoLostMessages};
    use crate::history::{Cause, History, Observation, Operation, Outcome, Phase, Source};

    /// An operation that started the family's thread, or was answered with it.
    fn started(id: u64, outcome: &serde_json::Value) -> Operation {
        let conversation = json!({ "kind": "direct", "caller": "k.a", "participants": ["k.b"] });
        serde_json::from_value(json!({
            "op": id, "client": 0, "round": 0, "key": "k", "action": { "start-conversation": conversation },
            "intended_ns": id * 10, "invoked_ns": id * 10, "completed_ns": id * 10 + 5, "outcome": outcome,
        }))
        .unwrap()
    }

    /// Violations of the two rules on a thread that says that it has so many messages.
    fn judged(outcomes: &[serde_json::Value], says: u64) -> (u64, u64) {
        let mut history = History::default();
        history.operations.extend((0..).zip(outcomes).map(|(id, outcome)| started(id, outcome)));
        let thread = json!({ "kind": "direct", "members": [], "message_count": says, "messages_hidden": true });
        let document = json!({ "id": "t", "key": "k", "fields": null, "thread": thread });
        let documents = vec![serde_json::from_value(document).unwrap()];
        let observation = Observation { source: Source::Http, quiescent: true, documents, ..Observation::default() };
        let evidence = Evidence::of_phase(&history, Some(&observation), Phase::Main);
        let violations = |checker: &dyn Checker| checker.check(&evidence, &mut Budget::default()).violations;
        (violations(&NoLostMessages), violations(&NoDuplicateMessages))
    }

    #[test]
    fn a_thread_has_as_many_messages_as_were_acknowledged_and_may_have_the_unknown_ones() {
        let created = json!({ "ok": { "thread": { "id": "t", "created": true } } });
        let found = json!({ "ok": { "thread": { "id": "t", "created": false } } });
        let unknown = serde_json::to_value(Outcome::Unknown(Cause::new("no answer"))).unwrap();
        let known = [created.clone(), found.clone()];
        for (says, expected) in [(1, (1, 0)), (2, (0, 0)), (3, (0, 1))] {
            assert_eq!(judged(&known, says), expected, "{says} of two");
        }
        let unsure = [created, found.clone(), unknown];
        for (says, expected) in [(1, (1, 0)), (2, (0, 0)), (3, (0, 0)), (4, (0, 1))] {
            assert_eq!(judged(&unsure, says), expected, "{says} of two and one unknown");
        }
        // Started before the run's own operations, perhaps with a message.
        for (says, expected) in [(0, (1, 0)), (1, (0, 0)), (2, (0, 0)), (3, (0, 1))] {
            assert_eq!(judged(std::slice::from_ref(&found), says), expected, "{says} of one in a given thread");
        }
    }
}
