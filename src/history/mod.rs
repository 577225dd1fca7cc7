//! The history of a run: every operation, intended, invoked, completed, and its outcome.
//!
//! [`Operation`] is the record; the observation that is read back afterwards is [`Observation`]. Files are read and
//! written in `file` and nowhere else.

mod cause;
mod delivery;
mod effects;
pub mod export;
mod faults;
pub mod file;
#[cfg(test)]
pub(crate) mod fixture;
mod id;
mod latest;
mod looks;
mod messages;
mod observation;
mod operation;
mod part;
mod sightings;
mod thread;
mod weight;

pub use cause::{Cause, CauseKind, DatabaseError, Transport};
pub use delivery::{CodePath, ContentKind, Delivered, Delivery, Via};
pub use effects::{Effects, ElementCount, Elements, KeyElements, NumberRule, Numbers};
pub use faults::{FaultInterval, Faults};
pub use id::{Id, OpId};
pub(crate) use latest::latest;
pub use looks::{Looks, Tally, Worsening};
pub use messages::{Appended, Compactor, Element, Message, MessagePath, ReadResult, Role, Said, answer_to, chain};
pub use observation::{Earlier, Observation, Observed, SetAside, Source, Vanished};
pub(crate) use operation::OUTCOME_LABELS;
pub use operation::{Action, FIRST_USE, Late, Nanos, Operation, Outcome, Phase, Returned, Value};
pub use part::KeyPart;
pub(crate) use part::named_elsewhere;
pub use sightings::{DocumentSightings, Exchange, FieldSighting, Sample, Sightings};
pub use thread::{Conversation, Expansion, Member, ThreadAnswer, ThreadKind, ThreadState, family_of, thread_key};

use serde::{Deserialize, Serialize};

/// What counts nothing is left out of files.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The operations of one run, ordered by their number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// All operations of both phases, ordered by [`OpId`].
    pub operations: Vec<Operation>,
    /// The run died: operations may be missing.
    pub partial: bool,
    /// The run was stopped early, in good order: nothing is missing, but less was run than was planned.
    pub interrupted: bool,
    /// Operations of other shards of the run are missing, and all of this one are here.
    pub of_a_shard: bool,
    /// Only the operations of this part of the keys are here, beside those of the serial control.
    pub part: Option<KeyPart>,
    /// Operations on other keys that these, or documents, name; ordered by [`OpId`].
    pub context: Vec<Operation>,
    /// What is missing because files are damaged or gone.
    pub lost: Option<Lost>,
}

/// What is missing of a history because files are damaged or gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// In how many files.
    pub files: u64,
    /// Names of some of them.
    pub names: Vec<String>,
    /// How many operations; unknown where the run died as well.
    pub operations: Option<u64>,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (files, are, them) = if self.files == 1 { ("file", "is", "it") } else { ("files", "are", "them") };
        let more = if self.files > self.names.len() as u64 { ", …" } else { "" };
        write!(f, "{} {files} of the history {are} damaged or gone ({}{more})", self.files, self.names.join(", "))?;
        match self.operations {
            Some(1) => write!(f, ": one operation is lost with {them}"),
            Some(operations) => write!(f, ": {operations} operations are lost with {them}"),
            None => write!(f, ", and the run died: operations are lost"),
        }
    }
}

impl History {
    /// Attaches a late answer to the unknown operation that it belongs to; false if there is none.
    pub fn attach(&mut self, op: OpId, late: Late) -> bool {
        match self.operations.binary_search_by_key(&op, |operation| operation.id) {
            Ok(position) if self.operations[position].is_unknown() => {
                self.operations[position].late = Some(Box::new(late));
                true
            }
            _ => false,
        }
    }

    /// What it says of itself, without an operation.
    pub fn clone_without_operations(&self) -> Self {
        self.with_operations(Vec::new())
    }

    /// This history with other operations.
    pub fn with_operations(&self, operations: Vec<Operation>) -> Self {
        let History { operations: _, partial, interrupted, of_a_shard, part, context, lost } = self;
        History {
            operations,
            partial: *partial,
            interrupted: *interrupted,
            of_a_shard: *of_a_shard,
            part: *part,
            context: context.clone(),
            lost: lost.clone(),
        }
    }

    /// The operations of one phase: the control comes first, so each phase is one slice.
    pub fn phase(&self, phase: Phase) -> &[Operation] {
        let main = self.operations.partition_point(|operation| operation.phase == Phase::Control);
        match phase {
            Phase::Control => &self.operations[..main],
            Phase::Main => &self.operations[main..],
        }
    }
}
