//! What the user's own invariants said after each execution of an exploration. Their result is the sum of it.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What one invariant said of all executions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Looks {
    /// Name of the invariant, without `custom:`.
    pub name: String,
    /// Executions in which requests could meet.
    pub main: Tally,
    /// Executions of single requests, one after another.
    pub control: Tally,
    /// Executions of which it could not be told, because what was looked at never came to rest.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub moving: u64,
    /// Why it is not judged in an exploration, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unjudged: Option<String>,
}

impl Looks {
    /// Takes in what was said of other executions. It is judged where it was judged in any of them.
    pub fn join(&mut self, other: Looks) {
        self.main.join(other.main);
        self.control.join(other.control);
        self.moving += other.moving;
        self.unjudged = self.unjudged.take().and(other.unjudged);
    }
}

/// Executions after which an invariant was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub executions: u64,
    /// Those after which more was wrong than before.
    pub violated: u64,
    /// The first of those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Worsening>,
}

/// More is wrong than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worsening {
    /// The execution, which is the round of its operations.
    pub round: u32,
    /// What is wrong, in words.
    pub what: String,
    /// Documents that the aggregation did not give before.
    pub documents: Vec<Json>,
}

impl Tally {
    /// Worsenings that are kept.
    const KEPT: usize = 5;

    /// Takes note of what an execution that was counted has turned out to make worse.
    pub fn amend(&mut self, worsening: Option<Worsening>) {
        let Some(worsening) = worsening else { return };
        if self.violated < self.executions && !self.examples.iter().any(|example| example.round == worsening.round) {
            self.executions -= 1;
            self.add(Some(worsening));
        }
    }

    /// Takes in what was counted of other executions.
    pub fn join(&mut self, other: Tally) {
        self.executions += other.executions;
        self.violated += other.violated;
        self.examples.extend(other.examples);
        self.examples.truncate(Self::KEPT);
    }

    /// Counts an execution.
    pub fn add(&mut self, worsening: Option<Worsening>) {
        self.executions += 1;
        if let Some(worsening) = worsening {
            self.violated += 1;
            if self.examples.len() < Self::KEPT {
                self.examples.push(worsening);
            }
        }
    }
}
