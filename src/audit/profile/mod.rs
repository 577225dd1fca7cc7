//! Profiles: which collection and fields of a database hold what the audit looks at.

mod filter;
mod key;
mod load;
mod model;

pub use filter::Filter;
pub use key::{CollationSpec, Fields, KeySpec};
pub use load::{ProfileError, SHIPPED};
pub use model::{ArraySpec, FieldRule, IdentityRule, Keep, MergeSpec, Profile, Reference, Repeated};

/// The JSON Schema of a profile, from which editors complete.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Profile).to_value()
}
