//! What `selftest` adds to `report.json`.

use serde::{Deserialize, Serialize};

use crate::verdict::{Invariant, Verdict};

/// The kill matrix.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SelftestReport {
    /// Operations of all trials.
    pub operations: u64,
    /// The planted bugs.
    pub bugs: Vec<SelftestBug>,
    /// Their correct twins, each once.
    pub twins: Vec<SelftestTwin>,
    /// Known kinds of bugs that are not planted.
    pub not_planted: Vec<SelftestNotPlanted>,
    /// How many of the known kinds there were, with faults and by load together; only `--faults` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<SelftestKinds>,
}

/// Known kinds of bugs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SelftestKinds {
    /// All that are known.
    pub known: u32,
    /// Those of which at least one bug was planted.
    pub planted: u32,
    /// Those of which each planted bug was caught.
    pub caught: u32,
}

/// A planted bug.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SelftestBug {
    /// The kind of bug: `C1`.
    pub id: String,
    /// The workload that it was tried with.
    pub workload: String,
    /// What carries it.
    pub strategy: String,
    /// Whether the unique index stood behind it.
    pub unique_index: bool,
    /// Whether the invariant that must catch it did.
    pub caught: bool,
    /// That invariant, if it did.
    pub by: Option<Invariant>,
    /// The invariant that must catch it.
    pub expected: Invariant,
    /// What else was violated.
    pub also: Vec<Invariant>,
    /// Rounds until it was caught, or given up.
    pub rounds: u32,
    /// Rounds in which operations on one key overlapped.
    pub effective_trials: u64,
    /// Milliseconds until then.
    pub ms: u64,
    /// The first proof, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<String>,
    /// The correct twin.
    pub twin: String,
}

/// A correct twin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SelftestTwin {
    /// The workload that it was tried with.
    pub workload: String,
    /// The strategy.
    pub strategy: String,
    /// Whether the unique index stood behind it.
    pub unique_index: bool,
    /// Whether an invariant was said to be violated.
    pub accused: bool,
    /// The worst of the invariants.
    pub verdict: Verdict,
    /// The invariants that accuse it.
    pub by: Vec<Invariant>,
    /// Why nothing could be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Rounds that it was given.
    pub rounds: u32,
    /// Rounds in which operations on one key overlapped.
    pub effective_trials: u64,
    /// Milliseconds that they took.
    pub ms: u64,
}

/// A kind of bug that is not planted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SelftestNotPlanted {
    /// The kind of bug.
    pub id: String,
    /// Why.
    pub reason: String,
}

impl SelftestReport {
    /// `60 of 60 planted bugs caught, 0 of 25 correct twins accused`.
    pub fn sentence(&self) -> String {
        let caught = self.bugs.iter().filter(|bug| bug.caught).count();
        let accused = self.twins.iter().filter(|twin| twin.accused).count();
        let (bugs, twins) = (self.bugs.len(), self.twins.len());
        let mut text = format!("{caught} of {bugs} planted bugs caught, {accused} of {twins} correct twins accused");
        if let Some(SelftestKinds { known, planted, caught }) = self.kinds {
            text.push_str(&format!("; planted {planted} of {known} known kinds, caught {caught}"));
        }
        text
    }

    /// The kinds of bugs that are not planted, those with one reason together: `C2 C7` and why.
    pub fn not_planted_by_reason(&self) -> Vec<(String, &str)> {
        let mut reasons: Vec<(String, &str)> = Vec::new();
        for not in &self.not_planted {
            match reasons.iter_mut().find(|(_, reason)| *reason == not.reason) {
                Some((ids, _)) => ids.push_str(&format!(" {}", not.id)),
                None => reasons.push((not.id.clone(), &not.reason)),
            }
        }
        reasons
    }
}
