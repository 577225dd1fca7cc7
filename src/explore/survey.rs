//! What each operation does when it runs alone, before any of them meet: it says which of them are the likeliest to get in
//! each other's way. Main type: [`Survey`].

use super::evidence::operations;
use super::explorer::Explorer;
use super::predict::{Trace, may_conflict, predict};
use crate::history::Operation;

/// The traces of operations that ran alone.
pub struct Survey {
    /// One per operation; empty where one of them did not reach the database.
    traces: Vec<Trace>,
    /// What was sent.
    pub operations: Vec<Operation>,
    /// The next execution that has not been.
    pub next: u32,
}

impl Survey {
    /// How many schedules of these operations, by position, put a command between two of another that it conflicts with.
    pub fn conflicts(&self, chosen: &[usize]) -> usize {
        let traces: Vec<Trace> = chosen.iter().filter_map(|operation| self.traces.get(*operation).cloned()).collect();
        if traces.len() == chosen.len() { predict(&traces, chosen).len() } else { 0 }
    }

    /// Whether one of these operations may write what another reads or writes; where it is not known, they may.
    pub fn may_meet(&self, chosen: &[usize]) -> bool {
        let Some(traces) = chosen.iter().map(|operation| self.traces.get(*operation)).collect::<Option<Vec<_>>>()
        else {
            return true;
        };
        let conflict = |one: &Trace, other: &Trace| one.iter().any(|a| other.iter().any(|b| may_conflict(a, b)));
        (0..traces.len()).any(|one| (0..one).any(|other| conflict(traces[one], traces[other])))
    }
}

impl Explorer<'_> {
    /// Runs every request of the subject alone. `plan.warm_up` holds for all explorations that follow.
    pub async fn survey(mut self) -> Survey {
        match self.afresh {
            Some(_) => self.listen_afresh().await,
            None if self.plan.warm_up => self.warm_up().await,
            None => {}
        }
        self.trace().await;
        self.pass();
        if self.afresh.is_some() {
            // What the last of them stores late is there before another exploration drops the database.
            drop(self.observe().await);
        }
        let of_one = |(execution, requests, phase): &(_, Vec<usize>, _)| {
            operations(execution, requests, self.subject, *phase, self.start)
        };
        Survey {
            operations: self.found.executions.iter().flat_map(of_one).collect(),
            next: self.next.max(self.seeded),
            traces: self.found.traces,
        }
    }
}
