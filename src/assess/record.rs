//! `run.json`: what was run and under which conditions; with the history and the observation, all that a report needs.

use serde::{Deserialize, Serialize};

use crate::history::{Faults, Looks, Sightings};
use crate::report::{AsIfSerialReport, ExploreReport, Origin};
use crate::shard::ShardRecord;
use crate::stats::{Generator, Machine, StageMarks};
use crate::target::Preflight;
use crate::target::mongo::{Identity, QueryResult};

/// Version of `run.json`.
pub const RUN_FORMAT_VERSION: u32 = 1;

/// What was run. It holds no secret.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`RUN_FORMAT_VERSION`].
    pub format_version: u32,
    /// `onlyone`.
    pub tool: String,
    /// Version of the tool.
    pub version: String,
    /// Identifier of the run.
    pub run_id: String,
    /// Root of all randomness.
    pub seed: u64,
    /// When it began, as RFC 3339.
    pub started_at: String,
    /// When it began, and on which commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The target without its secrets.
    pub target: String,
    /// The command that runs it again.
    pub reproduce: String,
    /// The scenario file, as it was named.
    pub scenario_file: String,
    /// The scenario with every default and override filled in, as TOML.
    pub scenario: String,
    /// What was found before the run.
    pub preflight: Preflight,
    /// The machine that the load came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// What the run cost this process.
    pub generator: Generator,
    /// The server, before the first operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_before: Option<Identity>,
    /// The server, when the final state had been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_after: Option<Identity>,
    /// Why the final state could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observe_error: Option<String>,
    /// Why the run ended early, other than by an interruption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<String>,
    /// It was interrupted when its operations had ended: while the final state was read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The interleavings, when they were explored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explore: Option<ExploreReport>,
    /// Executions held against the serial runs of the same requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_if_serial: Option<AsIfSerialReport>,
    /// What the user's own invariants found before the first operation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries_before: Vec<QueryResult>,
    /// What they found after the round that came first of all, before the serial control.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries_first: Vec<QueryResult>,
    /// What they found after the serial control.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries_serial: Vec<QueryResult>,
    /// What the user's own invariants found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<QueryResult>,
    /// What they said after each execution of an exploration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looks: Vec<Looks>,
    /// What was seen of a service besides the outcomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sightings: Option<Sightings>,
    /// Where the stages of its load lie, if it has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<StageMarks>,
    /// What broke on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<Faults>,
    /// Which part of a run this is, where several processes share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardRecord>,
    /// The shards of a merged run, in their order, those that are missing among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardRecord>,
}
