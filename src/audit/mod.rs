//! Audit, repair and seed: the invariants on a database that already exists.
//!
//! A [`Profile`] says where the database keeps what the invariants are about. `inspect` reads and never writes; `repair`
//! plans by default and backs up whatever it touches; `seed` makes a practice database whose defects are known.

mod canon;
mod dedupe;
mod error;
mod forms;
mod inspect;
mod key;
mod look;
mod profile;
mod progress;
mod raw;
mod repair;
mod report;
mod seed;

pub use error::{AuditError, ServerError};
pub use inspect::{AuditOptions, Audited, Counters};
pub use look::audit;
pub use profile::{
    ArraySpec, CollationSpec, FieldRule, Fields, Filter, IdentityRule, Keep, KeySpec, MergeSpec, Profile, ProfileError,
    Reference, Repeated, SHIPPED, schema,
};
pub use progress::{WorkDone, WorkProgress};
pub use repair::{Applied, Plan, RepairOptions, Restored, apply, backups, plan, restore, restore_watched};
pub use report::{Circumstances, report, status};
pub use seed::{SeedSpec, Seeded, seed, seed_watched};

use crate::report::FindingKind;
