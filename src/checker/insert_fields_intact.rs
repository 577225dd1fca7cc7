//! Insert fields intact: what is written on insert is there from the first moment and never changes.
//!
//! - Property: no returned and no final document lacks a field that is written on insert; all stamps seen of one document,
//!   over all answers and the final state, are of one operation, which is the creating one where that is known.
//! - Assumptions: the interface shows the fields that it is said to lack; the stamp is one of the fields written on insert.
//! - Soundness: each claim rests on documents as they were returned or read.
//! - Completeness: fields other than the stamp are judged by presence, not by value. An answer that shows neither stamp
//!   nor missing fields says nothing and is not counted.
//! - Cost: one pass; one look-up per answer that carries a stamp.
//!
//! Checked: keys with a final document, or with an answer that shows a stamp or missing fields.

use rustc_hash::FxHashMap;

use crate::history::{Id, Observed, OpId, Operation};
use crate::verdict::{Invariant, InvariantResult};

use super::facts::{answered_at, returned};
use super::findings::{Findings, count, list, ms, short};
use super::{Budget, Checker, Evidence, KeyEvidence, final_state};

/// Judges [`Invariant::InsertFieldsIntact`].
#[derive(Debug, Clone, Copy, Default)]
pub struct InsertFieldsIntact;

impl Checker for InsertFieldsIntact {
    fn invariant(&self) -> Invariant {
        Invariant::InsertFieldsIntact
    }

    fn check(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> InvariantResult {
        let mut findings = Findings::new(self.invariant());
        let mut stamps = Stamps::default();
        for key in evidence.keys().filter(|key| key.operations().len() > 0) {
            if !budget.take(key.operations().len() as u64) {
                return Budget::exhausted(findings.into_result());
            }
            let sight = Sight::of(&key, &mut stamps);
            findings.checked += u64::from(sight.any);
            judge(evidence, &key, &sight, &mut findings);
        }
        if findings.checked == 0 {
            let reason = "no answer showed the fields written on insert, and no final document was read";
            return InvariantResult::inconclusive(self.invariant(), reason);
        }
        final_state::weaken(evidence, findings.into_result())
    }
}

/// A document as it was seen once: in an answer or in the final state.
#[derive(Clone, Copy)]
enum View<'a> {
    Answer(&'a Operation),
    Final(&'a Observed),
}

/// One stamp of a document, and where it was seen.
#[derive(Clone, Copy)]
struct Stamp<'a> {
    by: OpId,
    view: View<'a>,
}

/// The first stamp seen of each document of one key.
#[derive(Default)]
struct Stamps<'a> {
    by_id: FxHashMap<&'a Id, Stamp<'a>>,
}

/// What was seen of one key's documents: the first defect of each kind.
#[derive(Default)]
struct Sight<'a> {
    any: bool,
    incomplete: Option<View<'a>>,
    changed: Option<(Stamp<'a>, Stamp<'a>)>,
}

impl<'a> Sight<'a> {
    fn of(key: &KeyEvidence<'a>, stamps: &mut Stamps<'a>) -> Self {
        let mut sight = Sight::default();
        stamps.by_id.clear();
        for operation in key.operations() {
            let Some(answer) = returned(operation) else { continue };
            // The creating operation says so: its own number is the stamp that the document must carry.
            let creator = (answer.created == Some(true)).then_some(operation.id);
            if let (Some(id), Some(by)) = (&answer.id, creator) {
                sight.stamp(stamps, id, Stamp { by, view: View::Answer(operation) });
            }
            if !answer.missing.is_empty() {
                sight.any = true;
                sight.incomplete.get_or_insert(View::Answer(operation));
            }
            if let (Some(id), Some(by)) = (&answer.id, answer.created_by) {
                sight.any = true;
                sight.stamp(stamps, id, Stamp { by, view: View::Answer(operation) });
            }
        }
        for document in key.documents() {
            sight.any = true;
            if !document.missing.is_empty() {
                sight.incomplete.get_or_insert(View::Final(document));
            }
            if let Some(by) = document.created_by {
                sight.stamp(stamps, &document.id, Stamp { by, view: View::Final(document) });
            }
        }
        sight
    }

    fn stamp(&mut self, stamps: &mut Stamps<'a>, id: &'a Id, stamp: Stamp<'a>) {
        let first = *stamps.by_id.entry(id).or_insert(stamp);
        if first.by != stamp.by && self.changed.is_none() {
            self.changed = Some((first, stamp));
        }
    }
}

fn judge(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, sight: &Sight<'_>, findings: &mut Findings) {
    if let Some(view) = sight.incomplete {
        let operation = match view {
            View::Answer(operation) => Some(operation),
            View::Final(document) => document.created_by.and_then(|stamp| evidence.operation(stamp)),
        };
        let operations: Vec<&Operation> = operation.into_iter().collect();
        findings.add(key.key, &operations, &documents(&[view]), || incomplete(view));
    } else if let Some((one, other)) = sight.changed {
        let mut operations: Vec<&Operation> = Vec::new();
        operations.extend([one, other].iter().filter_map(|stamp| match stamp.view {
            View::Answer(operation) => Some(operation),
            View::Final(_) => evidence.operation(stamp.by),
        }));
        findings.add(key.key, &operations, &documents(&[one.view, other.view]), || {
            format!("{}, but {}; what is written on insert must never be written again", describe(one), describe(other))
        });
    }
}

fn documents<'a>(views: &[View<'a>]) -> Vec<&'a Observed> {
    views
        .iter()
        .filter_map(|view| match view {
            View::Final(document) => Some(*document),
            View::Answer(_) => None,
        })
        .collect()
}

fn incomplete(view: View<'_>) -> String {
    let (what, missing) = match view {
        View::Answer(operation) => {
            let missing = returned(operation).map_or(&[][..], |answer| &answer.missing);
            (format!("the document that {} was answered with at {}", operation.id, ms(answered_at(operation))), missing)
        }
        View::Final(document) => (format!("document {} in the end", short(&document.id)), &document.missing[..]),
    };
    format!(
        "{what} lacks {}: {}; a correct service writes a document and all of its insert fields in one step",
        count(missing.len(), "field"),
        list(missing)
    )
}

fn describe(stamp: Stamp<'_>) -> String {
    match stamp.view {
        View::Answer(operation) if operation.id == stamp.by && created(operation) => {
            format!("{} was told at {} that it had created the document", operation.id, ms(answered_at(operation)))
        }
        View::Answer(operation) => {
            let at = ms(answered_at(operation));
            format!("the answer to {} at {at} showed the document with the stamp of {}", operation.id, stamp.by)
        }
        View::Final(document) => {
            format!("document {} carries the stamp of {} in the end", short(&document.id), stamp.by)
        }
    }
}

fn created(operation: &Operation) -> bool {
    returned(operation).is_some_and(|answer| answer.created == Some(true))
}
