//! Single document: how many documents a key has in the end.
//!
//! - Property: exactly one document per key if any operation proved that it existed (it was created, found, or refused
//!   with the key's duplicate-key error); at most one if operations are unknown; none that a failed operation created.
//! - Assumptions: keys are fresh; documents are not deleted; a target reports code 11000 only for the key's own index; the
//!   final state was read after every answer.
//! - Soundness: each claim rests on an answer received or on documents that were read. A document whose key no operation
//!   has is accused only if it carries the stamp of an operation that the run does not have, and never in a history
//!   that was cut short.
//!   A document that is there under another key is not lost: of such a key nothing is concluded.
//! - Completeness: exact for the counts. Without the final state, or with one still in motion, it never holds.
//! - Cost: one pass over the operations and the documents.
//!
//! Checked: keys that operations name.

use crate::history::{Observed, Operation};
use crate::verdict::{Invariant, InvariantResult};

use super::facts::{Fact, answered_at};
use super::findings::{Findings, count, list, ms, short};
use super::{Budget, Checker, Evidence, KeyEvidence, elsewhere, final_state};

/// Judges [`Invariant::SingleDocument`].
#[derive(Debug, Clone, Copy, Default)]
pub struct SingleDocument;

impl Checker for SingleDocument {
    fn invariant(&self) -> Invariant {
        Invariant::SingleDocument
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        if evidence.observation().is_none() {
            return findings;
        }
        for key in evidence.keys() {
            if !budget.take(1 + key.operations().len() as u64) {
                return findings.exhausted();
            }
            if key.operations().len() == 0 {
                phantoms(evidence, &key, &mut findings);
            } else {
                findings.checked += 1;
                judge(evidence, &key, &mut findings);
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

fn judge(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, findings: &mut Findings) {
    match key.documents().len() {
        0 => {
            let mut proofs = key.operations().filter(|operation| Fact::of(operation).proves_existence());
            let first = proofs.clone().next();
            let Some(proof) = proofs.find(|operation| Fact::of(operation).answered().is_some()).or(first) else {
                return;
            };
            if !elsewhere::is_lost(evidence, key, findings) {
                return;
            }
            findings.add(key.key, &[proof], &[], || {
                format!(
                    "{}, but the key has no document in the end; what was acknowledged must be there",
                    existence(proof)
                )
            });
        }
        1 => {
            aborted(evidence, key, findings);
            elsewhere::is_out_of_sight(evidence, key, findings);
        }
        _ => several(evidence, key, findings),
    }
}

/// More than one document: the operations that made them are the witness, as far as they are known.
fn several(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, findings: &mut Findings) {
    let documents: Vec<&Observed> = key.documents().collect();
    let operations = makers(evidence, key, &documents);
    findings.add(key.key, &operations, &documents, || {
        let names: Vec<String> = documents.iter().take(5).map(|document| describe(document)).collect();
        let more = if documents.len() > 5 { ", among others" } else { "" };
        format!(
            "the key has {} in the end: {}{more}; a correct service creates a key's document once",
            count(documents.len(), "document"),
            list(&names)
        )
    });
}

/// A document that a failed operation made: what failed has no effect. A duplicate-key error is left out, because an
/// operation that was sent twice may meet its own document.
fn aborted(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, findings: &mut Findings) {
    let explained = |operation| !matches!(Fact::of(operation), Fact::Nothing | Fact::Absent);
    if key.operations().any(explained) {
        return;
    }
    for document in key.documents() {
        let maker = document.created_by.and_then(|stamp| evidence.operation(stamp));
        if let Some(maker) = maker.filter(|maker| *maker.key == *key.key) {
            findings.add(key.key, &[maker], &[document], || {
                format!(
                    "{} ended as failed at {}, yet document {} carries its stamp; what failed must have no effect",
                    maker.id,
                    ms(maker.completed),
                    short(&document.id)
                )
            });
        }
    }
}

/// Documents whose key no operation has.
fn phantoms(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, findings: &mut Findings) {
    for document in key.documents() {
        let Some(stamp) = document.created_by else { continue };
        if !evidence.partial() && evidence.operation(stamp).is_none() {
            findings.add(key.key, &[], &[document], || {
                format!(
                    "document {} carries the stamp of {stamp}, which is no operation of the run, under a key that no \
                     operation named",
                    short(&document.id)
                )
            });
        }
    }
}

/// The operations that made the first two documents: by stamp, otherwise those whose answers name the documents.
pub(super) fn makers<'a>(
    evidence: &Evidence<'a>,
    key: &KeyEvidence<'a>,
    documents: &[&Observed],
) -> Vec<&'a Operation> {
    let maker = |document: &Observed| {
        let stamped = document.created_by.and_then(|stamp| evidence.operation(stamp));
        stamped.or_else(|| {
            let mut answers =
                key.operations().filter(|operation| Fact::of(operation).answered() == Some(Some(&document.id)));
            let first = answers.clone().next();
            answers.find(|operation| matches!(Fact::of(operation), Fact::Created(_))).or(first)
        })
    };
    let mut operations: Vec<&Operation> = documents.iter().take(2).filter_map(|document| maker(document)).collect();
    operations.dedup_by_key(|operation| operation.id);
    operations
}

/// `…b3d4e5 (created by op7)`.
pub(super) fn describe(document: &Observed) -> String {
    match document.created_by {
        Some(stamp) => format!("{} (created by {stamp})", short(&document.id)),
        None => short(&document.id),
    }
}

/// How an operation proved that the document existed.
fn existence(operation: &Operation) -> String {
    let id = operation.id;
    let at = ms(answered_at(operation));
    match Fact::of(operation) {
        Fact::Created(Some(document)) => {
            format!("{id} was told at {at} that it had created document {}", short(document))
        }
        Fact::Existed(Some(document)) | Fact::CreatedOrExisted(Some(document)) => {
            format!("{id} was answered with document {} at {at}", short(document))
        }
        Fact::DuplicateKey => format!("{id} met the key's duplicate-key error at {at}"),
        _ => format!("{id} was told at {at} that it had succeeded"),
    }
}
