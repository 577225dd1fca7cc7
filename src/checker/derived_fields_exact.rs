//! Derived fields exact: counters that follow from other fields agree with them.
//!
//! - Property: of every thread that counts its changes, those that were read and those that were not are, together, as many
//!   as it lists. A reader that looks and then sets the count of the unread to zero forgets what came in between. A thread
//!   that says how many messages it has has as many.
//! - Assumptions: one update notes a change and counts it; the final state was read after every answer.
//! - Soundness: both sides are read from one document.
//! - Completeness: exact for sums; two errors that cancel each other out stay unseen.
//! - Cost: one pass over the documents.
//!
//! Checked: threads that keep both counts, or count their messages. Violations: those whose counts do not add up.

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

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        if evidence.observation().is_none() {
            return findings;
        }
        for key in evidence.keys() {
            if !budget.take(1 + key.documents().len() as u64) {
                return findings.exhausted();
            }
            for document in key.documents() {
                let (changes, messages) = (Counts::of(document), message_count(document));
                findings.checked += u64::from(changes.is_some() || messages.is_some());
                if let Some(counts) = changes.filter(|counts| counts.unread + counts.read != counts.changes) {
                    findings.add(key.key, &[], &[document], || counts.explain());
                } else if let Some((says, has)) = messages.filter(|(says, has)| says != has) {
                    let explain = || format!("the thread says that it has {says} messages, and has {has}");
                    findings.add(key.key, &[], &[document], explain);
                }
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

/// How many messages a thread says that it has, and how many it has, where both are known.
fn message_count(document: &Observed) -> Option<(u64, u64)> {
    let state = document.thread.as_deref().filter(|state| !state.messages_hidden)?;
    Some((state.message_count?, document.messages.len() as u64))
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
