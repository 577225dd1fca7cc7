//! A violation with a fault, made smaller: without the fault, if it is not needed, or with fewer requests.

use super::inject::Injecting;
use super::plan::Planned;
use crate::explore::dfs::Dfs;
use crate::explore::execution::{Execution, Step};
use crate::explore::explorer::Explorer;
use crate::explore::policy::{Policy, Replay};
use crate::explore::schedule::{Choice, Schedule};
use crate::explore::subject::Subject;
use crate::history::Phase;
use crate::report::ScheduleResult;

/// Executions of fewer requests that are tried.
const MOST_TRIED: usize = 24;

impl Explorer<'_> {
    /// A smaller violation than this one with a fault, if there is one.
    pub(in crate::explore) async fn smaller_than(&mut self, position: usize) -> Option<(usize, ScheduleResult)> {
        let (execution, ..) = &self.found.executions[position];
        let (planned, schedule) = (struck(execution)?, execution.schedule.clone());
        let all: Vec<usize> = (0..self.subject.requests()).collect();
        let spared = self.tried(&all, &mut Replay::lenient(without_faults(&schedule))).await;
        if let Some(found) = self.violation_among(vec![spared]).await {
            return Some(found);
        }
        for fewer in planned.request + 1..self.subject.requests() {
            let positions = self.struck_alone(fewer, planned).await;
            if let Some(found) = self.violation_among(positions).await {
                return Some(found);
            }
        }
        None
    }

    async fn tried(&mut self, requests: &[usize], policy: &mut dyn Policy) -> usize {
        self.hold();
        let position = self.execute_some(requests, Phase::Main, policy).await;
        self.pass();
        position
    }

    /// Interleavings of the first requests, with this fault.
    async fn struck_alone(&mut self, requests: usize, planned: Planned) -> Vec<usize> {
        let taking_part: Vec<usize> = (0..requests).collect();
        let mut policy = Injecting::new(Dfs::new(true), planned);
        let mut positions = Vec::new();
        while positions.len() < MOST_TRIED && !self.stop.is_cancelled() {
            let position = self.tried(&taking_part, &mut policy).await;
            if self.found.executions[position].0.stuck.is_some() {
                break;
            }
            positions.push(position);
            policy.again();
            if !policy.inner.advance() {
                break;
            }
        }
        positions
    }

    /// The violation among these that is easiest to read. What came to no end is none of them.
    pub(in crate::explore) async fn violation_among(
        &mut self,
        mut positions: Vec<usize>,
    ) -> Option<(usize, ScheduleResult)> {
        positions.retain(|position| self.found.executions[*position].0.stuck.is_none());
        if positions.is_empty() {
            return None;
        }
        self.judge_serially(&positions).await;
        let observation = self.observe().await;
        let results = self.verdicts(&positions, observation.as_ref());
        self.fewest_switches(&positions, results)
    }
}

/// The fault of an execution, and where it struck.
fn struck(execution: &Execution) -> Option<Planned> {
    let of = |step: &Step| Some(Planned { request: step.request, ordinal: step.ordinal, fault: step.pick.fault? });
    execution.steps.iter().find_map(of)
}

/// The schedule's order with no fault in it. What was delivered again is left out.
fn without_faults(schedule: &Schedule) -> Schedule {
    let spared = |choice: &Choice| Choice(choice.0.iter().map(|pick| pick.without_fault()).collect());
    Schedule(schedule.0.iter().filter(|choice| choice.0.iter().all(|pick| pick.delivery == 0)).map(spared).collect())
}
