//! No lost messages: what was acknowledged, or seen, is there in the end.
//!
//! - Property: every message of every acknowledged write is in a final document of its key, and so is every message that a
//!   read has seen. A message whose write ended in the database's error for a lost race (E11000, 112) is lost as well:
//!   nothing was wrong with it, and the service dropped it. Of a delivered content one message is enough, whichever
//!   delivery wrote it.
//! - Assumptions: messages are not deleted; the final state was read after every answer.
//! - Soundness: a claim rests on an answer or a read, and on documents that do not hold the message. An unknown write is
//!   claimed only if a read has seen its message; any other failure had no effect, so that its message is not missed.
//! - Completeness: exact on final documents; where threads only say how many messages they have, by those numbers.
//!   Without the final state nothing is concluded.
//! - Cost: one pass over the operations and the lists, one binary search per element.
//!
//! Checked: writes that were acknowledged, seen, or lost a race. Violations: those of which a message is missing.

use rustc_hash::FxHashSet;

use crate::history::{Action, Operation};
use crate::verdict::{Invariant, InvariantResult};

use super::facts::answered_at;
use super::findings::{Findings, ms};
use super::lists::{List, Lists, Write, all_bits};
use super::{Budget, Checker, Evidence, elsewhere, final_state, message_counts};

/// Judges [`Invariant::NoLostMessages`].
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLostMessages;

impl Checker for NoLostMessages {
    fn invariant(&self) -> Invariant {
        Invariant::NoLostMessages
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        if evidence.observation().is_none() {
            return findings;
        }
        for key in evidence.keys() {
            let lists = Lists::of(&key);
            if !budget.take(1 + lists.operations.len() as u64) {
                return findings.exhausted();
            }
            if elsewhere::is_out_of_sight(evidence, &key, &mut findings) {
                continue;
            }
            match message_counts::are_all_there_is(&key) {
                true => message_counts::too_few(evidence, &key, &mut findings),
                false => judge(key.key, &lists, &mut findings),
            }
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

fn judge(key: &str, lists: &Lists<'_>, findings: &mut Findings) {
    let there = lists.held(lists.finals());
    let was_seen = lists.held(lists.reads());
    let contents: FxHashSet<&str> = lists
        .finals()
        .iter()
        .filter_map(|list| list.view.document())
        .flat_map(|document| document.messages.iter().filter_map(|message| message.identity.as_deref()))
        .collect();
    for (at, operation) in lists.operations.iter().enumerate() {
        let Some(write) = Write::of(operation) else { continue };
        let due = match write {
            Write::Acknowledged | Write::LostRace => all_bits(operation),
            Write::Unknown | Write::Failed | Write::Deduplicated => was_seen[at],
        };
        if due == 0 {
            continue;
        }
        findings.checked += 1;
        let missing = due & !there[at];
        let delivered =
            matches!(&operation.action, Action::Deliver(delivery) if contents.contains(&*delivery.identity()));
        if missing == 0 || delivered {
            continue;
        }
        let reader = lists.reads().iter().find(|list| holds(list, operation)).filter(|_| write != Write::Acknowledged);
        let mut operations = vec![*operation];
        operations.extend(reader.and_then(|list| list.view.operation()));
        let documents: Vec<_> = lists.finals().iter().filter_map(|list| list.view.document()).collect();
        findings.add(key, &operations, &documents, || explain(operation, write, missing, reader));
    }
}

fn holds(list: &List<'_>, operation: &Operation) -> bool {
    list.elements.iter().any(|element| element.op() == Some(operation.id))
}

fn explain(operation: &Operation, write: Write, missing: u8, reader: Option<&List<'_>>) -> String {
    let op = operation.id;
    let what = match missing {
        1 => "its message",
        2 => "its answer",
        _ => "its messages",
    };
    match (write, reader.and_then(|list| list.view.operation())) {
        (Write::LostRace, _) => format!(
            "{op} lost a race and was told of the database's error at {}; {what} cannot be found in the end, though nothing \
             was wrong with it: a correct service tries again",
            ms(answered_at(operation))
        ),
        (_, Some(reader)) => format!(
            "{} saw a message of {op} at {}, but {what} cannot be found in the end; what was seen must stay",
            reader.id,
            ms(answered_at(reader))
        ),
        _ => format!(
            "{op} was acknowledged at {}, but {what} cannot be found in the end; what was acknowledged must stay",
            ms(answered_at(operation))
        ),
    }
}
