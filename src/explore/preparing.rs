//! What must be there before the requests of an execution: documents, log-ins, whatever a first request fills.

use std::time::{Duration, Instant};

use futures::FutureExt;

use super::cause::chain;
use super::execution::{Execution, Request};
use super::explorer::{Explorer, MAX_DEAD};
use super::spent::Part;
use super::subject::Subject;
use crate::history::{Cause, Outcome, Phase};
use crate::scope::Scope;
use crate::target::Completion;

/// Executions whose documents are made at once.
const SEEDED_AT_ONCE: u32 = 64;
/// How long their making may take.
const SEED_WITHIN: Duration = Duration::from_secs(60);

impl Explorer<'_> {
    /// Does what comes before the requests of an execution, such as a log-in. It is none of what is put in order: it passes.
    pub(super) async fn make_ready(&mut self, number: u32, requests: &[usize]) {
        if self.subject.starts() > 0 {
            // It is part of the request, which comes when its instance is up.
            return;
        }
        let begin = Instant::now();
        let mut passing = false;
        for &request in requests {
            let mut making = self.subject.make_ready(number, request);
            let rest = match (&mut making).now_or_never() {
                Some(rest) => rest,
                None => {
                    self.pass();
                    passing = true;
                    let made = Scope::new(self.plan.timing.deadline, &self.stop).wait(making).await;
                    made.unwrap_or_else(|ended| {
                        let outcome = Outcome::Failed(Cause::new(format!("what comes before it: {ended}")));
                        std::future::ready(Completion { outcome, connected: None, attempts: 1, answer: None }).boxed()
                    })
                }
            };
            self.subject.keep_ready(number, request, rest);
        }
        if passing {
            self.hold();
        }
        self.found.spent.add(Part::Preparing, begin);
    }

    /// Every request once, one after the other, and nothing parked: who logs in, fills a cache or opens a connection at its
    /// first request does so now. What they wrote is part of the history.
    pub(super) async fn warm_up(&mut self) {
        self.pass();
        for request in 0..self.subject.requests() {
            if self.stop.is_cancelled() {
                break;
            }
            let number = self.next;
            self.next += 1;
            let invoked = Instant::now();
            let patience = Scope::new(self.plan.timing.deadline, &self.stop);
            let answer = patience.wait(self.subject.start(number, request)).await;
            let nobody = Request { invoked, completed: None, completion: None };
            let mut requests = vec![nobody; self.subject.requests()];
            requests[request].completed = Some(Instant::now());
            requests[request].completion = answer.ok();
            let execution = Execution { number, requests, ..Execution::default() };
            self.keep(execution, vec![request], Phase::Control);
        }
        self.hold();
    }

    /// Sees that what must be there before the requests of an execution is there, many executions at a time: it is not part
    /// of any request, so it passes.
    pub(super) async fn seed(&mut self, number: u32) {
        if number < self.seeded || self.subject.starts() > 0 {
            return;
        }
        // What is made on one database is not there on the next.
        let at_once = if self.afresh.is_some() { 1 } else { SEEDED_AT_ONCE };
        self.seeded = number.saturating_add(at_once);
        let keys = self.subject.keys_to_seed(number..self.seeded);
        let first = match self.target.has_preliminaries() {
            true => self.subject.invocations(number..self.seeded),
            false => Vec::new(),
        };
        if keys.is_empty() && first.is_empty() {
            return;
        }
        let begin = Instant::now();
        self.pass();
        let preparing = async {
            if !keys.is_empty() {
                self.target.seed(&keys).await?;
            }
            self.target.preliminaries(&first).await
        };
        let seeded = Scope::new(SEED_WITHIN, &self.stop).wait(preparing).await;
        let failed = match seeded {
            Ok(seeded) => seeded.err().map(|error| chain(&error)),
            Err(ended) => Some(ended.to_string()),
        };
        if let Some(why) = failed {
            self.found.dead = MAX_DEAD;
            let reason = format!("what must be there before the requests is not: {why}");
            if let Some(comparison) = &mut self.comparison {
                // Executions with it and without it cannot be held against each other.
                comparison.failure.get_or_insert(reason.clone());
            }
            self.found.reasons.push(reason);
        }
        self.hold();
        self.found.spent.add(Part::Preparing, begin);
        // What it writes late is none of what the first execution writes.
        self.await_quiescence(Execution::default()).await;
    }
}
