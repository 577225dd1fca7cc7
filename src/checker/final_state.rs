//! What a verdict may claim about the final state: nothing if it was not read, nothing good if it still moved.

use crate::verdict::{Invariant, InvariantResult};

use super::Evidence;

/// The result of a checker that needs the final state, when there is none.
pub(super) fn missing(invariant: Invariant) -> InvariantResult {
    InvariantResult::inconclusive(invariant, "the final state was not read")
}

/// A result that holds becomes inconclusive if the final state was still in motion when it was read.
pub(super) fn weaken(evidence: &Evidence<'_>, result: InvariantResult) -> InvariantResult {
    match evidence.observation() {
        Some(observation) if !observation.quiescent => {
            result.weaken("the final state was read while operations may still have been at work on the server")
        }
        _ => result,
    }
}

/// A result that rests on values and elements becomes inconclusive if these were still in motion when they were read.
pub(super) fn weaken_effects(evidence: &Evidence<'_>, result: InvariantResult) -> InvariantResult {
    match evidence.effects_are_quiescent() {
        true => result,
        false => result.weaken("values were read while operations may still have been at work on the server"),
    }
}
