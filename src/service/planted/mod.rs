//! Small services with a planted bug, each beside its correct control: what `onlyone selftest --faults` explores.
//!
//! [`all`] is the table. `onlyone serve --planted ID` answers `POST /planted/{operation}/{key}/{op}` by the mutant, or by its
//! control. Each is a handler of a few lines on MongoDB, in the file of its family.

mod append;
mod buckets;
mod creation;
mod keys;
mod merge;
mod room;
mod table;
mod thread;

pub use room::Planted;
pub(super) use room::{Room, answer};
pub use table::{Mutant, all, of_id};
