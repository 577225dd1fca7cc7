//! Create-or-get linearizable: the answers for one key fit one order of events.
//!
//! - Property: there is a moment at which the document was created, inside the interval of an operation that may have
//!   created it, such that every read that found nothing can come before it and every answer that saw the document after
//!   it; and all saw one document. Exact, after: all identifiers are equal; at most one operation says that it created;
//!   the creator is that one, or else, the weakest assumption, the candidate that was invoked first; with `lo` the latest
//!   of the invocations of the creator and of all reads that found nothing, and `hi` the earliest of the returns of the
//!   creator and of all that saw the document, the key is linearizable if and only if `lo <= hi`.
//! - Assumptions: keys are fresh and documents are never deleted. Intervals are closed, from invocation to return; waiting
//!   for a connection is part of them. An unknown operation may have created at any time after its invocation, or not
//!   at all. A duplicate-key error proves that the document existed; any other failed operation had no effect.
//! - Soundness: stamps are not used, so a wrong stamp accuses nobody here. Every violation is certified by the general
//!   search on the operations that matter; where the two disagree the result says so and is not claimed.
//! - Completeness: exact for the answers of complete histories, cross-checked against the search and against
//!   enumeration. In a history that was cut short, the creator may be missing: only what no creator could repair is claimed.
//! - Cost: one pass, constant space per key.
//!
//! Checked: keys with at least one answer that proves something.

use crate::history::{Id, Nanos, Operation};
use crate::verdict::{Invariant, InvariantResult};

use super::create_or_get_model::{CreateOrGet, entries};
use super::facts::{Fact, answered_at};
use super::findings::{Findings, ms, short, short_pair};
use super::search::{Search, linearize};
use super::{Budget, Checker, Evidence, KeyEvidence, elsewhere};

/// Judges [`Invariant::CreateOrGetLinearizable`].
#[derive(Debug, Clone, Copy, Default)]
pub struct CreateOrGetLinearizable;

impl Checker for CreateOrGetLinearizable {
    fn invariant(&self) -> Invariant {
        Invariant::CreateOrGetLinearizable
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        look_with(evidence, budget, |operations, budget| linearize(&CreateOrGet::new(), &entries(operations), budget))
    }

    fn conclude(&self, _: &Evidence<'_>, findings: Findings) -> InvariantResult {
        findings.into_result()
    }
}

/// The check, with the second opinion as a parameter so that a disagreement can be tested.
fn look_with(
    evidence: &Evidence<'_>,
    budget: &mut Budget,
    second_opinion: impl Fn(&[&Operation], &mut Budget) -> Search,
) -> Findings {
    let mut findings = Findings::new(Invariant::CreateOrGetLinearizable);
    for key in evidence.keys() {
        if !budget.take(1 + key.operations().len() as u64) {
            return findings.exhausted();
        }
        let view = KeyView::of(&key);
        findings.checked += u64::from(view.any);
        if let Some(operation) = view.backwards {
            findings.doubt(&key, || format!("harness error: {} returned before it was invoked", operation.id));
            continue;
        }
        let Some(defect) = view.defect(evidence.partial()) else { continue };
        match second_opinion(&view.certificate(&key, &defect), budget) {
            Search::Impossible
                if elsewhere::may_be_after_another(evidence, &key, &defect.operations(), &mut findings) => {}
            Search::Impossible => findings.add(key.key, &defect.operations(), &[], || defect.explain()),
            Search::Exhausted => return findings.exhausted(),
            Search::Linearizable => {
                findings.doubt(&key, || {
                    format!("harness error: on key `{}` the search finds an order that the fast rule excludes", key.key)
                });
            }
        }
    }
    findings
}

/// What was seen of one key, as far as the rule needs it.
#[derive(Default)]
struct KeyView<'a> {
    any: bool,
    first_id: Option<(&'a Operation, &'a Id)>,
    other_id: Option<(&'a Operation, &'a Id)>,
    creator: Option<&'a Operation>,
    second_creator: Option<&'a Operation>,
    /// Of those that may have created the document without saying so, the one invoked first.
    candidate: Option<&'a Operation>,
    /// Of the reads that found nothing, the one invoked last.
    absent: Option<&'a Operation>,
    /// Of those that saw the document, the one that returned first.
    observer: Option<&'a Operation>,
    /// An operation whose times cannot be true.
    backwards: Option<&'a Operation>,
}

impl<'a> KeyView<'a> {
    fn of(key: &KeyEvidence<'a>) -> Self {
        let mut view = KeyView::default();
        for operation in key.operations() {
            view.add(operation);
        }
        view
    }

    fn add(&mut self, operation: &'a Operation) {
        let fact = Fact::of(operation);
        if operation.returned() < operation.invoked {
            self.backwards = Some(operation);
        }
        self.any |= !matches!(fact, Fact::Nothing | Fact::MayHaveCreated);
        if let Some(Some(id)) = fact.answered() {
            match self.first_id {
                None => self.first_id = Some((operation, id)),
                Some((_, first)) if first != id && self.other_id.is_none() => self.other_id = Some((operation, id)),
                Some(_) => {}
            }
        }
        match fact {
            Fact::Created(_) if self.creator.is_none() => self.creator = Some(operation),
            Fact::Created(_) => {
                self.second_creator.get_or_insert(operation);
            }
            Fact::Existed(_) | Fact::DuplicateKey => earliest(&mut self.observer, operation, Operation::returned),
            Fact::CreatedOrExisted(_) => {
                earliest(&mut self.observer, operation, Operation::returned);
                earliest(&mut self.candidate, operation, |operation| operation.invoked);
            }
            Fact::Absent => earliest(&mut self.absent, operation, |operation| Nanos::MAX - operation.invoked),
            Fact::MayHaveCreated => earliest(&mut self.candidate, operation, |operation| operation.invoked),
            Fact::Nothing => {}
        }
    }

    /// The rule.
    fn defect(&self, partial: bool) -> Option<Defect<'a>> {
        if let (Some(one), Some(other)) = (self.first_id, self.other_id) {
            return Some(Defect::SeveralIds(one, other));
        }
        if let (Some(one), Some(other)) = (self.creator, self.second_creator) {
            return Some(Defect::SeveralCreations(one, other));
        }
        // In a history that was cut short, an operation that is missing may have created the document at any time.
        let creator = self.creator.or(self.candidate.filter(|_| !partial));
        if let (None, Some(observer), false) = (creator, self.observer, partial) {
            return Some(Defect::Phantom(observer));
        }
        let end = |operation: &&Operation| operation.returned();
        let late = creator.into_iter().chain(self.absent).max_by_key(|operation| operation.invoked)?;
        let early = self.creator.into_iter().chain(self.observer).min_by_key(end)?;
        (late.invoked > early.returned()).then_some(Defect::Order { late, early })
    }

    /// The operations that decide the matter, for the second opinion: those of the defect, and whoever could have created
    /// the document. Of many candidates those invoked first are enough, for they can stand for any later one.
    fn certificate(&self, key: &KeyEvidence<'a>, defect: &Defect<'a>) -> Vec<&'a Operation> {
        const CANDIDATES: usize = 4;
        let mut operations = defect.operations();
        operations.extend(self.creator);
        let mut candidates: Vec<&Operation> = key
            .operations()
            .filter(|operation| matches!(Fact::of(operation), Fact::MayHaveCreated | Fact::CreatedOrExisted(_)))
            .collect();
        candidates.sort_unstable_by_key(|operation| (operation.invoked, operation.id));
        operations.extend(candidates.into_iter().take(CANDIDATES));
        operations.sort_unstable_by_key(|operation| operation.id);
        operations.dedup_by_key(|operation| operation.id);
        operations
    }
}

/// Keeps the operation with the smallest rank; of equal ones the first.
fn earliest<'a>(kept: &mut Option<&'a Operation>, operation: &'a Operation, rank: impl Fn(&Operation) -> Nanos) {
    if kept.is_none_or(|kept| rank(operation) < rank(kept)) {
        *kept = Some(operation);
    }
}

/// Why there is no order.
enum Defect<'a> {
    SeveralIds((&'a Operation, &'a Id), (&'a Operation, &'a Id)),
    SeveralCreations(&'a Operation, &'a Operation),
    /// The document was seen, and nobody can have created it.
    Phantom(&'a Operation),
    /// `late` must come before `early`, but was invoked after `early` had returned.
    Order {
        late: &'a Operation,
        early: &'a Operation,
    },
}

impl<'a> Defect<'a> {
    fn operations(&self) -> Vec<&'a Operation> {
        match *self {
            Defect::SeveralIds((one, _), (other, _)) | Defect::SeveralCreations(one, other) => vec![one, other],
            Defect::Phantom(observer) => vec![observer],
            Defect::Order { late, early } => vec![late, early],
        }
    }

    fn explain(&self) -> String {
        match *self {
            Defect::SeveralIds((one, id), (other, other_id)) => {
                let (id, other_id) = short_pair(id, other_id);
                format!(
                    "{} was answered with {id} at {} and {} with {other_id} at {}; no order of events gives one key two \
                     documents",
                    one.id,
                    ms(answered_at(one)),
                    other.id,
                    ms(answered_at(other))
                )
            }
            Defect::SeveralCreations(one, other) => format!(
                "{} (told at {}) and {} (told at {}) both created the document; in any order of events the second finds it",
                one.id,
                ms(answered_at(one)),
                other.id,
                ms(answered_at(other))
            ),
            Defect::Phantom(observer) => format!(
                "{} {} at {}, but no operation of the run can have created it",
                observer.id,
                seen(observer),
                ms(answered_at(observer))
            ),
            Defect::Order { late, early } => order(late, early),
        }
    }
}

fn order(late: &Operation, early: &Operation) -> String {
    let before = format!("{} {} at {}", early.id, seen(early), ms(early.returned()));
    let after = ms(late.invoked);
    match Fact::of(late) {
        Fact::Absent => format!(
            "{before}, yet {}, invoked later at {after}, found no document; what was seen once must be found ever after",
            late.id
        ),
        Fact::Created(_) => format!(
            "{before}, before {}, which says that it created the document, was invoked at {after}; nothing can be seen \
             before it is created",
            late.id
        ),
        _ => format!(
            "{before}, before {}, the first operation that can have created the document, was invoked at {after}; \
             nothing can be seen before it is created",
            late.id
        ),
    }
}

fn seen(operation: &Operation) -> String {
    match Fact::of(operation) {
        Fact::Created(Some(id)) => format!("was told that it had created document {}", short(id)),
        Fact::Created(None) => "was told that it had created the document".to_owned(),
        Fact::Existed(Some(id)) | Fact::CreatedOrExisted(Some(id)) => {
            format!("was answered with document {}", short(id))
        }
        Fact::DuplicateKey => "met the key's duplicate-key error".to_owned(),
        _ => "was answered with the document".to_owned(),
    }
}

#[cfg(test)]
#[path = "create_or_get_oracle.rs"]
mod oracle;
