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

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        let mut records = Records::default();
        for key in evidence.keys().filter(|key| key.operations().len() > 0) {
            if !budget.take(key.operations().len() as u64) {
                return findings.exhausted();
            }
            let view = KeyView::of(&key, &mut records);
            findings.checked += u64::from(view.any);
            judge(evidence, &key, &view, &mut findings);
        }
        findings
    }

    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        let result = findings.into_result();
        if result.checked == 0 && result.violations == 0 {
            let reason = "no answer showed the fields written on insert, and no final document was read";
            return InvariantResult::inconclusive(self.invariant(), reason);
        }
        final_state::weaken(evidence, result)
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

/// What was said of one document.
struct Record<'a> {
    /// The first operation that says it created the document, and how many say so.
    creator: Option<&'a Operation>,
    creators: u32,
    /// The first stamp seen.
    stamp: Option<Stamp<'a>>,
}

/// The documents of one key, in the order in which they were first mentioned. Used again for each key.
#[derive(Default)]
struct Records<'a> {
    positions: FxHashMap<&'a Id, usize>,
    records: Vec<Record<'a>>,
}

impl<'a> Records<'a> {
    fn of(&mut self, id: &'a Id) -> &mut Record<'a> {
        let next = self.records.len();
        let position = *self.positions.entry(id).or_insert(next);
        if position == next {
            self.records.push(Record { creator: None, creators: 0, stamp: None });
        }
        &mut self.records[position]
    }
}

/// What was seen of one key's documents: the first defect of each kind.
#[derive(Default)]
struct KeyView<'a> {
    any: bool,
    incomplete: Option<View<'a>>,
    changed: Option<(Stamp<'a>, Stamp<'a>)>,
}

impl<'a> KeyView<'a> {
    fn of(key: &KeyEvidence<'a>, records: &mut Records<'a>) -> Self {
        let mut view = KeyView::default();
        records.positions.clear();
        records.records.clear();
        for operation in key.operations() {
            let Some(answer) = returned(operation) else { continue };
            view.view(View::Answer(operation), !answer.missing.is_empty(), answer.created_by.is_some());
            let Some(id) = &answer.id else { continue };
            let record = records.of(id);
            if answer.created == Some(true) {
                record.creator.get_or_insert(operation);
                record.creators += 1;
            }
            view.stamp(record, answer.created_by.map(|by| Stamp { by, view: View::Answer(operation) }));
        }
        for document in key.documents() {
            view.view(View::Final(document), !document.missing.is_empty(), true);
            let stamp = document.created_by.map(|by| Stamp { by, view: View::Final(document) });
            view.stamp(records.of(&document.id), stamp);
        }
        for record in &records.records {
            view.compare_creator(record);
        }
        view
    }

    fn view(&mut self, view: View<'a>, incomplete: bool, shown: bool) {
        self.any |= incomplete || shown;
        if incomplete {
            self.incomplete.get_or_insert(view);
        }
    }

    fn stamp(&mut self, record: &mut Record<'a>, stamp: Option<Stamp<'a>>) {
        let Some(stamp) = stamp else { return };
        let first = *record.stamp.get_or_insert(stamp);
        if first.by != stamp.by {
            self.changed.get_or_insert((first, stamp));
        }
    }

    /// The creator is known if one operation alone says that it is.
    fn compare_creator(&mut self, record: &Record<'a>) {
        if let (Some(creator), 1, Some(stamp)) = (record.creator, record.creators, record.stamp)
            && creator.id != stamp.by
        {
            self.changed.get_or_insert((Stamp { by: creator.id, view: View::Answer(creator) }, stamp));
        }
    }
}

fn judge(evidence: &Evidence<'_>, key: &KeyEvidence<'_>, view: &KeyView<'_>, findings: &mut Findings) {
    if let Some(view) = view.incomplete {
        let operation = match view {
            View::Answer(operation) => Some(operation),
            View::Final(document) => document.created_by.and_then(|stamp| evidence.operation(stamp)),
        };
        let operations: Vec<&Operation> = operation.into_iter().collect();
        findings.add(key.key, &operations, &documents(&[view]), || incomplete(view));
    } else if let Some((one, other)) = view.changed {
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
