//! Strategies: the ways to carry an operation out on MongoDB, correct and racy.
//!
//! Each racy one plants a bug that real services have had; each has a correct twin. The direct target and the reference
//! service are built from the same strategies.

pub mod create_or_get;
mod lock;
mod pace;
mod session;

pub use lock::MemoryLocks;
pub use pace::{Pace, paced};
pub use session::{Failure, Reason, Session, server_answer};

/// A strategy as users see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Its name in scenarios.
    pub name: &'static str,
    /// The bug it plants; `None` if it is correct when the unique index stands behind it.
    pub bug: Option<&'static str>,
    /// What a run of it in one process does not show.
    pub blind_spot: Option<&'static str>,
}

/// Names of the strategies of a workload.
pub fn names(workload: crate::scenario::WorkloadKind) -> &'static [&'static str] {
    match workload {
        crate::scenario::WorkloadKind::CreateOrGet => &create_or_get::NAMES,
    }
}
