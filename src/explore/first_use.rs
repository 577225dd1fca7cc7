//! The very first requests, all at once on whatever is not there yet: once, before anything is warm.
//!
//! Collections that the first requests make, each in a transaction, and caches that they fill are only ever met here. Commands
//! are released in strict alternation; that execution can be neither repeated nor compared, so that only what was answered
//! and stored in it counts. *Completeness*: one order of one execution.

use std::time::{Duration, Instant};

use super::execution::Execution;
use super::explorer::Explorer;
use super::policy::Alternate;
use super::spent::Part;
use super::subject::Subject;
use super::watch::After;
use crate::history::{FIRST_USE, Observation, Phase};
use crate::scope::Scope;
use crate::verdict::Verdict;

/// Number of the execution: its operations come after those of requests that run alone.
const NUMBER: u32 = FIRST_USE;
/// The service is silent for so long when it is done with what it does at its start, and is waited for so often.
const SILENCE: Duration = Duration::from_millis(100);
const SILENCES: u32 = 10;

impl Explorer<'_> {
    /// Carries it out, where no documents have to be made for the requests; what the scenario sends before them is sent.
    pub(super) async fn first_use(&mut self) {
        if !self.plan.warm_up || !self.subject.keys_to_seed(NUMBER..NUMBER + 1).is_empty() {
            return;
        }
        let begin = Instant::now();
        for _ in 0..SILENCES {
            if self.scheduler.listen(SILENCE).await.is_empty() {
                break;
            }
        }
        self.found.spent.add(Part::Listening, begin);
        if self.target.has_preliminaries() && !self.prepare_first_use().await {
            return;
        }
        let all: Vec<usize> = (0..self.subject.requests()).collect();
        let known = (self.scheduler.parallel, self.scheduler.learned.clone());
        self.scheduler.parallel = true;
        self.make_ready(NUMBER, &all).await;
        let begin = Instant::now();
        let execution = self.scheduler.execute_some(self.subject, NUMBER, &all, &mut Alternate::default()).await;
        self.found.spent.add(Part::Executions, begin);
        (self.scheduler.parallel, self.scheduler.learned) = known;
        let unfinished =
            execution.stuck.is_some() || all.iter().any(|request| execution.requests[*request].completion.is_none());
        let Execution { number, schedule, steps, answers, requests, .. } = execution;
        if unfinished {
            // They were sent: what they stored is nobody else's doing.
            self.keep(Execution { number, requests, ..Execution::default() }, all, Phase::Main);
            self.found.notes.insert("the very first requests came to no end in time, and are not judged".to_owned());
            return;
        }
        self.keep(Execution { number, schedule, steps, answers, requests, ..Execution::default() }, all, Phase::Main);
        let position = self.found.executions.len() - 1;
        self.found.first_use = Some(position);
        self.look_in_passing(position, After::Main).await;
    }

    /// Does what comes before its requests; whether that was possible.
    async fn prepare_first_use(&mut self) -> bool {
        self.pass();
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
                "the very first requests, where nothing has to be there before them: {}: violated: {}; it cannot be carried out \
                 again here",
                result.schedule,
                names.join(", ")
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::explore::fake::Bench;

    #[tokio::test]
    async fn first_requests_that_come_to_no_end_stay_in_the_history() {
        let bench = Bench::silent(Duration::from_millis(20)).await;
        let mut explorer = bench.explorer(CancellationToken::new());
        explorer.first_use().await;
        assert!(explorer.found.notes.iter().any(|note| note.contains("came to no end")), "{:?}", explorer.found.notes);
        assert_eq!(explorer.found.first_use, None, "they are not judged");
        let numbers: Vec<u32> = explorer.found.executions.iter().map(|(execution, ..)| execution.number).collect();
        assert_eq!(numbers, [NUMBER], "they were sent");
        let history = explorer.conclude(None, Vec::new(), None, Vec::new()).history;
        assert_eq!(history.operations.len(), 2);
        assert!(history.operations.iter().all(|operation| operation.phase.is_main() && operation.is_unknown()));
    }
}
