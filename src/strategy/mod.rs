//! Strategies: the ways to carry an operation out on MongoDB, correct and racy.
//!
//! Each racy one plants a bug that real services have had; each has a correct twin. The direct target and the reference
//! service are built from the same strategies.

pub mod append;
pub mod create_or_get;
mod creation;
mod injected_delay;
mod lock;
pub mod merge;
mod session;
pub mod thread;

use mongodb::bson::{Bson, Document};

use crate::history::{Id, OpId};
use crate::scenario::WorkloadKind;

pub use creation::{Creation, How};
pub use injected_delay::{InjectedDelay, delayed};
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

/// Of every strategy under a lock in this process.
const LOCK_IN_MEMORY: Description = Description {
    name: "lock-in-memory",
    bug: Some("the lock is unknown to other processes"),
    blind_spot: Some(
        "a lock in memory excludes only callers of one process, and this run had one: it proves nothing for two instances",
    ),
};

/// A strategy with what users are told of it.
pub type Named<S> = (S, Description);

/// Gives a workload's `Strategy` and its table `STRATEGIES` names that users write, and the way back.
macro_rules! named_strategies {
    ($workload:literal) => {
        /// Names of all strategies.
        pub const NAMES: [&str; STRATEGIES.len()] = {
            let mut names = [""; STRATEGIES.len()];
            let mut index = 0;
            while index < names.len() {
                names[index] = STRATEGIES[index].1.name;
                index += 1;
            }
            names
        };

        impl std::str::FromStr for Strategy {
            type Err = crate::strategy::UnknownStrategy;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                let found = STRATEGIES.iter().find(|(_, description)| description.name == name);
                found
                    .map(|(strategy, _)| *strategy)
                    .ok_or_else(|| crate::strategy::UnknownStrategy::new($workload, name))
            }
        }

        /// They as data.
        pub(in crate::strategy) const SET: crate::strategy::StrategySet = crate::strategy::StrategySet {
            names: &NAMES,
            descriptions: || STRATEGIES.iter().map(|(_, description)| *description).collect(),
            creations: |name| name.parse().map(Strategy::creations).unwrap_or_default(),
        };

        impl Strategy {
            /// What users are told of it.
            pub fn description(self) -> crate::strategy::Description {
                let found = STRATEGIES.iter().find(|(strategy, _)| *strategy == self);
                found.map_or(crate::strategy::correct("unlisted"), |(_, description)| *description)
            }
        }
    };
}
use named_strategies;

/// A name that no strategy of the workload has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {workload} strategy `{name}`")]
pub struct UnknownStrategy {
    workload: &'static str,
    name: String,
}

impl UnknownStrategy {
    pub(crate) fn new(workload: &'static str, name: &str) -> Self {
        UnknownStrategy { workload, name: name.to_owned() }
    }
}

/// The strategies of a workload, whatever their type.
struct StrategySet {
    names: &'static [&'static str],
    descriptions: fn() -> Vec<Description>,
    /// How the one of this name creates; nothing if there is none.
    creations: fn(&str) -> Vec<Creation>,
}

/// The registry: a workload that is carried out here has its strategies named in it.
const fn set(kind: WorkloadKind) -> Option<&'static StrategySet> {
    match kind {
        WorkloadKind::CreateOrGet => Some(&create_or_get::SET),
        WorkloadKind::Append => Some(&append::SET),
        WorkloadKind::Merge => Some(&merge::SET),
        WorkloadKind::Thread => Some(&thread::SET),
        WorkloadKind::Custom | WorkloadKind::Unique => None,
    }
}

/// Names of the strategies of a workload.
pub fn names(kind: WorkloadKind) -> &'static [&'static str] {
    set(kind).map_or(&[], |set| set.names)
}

/// What users are told of a workload's strategies, in the order of [`names`].
pub fn descriptions(kind: WorkloadKind) -> Vec<Description> {
    set(kind).map_or_else(Vec::new, |set| (set.descriptions)())
}

/// How the strategy of this name creates; nothing if there is no such strategy, or it creates nothing.
pub fn creations(kind: WorkloadKind, strategy: &str) -> Vec<Creation> {
    set(kind).map_or_else(Vec::new, |set| (set.creations)(strategy))
}

/// The number of an operation as documents carry it.
fn stamp(op: OpId) -> i64 {
    i64::try_from(op.0).unwrap_or(i64::MAX)
}

/// The identifier of a document.
pub fn document_id(document: &Document) -> Option<Id> {
    document.get("_id").map(value_id)
}

/// An identifier as a field holds it.
pub fn value_id(value: &Bson) -> Id {
    match value {
        Bson::ObjectId(id) => Id::from(id.bytes()),
        Bson::String(text) => Id::parse(text),
        other => Id::parse(&other.to_string()),
    }
}
