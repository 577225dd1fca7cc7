//! No duplicate messages: no message is there twice.
//!
//! - Property: no list that a read or the final state shows has the same message (operation and part) twice, and no two
//!   final documents of a key share one.
//! - Assumptions: every operation stamps its messages with its own number, also when it is sent again.
//! - Soundness: both copies were read; of threads that only say how many messages they have: nobody can have sent so many.
//! - Completeness: exact for final documents and for reads. A read whose elements were dropped is the beginning of one
//!   that kept them, so that nothing is missed. Two deliveries of one content are two messages: `merge-once` judges them.
//! - Cost: one pass over the lists.
//!
//! Checked: operations of which a message is seen. Violations: those of which one is seen twice.

use crate::history::Element;
use crate::verdict::{Invariant, InvariantResult};

use super::findings::Findings;
use super::lists::{List, Lists, bit, name};
use super::{Budget, Checker, Evidence, final_state, message_counts};

/// Judges [`Invariant::NoDuplicateMessages`].
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDuplicateMessages;

impl Checker for NoDuplicateMessages {
    fn invariant(&self) -> Invariant {
        Invariant::NoDuplicateMessages
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        for key in evidence.keys() {
            let lists = Lists::of(&key);
            if !budget.take(1 + lists.operations.len() as u64) {
                return findings.exhausted();
            }
            match message_counts::are_all_there_is(&key) {
                true => message_counts::too_many(evidence, &key, &mut findings),
                false => judge(key.key, &lists, &mut findings),
            }
        }
        findings
    }

    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        let result = findings.into_result();
        if evidence.observation().is_none() {
            return result.weaken("the final state was not read");
        }
        final_state::weaken(evidence, result)
    }
}

fn judge(key: &str, lists: &Lists<'_>, findings: &mut Findings) {
    let mut seen = vec![0_u8; lists.operations.len()];
    let mut accused = vec![false; lists.operations.len()];
    let mut counts = vec![0_u8; lists.operations.len()];
    let mut look = |group: &[List<'_>], findings: &mut Findings| {
        counts.fill(0);
        for (index, list) in group.iter().enumerate() {
            for element in &*list.elements {
                let Some(at) = lists.writer(*element) else { continue };
                let part = bit(element.role());
                seen[at] |= part;
                if counts[at] & part != 0 && !accused[at] {
                    accused[at] = true;
                    let first = group[..=index].iter().find(|list| list.elements.contains(element)).unwrap_or(list);
                    accuse(key, lists, at, *element, [first, list], findings);
                }
                counts[at] |= part;
            }
        }
    };
    // The final documents are one group: a message that two of them hold is there twice.
    look(lists.finals(), findings);
    for read in lists.reads().chunks(1) {
        look(read, findings);
    }
    findings.checked += seen.iter().filter(|parts| **parts != 0).count() as u64;
}

fn accuse(
    key: &str,
    lists: &Lists<'_>,
    at: usize,
    element: Element,
    [first, second]: [&List<'_>; 2],
    findings: &mut Findings,
) {
    let mut operations = vec![lists.operations[at]];
    operations.extend(second.view.operation());
    let documents: Vec<_> = [first, second].iter().filter_map(|list| list.view.document()).collect();
    let distinct = if std::ptr::eq(first, second) { &documents[..documents.len().min(1)] } else { &documents[..] };
    findings.add(key, &operations, distinct, || {
        let places: Vec<String> = second
            .elements
            .iter()
            .enumerate()
            .filter(|(_, other)| **other == element)
            .map(|(position, _)| position.to_string())
            .collect();
        match places.len() {
            0 | 1 => format!("{} is in two documents of the key; a message is stored once", name(element)),
            _ => format!(
                "{} stands at positions {} of {}; a message is stored once",
                name(element),
                places.join(" and "),
                second.view.name()
            ),
        }
    });
}
