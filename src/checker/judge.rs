//! Judges a history: runs the checker of each invariant and guards the rest against its failure.
//!
//! [`judge`] is the one way to a verdict, for a run that has just ended and for a stored one alike.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rayon::prelude::*;

use crate::history::{History, Observation, Phase};
use crate::verdict::{Invariant, InvariantResult};

use super::{
    Budget, Checker, CreateOrGetLinearizable, CreatedOnce, Evidence, InsertFieldsIntact, NoLeakedErrors, SameId,
    SingleDocument, ZeroDuplicates,
};

/// Judges the invariants on one phase of a history; one result for each, in their order.
///
/// Checkers run side by side and each has its own budget, so that the results depend on the evidence alone. A checker
/// that panics or runs out of budget is inconclusive, with the reason, and stops no other. In a history that was cut
/// short nothing holds.
pub fn judge(
    history: &History,
    observation: Option<&Observation>,
    phase: Phase,
    invariants: &[Invariant],
) -> Vec<InvariantResult> {
    let evidence = Evidence::of_phase(history, observation, phase);
    invariants
        .par_iter()
        .map(|invariant| match checker_of(invariant) {
            Some(checker) => guarded(checker.as_ref(), &evidence, Budget::default()),
            None => InvariantResult::inconclusive(invariant.clone(), "no checker judges this invariant on a history"),
        })
        .collect()
}

/// The checker of an invariant, if it is judged on a history.
pub fn checker_of(invariant: &Invariant) -> Option<Box<dyn Checker>> {
    match invariant {
        Invariant::SingleDocument => Some(Box::new(SingleDocument)),
        Invariant::ZeroDuplicates => Some(Box::new(ZeroDuplicates)),
        Invariant::SameId => Some(Box::new(SameId)),
        Invariant::CreatedOnce => Some(Box::new(CreatedOnce)),
        Invariant::CreateOrGetLinearizable => Some(Box::new(CreateOrGetLinearizable)),
        Invariant::NoLeakedErrors => Some(Box::new(NoLeakedErrors::default())),
        Invariant::InsertFieldsIntact => Some(Box::new(InsertFieldsIntact)),
        _ => None,
    }
}

/// Runs one checker; whatever goes wrong in it becomes an inconclusive result.
pub fn guarded(checker: &dyn Checker, evidence: &Evidence<'_>, mut budget: Budget) -> InvariantResult {
    // Nothing that the closure borrows is looked at again after a panic, except the evidence, which is never written.
    let outcome = catch_unwind(AssertUnwindSafe(|| checker.check(evidence, &mut budget)));
    let result = match outcome {
        Ok(result) => result,
        Err(payload) => {
            let text = payload
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| payload.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            return InvariantResult::inconclusive(
                checker.invariant(),
                format!("harness error: the checker panicked: {text}"),
            );
        }
    };
    if evidence.partial() {
        return result.weaken("the run was cut short, so the history may lack operations");
    }
    result
}
