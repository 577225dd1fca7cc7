//! Executions with a fault: each of those that are planned, first in plain orders, then in every interleaving.

use std::time::{Duration, Instant};

use super::Fault;
use super::inject::Injecting;
use super::plan::{Faults, Mode, Planned, planned};
use crate::explore::dfs::Dfs;
use crate::explore::execution::Execution;
use crate::explore::explorer::Explorer;
use crate::explore::found::Patience;
use crate::explore::outcome::Exploration;
use crate::explore::policy::{Alternate, Policy, Serial};
use crate::explore::subject::Subject;
use crate::history::Phase;
use crate::report::{FaultTally, ScheduleResult};
use crate::scenario::FaultKind;
use crate::scope::Scope;
use crate::verdict::Verdict;

/// How long a service may take after a fault to connect again, where another request could go on: drivers ask a server that
/// they have lost at most twice a second how it is.
const RECOVERY: Duration = Duration::from_secs(2);

/// Silence after the first requests, and how long it is waited for.
const LATE_QUIET: Duration = Duration::from_millis(100);
const LATE_WITHIN: Duration = Duration::from_secs(1);

/// In how many schedules each fault struck, and how many of those violate.
pub(in crate::explore) fn tally<'a>(
    judged: impl Iterator<Item = (&'a Execution, &'a ScheduleResult)>,
) -> Vec<FaultTally> {
    let mut struck: Vec<(Fault, u64)> = judged
        .filter_map(|(execution, result)| Some((execution.fault()?, u64::from(result.verdict == Verdict::Violated))))
        .collect();
    struck.sort_unstable();
    let mut tallies = Vec::new();
    for (fault, violated) in struck {
        FaultTally::add_all(&mut tallies, vec![FaultTally { fault: fault.to_string(), schedules: 1, violated }]);
    }
    tallies
}

/// Why nothing is shown of faults that were asked for, where none struck.
pub fn spared(exploration: &Exploration) -> Option<String> {
    let why = match exploration.fault_places {
        0 => {
            "faults strike what a request writes when it is alone, or reads from a secondary, and here no such command was released"
        }
        _ => "the exploration ended before one could",
    };
    exploration.report.faults.is_empty().then(|| format!("no fault struck: {why}"))
}

impl Explorer<'_> {
    /// Has faults happen, too.
    pub fn with_faults(mut self, faults: Faults) -> Self {
        let Faults { redeliver, restart, lag, .. } = faults.clone();
        self.scheduler.faults = Some(Mode { redeliver, restart, lag, ..Mode::default() });
        self.faults = faults.kinds;
        self
    }

    /// What the first requests do after they were answered is theirs, and must not be taken for work in the background: whether
    /// it comes at all is what faults ask.
    pub(in crate::explore) async fn let_late_work_end(&mut self) {
        if self.scheduler.faults.is_some() {
            // A service that is never silent works in the background, too.
            let silence = self.scheduler.await_quiescence(LATE_QUIET);
            Scope::new(LATE_WITHIN, &self.stop).wait(silence).await.ok();
        }
    }

    /// The search begins: what each request does alone is known.
    pub(in crate::explore) fn expect_faults(&mut self) {
        let server = self.server.clone();
        self.tell_of_secondaries();
        let Some(mode) = &mut self.scheduler.faults else { return };
        mode.server = server;
        let stall = self.scheduler.timing.stall.max(RECOVERY).min(self.plan.timing.deadline / 2);
        self.scheduler.timing.stall = stall;
        self.found.patience = Patience::Usual(stall);
    }

    /// Says so where no read could be stale.
    fn tell_of_secondaries(&mut self) {
        let mut reads = self.found.traces.iter().flatten().filter(|command| command.secondary);
        if !self.faults.contains(&FaultKind::StaleRead) || reads.clone().any(|command| command.may_lag()) {
            return;
        }
        let why = match reads.next() {
            Some(_) => "what reads from a secondary waits there for what it must see",
            None => "nothing reads from a secondary",
        };
        self.found.notes.insert(format!("no read was stale: {why}"));
    }

    /// Every fault at every place.
    pub(in crate::explore) fn planned_faults(&self) -> Vec<Planned> {
        let Some(mode) = &self.scheduler.faults else { return Vec::new() };
        let classes: Vec<usize> = (0..self.subject.requests()).map(|request| self.subject.class(request)).collect();
        planned(&self.faults, &self.found.traces, &classes, &mode.late)
    }

    /// One execution, with this fault if there is one.
    pub(in crate::explore) async fn execute_with<P: Policy + Clone>(&mut self, mut policy: P, fault: Option<Planned>) {
        match fault {
            Some(planned) => self.execute(&mut Injecting::new(policy, planned)).await,
            None => self.execute(&mut policy).await,
        }
    }

    /// Each fault once, with one request after the other; then once in strict alternation.
    pub(in crate::explore) async fn first_faults(&mut self, begin: Instant) {
        let all = self.planned_faults();
        for planned in &all {
            if self.spent(begin) {
                return;
            }
            self.execute_with(Serial, Some(*planned)).await;
        }
        for planned in &all {
            if self.spent(begin) {
                return;
            }
            self.execute_with(Alternate::default(), Some(*planned)).await;
        }
    }

    /// Each fault in every interleaving, or in one of each kind.
    pub(in crate::explore) async fn faults_in_all_orders(&mut self, begin: Instant) {
        let all: Vec<usize> = (0..self.subject.requests()).collect();
        for planned in self.planned_faults() {
            if !self.fault_in_all_orders(planned, &all, begin).await {
                self.found.complete = false;
                return;
            }
        }
        let whole = |(execution, ..): &(Execution, Vec<usize>, Phase)| {
            execution.is_exact_beside(&self.found.background) && !execution.waited_in_service
        };
        self.found.complete &= self.found.diverged == 0 && self.found.executions.iter().all(whole);
    }

    /// Whether all of them were carried out.
    async fn fault_in_all_orders(&mut self, planned: Planned, all: &[usize], begin: Instant) -> bool {
        let mut reduces = self.plan.reduce.unwrap_or(true);
        let mut policy = Injecting::new(Dfs::new(reduces), planned);
        loop {
            if self.spent(begin) {
                return false;
            }
            let position = self.execute_surely(all, Phase::Main, &mut policy).await;
            if !policy.inner.is_redundant() {
                self.count(position);
                self.again(position).await;
            }
            policy.again();
            let (execution, ..) = &self.found.executions[position];
            if reduces && (execution.waited || !execution.polls.is_empty()) {
                // As without faults: they share more than the database.
                reduces = false;
                policy.inner = Dfs::new(false);
                continue;
            }
            if !policy.inner.advance() {
                return true;
            }
        }
    }
}
