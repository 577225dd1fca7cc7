//! Repair: a plan by default; applied, it backs up every document before it touches it, and can be undone.
//!
//! The collection `onlyone_backup_<id>` in the same database is backup and journal in one. It is there and not in a file,
//! because it is as durable as the data, can be read wherever the database can, and needs no right that a repair does
//! not need anyway: whoever finds a repair half-way done can finish or undo it.

mod apply;
mod change;
mod guard;
mod journal;
mod mend;
mod merge;
mod pace;
mod plan;
mod redirect;
mod restore;
mod work;

pub use apply::{Applied, apply};
pub use pace::RepairProgress;
pub use plan::{Plan, plan};
pub use restore::{Restored, backups, restore};
pub use work::RepairOptions;
