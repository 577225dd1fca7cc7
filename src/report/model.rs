//! `report.json`: the contract that scripts and the other reports read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finding::{Finding, RepairAction};
use super::key_history::KeyHistory;
use crate::stats::{Concurrency, Generator, IntervalStats, Machine, OperationStats, StageStats, ThresholdResult};
use crate::target::Preflight;
use crate::verdict::{InvariantResult, Verdict};

/// Version of `report.json`.
pub const FORMAT_VERSION: u32 = 1;

/// Everything a run found. Rendered to the terminal and to every file; never computed again from them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Report {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// `onlyone`.
    pub tool: String,
    /// Version of the tool.
    pub version: String,
    /// Identifier of the run, and name of its directory.
    pub run_id: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Root of all randomness.
    pub seed: u64,
    /// The worst of the invariants, or inconclusive for a reason of the whole run.
    pub verdict: Verdict,
    /// Why the whole run is inconclusive, one reason a line.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// The code the process ends with.
    pub exit_code: u8,
    /// What the scenario expected, and whether it was met; absent where it expects nothing but `holds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expectation: Option<ExpectationResult>,
    /// The run was cut short.
    pub partial: bool,
    /// The command that runs it again.
    pub reproduce: String,
    /// When, and on which commit, it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// One result per invariant, in the workload's order.
    pub invariants: Vec<InvariantResult>,
    /// All that was done to the keys of the violations, and what is stored under them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyHistory>,
    /// The run's operations, one after another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_control: Option<SerialControl>,
    /// Counts and latency per operation.
    pub operations: BTreeMap<String, OperationStats>,
    /// What overlap was achieved.
    pub concurrency: Concurrency,
    /// Answered operations per second.
    pub throughput_per_s: f64,
    /// Length of the concurrent phase.
    pub duration_s: f64,
    /// Latency, throughput and errors over time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over_time: Vec<IntervalStats>,
    /// The stages of a load whose clients or rate change over time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageStats>,
    /// One result per threshold.
    pub thresholds: Vec<ThresholdResult>,
    /// What the run cost this process.
    pub generator: Generator,
    /// The machine that the load came from; absent in reports of old versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// What was found before the run.
    pub preflight: Preflight,
    /// The interleavings, when they were explored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explore: Option<super::ExploreReport>,
    /// Executions held against the serial runs of the same requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_if_serial: Option<super::AsIfSerialReport>,
    /// The processes that carried the run out together, where there were several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<super::ShardReport>,
    /// What broke on purpose while the load went on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<super::FaultReport>,
    /// The kill matrix; only `selftest` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selftest: Option<super::SelftestReport>,
    /// Defects of a database that exists; only `audit` and `repair` have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<Vec<Finding>>,
    /// What a repair would do, or did; only `repair` has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<RepairAction>>,
}

impl Report {
    /// Whether operations were sent as a load, so that latency and throughput mean something: not where commands were held
    /// back, where bugs were planted, or where a database was only read.
    pub fn is_load(&self) -> bool {
        let ordered = self.explore.as_ref().is_some_and(|explore| explore.search != "stress");
        !ordered && self.selftest.is_none() && self.findings.is_none()
    }

    /// What the commands and indexes themselves say: found before the run, and while interleavings were explored.
    pub fn lint(&self) -> impl Iterator<Item = &super::LintFinding> {
        self.preflight.lint.iter().chain(self.explore.iter().flat_map(|explore| &explore.lint))
    }
}

/// Where a report comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Origin {
    /// When it began, as RFC 3339.
    pub date: String,
    /// The commit that was checked out in the working directory, or that the CI service names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Its branch or tag, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// Whether a scenario's expectation was met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExpectationResult {
    /// Whether all of it was met; absent when it could not be told.
    pub met: Option<bool>,
    /// One line per part: `verdict: expected violated, found violated`.
    pub details: Vec<String>,
}

/// The serial control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SerialControl {
    /// Its verdict. Violated: a plain defect, not a race.
    pub verdict: Verdict,
    /// How many operations it had.
    pub operations: u64,
    /// The invariants that it violates.
    #[serde(default)]
    pub violated: Vec<crate::verdict::Invariant>,
}
