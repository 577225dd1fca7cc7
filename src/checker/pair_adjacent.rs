//! Pair adjacent: a user's message and its answer stand next to each other, in this order, from the first moment.
//!
//! - Property: in every list that a read or the final state shows, the message and the answer of an operation are
//!   neighbours, the message first, and neither is there without the other.
//! - Assumptions: the service stores both in one step.
//! - Soundness: a claim rests on one list that was read.
//! - Completeness: exact. A read whose elements were dropped is the beginning of a list that kept them, known by its hash:
//!   whether it ends between a message and its answer is read there.
//! - Cost: one pass over the lists; one look-up per read.
//!
//! Checked: pairs of which a message is seen. Violations: pairs that are not whole, or not together, in some list.

use rustc_hash::FxHashMap;

use crate::history::{Action, Element, Role};
use crate::verdict::{Invariant, InvariantResult};

use super::findings::Findings;
use super::lists::{List, Lists, View, name, prefix_hashes, seen};
use super::{Budget, Checker, Evidence, final_state};

/// Judges [`Invariant::PairAdjacent`].
#[derive(Debug, Clone, Copy, Default)]
pub struct PairAdjacent;

impl Checker for PairAdjacent {
    fn invariant(&self) -> Invariant {
        Invariant::PairAdjacent
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        for key in evidence.keys() {
            let lists = Lists::of(&key);
            if !budget.take(1 + lists.operations.len() as u64) {
                return findings.exhausted();
            }
            judge(key.key, &lists, &mut findings);
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
    let mut state = vec![State::Unseen; lists.operations.len()];
    for list in &lists.lists {
        for (position, element) in list.elements.iter().enumerate() {
            let Some(at) = pair(lists, *element) else { continue };
            if state[at] == State::Unseen {
                state[at] = State::Seen;
            }
            if state[at] == State::Seen && !whole(&list.elements, position) {
                state[at] = State::Accused;
                accuse(key, lists, at, list.view, neighbour(&list.elements, position), findings);
            }
        }
    }
    half_reads(key, lists, &mut state, findings);
    findings.checked += state.iter().filter(|state| **state != State::Unseen).count() as u64;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unseen,
    Seen,
    Accused,
}

/// The operation of an element that is one of a pair.
fn pair(lists: &Lists<'_>, element: Element) -> Option<usize> {
    lists.writer(element).filter(|at| matches!(lists.operations[*at].action, Action::Append(_)))
}

/// Whether the element's other half is on its proper side.
fn whole(elements: &[Element], position: usize) -> bool {
    let element = elements[position];
    let other = Element::new(element.op(), if element.role() == Role::User { Role::Bot } else { Role::User });
    neighbour(elements, position) == Some(other)
}

/// What stands where the other half belongs.
fn neighbour(elements: &[Element], position: usize) -> Option<Element> {
    match elements[position].role() {
        Role::User => elements.get(position + 1).copied(),
        Role::Bot => position.checked_sub(1).map(|before| elements[before]),
    }
}

/// Reads without elements that end between a message and its answer.
fn half_reads(key: &str, lists: &Lists<'_>, state: &mut [State], findings: &mut Findings) {
    let mut ends: Option<FxHashMap<(u32, u64), Element>> = None;
    for operation in &lists.operations {
        let Some(seen) = seen(operation).filter(|seen| seen.body.is_none() && seen.length > 0) else { continue };
        // Every place of a known list at which a read would see half a pair.
        let ends = ends.get_or_insert_with(|| halves(lists));
        let Some(at) = ends.get(&(seen.length, seen.hash)).and_then(|last| pair(lists, *last)) else { continue };
        if state[at] == State::Seen {
            state[at] = State::Accused;
            accuse(key, lists, at, View::Read(operation), None, findings);
        }
    }
}

fn halves(lists: &Lists<'_>) -> FxHashMap<(u32, u64), Element> {
    let mut ends = FxHashMap::default();
    for List { elements, .. } in &lists.lists {
        let hashes = prefix_hashes(elements);
        for (length, (element, hash)) in (1_u32..).zip(elements.iter().zip(&hashes[1..])) {
            if element.role() == Role::User {
                ends.insert((length, *hash), *element);
            }
        }
    }
    ends
}

fn accuse(key: &str, lists: &Lists<'_>, at: usize, view: View<'_>, instead: Option<Element>, findings: &mut Findings) {
    let operation = lists.operations[at];
    let mut operations = vec![operation];
    operations.extend(instead.and_then(|element| lists.writer(element)).map(|other| lists.operations[other]));
    operations.extend(view.operation());
    operations.sort_unstable_by_key(|operation| operation.id);
    operations.dedup_by_key(|operation| operation.id);
    let documents: Vec<_> = view.document().into_iter().collect();
    findings.add(key, &operations, &documents, || {
        let instead = match instead {
            Some(element) if element.op() == Some(operation.id) => "they stand in the wrong order".to_owned(),
            Some(element) => format!("{} stands between them", name(element)),
            None => "one is there without the other".to_owned(),
        };
        format!(
            "in {} the message of {} and its answer are not together: {instead}; a correct service stores both in one step",
            view.name(),
            operation.id
        )
    });
}
