//! Zero duplicates: no two final documents stand for the same thing.
//!
//! - Property: no two documents of the final state share a canonical key, and no two share a stored key.
//! - Difference from `single-document`: that one starts from the operations and asks whether their keys have the number of
//!   documents that the answers promise, also none. This one starts from the documents alone, as an inspection of a
//!   production database does, and needs no answer: it also sees documents whose key no operation named, and two
//!   different canonical keys that were stored under one key (a delimiter that occurs in an identifier).
//! - Assumptions: the observer worked the canonical key out from what a document stands for, not from the stored key.
//! - Soundness: both documents were read.
//! - Completeness: exact on the documents read. A document without a stored key is compared by its canonical key only.
//! - Cost: one hash look-up per document.
//!
//! Checked: documents. Violations: keys that more than one document has.

use rustc_hash::FxHashMap;

use crate::history::Observed;
use crate::verdict::{Invariant, InvariantResult};

use super::findings::{Findings, count, list};
use super::single_document::{describe, makers};
use super::{Budget, Checker, Evidence, final_state};

/// Judges [`Invariant::ZeroDuplicates`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ZeroDuplicates;

impl Checker for ZeroDuplicates {
    fn invariant(&self) -> Invariant {
        Invariant::ZeroDuplicates
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        if evidence.observation().is_none() {
            return findings;
        }
        findings.checked = evidence.documents().len() as u64;
        if !budget.take(2 * findings.checked) {
            return findings.exhausted();
        }
        for key in evidence.keys().filter(|key| key.documents().len() > 1) {
            let documents: Vec<&Observed> = key.documents().collect();
            let operations = makers(evidence, &key, &documents);
            findings.add(key.key, &operations, &documents, || explain("canonical key", key.key, &documents));
        }
        if evidence.is_first_part() {
            stored_keys(evidence, &mut findings);
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

/// One stored key for several canonical keys. Documents of one canonical key are counted already.
fn stored_keys(evidence: &Evidence<'_>, findings: &mut Findings) {
    let mut first = FxHashMap::<&str, &Observed>::default();
    let mut shared = FxHashMap::<&str, Vec<&Observed>>::default();
    for document in evidence.all_documents() {
        let Some(stored) = document.stored_key.as_deref() else { continue };
        let holder = *first.entry(stored).or_insert(document);
        if holder.key != document.key {
            shared.entry(stored).or_insert_with(|| vec![holder]).push(document);
        }
    }
    let mut shared: Vec<_> = shared.into_iter().collect();
    shared.sort_unstable_by_key(|(stored, _)| *stored);
    for (stored, documents) in shared {
        let makers = documents.iter().take(2).filter_map(|document| evidence.operation(document.created_by?));
        findings.add_after_all_keys(stored, &makers.collect::<Vec<_>>(), &documents, || {
            explain("stored key", stored, &documents)
        });
    }
}

fn explain(what: &str, key: &str, documents: &[&Observed]) -> String {
    let names: Vec<String> = documents.iter().take(5).map(|document| describe(document)).collect();
    let more = if documents.len() > 5 { ", among others" } else { "" };
    let number = count(documents.len(), "document");
    format!(
        "{number} have the {what} `{key}` in the end: {}{more}; a unique index on the key leaves room for one",
        list(&names)
    )
}
