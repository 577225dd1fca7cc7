//! The very first requests, all at once on whatever is not there yet: once, before anything is warm.
//!
//! Collections that the first requests make, each in a transaction, and caches that they fill are only ever met here. Commands
//! are released in strict alternation; that execution can be neither repeated nor compared, so that only what was answered
//! and stored in it counts. *Completeness*: one order of one execution.

use std::time::Duration;

use super::execution::Execution;
use super::explorer::Explorer;
use super::policy::Alternate;
use super::subject::Subject;
use super::watch::After;
use crate::history::{Observation, Phase};
use crate::scope::Scope;
use crate::verdict::Verdict;

/// Number of the execution: its operations come after those of requests that run alone.
const NUMBER: u32 = 900_000_000;
/// The service is silent for so long when it is done with what it does at its start, and is waited for so often.
const SILENCE: Duration = Duration::from_millis(100);
const SILENCES: u32 = 10;

impl Explorer<'_> {
    /// Carries it out, where the service's database is empty.
    pub(super) async fn first_use(&mut self) {
        if !self.plan.warm_up || !self.subject.keys_to_seed(NUMBER..NUMBER + 1).is_empty() {
            return;
        }
        for _ in 0..SILENCES {
            if self.scheduler.listen(SILENCE).await.is_empty() {
                break;
            }
        }
        if self.target.has_preliminaries() && !self.prepare_first_use().await {
            return;
        }
        let all: Vec<usize> = (0..self.subject.requests()).collect();
        let known = (self.scheduler.parallel, self.scheduler.learned.clone());
        self.scheduler.parallel = true;
        self.make_ready(NUMBER, &all).await;
        let execution = self.scheduler.execute_some(self.subject, NUMBER, &all, &mut Alternate::default()).await;
        (self.scheduler.parallel, self.scheduler.learned) = known;
        if execution.stuck.is_some() || all.iter().any(|request| execution.requests[*request].completion.is_none()) {
            self.found.notes.insert("the very first requests came to no end in time, and are not judged".to_owned());
            return;
        }
        let Execution { number, schedule, steps, requests, .. } = execution;
        self.keep(Execution { number, schedule, steps, requests, ..Execution::default() }, all, Phase::Main);
        let position = self.found.executions.len() - 1;
        self.found.first_use = Some(position);
        self.look_in_passing(position, After::Main).await;
    }

    /// Does what comes before its requests; whether that was possible.
    async fn prepare_first_use(&mut self) -> bool {
        self.proxy.pass();
        let first = self.subject.invocations(NUMBER..NUMBER + 1);
        let prepared = Scope::new(self.plan.timing.deadline, &self.stop).wait(self.target.preliminaries(&first)).await;
        self.hold();
        matches!(prepared, Ok(Ok(())))
    }

    /// Says what the first requests came to, where they went wrong.
    pub(super) fn tell_first_use(&mut self, observation: Option<&Observation>) {
        let Some(position) = self.found.first_use else { return };
        let result = self.verdicts(&[position], observation).remove(0);
        if result.verdict == Verdict::Violated {
            let names: Vec<String> = result.invariants.iter().map(ToString::to_string).collect();
            self.found.notes.insert(format!(
                "the very first requests, on what was not there yet: {}: violated: {}; it cannot be carried out again here",
                result.schedule,
                names.join(", ")
            ));
        }
    }
}
