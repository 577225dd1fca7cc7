//! Derived fields exact: counters that follow from other fields agree with them.
//!
//! - Property: of every thread that counts its changes, those that were read and those that were not are, together, as many
//!   as it lists. A reader that looks and then sets the count of the unread to zero forgets what came in between.
//! - Assumptions: one update notes a change and counts it; the final state was read after every answer.
//! - Soundness: both sides are read from one document.
//! - Completeness: exact for sums; two errors that cancel each other out stay unseen.
//! - Cost: one pass over the documents.
//!
//! Checked: threads that keep both counts. Violations: those whose counts do not add up.

use crate::history::Observed;
use crate::verdict::{Invariant, InvariantResult};

use super::findings::Findings;
use super::{Budget, Checker, Evidence, final_state};

/// Judges [`Invariant::DerivedFieldsExact`].
#[derive(Debug, Clone, Copy, Default)]
pub struct DerivedFieldsExact;

impl Checker for DerivedFieldsExact {
    fn invariant(&self) -> Invariant {
        Invariant::DerivedFieldsExact
    }

    fn check(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> InvariantResult {
        if evidence.observation().is_none() {
            return final_state::missing(self.invariant());
        }
        let mut findings = Findings::new(self.invariant());
        for key in evidence.keys() {
            if !budget.take(1 + key.documents().len() as u64) {
                return Budget::exhausted(findings.into_result());
            }
            for document in key.documents() {
                let Some(counts) = Counts::of(document) else { continue };
                findings.checked += 1;
                if counts.unread + counts.read != counts.changes {
                    findings.add(key.key, &[], &[document], || counts.explain());
                }
            }
        }
        final_state::weaken(evidence, findings.into_result())
    }
}

/// What a thread counts, and what there is to count.
struct Counts {
    unread: i64,
    read: i64,
    changes: i64,
}

impl Counts {
    fn of(document: &Observed) -> Option<Self> {
        let state = document.thread.as_deref()?;
        let changes = i64::try_from(state.changes.as_ref()?.len()).ok()?;
        Some(Counts { unread: state.unread?, read: state.read?, changes })
    }

    fn explain(&self) -> String {
        let Counts { unread, read, changes } = self;
        format!(
            "the thread lists {changes} changes, but counts {unread} as unread and {read} as read; every change is counted \
             once, so that somebody overwrote a count without looking at it again"
        )
    }
}
