//! Same id: all answers for one key name the same document, and it is there.
//!
//! - Property: every successful answer carries an identifier, unless serially only those that created are told one; all identifiers of one key are equal; with the final state
//!   at hand, each is the identifier of a document of that key.
//! - Assumptions: documents are not deleted and created anew during the run; the final state was read after every answer.
//! - Soundness: each claim rests on answers received, or on an answer and the documents read. An answer over HTTP that says
//!   yes and names nothing is accused only where the serial control shows that those who come second are told a name.
//! - Completeness: exact. Without the final state, an identifier that all answers share is believed.
//! - Cost: one pass over the operations; documents are looked up once per key and identifier.
//!
//! Checked: keys with at least one successful answer that names, or should name, a document.

use crate::history::{Id, Observed, Operation};
use crate::verdict::{Invariant, InvariantResult};

use super::facts::{Fact, answered_at, returned};
use super::findings::{Findings, ms, short, short_pair};
use super::naming::Naming;
use super::{Budget, Checker, Evidence, KeyEvidence, elsewhere};

/// Judges [`Invariant::SameId`].
#[derive(Debug, Clone, Copy, Default)]
pub struct SameId;

impl Checker for SameId {
    fn invariant(&self) -> Invariant {
        Invariant::SameId
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        let naming = Naming::of(evidence.control());
        for key in evidence.keys() {
            if !budget.take(1 + key.operations().len() as u64) {
                return findings.exhausted();
            }
            let answers = Answers::of(&key, &naming);
            if answers.any {
                findings.checked += 1;
                judge(evidence, &key, &answers, &mut findings);
            }
        }
        findings
    }

    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        let result = findings.into_result();
        match evidence.observation() {
            Some(_) => result,
            None => result.note("answers were compared with each other; the final state was not read"),
        }
    }
}

/// The answers of one key that matter: the first of each kind, by the time of the answer.
#[derive(Default)]
struct Answers<'a> {
    any: bool,
    without_id: Option<&'a Operation>,
    first: Option<(&'a Operation, &'a Id)>,
    /// The first answer with another identifier than `first`.
    other: Option<(&'a Operation, &'a Id)>,
}

impl<'a> Answers<'a> {
    fn of(key: &KeyEvidence<'a>, naming: &Naming<'_>) -> Self {
        let mut answers = Answers::default();
        let mut seen: Option<&Id> = None;
        let mut several = false;
        for operation in key.operations() {
            match Fact::of(operation).answered() {
                None if naming.misses_name(operation) => earlier(&mut answers.without_id, operation),
                None => continue,
                Some(None) if returned(operation).is_some_and(|answer| answer.nameless) => continue,
                Some(None) => earlier(&mut answers.without_id, operation),
                Some(Some(id)) => {
                    several |= *seen.get_or_insert(id) != id;
                    if answers.first.is_none_or(|(first, _)| answered_at(operation) < answered_at(first)) {
                        answers.first = Some((operation, id));
                    }
                }
            }
            answers.any = true;
        }
        if let Some((_, first)) = answers.first.filter(|_| several) {
            answers.other = key
                .operations()
                .filter_map(|operation| Some((operation, Fact::of(operation).answered()??)))
                .filter(|(_, id)| *id != first)
                .min_by_key(|(operation, _)| answered_at(operation));
        }
        answers
    }
}

fn earlier<'a>(earliest: &mut Option<&'a Operation>, operation: &'a Operation) {
    if earliest.is_none_or(|earliest| answered_at(operation) < answered_at(earliest)) {
        *earliest = Some(operation);
    }
}

fn judge(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, answers: &Answers<'_>, findings: &mut Findings) {
    if let Some(operation) = answers.without_id {
        findings.add(key.key, &[operation], &[], || {
            format!(
                "{} was told at {} that it had succeeded, but the answer names no document; a correct service returns \
                 the key's document to every caller",
                operation.id,
                ms(answered_at(operation))
            )
        });
        return;
    }
    if let (Some(first), Some(other)) = (answers.first, answers.other) {
        let documents: Vec<&Observed> = key.documents().collect();
        if !elsewhere::may_be_after_another(evidence, key, &[first.0, other.0], findings) {
            findings.add(key.key, &[first.0, other.0], &documents, || two_ids(first, other));
        }
        return;
    }
    if let Some((operation, id)) = answers.first
        && evidence.observation().is_some()
        && !key.documents().any(|document| document.id == *id)
        && !elsewhere::is_out_of_sight(evidence, key, findings)
    {
        let stray = evidence.document(id);
        findings.add(key.key, &[operation], &stray.into_iter().collect::<Vec<_>>(), || dangling(operation, id, stray));
    }
}

fn two_ids((first, id): (&Operation, &Id), (other, other_id): (&Operation, &Id)) -> String {
    let (id, other_id) = short_pair(id, other_id);
    let (at, other_at) = (ms(answered_at(first)), ms(answered_at(other)));
    let (first_op, other_op) = (first.id, other.id);
    let how = if other.invoked > answered_at(first) {
        format!(
            "{other_op} was answered with {other_id} at {other_at} after {first_op} had already been answered with {id} at {at}"
        )
    } else {
        format!(
            "{first_op} was answered with {id} at {at}, and {other_op}, running at the same time, with {other_id} at {other_at}"
        )
    };
    format!("{how}; a key has one document, so every answer names the same one")
}

fn dangling(operation: &Operation, id: &Id, stray: Option<&Observed>) -> String {
    let found = match stray {
        Some(document) => format!("that document belongs to the key `{}`", document.key),
        None => "no such document is there in the end".to_owned(),
    };
    let (op, at) = (operation.id, ms(answered_at(operation)));
    format!("{op} was answered with {} at {at}, but {found}; an answer must name the key's document", short(id))
}
