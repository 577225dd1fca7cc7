//! No false dedupe: a message is taken for a repetition only of one that is there.
//!
//! - Property: every delivery that was told "already there" has another one that pushed the same content: it is there in
//!   the end, and whoever pushed it had been invoked before this answer came. An answer that rests on an update that
//!   matched nothing, with a read that found no chat, is false whatever happens later.
//! - Assumptions: messages are not deleted. An update that matched nothing is ambiguous, since the chat may be missing:
//!   deliveries tell whether a read has settled it.
//! - Soundness: a claim rests on the answer and on the final documents, which do not hold the content, or on the answer and
//!   the intervals of every delivery that may have pushed it. An unknown delivery may have done so at any time.
//! - Completeness: exact on final documents. In a history that was cut short the pusher may be missing, and nothing about
//!   time is claimed.
//! - Cost: one pass over operations and final messages, one hash look-up each.
//!
//! Checked: deliveries that were told "already there". Violations: those for which that is false. Figure: such answers
//! without a read that tells a missing chat apart.

use rustc_hash::FxHashMap;

use crate::history::{Action, Delivered, Operation, Outcome, Value};
use crate::verdict::{Invariant, InvariantResult};

use super::facts::{answered_at, told};
use super::findings::{Findings, ms};
use super::lists::{Lists, Write};
use super::{Budget, Checker, Evidence, elsewhere, final_state};

/// Judges [`Invariant::NoFalseDedupe`].
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFalseDedupe;

impl Checker for NoFalseDedupe {
    fn invariant(&self) -> Invariant {
        Invariant::NoFalseDedupe
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        if evidence.observation().is_none() {
            return findings;
        }
        findings.figure("ambiguous_answers", 0);
        for key in evidence.keys() {
            let lists = Lists::of(&key);
            if !budget.take(1 + lists.operations.len() as u64) {
                return findings.exhausted();
            }
            if elsewhere::is_out_of_sight(evidence, &key, &mut findings) {
                continue;
            }
            judge(evidence.partial(), key.key, &lists, &mut findings);
        }
        findings
    }

    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        if evidence.observation().is_none() {
            return final_state::missing(self.invariant());
        }
        final_state::weaken(evidence, findings.into_result())
    }
}

/// What is known of one content.
#[derive(Default)]
struct ContentView<'a> {
    /// A final document holds it.
    there: bool,
    /// Of the deliveries that may have pushed it, the one invoked first.
    pusher: Option<&'a Operation>,
}

fn judge(partial: bool, key: &str, lists: &Lists<'_>, findings: &mut Findings) {
    let mut contents = FxHashMap::<u32, ContentView<'_>>::default();
    for operation in &lists.operations {
        let Action::Deliver(delivery) = &operation.action else { continue };
        let may_have_pushed = matches!(Write::of(operation), Some(Write::Acknowledged | Write::Unknown));
        if may_have_pushed {
            candidate(contents.entry(delivery.content).or_default(), operation);
        }
    }
    for element in lists.finals().iter().flat_map(|list| &*list.elements) {
        let Some(writer) = lists.writer(*element).map(|at| lists.operations[at]) else { continue };
        let Action::Deliver(delivery) = &writer.action else { continue };
        let view = contents.entry(delivery.content).or_default();
        view.there = true;
        candidate(view, writer);
    }
    let documents: Vec<_> = lists.finals().iter().filter_map(|list| list.view.document()).collect();
    for operation in &lists.operations {
        let Action::Deliver(delivery) = &operation.action else { continue };
        let Outcome::Ok(Value::Delivered(Delivered { applied: false, chat_seen })) = told(operation) else { continue };
        findings.checked += 1;
        findings.figure("ambiguous_answers", u64::from(chat_seen.is_none()));
        let view = contents.get(&delivery.content);
        let answer = || {
            format!(
                "{} was told at {} that `{}` is there already",
                operation.id,
                ms(answered_at(operation)),
                delivery.identity()
            )
        };
        if *chat_seen == Some(false) {
            findings.add(key, &[operation], &documents, || {
                format!("{}, although a read had found no chat; a chat that is missing has no message", answer())
            });
        } else if !view.is_some_and(|view| view.there) {
            let ground =
                if documents.is_empty() { "the chat does not exist" } else { "no message of it is there in the end" };
            findings.add(key, &[operation], &documents, || {
                format!("{}, but {ground}; \"matched nothing\" is not \"already there\"", answer())
            });
        } else if let Some(pusher) =
            view.and_then(|view| view.pusher).filter(|pusher| !partial && operation.returned() < pusher.invoked)
        {
            findings.add(key, &[operation, pusher], &documents, || {
                format!(
                    "{}, before {}, the first delivery that can have pushed it, was invoked at {}",
                    answer(),
                    pusher.id,
                    ms(pusher.invoked)
                )
            });
        }
    }
}

fn candidate<'a>(view: &mut ContentView<'a>, operation: &'a Operation) {
    if view.pusher.is_none_or(|pusher| operation.invoked < pusher.invoked) {
        view.pusher = Some(operation);
    }
}
