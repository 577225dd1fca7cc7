//! What `run.json` keeps of a shard.

use serde::{Deserialize, Serialize};

use super::{Clock, Shard};
use crate::history::Nanos;

/// One shard of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRecord {
    /// Which it is.
    #[serde(flatten)]
    pub shard: Shard,
    /// What tells the meeting of the shards from any other: two runs may have one run id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub meeting: String,
    /// Its clients, of those of the run.
    #[serde(default)]
    pub clients: u32,
    /// What is known of its clock. In a merged run the zero of all times is the same, and what remains is how far each time
    /// may be off.
    #[serde(default)]
    pub clock: Clock,
    /// When it began to read the final state, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at_ns: Option<Nanos>,
    /// Its operations, in a merged run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<u64>,
    /// What of it is there, in a merged run.
    #[serde(default, skip_serializing_if = "ShardState::is_whole")]
    pub state: ShardState,
}

impl ShardRecord {
    /// A shard of which nothing is known.
    pub fn missing(shard: Shard) -> Self {
        ShardRecord {
            shard,
            meeting: String::new(),
            clients: 0,
            clock: Clock::default(),
            observed_at_ns: None,
            operations: None,
            state: ShardState::Missing,
        }
    }
}

/// What of a shard is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShardState {
    /// All of it.
    #[default]
    Whole,
    /// It was stopped before its end, in good order.
    Interrupted,
    /// Its history ends in the middle.
    Died,
    /// Nothing.
    Missing,
}

impl ShardState {
    fn is_whole(&self) -> bool {
        *self == ShardState::Whole
    }

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            ShardState::Whole => "whole",
            ShardState::Interrupted => "interrupted",
            ShardState::Died => "died",
            ShardState::Missing => "missing",
        }
    }
}
