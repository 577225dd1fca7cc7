//! The searches of an exploration: prediction first, then every interleaving, or by chance, or no order at all.

use std::sync::Arc;
use std::time::Instant;

use super::chance::{Pct, Random};
use super::dfs::Dfs;
use super::execution::{Execution, Request};
use super::explorer::Explorer;
use super::policy::{Alternate, Replay};
use super::predict::{self, Trace};
use super::schedule::Schedule;
use super::subject::Subject;
use super::watch::After;
use crate::history::Phase;
use crate::scope::Scope;

/// Interleavings up to which all are carried out, although some are equivalent.
const SMALL: u64 = 100;

impl Explorer<'_> {
    /// Strict alternation, then the schedules that realise a conflict.
    pub(super) async fn predicted(&mut self) {
        self.execute(&mut Alternate::default()).await;
        let classes: Vec<usize> = (0..self.subject.requests()).map(|request| self.subject.class(request)).collect();
        for schedule in predict::predict(&self.found.traces, &classes) {
            let schedule = if self.plan.park_answers { with_answers(&schedule) } else { schedule };
            self.execute(&mut Replay::lenient(schedule)).await;
        }
    }

    pub(super) async fn exhaustive(&mut self) {
        let begin = Instant::now();
        let requests = self.subject.requests();
        let before = self.plan.before;
        let meeting = &self.found.traces[before.min(self.found.traces.len())..];
        let estimate = estimate(meeting, self.plan.park_answers);
        let mut reduce = before == 0 && self.plan.reduce.unwrap_or(requests > 2 || estimate > SMALL);
        let mut dfs = Dfs::new(reduce).after(before);
        loop {
            if self.spent(begin) {
                self.found.notes.insert(format!("about {estimate} interleavings in all"));
                break;
            }
            let all: Vec<usize> = (0..requests).collect();
            let position = self.execute_surely(&all, Phase::Main, &mut dfs).await;
            if !dfs.is_redundant() {
                self.count(position);
                self.again(position).await;
            }
            let (execution, ..) = &self.found.executions[position];
            if reduce && (execution.waited || !execution.polls.is_empty()) {
                // Requests that wait for each other outside the database share more than the database; and who polls
                // waits for anyone's write.
                reduce = false;
                self.found
                    .notes
                    .insert("requests wait for each other, so equivalent interleavings are not left out".into());
                dfs = Dfs::new(false);
                continue;
            }
            if !dfs.advance() {
                self.found.complete = true;
                break;
            }
        }
        self.found.reduced = reduce;
        let whole = |(execution, ..): &(Execution, Vec<usize>, Phase)| {
            execution.is_exact_beside(&self.found.background) && !execution.waited_in_service
        };
        self.found.complete &=
            !self.found.unknown_catalogue && self.found.diverged == 0 && self.found.executions.iter().all(whole);
    }

    pub(super) async fn by_chance(&mut self, depth: Option<usize>) {
        let begin = Instant::now();
        let requests = self.subject.requests();
        let steps = self.steps();
        let mut number = 0;
        // Every fault in turn, and none.
        let planned = self.planned_faults().into_iter().map(Some);
        let mut faults = std::iter::once(None).chain(planned).collect::<Vec<_>>().into_iter().cycle();
        while !self.spent(begin) {
            let (seed, fault) = (self.plan.seed, faults.next().flatten());
            match depth {
                Some(depth) => self.execute_with(Pct::new(seed, number, requests, steps, depth), fault).await,
                None => self.execute_with(Random::new(seed, number), fault).await,
            }
            number += 1;
        }
    }

    /// All requests at one moment and nothing parked, again and again: each is counted, because there is no schedule that
    /// could have been the same.
    pub(super) async fn stress(&mut self) {
        let begin = Instant::now();
        while !self.spent(begin) {
            let number = self.next;
            self.next += 1;
            if let Err(why) = self.begin_afresh().await {
                self.never_began(number, Phase::Main, why);
                break;
            }
            self.seed(number).await;
            self.pass();
            self.at_one_moment(number).await;
        }
        self.hold();
    }

    /// All requests of one execution at one moment, and nothing parked.
    pub(super) async fn at_one_moment(&mut self, number: u32) {
        let gate = Arc::new(tokio::sync::Barrier::new(self.subject.requests()));
        let started: Vec<_> = (0..self.subject.requests())
            .map(|request| {
                let (gate, operation) = (Arc::clone(&gate), self.subject.start(number, request));
                let patience = Scope::new(self.plan.timing.deadline, &self.stop);
                tokio::spawn(async move {
                    gate.wait().await;
                    let invoked = Instant::now();
                    let completion = patience.wait(operation).await.ok();
                    Request { invoked, completed: Some(Instant::now()), completion }
                })
            })
            .collect();
        let now = Instant::now();
        let nobody = Request { invoked: now, completed: None, completion: None };
        let mut requests = Vec::new();
        for request in started {
            requests.push(request.await.unwrap_or_else(|_| {
                self.found.reasons.push("a task of the harness panicked: this is a bug of onlyone".to_owned());
                nobody.clone()
            }));
        }
        let execution = Execution { number, requests, ..Execution::default() };
        let position = self.found.executions.len();
        self.found.searched.push(position);
        self.keep(execution, (0..self.subject.requests()).collect(), Phase::Main);
        self.look(position, After::Main).await;
        self.tell_violations(position).await;
    }
}

/// A schedule of commands, each of which is answered at once.
fn with_answers(schedule: &Schedule) -> Schedule {
    Schedule(schedule.0.iter().flat_map(|choice| [choice.clone(), choice.clone()]).collect())
}

/// How many interleavings there are if every request does what it does alone; `with_answers`, where these are choices as well.
pub(super) fn estimate(traces: &[Trace], with_answers: bool) -> u64 {
    let mut done = 0_u64;
    let mut ways = 1_u64;
    for trace in traces {
        for step in 1..=trace.len() as u64 * if with_answers { 2 } else { 1 } {
            done += 1;
            // A product of binomial coefficients: whole after every division.
            match ways.checked_mul(done) {
                Some(product) => ways = product / step,
                None => return u64::MAX,
            }
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use mongodb::bson::rawdoc;

    use super::super::wire::message::tests::msg;
    use super::super::wire::{Command, Message};
    use super::*;

    #[test]
    fn interleavings_are_estimated() {
        let message = msg(0, &rawdoc! { "find": "chats", "$db": "app" }, &[]);
        let command = Arc::new(Command::parse(&Message::parse(&message).unwrap()).unwrap());
        for (lengths, expected) in [(vec![2, 2], 6), (vec![2, 2, 2], 90), (vec![1, 1], 2), (vec![3], 1), (vec![], 1)] {
            let traces: Vec<Trace> = lengths.iter().map(|length| vec![Arc::clone(&command); *length]).collect();
            assert_eq!(estimate(&traces, false), expected, "{lengths:?}");
        }
        assert_eq!(estimate(&vec![vec![Arc::clone(&command); 2]; 2], true), 70);
        assert_eq!(estimate(&vec![vec![command; 40]; 4], false), u64::MAX);
    }
}
