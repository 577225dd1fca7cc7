//! What a search for the limit of a service found: an interval of rates, what broke, and whose limit it was.

use serde::{Deserialize, Serialize};

use super::format::{count, measured};
use crate::stats::{AtRate, ThresholdResult};
use crate::verdict::Verdict;

/// Version of the file of a search.
pub const LIMIT_FORMAT_VERSION: u32 = 1;

/// Whose limit it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LimitedBy {
    /// The service, or the database.
    Service,
    /// This process: it could not send in time, or had no processor left.
    Generator,
    /// The clients of the scenario: all of them were busy.
    MaxClients,
    /// The machine that both share: its processors were all busy.
    Machine,
}

impl LimitedBy {
    /// What that means, in a sentence without its end.
    pub fn says(self) -> &'static str {
        match self {
            LimitedBy::Service => "the service was the limit",
            LimitedBy::Generator => {
                "the generator was the limit, not the service: it could not send in time, or had no processor left; share the load out (`--shard`), or take a larger machine"
            }
            LimitedBy::MaxClients => {
                "the scenario's clients were the limit, not the service: all of them were busy, and those that got through were answered in time; raise `load.open.max_clients`"
            }
            LimitedBy::Machine => {
                "the processors of this machine were all busy: the limit is that of the service and the generator together on this machine, and not of the service alone"
            }
        }
    }

    /// Whether the service was tried to its limit.
    pub fn is_of_service(self) -> bool {
        matches!(self, LimitedBy::Service | LimitedBy::Machine)
    }
}

/// One rate that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LimitStep {
    /// Operations per second.
    pub rate: f64,
    /// Its run, and name of the run's folder.
    pub run_id: String,
    /// What was found.
    pub found: AtRate,
    /// Verdict on the invariants.
    pub verdict: Verdict,
    /// Why it cannot be told whether it held, or why it did not where no threshold broke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Thresholds that broke.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broke: Vec<ThresholdResult>,
    /// Whose limit that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<LimitedBy>,
    /// Operations that were sent.
    pub attempted: u64,
    /// Arrivals that found every client busy.
    pub dropped_arrivals: u64,
    /// Answered operations per second.
    pub throughput_per_s: f64,
    /// Share of the processors that this process may use, and took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_share: Option<f64>,
    /// Share of the machine's processors that was busy at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_busy: Option<f64>,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LimitReport {
    /// [`LIMIT_FORMAT_VERSION`].
    pub format_version: u32,
    /// `onlyone`.
    pub tool: String,
    /// Version of the tool.
    pub version: String,
    /// Name of the search.
    pub run_id: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Root of all randomness.
    pub seed: u64,
    /// Violated where any rate showed that; else what the invariants are at the highest rate that held.
    pub verdict: Verdict,
    /// The code the process ends with.
    pub exit_code: u8,
    /// The highest rate at which every threshold was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_at: Option<f64>,
    /// The lowest rate at which one broke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaks_at: Option<f64>,
    /// Whose limit that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<LimitedBy>,
    /// What readers have to know of it, one thing a line.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Every rate that was tried, in the order in which that was done.
    pub steps: Vec<LimitStep>,
    /// The command that searches again.
    pub reproduce: String,
}

impl LimitReport {
    /// The interval in one sentence, without its end.
    pub fn sentence(&self) -> String {
        let rate = |rate: f64| format!("{}/s", figure(rate));
        match (self.holds_at, self.breaks_at) {
            (Some(holds), Some(breaks)) => format!("between {} and {}", rate(holds), rate(breaks)),
            (Some(holds), None) => format!("above {}, the highest rate that was tried and held", rate(holds)),
            (None, Some(breaks)) => format!("below {}, the lowest rate that was tried", rate(breaks)),
            (None, None) => "not found".to_owned(),
        }
    }
}

/// A rate in few digits.
pub(super) fn figure(rate: f64) -> String {
    match rate {
        rate if rate >= 100.0 => count(rate.round() as u64),
        rate if rate >= 10.0 => format!("{rate:.1}"),
        rate => format!("{rate:.2}"),
    }
}

/// What broke at a rate, or why nothing can be told.
pub(super) fn told(step: &LimitStep) -> String {
    let broke = step.broke.iter().map(|result| match (&result.reason, result.observed) {
        (Some(reason), _) => format!("{}: {reason}", result.threshold),
        (None, Some(value)) => format!("{}: {}", result.threshold, measured(value, result.unit)),
        (None, None) => result.threshold.clone(),
    });
    broke.chain(step.reason.clone()).collect::<Vec<_>>().join("; ")
}

/// The result as JSON.
pub fn limit_to_json(report: &LimitReport) -> Result<Vec<u8>, super::JsonError> {
    let mut bytes = serde_json::to_vec_pretty(report)?;
    bytes.push(b'\n');
    Ok(bytes)
}
