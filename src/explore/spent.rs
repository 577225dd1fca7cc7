//! What the time of an exploration was spent on: [`Spent`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A part of an exploration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Listening to the service while no request runs.
    Listening,
    /// What must be there before requests, log-ins included.
    Preparing,
    /// Requests in an order that is chosen.
    Executions,
    /// Requests one after another, for others to be held against.
    SerialRuns,
    /// Silence after requests.
    Silence,
    /// Reading what was written.
    Capture,
    /// Each request once more.
    Probes,
    /// Holding executions against serial runs.
    Judging,
    /// The user's own invariants.
    OwnInvariants,
    /// The final state.
    FinalState,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Listening => "listening",
            Part::Preparing => "preparing",
            Part::Executions => "executions",
            Part::SerialRuns => "serial-runs",
            Part::Silence => "silence",
            Part::Capture => "capture",
            Part::Probes => "probes",
            Part::Judging => "judging",
            Part::OwnInvariants => "own-invariants",
            Part::FinalState => "final-state",
        }
    }
}

/// Time by part. Parts do not overlap.
#[derive(Debug, Default)]
pub(super) struct Spent(BTreeMap<Part, Duration>);

impl Spent {
    /// A part that began then has ended.
    pub(super) fn add(&mut self, part: Part, begin: Instant) {
        *self.0.entry(part).or_default() += begin.elapsed();
    }

    /// Seconds by name.
    pub(super) fn seconds(&self) -> BTreeMap<String, f64> {
        self.0.iter().map(|(part, time)| (part.name().to_owned(), time.as_secs_f64())).collect()
    }
}
