//! What an exploration found, before it is judged. Main type: [`Found`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::classes::Classes;
use super::execution::Execution;
use super::predict::Trace;
use super::schedule::Schedule;
use super::scheduler::Timing;
use super::spent::Spent;
use crate::history::{Earlier, Phase};
use crate::serial::Judged;
use crate::verdict::Invariant;

/// Doubts about an execution that its repetition did not clear: they are no longer the machine's doing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Confirmed {
    /// It came to no end.
    pub(super) stuck: bool,
    /// Releases that were repeated led to something else.
    pub(super) diverged: bool,
    /// It could not be told whose command is whose.
    pub(super) inexact: bool,
}

/// How long a request may take before it counts as waiting for another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Patience {
    /// This long.
    Usual(Duration),
    /// Longer, because one seemed to wait; usually this long.
    Raised(Duration),
    /// As usual: requests do wait for each other.
    Confirmed,
}

impl Default for Patience {
    fn default() -> Self {
        Patience::Usual(Timing::default().stall)
    }
}

/// What an exploration found, before it is judged.
#[derive(Default)]
pub(super) struct Found {
    /// Every execution, with the requests that took part and the part of the run that it belongs to.
    pub(super) executions: Vec<(Execution, Vec<usize>, Phase)>,
    /// Schedules of the search, in the order in which they were first carried out: positions in `executions`.
    pub(super) searched: Vec<usize>,
    /// How many interleavings each of them is the first of its class for.
    pub(super) weights: Vec<u64>,
    /// Executions of commands that were released together.
    pub(super) together: Vec<usize>,
    /// In how many of them upserts were made to meet inside the server.
    pub(super) met: usize,
    pub(super) classes: Classes,
    /// One trace per request.
    pub(super) traces: Vec<Trace>,
    pub(super) complete: bool,
    pub(super) reduced: bool,
    pub(super) notes: BTreeSet<String>,
    /// Why nothing can be concluded, where that is so.
    pub(super) reasons: Vec<String>,
    pub(super) patience: Patience,
    /// Connections that were used for the first time in the search.
    pub(super) connections: u64,
    /// Time of the search alone.
    pub(super) searching: Duration,
    /// Executions in it.
    pub(super) search_executions: usize,
    /// What the user's own invariants say of executions, by position.
    pub(super) custom: BTreeMap<usize, BTreeSet<Invariant>>,
    /// What serial runs say of executions, by position.
    pub(super) serial: BTreeMap<usize, Judged>,
    pub(super) seen: BTreeMap<Schedule, String>,
    /// Executions that were repeated with the same commands: positions of the first and of the second.
    pub(super) repeats: Vec<(usize, usize)>,
    /// Executions of requests alone, before the search.
    pub(super) traced: usize,
    /// The very first requests, on whatever was not there yet.
    pub(super) first_use: Option<usize>,
    pub(super) dead: u32,
    pub(super) diverged: u32,
    pub(super) confirmed: Confirmed,
    /// It is not known which namespaces are views.
    pub(super) unknown_catalogue: bool,
    /// Something was wrong with the final state, and stayed so while it was waited for.
    pub(super) stands_still: bool,
    /// What was there once the first executions were over.
    pub(super) early: Option<Earlier>,
    /// Why the final state could not be read.
    pub(super) unread: Option<String>,
    /// What the service sends by itself, before any request and between executions: its name and namespace.
    pub(super) background: BTreeSet<String>,
    /// What was sent between executions, by its shape: in the background, unless requests alone send it, too.
    pub(super) overheard: BTreeMap<String, String>,
    /// What the time was spent on.
    pub(super) spent: Spent,
}

impl Found {
    /// Takes back what was said by guesses that were wrong.
    pub(super) fn take_back(&mut self, withdrawn: &BTreeMap<String, &'static str>) {
        if withdrawn.is_empty() {
            return;
        }
        for (name, why) in withdrawn {
            let wrong = Invariant::Custom(name.as_str().into());
            self.custom.values_mut().for_each(|violated| violated.retain(|invariant| *invariant != wrong));
            self.notes.insert(format!(
                "`{name}` was guessed, and is no rule of this service: {why}; leave it out of the scenario"
            ));
        }
        self.custom.retain(|_, violated| !violated.is_empty());
    }

    /// Which of these executions violate as if serial.
    pub(super) fn anomalies(&self, positions: &[usize], strict: bool) -> Vec<usize> {
        let violates = |position: &usize| self.serial.get(position).is_some_and(|one| one.class.violates(strict));
        positions.iter().copied().filter(violates).collect()
    }

    /// Those of these executions whose order was chosen, the easiest to carry out again first.
    pub(super) fn easiest(&self, positions: &[usize]) -> Vec<usize> {
        let schedule = |position: &usize| &self.executions[*position].0.schedule;
        let mut chosen: Vec<usize> =
            positions.iter().copied().filter(|position| !schedule(position).releases_together()).collect();
        chosen.sort_by_key(|position| schedule(position).switches());
        chosen
    }
}
