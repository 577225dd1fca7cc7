//! Faults as choices of a schedule: an answer or a command is lost, the server refuses, the service is killed.
//!
//! A fault belongs to the [`Pick`](super::schedule::Pick) that releases a command, and so to the schedule: it is printed, stored
//! and carried out again with it. Where a fault may strike is planned from what each request does alone (`plan`); a search
//! meets it through a policy around its own (`inject`), so that no search knows of faults.
//!
//! *Soundness*: whoever is touched by a fault has an unknown outcome unless it ended well; see `serial::faulted` for what is
//! accepted then. *Completeness*: one fault in an execution, at the writes that a request sends when it is alone; its reads after
//! a write are refused, and nothing else happens to them.

mod inject;
mod kind;
mod lag;
mod leases;
mod plan;
mod refusal;
mod searches;
mod shrink;

pub use kind::Fault;
pub use lag::Lag;
pub(super) use leases::{Expiring, Removal, pardon};
pub use plan::{Faults, Restart};
pub(super) use plan::{Mode, end_sessions};
pub use refusal::Refusal;
pub use searches::spared;
pub(super) use searches::tally;
