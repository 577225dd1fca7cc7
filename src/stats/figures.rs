//! What is measured of a run, as reports show it: counts, latency, overlap, cost. Data: nothing is computed here.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Counts and latency of one operation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OperationStats {
    /// Operations invoked.
    pub attempted: u64,
    /// Those that happened.
    pub ok: u64,
    /// Those that certainly did not.
    pub failed: u64,
    /// Those that may have.
    pub unknown: u64,
    /// Finer outcomes: `created`, `existing`, `duplicate-key-handled`.
    pub outcomes: BTreeMap<String, u64>,
    /// Latency of the answered operations.
    pub latency_us: Latency,
    /// Latency of the answered operations, per outcome.
    #[serde(default)]
    pub latency_by_outcome_us: BTreeMap<String, Latency>,
    /// Distribution of the latency per outcome, ten steps per decade, without the empty ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub distribution: BTreeMap<String, Vec<Bucket>>,
    /// What the latency measures: `service time` from invocation (burst, closed, waves), `response time` from the
    /// intended start (open).
    #[serde(default)]
    pub latency_is: String,
}

/// Quantiles in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 95 %.
    pub p95: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p99_9: u64,
    /// Largest.
    pub max: u64,
}

/// One step of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Bucket {
    /// Its upper end in microseconds.
    pub up_to_us: f64,
    /// Samples in it.
    pub count: u64,
}

/// One stretch of the run, by the time of completion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IntervalStats {
    /// Its start, in seconds since the start of the run.
    pub start_s: f64,
    /// Its length in seconds.
    pub length_s: f64,
    /// Answered operations.
    pub answered: u64,
    /// Failed and unknown operations.
    pub errors: u64,
    /// Median latency, over all operations.
    pub p50_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// Largest.
    pub max_us: u64,
}

/// What overlap was achieved, as measured from the history.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Concurrency {
    /// Clients that the load asked for.
    pub clients: u32,
    /// Keys that the operations met on.
    #[serde(default)]
    pub keys: u64,
    /// Most operations in flight at one moment.
    pub peak_in_flight: u32,
    /// Most operations in flight on one key at one moment.
    pub peak_in_flight_same_key: u32,
    /// Per round, the time from the first release to the last.
    pub release_skew_us: Skew,
    /// Rounds (or keys) on which at least two operations overlapped.
    pub effective_trials: u64,
    /// Those among them on which a race was possible: two that create, or one that writes and another that it concerns, were
    /// in flight together, and both got through.
    #[serde(default)]
    pub race_trials: u64,
    /// With no violation in n trials in which a race was possible, the probability of one per trial is below 3/n (95 %). Absent when there
    /// was a violation or no trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violation_rate_upper_bound_95: Option<f64>,
}

/// Spread of a release in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Skew {
    /// Median over the rounds.
    pub p50: u64,
    /// Largest.
    pub max: u64,
}

/// One threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ThresholdResult {
    /// As the user wrote it.
    pub threshold: String,
    /// What was measured, in `unit`; absent when there were too few samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<f64>,
    /// Unit of what was measured.
    #[serde(default)]
    pub unit: Unit,
    /// Samples behind it.
    pub samples: u64,
    /// Whether it is kept. Too few samples never is.
    pub ok: bool,
    /// It can be told neither kept nor breached: there were too few samples.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub too_few: bool,
    /// Why it is not, when the reason is not the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In an open load, the same counted from when each operation was really sent: where that is kept, operations were sent
    /// late, or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_time: Option<ServiceTime>,
}

/// What a bound on a latency that counts from the intended start would be held against, if it counted from when each operation
/// was really sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServiceTime {
    /// Microseconds.
    pub observed: f64,
    /// Whether the threshold would be kept.
    pub ok: bool,
}

impl ThresholdResult {
    /// Whether what was measured breaches it.
    pub fn is_breached(&self) -> bool {
        !self.ok && !self.too_few
    }
}

/// Unit of a measured threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Microseconds.
    #[default]
    Us,
    /// A share from 0 to 1.
    Share,
    /// Operations per second.
    PerS,
}

/// What the run cost this process.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Generator {
    /// Processor time, user and system.
    pub cpu_s: f64,
    /// Largest resident memory.
    pub max_rss_bytes: u64,
    /// Arrivals of an open load that could not be sent.
    #[serde(default)]
    pub dropped_arrivals: u64,
    /// Share of the machine's processors that was taken by others than this process and the servers it started; absent
    /// where it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_load: Option<f64>,
    /// Share of the processors that this process may use, and took; absent where it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_share: Option<f64>,
    /// Share of the machine's processors that was busy at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_busy: Option<f64>,
}

/// A machine, as far as the speed of a run depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Machine {
    /// Operating system: `linux`.
    pub system: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// Processors that this process may use.
    pub processors: u32,
    /// Their model, where the operating system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// Memory, where the operating system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Machine { system, architecture, processors, .. } = self;
        write!(f, "{system} {architecture}, {processors} processor{}", if *processors == 1 { "" } else { "s" })?;
        if let Some(processor) = &self.processor {
            write!(f, " {processor}")?;
        }
        self.memory_mib.map_or(Ok(()), |mib| write!(f, ", {mib} MiB"))
    }
}

/// One line of the latency log: what one operation was answered with, one outcome, in one interval.
#[derive(Debug, Clone)]
pub struct LoggedInterval {
    /// Its start, in seconds since the start of the run.
    pub start_s: f64,
    /// Its length in seconds.
    pub length_s: f64,
    /// Name of the operation.
    pub operation: String,
    /// Name of the outcome.
    pub outcome: String,
    /// Latency in nanoseconds.
    pub histogram: Histogram<u64>,
}
