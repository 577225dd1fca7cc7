//! Append order: messages keep one order, and it respects real time.
//!
//! - Property: there is one order of the appends, each inside the interval of its operation, such that every read and the
//!   final state show exactly the messages appended before it. Exact: every list is a prefix of the longest one; with the
//!   elements of that list at odd slots, reads between them at even slots and messages that nobody saw after all, no
//!   operation returned before one of an earlier slot was invoked. Besides, sequence numbers in final documents grow along
//!   the list, the document's own note of its last message names the last one, and a position that an append was told is
//!   where its message stands.
//! - Assumptions: keys are fresh, messages are neither deleted nor moved. Intervals are closed. Unknown operations may have
//!   appended at any time after their invocation, or not at all; failed ones did not. Each message of an operation is an
//!   event of its own: whether a pair stays together is `pair-adjacent`'s matter. With several final documents only reads
//!   are judged; `single-document` judges the rest. Deliveries that were taken for repetitions append nothing.
//! - Soundness: every violation of the order is certified by the general search on the messages that matter; where the two
//!   disagree the result says so and is not claimed. A read without elements is placed by length and a chained hash of 64
//!   bits: that two different lists share one is not expected in the lifetime of this program, but not impossible.
//! - Completeness: exact for lists without repeated or phantom messages, which have checkers of their own; cross-checked
//!   with the search on whole histories.
//! - Cost: one sort per key, O(n log n).
//!
//! Checked: reads, messages acknowledged or seen, and derived facts of final documents.

use crate::history::{Element, Nanos};
use crate::verdict::{Invariant, InvariantResult};

use super::append_defect::{Defect, Event, Who};
use super::append_derived::derived;
use super::findings::Findings;
use super::list_model::AppendOnly;
use super::lists::{List, Lists, View, Write, bit, parts, prefix_hashes, seen};
use super::search::{Entry, Search, linearize};
use super::{Budget, Checker, Evidence, final_state, list_model};

/// Judges [`Invariant::AppendOrder`].
#[derive(Debug, Clone, Copy, Default)]
pub struct AppendOrder;

impl Checker for AppendOrder {
    fn invariant(&self) -> Invariant {
        Invariant::AppendOrder
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        look_with(evidence, budget, |entries, budget| linearize(&AppendOnly, entries, budget))
    }

    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        findings.into_result_with(|result| match evidence.observation() {
            None => result.weaken("the final state was not read"),
            Some(_) => final_state::weaken(evidence, result),
        })
    }
}

/// The check, with the second opinion as a parameter so that a disagreement can be tested.
pub(super) fn look_with(
    evidence: &Evidence<'_>,
    budget: &mut Budget,
    second_opinion: impl Fn(&[Entry<list_model::Event>], &mut Budget) -> Search,
) -> Findings {
    let mut findings = Findings::new(Invariant::AppendOrder);
    for key in evidence.keys() {
        let lists = Lists::of(&key);
        if !budget.take(1 + 20 * lists.operations.len() as u64) {
            return findings.exhausted();
        }
        let order = Order::of(&lists);
        findings.checked += order.events.len() as u64 + order.defects.len() as u64;
        let mut certified = 0;
        for defect in order.defects.iter().copied().chain(order.sweep()) {
            // The first few of a key are certified: they are what the witnesses show.
            if certified < InvariantResult::MAX_WITNESSES {
                certified += 1;
                match second_opinion(&defect.certificate(&lists, order.longest()), budget) {
                    Search::Impossible => {}
                    Search::Exhausted => return findings.exhausted(),
                    Search::Linearizable => {
                        findings.doubt(&key, || {
                            format!(
                                "harness error: on key `{}` the search finds an order that the fast rule excludes",
                                key.key
                            )
                        });
                        continue;
                    }
                }
            }
            let (operations, documents) = defect.witness(&lists);
            findings.add(key.key, &operations, &documents, || defect.explain(&lists));
        }
        derived(&key, &lists, order.longest(), &mut findings);
    }
    findings
}

/// The events of one key in the order that its longest list forces on them.
pub(super) struct Order<'a, 'l> {
    longest: Option<&'l List<'a>>,
    /// Sorted by slot.
    events: Vec<Event<'a>>,
    /// Lists that are no prefix of the longest.
    defects: Vec<Defect<'a, 'l>>,
}

impl<'a, 'l> Order<'a, 'l> {
    pub(super) fn of(lists: &'l Lists<'a>) -> Self {
        let single = lists.finals().len() <= 1;
        let judged = || lists.reads().iter().chain(lists.finals().iter().filter(|_| single));
        // Of equally long ones the first: a read says more in a witness than the final state does.
        let longest = judged().rev().max_by_key(|list| list.elements.len());
        let mut order = Order { longest, events: Vec::new(), defects: Vec::new() };
        let hashes = prefix_hashes(longest.map_or(&[], |list| &list.elements));
        order.reads(lists, &hashes);
        if single && let Some(last) = lists.finals().first() {
            order.final_state(lists, last, &hashes);
        }
        order.elements(lists);
        order.events.sort_by_key(|event| event.slot);
        order
    }

    fn longest(&self) -> Option<&'l List<'a>> {
        self.longest
    }

    fn reads(&mut self, lists: &'l Lists<'a>, hashes: &[u64]) {
        let mut bodies = lists.reads().iter().peekable();
        for operation in &lists.operations {
            let Some(seen) = seen(operation) else { continue };
            let body = bodies.next_if(|list| list.view.operation().is_some_and(|reader| reader.id == operation.id));
            let length = seen.length as usize;
            if hashes.get(length) == Some(&seen.hash) {
                let who = Who::View(View::Read(operation), length);
                self.push(2 * length, operation.invoked, operation.returned(), who);
            } else if let (Some(list), Some(longest)) = (body, self.longest) {
                self.defects.push(Defect::Incompatible { list, longest });
            }
            // A read without elements is the beginning of one that has them, and is accused with it.
        }
    }

    fn final_state(&mut self, lists: &Lists<'a>, last: &'l List<'a>, hashes: &[u64]) {
        let end = lists.operations.iter().map(|operation| operation.completed).max().unwrap_or(0) + 1;
        let own = prefix_hashes(&last.elements);
        let length = last.elements.len();
        if hashes.get(length) == own.last() {
            self.push(2 * length, end, Nanos::MAX, Who::View(last.view, length));
        } else if let Some(longest) = self.longest {
            self.defects.push(Defect::Incompatible { list: last, longest });
        }
    }

    fn elements(&mut self, lists: &'l Lists<'a>) {
        let elements = self.longest.map_or(&[][..], |list| &list.elements);
        let mut placed = vec![0_u8; lists.operations.len()];
        for (position, element) in elements.iter().enumerate() {
            let Some(at) = lists.writer(*element) else { continue };
            let operation = lists.operations[at];
            let part = bit(element.role());
            if placed[at] & part != 0 || Write::of(operation) == Some(Write::Failed) {
                continue;
            }
            placed[at] |= part;
            let who = Who::Element(operation, *element);
            self.push(2 * position + 1, operation.invoked, operation.returned(), who);
        }
        let held = lists.held(&lists.lists);
        for (at, operation) in lists.operations.iter().enumerate() {
            if Write::of(operation) != Some(Write::Acknowledged) {
                continue;
            }
            for role in parts(operation).unwrap_or_default().iter().filter(|role| held[at] & bit(**role) == 0) {
                let who = Who::Unseen(operation, Element::new(Some(operation.id), *role));
                self.push(2 * elements.len() + 1, operation.invoked, operation.returned(), who);
            }
        }
    }

    fn push(&mut self, slot: usize, invoked: Nanos, returned: Nanos, who: Who<'a>) {
        self.events.push(Event { slot, invoked, returned, who });
    }

    /// Events that returned before one of an earlier slot was invoked.
    pub(super) fn sweep(&self) -> impl Iterator<Item = Defect<'a, 'l>> + '_ {
        let mut latest: Option<Event<'a>> = None;
        let mut pending: Option<Event<'a>> = None;
        let mut slot = 0;
        self.events.iter().filter_map(move |event| {
            if event.slot != slot {
                slot = event.slot;
                latest = later(latest, pending.take());
            }
            pending = later(pending, Some(*event));
            let earlier = latest.filter(|earlier| event.returned < earlier.invoked)?;
            Some(Defect::Order { earlier, later: *event, longest: self.longest })
        })
    }

    /// Whether the rule finds nothing wrong.
    #[cfg(test)]
    pub(super) fn fits(&self) -> bool {
        self.defects.is_empty() && self.sweep().next().is_none()
    }
}

/// Of two events the one invoked later; of equal ones the first.
fn later<'a>(one: Option<Event<'a>>, other: Option<Event<'a>>) -> Option<Event<'a>> {
    match (one, other) {
        (Some(one), Some(other)) if other.invoked > one.invoked => Some(other),
        (one, other) => one.or(other),
    }
}
