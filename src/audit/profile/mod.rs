//! Profiles: which collection and fields of a database hold what the audit looks at.

mod filter;
mod key;
mod load;
mod model;

pub use filter::Filter;
pub use key::{CollationSpec, Fields, KeySpec};
pub use load::{ProfileError, SHIPPED};
pub use model::{ArraySpec, FieldRule, IdentityRule, Keep, MergeSpec, Profile, Reference, Repeated};
