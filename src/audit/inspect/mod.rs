//! Read-only inspection. Every command it sends is a read; its test counts them on the server.

mod collation;
mod filters;
mod findings;
mod groups;
mod hash_index;
mod index;
mod options;
mod orphans;
mod run;
mod scan;
mod server;
mod source;

pub use findings::Audited;
pub use options::AuditOptions;
pub use server::Counters;

pub(super) use super::raw::shown;
pub(super) use collation::{classes, classes_of};
pub(super) use index::is_router;
pub(super) use run::{Inspection, conclude, inspect, look};
pub(super) use source::{CollectionKind, kind, options};
