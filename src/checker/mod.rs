//! Checkers: pure functions from evidence (history and observation) to a verdict with its witnesses.
//!
//! There is no clock, no network and no printing here: the same evidence gives the same result, byte for byte. One file
//! per invariant, whose header states property, assumptions, soundness, completeness and cost.

mod admins_only;
mod append_defect;
mod append_derived;
mod append_order;
#[cfg(test)]
mod brute_force;
mod create_or_get_linearizable;
mod create_or_get_model;
mod created_once;
mod derived_fields_exact;
mod elements;
#[cfg(test)]
mod elements_oracle;
mod elsewhere;
mod evidence;
mod facts;
mod final_state;
mod findings;
mod insert_fields_intact;
mod judge;
mod key_counts;
mod key_numbers;
mod list_model;
#[cfg(test)]
mod list_oracle;
mod lists;
mod members_exact;
mod merge_once;
mod message_counts;
mod naming;
mod no_duplicate_messages;
mod no_false_dedupe;
mod no_leaked_errors;
mod no_lost_messages;
mod no_phantom_messages;
mod numbered;
mod one_thread_per_set;
mod pair_adjacent;
mod payload_intact;
mod precedence;
mod same_id;
pub mod search;
mod served_until;
mod single_document;
mod somebody_served;
mod thread_view;
mod zero_duplicates;

pub use admins_only::AdminsOnly;
pub use append_order::AppendOrder;
pub use create_or_get_linearizable::CreateOrGetLinearizable;
pub use created_once::CreatedOnce;
pub use derived_fields_exact::DerivedFieldsExact;
pub use elements::{ElementRule, OfElements};
pub use evidence::{Evidence, KeyEvidence};
pub(crate) use facts::told;
pub use findings::Findings;
pub use insert_fields_intact::InsertFieldsIntact;
pub use judge::{Looked, checker_of, conclude, guarded, is_wrong, judge, look};
pub use key_numbers::KeyNumbers;
pub(crate) use lists::parts;
pub use members_exact::MembersExact;
pub use merge_once::MergeOnce;
pub use naming::Naming;
pub use no_duplicate_messages::NoDuplicateMessages;
pub use no_false_dedupe::NoFalseDedupe;
pub use no_leaked_errors::NoLeakedErrors;
pub use no_lost_messages::NoLostMessages;
pub use no_phantom_messages::NoPhantomMessages;
pub use one_thread_per_set::OneThreadPerSet;
pub use pair_adjacent::PairAdjacent;
pub use payload_intact::PayloadIntact;
pub use same_id::SameId;
pub use served_until::ServedUntil;
pub use single_document::SingleDocument;
pub use somebody_served::SomebodyServed;
pub use zero_duplicates::ZeroDuplicates;

use crate::verdict::{Invariant, InvariantResult};

/// Judges one invariant.
pub trait Checker: Send + Sync {
    /// The invariant that it judges.
    fn invariant(&self) -> Invariant;

    /// Looks at the evidence, key after key. `budget` bounds the work of searches that are not near-linear.
    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings;

    /// What follows from findings on all keys. `evidence` tells how the final state was read and what is missing; its operations
    /// and documents need not be there.
    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult;

    /// What follows from findings, also where the budget ran out.
    fn judged(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        match findings.is_exhausted() {
            true => findings.into_result(),
            false => self.conclude(evidence, findings),
        }
    }

    /// Judges the evidence.
    fn check(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> InvariantResult {
        self.judged(evidence, self.look(evidence, budget))
    }
}

/// Steps that a checker may still take. It counts work, not time, so that a verdict stays a function of the evidence.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    steps: u64,
}

impl Budget {
    /// A budget of so many steps.
    pub fn new(steps: u64) -> Self {
        Budget { steps }
    }

    /// Takes steps; false when the budget is exhausted, and the verdict must be inconclusive.
    pub fn take(&mut self, steps: u64) -> bool {
        let enough = self.steps >= steps;
        self.steps = self.steps.saturating_sub(steps);
        enough
    }

    /// The result of a checker whose budget ran out: what was violated stays so, nothing holds.
    pub fn exhausted(result: InvariantResult) -> InvariantResult {
        result.doubt("the budget of steps is exhausted, so not everything was checked")
    }
}

impl Default for Budget {
    /// Enough for near-linear rules on a hundred million operations.
    fn default() -> Self {
        Budget::new(20_000_000_000)
    }
}
