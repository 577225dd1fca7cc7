//! Keys whose document is there, but not under the key, or may have been removed by nobody's request: what was stored of them was
//! not all looked at. The main functions are [`is_out_of_sight`] and [`is_lost`].
//!
//! Soundness: nobody is said to have lost what is there. Whoever finds something missing on such a key says where the document
//! is instead, and that it cannot tell. Where documents that nobody asked to be removed are gone (they expire, or the service
//! removes them in the background), a missing one proves nothing, nor does a second one that came after the first was answered.
//! Completeness: that documents vanish is seen of those that were read once before, after the serial control.

use crate::history::{Id, Observed, Operation, Outcome, SetAside, Vanished};

use super::facts::{answered_at, told};
use super::findings::{Findings, short};
use super::{Evidence, KeyEvidence};

/// The document that the operation was answered with, also when the answer came late.
fn answered(operation: &Operation) -> Option<&Id> {
    match told(operation) {
        Outcome::Ok(value) => value.id(),
        Outcome::Failed(_) | Outcome::Unknown(_) => None,
    }
}

/// Whether a document that seems to be the key's is stored under no key of the run, or may have vanished; then the findings say so.
pub(super) fn is_out_of_sight(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, findings: &mut Findings) -> bool {
    if let Some(seen) = evidence.vanished().filter(|_| is_missing(key)) {
        findings.doubt(key, || vanished(seen));
        return true;
    }
    if !evidence.has_set_aside() {
        return false;
    }
    let named = key.operations().find_map(|operation| Some((operation, evidence.set_aside(answered(operation)?)?)));
    let (by, document) = match named {
        Some((operation, document)) => (Some(operation), Some(document)),
        None => (None, evidence.set_aside_of(key.key)),
    };
    if let Some(document) = document {
        findings.doubt(key, || under_no_key(key.key, by, document));
    }
    document.is_some()
}

/// Whether what an answer on this key named is nowhere. If it is there under another key, of the run or of none, the findings say so.
pub(super) fn is_lost(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, findings: &mut Findings) -> bool {
    if is_out_of_sight(evidence, key, findings) {
        return false;
    }
    let stored = |operation| Some((operation, evidence.document(answered(operation)?)?));
    let named = key.operations().find_map(stored).filter(|(_, document)| *document.key != *key.key);
    if let Some((operation, document)) = named {
        findings.doubt(key, || under_another_key(key.key, operation, document));
    }
    named.is_none()
}

/// Whether these operations may have met different documents of one key, rightly: of which the first had vanished; then the
/// findings say so.
pub(super) fn may_be_after_another(
    evidence: &Evidence<'_>,
    key: &KeyEvidence<'_>,
    operations: &[&Operation],
    findings: &mut Findings,
) -> bool {
    let Some(seen) = evidence.vanished() else { return false };
    let first = operations.iter().map(|operation| answered_at(operation)).min();
    let is_apart = operations.iter().any(|operation| first.is_some_and(|first| first < operation.invoked));
    if is_apart {
        findings.doubt(key, || vanished(seen));
    }
    is_apart
}

/// Whether nothing is there, or not what an operation was answered with.
fn is_missing(key: &KeyEvidence<'_>) -> bool {
    let is_there = |id: &Id| key.documents().any(|document| document.id == *id);
    key.operations().len() > 0
        && (key.documents().len() == 0 || key.operations().filter_map(answered).any(|id| !is_there(id)))
}

/// Why what is missing proves nothing.
pub(super) fn vanished(seen: &Vanished) -> String {
    format!(
        "{} of the key `{}` was there and is gone, though no operation on this key was under way any more: what is stored here is \
         removed in time, by the service or by an index, so that what is missing proves nothing. Give it a longer life by a \
         setting of the service, or make the run shorter",
        seen.what, seen.key
    )
}

fn under_no_key(key: &str, by: Option<&Operation>, document: &SetAside) -> String {
    let SetAside { fields, under, expected, .. } = document;
    let (id, fields) = (short(&document.id), fields.join("`, `"));
    let what = match by {
        Some(operation) => {
            format!("{} on the key `{key}` was answered with document {id}, which is there, but", operation.id)
        }
        None => format!("document {id} seems to be that of the key `{key}`, but is there"),
    };
    format!(
        "{what} with `{under}` in `{fields}`, where the scenario expects `{expected}`: what is stored of this key was not all \
         looked at. If both are one for the service, send the key in the one spelling that is stored, or name in \
         `observe.mongo.key` a field that holds it in one spelling; if it is stored in another form, say which in \
         `observe.mongo.stored`"
    )
}

fn under_another_key(key: &str, operation: &Operation, document: &Observed) -> String {
    format!(
        "{} on the key `{key}` was answered with document {}, which is there under the key `{}`: it is not lost. If both keys \
         are one for the service, each operation needs a key of its own in it, as it is stored (`observe.mongo.stored`)",
        operation.id,
        short(&document.id),
        document.key,
    )
}
