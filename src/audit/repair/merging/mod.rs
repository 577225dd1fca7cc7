//! What becomes of documents that stand for one thing: which is kept, what it takes from the others, what is lost.
//!
//! Pure functions of the documents and the profile: the plan and the repair call the same ones.

mod group;
mod life;
mod rank;
mod rules;
pub(super) mod value;

pub(super) use group::{FieldChange, Lost, Outcome, Rules, merged, size};
pub(super) use rank::ranked;
