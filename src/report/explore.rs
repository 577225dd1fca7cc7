//! What `explore` adds to `report.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lint::LintFinding;
use crate::verdict::{Invariant, Verdict};

/// The exploration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExploreReport {
    /// `exhaustive`, `pct`, `random` or `replay`.
    pub search: String,
    /// Requests that come together in each execution.
    pub requests: u32,
    /// Instances that are started in each execution, and what they send then is put in order as well.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub starts: u32,
    /// Different schedules that were carried out.
    pub explored: u64,
    /// Interleavings that they stand for: without reduction as many as explored. Absent where it cannot be counted.
    pub total: Option<u64>,
    /// Every interleaving of single commands was explored, or an equivalent one.
    pub complete: bool,
    /// Schedules that violate an invariant.
    pub violated: u64,
    /// Interleavings that they stand for, where equivalent ones were explored once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violated_interleavings: Option<u64>,
    /// Interleavings that commute or differ only in the names of the requests were explored once.
    #[serde(default)]
    pub reduced: bool,
    /// How many schedules were carried out until the first that violates an invariant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_violation_at: Option<u64>,
    /// The schedules: all of them, or beyond [`ExploreReport::MAX_SCHEDULES`] those that violate an invariant first.
    pub schedules: Vec<ScheduleResult>,
    /// The violation with the fewest requests and the fewest switches between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest: Option<Smallest>,
    /// Commands released together, inside the server at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<TogetherResult>,
    /// Faults that were injected, each in some of the schedules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultTally>,
    /// Of a schedule that was replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<Repeated>,
    /// With what probability a search by chance finds a bug that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// What the commands themselves say, whether or not the race struck.
    pub lint: Vec<LintFinding>,
    /// Why a verdict that holds cannot be given.
    #[serde(default)]
    pub doubts: Vec<String>,
    /// What the exploration cannot show, or should be read with care.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Executions per second.
    pub schedules_per_s: f64,
    /// Seconds that each part of the exploration took.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spent: BTreeMap<String, f64>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl ExploreReport {
    /// Schedules that are listed.
    pub const MAX_SCHEDULES: usize = 1_500;
    /// Schedules whose commands are listed as well.
    pub const MAX_DIAGRAMS: usize = 60;
}

/// A fault, and the schedules in which it struck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FaultTally {
    /// `crash`, `lost-answer`, `error-262`.
    pub fault: String,
    /// Schedules in which it struck.
    pub schedules: u64,
    /// Those of them that violate an invariant.
    pub violated: u64,
}

impl FaultTally {
    /// Adds what was counted elsewhere.
    pub fn add_all(tallies: &mut Vec<FaultTally>, others: Vec<FaultTally>) {
        for other in others {
            match tallies.iter_mut().find(|tally| tally.fault == other.fault) {
                Some(tally) => {
                    tally.schedules += other.schedules;
                    tally.violated += other.violated;
                }
                None => tallies.push(other),
            }
        }
    }
}

/// One schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScheduleResult {
    /// `R1.find R2.find R1.insert R2.insert`.
    pub schedule: String,
    /// `1 2 1 2`: what `--schedule` takes.
    pub choices: String,
    /// The worst of the invariants.
    pub verdict: Verdict,
    /// The invariants that it violates.
    pub invariants: Vec<Invariant>,
    /// Its commands one by one; of many schedules, the first that violate an invariant and the first that do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagram: Option<Diagram>,
}

/// The violation that is easiest to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Smallest {
    /// Requests that it takes.
    pub requests: u32,
    /// The schedule.
    #[serde(flatten)]
    pub result: ScheduleResult,
    /// How often the request that moves changes.
    pub switches: u32,
    /// Carried out again, the schedule gave the same commands and the same verdict.
    pub reproduced: bool,
    /// The command that carries it out again.
    pub replay: String,
    /// Findings of the lint that can be its cause: those of what its requests send here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lint: Option<Vec<LintFinding>>,
    /// The space-time diagram.
    pub diagram: Diagram,
}

/// Lanes are requests, boxes are commands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Diagram {
    /// `R1 create-or-get`, and what came of it.
    pub lanes: Vec<Lane>,
    /// The commands, from first to last.
    pub steps: Vec<DiagramStep>,
    /// After each release: the documents that the execution has stored or changed so far, where they were looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stored: Vec<Vec<String>>,
}

/// One request of a diagram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Lane {
    /// `R1 create-or-get`.
    pub name: String,
    /// `ok`, `failed: E11000`, with the identifier that was returned.
    pub outcome: String,
}

/// One command of a diagram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DiagramStep {
    /// Position of the lane, from 0.
    pub request: u32,
    /// Commands with the same number were released together.
    pub release: u32,
    /// `find chats`.
    pub command: String,
    /// Which documents.
    pub filter: String,
    /// What is written; empty for a read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub change: String,
    /// What the server answered: `none`, `1 document`, `E11000`.
    pub answer: String,
    /// It changes data.
    pub writes: bool,
}

/// Commands released together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TogetherResult {
    /// Attempts.
    pub attempts: u64,
    /// Those that violate an invariant.
    pub violated: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_at: Option<u64>,
}

/// A schedule that was replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Repeated {
    /// How often.
    pub times: u64,
    /// How often it gave the commands and the verdict of the first time.
    pub same: u64,
}
