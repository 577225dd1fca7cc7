//! The history of a run: every operation, intended, invoked, completed, and its outcome.
//!
//! [`Operation`] is the record; the observation that is read back afterwards is [`Observation`]. Files are read and
//! written in `file` and nowhere else.

mod id;
mod observation;
mod operation;

pub use id::{Id, OpId};
pub use observation::{Observation, Observed, Source};
pub use operation::{Action, Cause, Late, Nanos, Operation, Outcome, Phase, Returned, Value};

/// The operations of one run, ordered by their number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// All operations of both phases, ordered by [`OpId`].
    pub operations: Vec<Operation>,
    /// The run was cut short: operations that were in flight may be missing.
    pub partial: bool,
}
