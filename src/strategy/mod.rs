//! Strategies: the ways to carry an operation out on MongoDB, correct and racy.
//!
//! Each racy one plants a bug that real services have had; each has a correct twin. The direct target and the reference
//! service are built from the same strategies.

pub mod create_or_get;
mod lock;
mod session;

use mongodb::bson::{Bson, Document};

use crate::history::{Id, OpId};
use crate::scenario::WorkloadKind;

pub use lock::MemoryLocks;
pub use session::{Failure, Reason, Session, server_answer};

/// A strategy as users see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Its name in scenarios.
    pub name: &'static str,
    /// The bug it plants; `None` if it is correct when the unique index stands behind it.
    pub bug: Option<&'static str>,
    /// What a run of it in one process does not show.
    pub blind_spot: Option<&'static str>,
}

const fn bug(name: &'static str, bug: &'static str) -> Description {
    Description { name, bug: Some(bug), blind_spot: None }
}

const fn correct(name: &'static str) -> Description {
    Description { name, bug: None, blind_spot: None }
}

/// A name that no strategy of the workload has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {workload} strategy `{name}`")]
pub struct UnknownStrategy {
    workload: &'static str,
    name: String,
}

impl UnknownStrategy {
    fn new(workload: &'static str, name: &str) -> Self {
        UnknownStrategy { workload, name: name.to_owned() }
    }
}

/// Names of the strategies of a workload.
pub fn names(kind: WorkloadKind) -> &'static [&'static str] {
    match kind {
        WorkloadKind::CreateOrGet => &create_or_get::NAMES,
    }
}

/// What users are told of a workload's strategies, in the order of [`names`].
pub fn descriptions(kind: WorkloadKind) -> Vec<Description> {
    match kind {
        WorkloadKind::CreateOrGet => create_or_get::STRATEGIES.iter().map(|(_, description)| *description).collect(),
    }
}

/// The number of an operation as documents carry it.
fn stamp(op: OpId) -> i64 {
    i64::try_from(op.0).unwrap_or(i64::MAX)
}

/// The identifier of a document.
pub fn document_id(document: &Document) -> Option<Id> {
    match document.get("_id")? {
        Bson::ObjectId(id) => Some(Id::from(id.bytes())),
        Bson::String(text) => Some(Id::parse(text)),
        other => Some(Id::parse(&other.to_string())),
    }
}
