//! Documents that refer to those that are merged: how references look, what becomes of them, and what forbids a merge.

mod forms;
mod outcome;
mod path;
mod read;
mod twins;
mod unique;

pub(super) use forms::{Targets, name};
pub(super) use outcome::{Obstacle, Redirection, ReferenceOutcome, Twin, obstacle, redirected, refers, resolve};
pub(super) use path::values;
pub(super) use read::{PIECE, Referring, indexes, references_of, targets};
pub(super) use twins::united;
pub(super) use unique::UniqueIndex;
