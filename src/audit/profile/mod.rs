//! Profiles: which collection and fields of a database hold what the audit looks at.

mod load;
mod model;

pub use load::{ProfileError, SHIPPED};
pub use model::{ArraySpec, KeySpec, MergeSpec, Profile, Reference};
