//! Executions of an exploration, one by one: what must be there before them, what they teach, what counts.

use std::time::Instant;

use super::dfs::NOT_DETERMINISTIC;
use super::execution::{Execution, Request};
use super::explorer::{Explorer, MAX_DEAD, Patience, describe};
use super::policy::{Policy, Replay};
use super::scheduler::Scheduler;
use super::subject::Subject;
use crate::history::Phase;

/// Executions whose documents are made at once.
const SEEDED_AT_ONCE: u32 = 64;
const WAIT_IN_SERVICE: &str = "requests wait for each other in the service";

impl Explorer<'_> {
    /// One execution of all requests, counted.
    pub(super) async fn execute(&mut self, policy: &mut dyn Policy) {
        let all: Vec<usize> = (0..self.subject.requests()).collect();
        let position = self.execute_some(&all, Phase::Main, policy).await;
        self.count(position);
        self.again(position).await;
    }

    /// One execution of all requests, counted; repeated if it was the machine that was slow.
    pub(super) async fn execute_patiently<P: Policy>(&mut self, policy: impl Fn() -> P) {
        let all: Vec<usize> = (0..self.subject.requests()).collect();
        let mut position = self.execute_some(&all, Phase::Main, &mut policy()).await;
        if self.may_have_been_slow(position) {
            position = self.execute_some(&all, Phase::Main, &mut policy()).await;
            if !self.may_have_been_slow(position) && !self.found.executions[position].0.waited {
                // It was the machine: it may be slow again.
                self.found.patience = Patience::Usual(self.scheduler.timing.stall);
            }
        }
        self.count(position);
        self.again(position).await;
    }

    /// Whether an execution in which a request seemed to wait for another is to be repeated: the first time the machine may
    /// just have been slow. The second time, with more patience, it is so.
    pub(super) fn may_have_been_slow(&mut self, position: usize) -> bool {
        let (execution, ..) = &mut self.found.executions[position];
        if !execution.waited {
            return false;
        }
        match self.found.patience {
            Patience::Usual(stall) => {
                self.found.patience = Patience::Raised(stall);
                self.scheduler.timing.stall = (stall * 5).min(self.plan.timing.deadline / 2);
                (execution.waited, execution.waited_in_service) = (false, false);
                self.found.notes.remove(WAIT_IN_SERVICE);
                true
            }
            Patience::Raised(stall) => {
                self.found.patience = Patience::Confirmed;
                self.scheduler.timing.stall = stall;
                false
            }
            Patience::Confirmed => false,
        }
    }

    /// Carries a schedule out once more, where that is asked for, and compares: requests that are not deterministic show.
    pub(super) async fn again(&mut self, position: usize) {
        let (execution, requests, phase) = &self.found.executions[position];
        if !self.plan.twice || execution.stuck.is_some() || self.plan.search.is_replay() {
            return;
        }
        let (schedule, named) = (execution.schedule.clone(), execution.named());
        let (requests, phase) = (requests.clone(), *phase);
        let repeated = self.execute_some(&requests, phase, &mut Replay::new(schedule)).await;
        let (execution, ..) = &self.found.executions[repeated];
        match &execution.stuck {
            Some(stuck) => {
                let reason = format!("{NOT_DETERMINISTIC}: `{named}`, carried out again: {stuck}");
                self.diverged(reason);
            }
            None if execution.named() == named => self.found.repeats.push((position, repeated)),
            None => self.count(repeated),
        }
    }

    /// One execution of some requests; its position.
    pub(super) async fn execute_some(&mut self, requests: &[usize], phase: Phase, policy: &mut dyn Policy) -> usize {
        let number = self.next;
        self.next += 1;
        self.seed(number).await;
        self.open_window().await;
        let execution = self.scheduler.execute_some(self.subject, number, requests, policy).await;
        let execution = self.await_quiescence(execution).await;
        self.learn(&execution);
        let position = self.found.executions.len();
        self.close_window(position, &execution, requests.to_vec(), false).await;
        self.keep(execution, requests.to_vec(), phase);
        if let (Some(watch), true) = (&mut self.watch, phase.is_main()) {
            let violated = watch.look().await;
            if !violated.is_empty() {
                self.found.custom.insert(position, violated);
            }
        }
        position
    }

    /// Every request once, one after the other, and nothing parked: who logs in, fills a cache or opens a connection at its
    /// first request does so now. What they wrote is part of the history.
    pub(super) async fn warm_up(&mut self) {
        self.proxy.pass();
        for request in 0..self.subject.requests() {
            if self.stop.is_cancelled() {
                break;
            }
            let number = self.next;
            self.next += 1;
            let invoked = Instant::now();
            let answer = tokio::time::timeout(self.plan.timing.deadline, self.subject.start(number, request)).await;
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
        if number < self.seeded {
            return;
        }
        self.seeded = number.saturating_add(SEEDED_AT_ONCE);
        let keys = self.subject.keys_to_seed(number..self.seeded);
        let first = match self.target.has_preliminaries() {
            true => self.subject.invocations(number..self.seeded),
            false => Vec::new(),
        };
        if keys.is_empty() && first.is_empty() {
            return;
        }
        self.proxy.pass();
        let seeded = if keys.is_empty() { Ok(()) } else { self.target.seed(&keys).await };
        let ready = if seeded.is_ok() { self.target.preliminaries(&first).await } else { seeded };
        if let Err(error) = ready {
            self.found.dead = MAX_DEAD;
            self.found.reasons.push(format!("what must be there before the requests is not: {}", chain(&error)));
        }
        self.hold();
    }

    /// Takes note of what an execution says of all.
    pub(super) fn learn(&mut self, execution: &Execution) {
        let found = &mut self.found;
        for stray in &execution.strays {
            found.notes.insert(format!("no request could have sent this; it passed: {stray}"));
        }
        if execution.ambiguous {
            found
                .notes
                .insert("requests that wait for each other: it is not certain whose commands are whose".to_owned());
        }
        if execution.parallel && !self.scheduler.parallel {
            found
                .notes
                .insert("a request sends several commands at once, though it did not when it ran alone".to_owned());
            self.scheduler.parallel = true;
        }
        for command in execution.polls.values() {
            found.notes.insert(format!(
                "a request polls ({command}): a third equal poll without any effect is left out until another request has \
                 written there; giving up after many polls, and time that runs out, are not explored"
            ));
        }
        if execution.waited_in_service {
            found.notes.insert(WAIT_IN_SERVICE.to_owned());
        }
        let diverged = execution.stuck.as_deref().is_some_and(|reason| reason.starts_with(NOT_DETERMINISTIC));
        if diverged {
            return self.diverged(execution.stuck.clone().unwrap_or_default());
        }
        let started = execution.requests.iter().any(|request| request.completion.is_some());
        let dead = execution.stuck.is_some() || (started && execution.steps.is_empty());
        if !dead {
            found.dead = 0;
            return;
        }
        found.dead += 1;
        let outcome = execution.requests.iter().find_map(|request| request.completion.as_ref());
        let reason = execution.stuck.clone().unwrap_or_else(|| {
            format!("no request reached the database ({})", describe(outcome.map(|completion| &completion.outcome)))
        });
        if !found.reasons.contains(&reason) && found.reasons.len() < 5 {
            found.reasons.push(reason);
        }
    }

    /// Counts a schedule of the search, once; a repetition must be like the first.
    pub(super) fn count(&mut self, position: usize) {
        let (execution, ..) = &self.found.executions[position];
        if execution.stuck.is_some() {
            return;
        }
        let named = execution.named();
        match self.found.seen.get(&execution.schedule) {
            None => {
                let classes: Vec<usize> =
                    (0..self.subject.requests()).map(|request| self.subject.class(request)).collect();
                let interleavings = self.found.classes.add(execution, &classes);
                self.found.weights.push(interleavings);
                self.found.seen.insert(execution.schedule.clone(), named);
                self.found.searched.push(position);
            }
            Some(before) if *before != named => {
                let note = format!("{NOT_DETERMINISTIC}: {} was `{before}`, then `{named}`", execution.schedule);
                self.diverged(note);
            }
            Some(_) => {}
        }
    }

    /// The same releases led to something else.
    fn diverged(&mut self, reason: String) {
        self.found.diverged += 1;
        if self.found.diverged == 1 {
            self.found.reasons.push(reason);
        }
    }

    /// Parks commands again, after they were allowed to pass.
    pub(super) fn hold(&mut self) {
        let fresh = Scheduler::new(self.proxy.hold(), self.scheduler.timing);
        let before = std::mem::replace(&mut self.scheduler, fresh);
        self.scheduler.parallel = before.parallel;
        self.scheduler.learned = before.learned;
        self.scheduler.alone = before.alone;
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
