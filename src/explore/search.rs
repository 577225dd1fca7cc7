//! How schedules are chosen, and how many of them: [`Search`] and [`Budget`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::schedule::Schedule;

/// How schedules are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// Every interleaving.
    Exhaustive,
    /// Random priorities with changes: finds a bug of this depth with a known probability.
    Pct {
        /// Orderings that must come together for the bug.
        depth: usize,
    },
    /// A uniform random walk.
    Random,
    /// No order at all: the requests are let go together, and nothing is held back. It shows what a stress test finds.
    Stress,
    /// One schedule, so many times.
    Replay {
        /// The schedule.
        schedule: Schedule,
        /// How often.
        times: u32,
    },
}

impl Search {
    /// Whether one schedule is carried out, and nothing is searched.
    pub fn is_replay(&self) -> bool {
        matches!(self, Search::Replay { .. })
    }
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Executions; by default as many as the search needs.
    pub executions: Option<u32>,
    /// Time.
    pub time: Duration,
    /// Attempts to bring commands into the server together.
    pub together: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { executions: None, time: Duration::from_secs(60), together: 200 }
    }
}

/// A word that names no search.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no search `{0}`; there are exhaustive, pct, random and stress")]
pub struct UnknownSearch(String);

impl FromStr for Search {
    type Err = UnknownSearch;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "exhaustive" => Ok(Search::Exhaustive),
            "pct" => Ok(Search::Pct { depth: 2 }),
            "random" => Ok(Search::Random),
            "stress" => Ok(Search::Stress),
            other => Err(UnknownSearch(other.to_owned())),
        }
    }
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Search::Exhaustive => "exhaustive",
            Search::Pct { .. } => "pct",
            Search::Random => "random",
            Search::Stress => "stress",
            Search::Replay { .. } => "replay",
        })
    }
}
