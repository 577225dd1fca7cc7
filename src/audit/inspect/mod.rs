//! Read-only inspection. Every command it sends is a read; its test counts them on the server.

mod findings;
mod groups;
mod index;
mod options;
mod orphans;
mod run;
mod scan;
mod seen;
mod server;
mod source;

pub use findings::Audited;
pub use options::AuditOptions;
pub use run::audit;
pub use server::Counters;

pub(super) use groups::{Group, Groups, shown};
pub(super) use index::{IndexCheck, judge as judge_indexes, list as list_indexes};
pub(super) use run::{Inspection, inspect};
pub(super) use scan::{Deviant, Facts, Repeating, Tally};
pub(super) use source::{CollectionKind, kind};
