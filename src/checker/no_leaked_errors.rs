//! No leaked errors: no operation ends in an error that the service should have handled.
//!
//! - Property: no operation of the phase ended in a duplicate-key error (E11000) or a write conflict (112), unless its code
//!   is declared legitimate: these are what the database tells the loser of a race, and the service should have given the
//!   caller the winner's document instead.
//! - Assumptions: the load asks only for what must succeed. The target reports a code of the database only when the
//!   answer carried it, whatever its HTTP status made of the outcome.
//! - Soundness: the error was received by the caller. Failures of the surroundings (a server that is gone, a time-out) are
//!   not the service's, and are no leaks: they are counted as failed or unknown.
//! - Completeness: exact for answers in time. An error that came after the client had given up is not counted.
//! - Cost: one pass; the winner is looked up only for the witnesses kept.
//!
//! Checked: operations that ended ok or in such an error. Violations: operations that ended in such an error.

use std::collections::BTreeSet;

use crate::history::{Cause, Operation, Outcome};
use crate::verdict::{Invariant, InvariantResult};

use super::facts::{Fact, answered_at};
use super::findings::{Findings, ms, short};
use super::{Budget, Checker, Evidence, KeyEvidence};

/// Judges [`Invariant::NoLeakedErrors`].
#[derive(Debug, Clone, Default)]
pub struct NoLeakedErrors {
    legitimate: BTreeSet<i32>,
}

impl NoLeakedErrors {
    fn is_leak(&self, cause: &Cause) -> bool {
        cause.code.is_some_and(|code| Cause::LOST_RACE.contains(&code) && !self.legitimate.contains(&code))
    }

    /// A judge that lets errors of these codes pass.
    pub fn allowing(codes: impl IntoIterator<Item = i32>) -> Self {
        NoLeakedErrors { legitimate: codes.into_iter().collect() }
    }
}

impl Checker for NoLeakedErrors {
    fn invariant(&self) -> Invariant {
        Invariant::NoLeakedErrors
    }

    fn check(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> InvariantResult {
        let mut findings = Findings::new(self.invariant());
        for key in evidence.keys() {
            if !budget.take(1 + key.operations().len() as u64) {
                return Budget::exhausted(findings.into_result());
            }
            let mut winner = None;
            for operation in key.operations() {
                match &operation.outcome {
                    Outcome::Ok(_) => findings.checked += 1,
                    Outcome::Unknown(cause) | Outcome::Failed(cause) => {
                        if self.is_leak(cause) {
                            findings.checked += 1;
                            let winner = *winner.get_or_insert_with(|| winner_of(&key));
                            let mut operations = vec![operation];
                            operations.extend(winner);
                            findings.add(key.key, &operations, &[], || explain(operation, cause, winner));
                        }
                    }
                }
            }
        }
        findings.into_result()
    }
}

/// The operation that created the key's document, or else the first that was answered with it.
fn winner_of<'a>(key: &KeyEvidence<'a>) -> Option<&'a Operation> {
    key.operations()
        .filter(|operation| Fact::of(operation).answered().is_some())
        .min_by_key(|operation| (!matches!(Fact::of(operation), Fact::Created(_)), answered_at(operation)))
}

fn explain(operation: &Operation, cause: &Cause, winner: Option<&Operation>) -> String {
    let code = cause.code.map(|code| format!(" with code {code}")).unwrap_or_default();
    let (op, at) = (operation.id, ms(operation.completed));
    let failed = format!("{op} failed{code} at {at}: \"{}\"", cause.message);
    let winner = winner.map(|winner| {
        let verb = if matches!(Fact::of(winner), Fact::Created(_)) { "created" } else { "was answered with" };
        let document = match Fact::of(winner).answered().flatten() {
            Some(id) => format!("document {}", short(id)),
            None => "the document".to_owned(),
        };
        format!("{} {verb} {document} (told at {})", winner.id, ms(answered_at(winner)))
    });
    match (cause.is_duplicate_key(), winner) {
        (true, Some(winner)) => {
            format!("{failed}; {winner}. A correct service catches the duplicate-key error and returns that document")
        }
        (true, None) => {
            format!("{failed}. A correct service catches the duplicate-key error and returns the document that exists")
        }
        (false, Some(winner)) => format!("{failed}, although {winner}. A correct service answers every caller"),
        (false, None) => format!("{failed}. A correct service answers every caller with the key's document"),
    }
}
