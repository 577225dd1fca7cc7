//! Keys whose document is there, but not under the key: what is stored of them was not all looked at.
//! The main functions are [`is_set_aside`] and [`is_lost`].
//!
//! Soundness: nobody is said to have lost what is there. Whoever finds something missing on such a key says where the document
//! is instead, and that it cannot tell.

use crate::history::{Id, Observed, Operation, Outcome, SetAside};

use super::facts::told;
use super::findings::{Findings, short};
use super::{Evidence, KeyEvidence};

/// The document that the operation was answered with, also when the answer came late.
fn answered(operation: &Operation) -> Option<&Id> {
    match told(operation) {
        Outcome::Ok(value) => value.id(),
        Outcome::Failed(_) | Outcome::Unknown(_) => None,
    }
}

/// Whether a document that seems to be the key's is stored under no key of the run; then the findings say so.
pub(super) fn is_set_aside(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, findings: &mut Findings) -> bool {
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
    if is_set_aside(evidence, key, findings) {
        return false;
    }
    let stored = |operation| Some((operation, evidence.document(answered(operation)?)?));
    let named = key.operations().find_map(stored).filter(|(_, document)| *document.key != *key.key);
    if let Some((operation, document)) = named {
        findings.doubt(key, || under_another_key(key.key, operation, document));
    }
    named.is_none()
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
