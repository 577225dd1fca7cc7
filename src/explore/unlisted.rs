//! Executions that violate something and for which no schedule of the search stands: the list has them, too.
//!
//! A schedule is counted once, by the execution that came first. What executions share, such as a stock, lets a later one of the
//! same schedule come out otherwise, and the verdict is that of all.

use rustc_hash::{FxHashMap, FxHashSet};

use super::explorer::Explorer;
use super::schedule::Schedule;
use crate::history::Observation;
use crate::report::ScheduleResult;
use crate::verdict::Verdict;

impl Explorer<'_> {
    /// Judges the schedules of the search, each by an execution that violates something, if any of it does. What violates and has
    /// no schedule is told.
    pub(super) fn list(&mut self, observation: Option<&Observation>) -> Vec<ScheduleResult> {
        let mut listed = self.verdicts(&self.found.searched, observation);
        let others = self.unlisted();
        let violated: Vec<(usize, ScheduleResult)> = (others.iter().copied())
            .zip(self.verdicts(&others, observation))
            .filter(|(_, result)| result.verdict == Verdict::Violated)
            .collect();
        let schedule_of = |position: &usize| self.found.executions[*position].0.schedule.clone();
        let mut places: FxHashMap<Schedule, usize> =
            self.found.searched.iter().enumerate().map(|(at, position)| (schedule_of(position), at)).collect();
        for (position, result) in violated {
            let (execution, ..) = &self.found.executions[position];
            if execution.stuck.is_some() || execution.schedule.0.is_empty() {
                let note = self.without_schedule(position, &result);
                self.found.notes.insert(note);
                continue;
            }
            let schedule = execution.schedule.clone();
            match places.get(&schedule).copied() {
                Some(at) if listed[at].verdict == Verdict::Violated => {}
                Some(at) => {
                    self.found.notes.insert(format!(
                        "\"{}\" was carried out more than once, and did not violate anything each time: what executions share, such \
                         as a stock, was not the same; the list has an execution that violates",
                        result.choices
                    ));
                    self.found.searched[at] = position;
                    listed[at] = result;
                }
                None => {
                    places.insert(schedule, self.found.searched.len());
                    self.found.searched.push(position);
                    self.found.weights.push(1);
                    listed.push(result);
                }
            }
        }
        listed
    }

    /// Executions of requests that could meet, beside those that are listed or told of by themselves.
    fn unlisted(&self) -> Vec<usize> {
        let found = &self.found;
        let told = found.searched.iter().chain(&found.together).chain(&found.first_use);
        let told: FxHashSet<usize> = told.copied().collect();
        let executions = found.executions.iter().enumerate();
        let main = executions.filter(|(_, (_, _, phase))| phase.is_main()).map(|(position, _)| position);
        main.filter(|position| !told.contains(position)).collect()
    }

    /// What is said of an execution that violates something and cannot be carried out again.
    fn without_schedule(&self, position: usize, result: &ScheduleResult) -> String {
        let (execution, ..) = &self.found.executions[position];
        let names: Vec<String> = result.invariants.iter().map(ToString::to_string).collect();
        let operations: Vec<String> =
            self.operations(position).iter().map(|operation| operation.id.to_string()).collect();
        let why = match &execution.stuck {
            Some(stuck) => format!("it came to no end ({stuck})"),
            None => "it was carried out once more, being in doubt, and its order was not kept".to_owned(),
        };
        format!(
            "an execution on the key `{}` ({}) is in no list, because {why}; violated: {}",
            self.subject.key(execution.number),
            operations.join(", "),
            names.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::explore::execution::{Execution, Request};
    use crate::explore::fake::Bench;
    use crate::history::Phase;
    use crate::verdict::Invariant;

    fn own() -> Invariant {
        Invariant::Custom("no more than there are".into())
    }

    /// Two requests that nobody has answered, with a command each, in this order.
    fn carried_out(schedule: &str) -> Execution {
        let requests = vec![Request { invoked: Instant::now(), completed: None, completion: None }; 2];
        Execution { schedule: schedule.parse().unwrap(), requests, ..Execution::default() }
    }

    /// What is listed of these executions, of which the first was counted and the last violates a rule, and what is noted.
    async fn listed(executions: [Execution; 2]) -> (Vec<(String, Verdict)>, Vec<usize>, Vec<String>) {
        let bench = Bench::silent(Duration::from_millis(20)).await;
        let mut explorer = bench.explorer(CancellationToken::new());
        executions.into_iter().for_each(|execution| explorer.keep(execution, vec![0, 1], Phase::Main));
        explorer.found.searched = vec![0];
        explorer.found.weights = vec![1];
        explorer.found.custom.insert(1, [own()].into());
        let listed = explorer.list(None).into_iter().map(|result| (result.choices, result.verdict)).collect();
        let found = explorer.found;
        assert_eq!(found.weights.len(), found.searched.len());
        (listed, found.searched, found.notes.into_iter().collect())
    }

    #[tokio::test]
    async fn a_schedule_is_violated_if_any_execution_of_it_is() {
        let (listed, searched, notes) = listed([carried_out("1 2"), carried_out("1 2")]).await;
        assert_eq!((listed, searched), (vec![("1 2".to_owned(), Verdict::Violated)], vec![1]));
        assert!(notes.iter().any(|note| note.contains("carried out more than once")), "{notes:?}");
    }

    #[tokio::test]
    async fn an_execution_that_was_left_out_is_listed_if_it_violates() {
        let (listed, searched, _) = listed([carried_out("1 2"), carried_out("2 1")]).await;
        assert_eq!(listed.iter().map(|(choices, _)| choices.as_str()).collect::<Vec<_>>(), ["1 2", "2 1"]);
        assert_eq!((listed[1].1, searched), (Verdict::Violated, vec![0, 1]));
    }

    #[tokio::test]
    async fn what_violates_and_has_no_schedule_is_told() {
        for (execution, why) in [
            (Execution { schedule: Schedule(Vec::new()), ..carried_out("1 2") }, "carried out once more"),
            (Execution { stuck: Some("R1 waits".to_owned()), ..carried_out("2 1") }, "came to no end (R1 waits)"),
        ] {
            let (listed, _, notes) = listed([carried_out("1 2"), execution]).await;
            assert_eq!(listed.len(), 1);
            let told = |note: &String| note.contains(why) && note.contains("violated: custom:no more than there are");
            assert!(notes.iter().any(told), "{notes:?}");
        }
    }
}
