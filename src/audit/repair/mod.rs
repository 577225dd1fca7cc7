//! Repair: a plan by default; applied, it backs up every document before it touches it, and can be undone.
//!
//! The collection `onlyone_backup_<id>` in the same database is backup and journal in one. It is there and not in a file,
//! because it is as durable as the data, can be read wherever the database can, and needs no right that a repair does
//! not need anyway: whoever finds a repair half-way done can finish or undo it.

mod apply;
mod back;
mod beside;
mod bulk;
mod change;
mod decide;
mod digest;
mod edit;
mod guard;
mod indexes;
mod journal;
mod keys;
mod lease;
mod limits;
mod machine;
mod mend;
mod merge;
mod merging;
mod outlook;
mod plan;
mod preflight;
mod put_back;
mod rate_limiter;
mod record;
mod redirect;
mod refer;
mod restore;
#[cfg(test)]
mod server_tests;
mod there;
mod touch;
mod twice;
mod undo;
mod unfinished;
mod validator;
mod work;

pub use apply::{Applied, apply};
pub use outlook::plan;
pub use plan::Plan;
pub use restore::{Restored, backups, restore, restore_watched};
pub(super) use unfinished::unfinished;
pub use work::RepairOptions;
