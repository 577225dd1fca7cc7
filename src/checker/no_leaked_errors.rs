//! No leaked errors: no operation ends in an error that the service should have handled.
//!
//! - Property: no operation of the phase ended in a duplicate-key error, a write conflict, a snapshot or a lock that another
//!   transaction took, or a version error: these are what the database, or the object mapper above it, tells the loser of a
//!   race, and the service should have tried again, or given the caller the winner's document.
//! - Assumptions: the load asks only for what must succeed; what the scenario calls a refusal is none. The target reports an
//!   error of the database only when the answer named or quoted it, whatever its HTTP status made of the outcome.
//! - Soundness: the error was received by the caller. Failures of the surroundings (a server that is gone, a time-out) are
//!   not the service's, and are no leaks: they are counted as failed or unknown.
//! - Completeness: exact for answers in time. An error that came after the client had given up is not counted.
//! - Cost: one pass; the winner is looked up only for the witnesses kept.
//!
//! Checked: operations that ended ok or in such an error. Violations: operations that ended in such an error.

use crate::history::{Cause, Operation, Outcome};
use crate::verdict::{Invariant, InvariantResult};

use super::facts::{Fact, answered_at};
use super::findings::{Findings, ms, short};
use super::{Budget, Checker, Evidence, KeyEvidence};

/// Judges [`Invariant::NoLeakedErrors`].
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLeakedErrors;

impl Checker for NoLeakedErrors {
    fn invariant(&self) -> Invariant {
        Invariant::NoLeakedErrors
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        for key in evidence.keys() {
            if !budget.take(1 + key.operations().len() as u64) {
                return findings.exhausted();
            }
            let mut winner = None;
            for operation in key.operations() {
                match &operation.outcome {
                    Outcome::Ok(_) => findings.checked += 1,
                    Outcome::Unknown(cause) | Outcome::Failed(cause) => {
                        if cause.is_lost_race() {
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
        findings
    }

    fn conclude(&self, _: &Evidence<'_>, findings: Findings) -> InvariantResult {
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
    let code = match cause.database_error().map(|error| (error.code(), error.name())) {
        Some((Some(code), _)) => format!(" with code {code}"),
        Some((None, Some(name))) => format!(" with {name}"),
        _ => String::new(),
    };
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
