//! The exploration of a subject: traces, prediction, search, release together, the smallest violation, and the judgement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::chance::{Pct, Random};
use super::classes::Classes;
use super::dfs::{Dfs, NOT_DETERMINISTIC};
use super::execution::{Execution, Request};
use super::policy::{Alternate, Policy, Replay, Serial};
use super::predict::{self, Trace};
use super::proxy::Proxy;
use super::schedule::Schedule;
use super::scheduler::{Scheduler, Timing};
use super::search::{Budget, Search};
use super::subject::{Operations, Subject};
use crate::history::Phase;
use crate::target::Target;
use crate::verdict::Invariant;

/// How long the service is listened to before its first request.
const LISTEN: Duration = Duration::from_millis(60);
/// Executions in a row that bring nothing, after which the exploration ends.
const MAX_DEAD: u32 = 3;
/// Executions that are not like the first, after which the exploration ends.
const MAX_DIVERGED: u32 = 10;
/// Executions whose documents are made at once.
const SEEDED_AT_ONCE: u32 = 64;
/// Interleavings up to which all are carried out, although some are equivalent.
const SMALL: u64 = 100;

/// What to explore.
pub struct Plan {
    /// How schedules are chosen.
    pub search: Search,
    /// When to stop.
    pub budget: Budget,
    /// Root of all randomness.
    pub seed: u64,
    /// Whether equivalent interleavings are explored once; by default when there are many.
    pub reduce: Option<bool>,
    /// How long things may take.
    pub timing: Timing,
    /// What is judged.
    pub invariants: Vec<Invariant>,
    /// Every request is sent once before anything is looked at.
    pub warm_up: bool,
}

/// An exploration under way.
pub struct Explorer<'a> {
    pub(super) proxy: &'a Proxy,
    pub(super) target: Arc<dyn Target>,
    pub(super) subject: &'a Operations,
    pub(super) plan: &'a Plan,
    pub(super) stop: CancellationToken,
    pub(super) scheduler: Scheduler,
    pub(super) start: Instant,
    next: u32,
    /// Executions up to this one have what must be there before their requests.
    seeded: u32,
    pub(super) found: Found,
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
    pub(super) classes: Classes,
    /// One trace per request.
    pub(super) traces: Vec<Trace>,
    pub(super) complete: bool,
    pub(super) reduced: bool,
    pub(super) notes: BTreeSet<String>,
    /// Why nothing can be concluded, where that is so.
    pub(super) reasons: Vec<String>,
    /// Time of the search alone.
    pub(super) searching: Duration,
    /// Executions in it.
    pub(super) search_executions: usize,
    seen: BTreeMap<Schedule, String>,
    /// Executions of requests alone, before the search.
    traced: usize,
    dead: u32,
    diverged: u32,
}

impl<'a> Explorer<'a> {
    /// Begins an exploration. `target` must reach its server through `proxy`.
    pub fn new(
        proxy: &'a Proxy,
        target: Arc<dyn Target>,
        subject: &'a Operations,
        plan: &'a Plan,
        stop: CancellationToken,
    ) -> Self {
        let scheduler = Scheduler::new(proxy.hold(), plan.timing);
        let (start, found) = (Instant::now(), Found::default());
        Explorer { proxy, target, subject, plan, stop, scheduler, start, next: 0, seeded: 0, found }
    }

    /// Carries the executions out.
    pub(super) async fn search(&mut self) {
        if self.plan.warm_up {
            self.warm_up().await;
        }
        for name in self.scheduler.listen(LISTEN).await {
            self.found.notes.insert(format!("background work, which passes: {name}"));
            self.proxy.let_pass(name);
        }
        if !self.trace().await {
            return;
        }
        let begin = Instant::now();
        let traced = self.found.executions.len();
        self.found.traced = traced;
        match &self.plan.search {
            Search::Exhaustive => {
                self.predicted().await;
                self.exhaustive().await;
            }
            Search::Pct { depth } => self.by_chance(Some(*depth)).await,
            Search::Random => self.by_chance(None).await,
            Search::Stress => self.stress().await,
            Search::Replay { schedule, times } => {
                for _ in 0..*times {
                    if self.spent(begin) {
                        break;
                    }
                    self.execute(&mut Replay::new(schedule.clone())).await;
                }
            }
        }
        self.found.searching = begin.elapsed();
        self.found.search_executions = self.found.executions.len() - traced;
    }

    /// Whether the search has to end.
    fn spent(&mut self, begin: Instant) -> bool {
        let executions = self.found.executions.len();
        let Budget { time, .. } = self.plan.budget;
        let most = self.most();
        if self.found.dead >= MAX_DEAD {
            return true;
        }
        if self.stop.is_cancelled() {
            self.found.reasons.push("interrupted".to_owned());
            return true;
        }
        if self.found.diverged >= MAX_DIVERGED {
            self.found.notes.insert(format!("ended after {MAX_DIVERGED} executions that were not like the first"));
            return true;
        }
        if executions >= most || begin.elapsed() >= time {
            let seconds = time.as_secs_f64();
            self.found.notes.insert(format!(
                "the budget is exhausted ({executions} executions of {most}, {:.1} s of {seconds} s)",
                begin.elapsed().as_secs_f64()
            ));
            return true;
        }
        false
    }

    /// Executions that the search may take: by default many, or of a search by chance so many that it hardly misses.
    fn most(&self) -> usize {
        let steps = self.found.traces.iter().map(Vec::len).sum();
        let by_default = match &self.plan.search {
            Search::Exhaustive => 10_000,
            Search::Pct { depth } => Pct::executions(self.subject.requests(), steps, *depth),
            Search::Random | Search::Stress => 1_000,
            Search::Replay { times, .. } => *times as usize,
        };
        self.plan.budget.executions.map_or(by_default + self.found.traced, |most| most as usize)
    }

    /// Runs each kind of request alone, to learn what it does.
    async fn trace(&mut self) -> bool {
        let requests = self.subject.requests();
        self.scheduler.parallel = true;
        let mut traces: BTreeMap<usize, Trace> = BTreeMap::new();
        let mut parallel = false;
        let mut longest = Duration::ZERO;
        for request in 0..requests {
            let class = self.subject.class(request);
            if traces.contains_key(&class) {
                continue;
            }
            let position = self.execute_some(&[request], Phase::Control, &mut Serial).await;
            let (execution, ..) = &self.found.executions[position];
            parallel |= execution.parallel;
            let record = &execution.requests[request];
            longest = longest.max(record.completed.unwrap_or(record.invoked) - record.invoked);
            if let Some(reason) = self.why_no_trace(position, request) {
                self.found.reasons.push(reason);
                return false;
            }
            let (execution, ..) = &self.found.executions[position];
            traces.insert(class, execution.steps.iter().map(|step| Arc::clone(&step.command)).collect());
        }
        self.scheduler.parallel = parallel;
        if parallel {
            self.found.notes.insert("a request sends several commands at once; each is a choice of its own".to_owned());
        }
        // A request that is this much slower than alone waits for another one.
        self.scheduler.timing.stall = (longest * 3).clamp(Duration::from_millis(100), self.plan.timing.deadline / 2);
        self.found.traces =
            (0..requests).filter_map(|request| traces.get(&self.subject.class(request)).cloned()).collect();
        true
    }

    fn why_no_trace(&self, position: usize, request: usize) -> Option<String> {
        let (execution, ..) = &self.found.executions[position];
        let name = format!("R{} alone", request + 1);
        if let Some(stuck) = &execution.stuck {
            return Some(format!("{name}: {stuck}"));
        }
        if execution.steps.is_empty() {
            let outcome = execution.requests[request].completion.as_ref().map(|completion| &completion.outcome);
            return Some(format!(
                "{name} sent no command through the proxy ({}): is its database the proxy's address?",
                describe(outcome)
            ));
        }
        None
    }

    /// Strict alternation, then the schedules that realise a conflict.
    async fn predicted(&mut self) {
        self.execute(&mut Alternate::default()).await;
        let classes: Vec<usize> = (0..self.subject.requests()).map(|request| self.subject.class(request)).collect();
        for schedule in predict::predict(&self.found.traces, &classes) {
            self.execute(&mut Replay::lenient(schedule)).await;
        }
    }

    async fn exhaustive(&mut self) {
        let begin = Instant::now();
        let requests = self.subject.requests();
        let estimate = estimate(&self.found.traces);
        let mut reduce = self.plan.reduce.unwrap_or(requests > 2 || estimate > SMALL);
        let mut dfs = Dfs::new(reduce);
        loop {
            if self.spent(begin) {
                self.found.notes.insert(format!("about {estimate} interleavings in all"));
                break;
            }
            let all: Vec<usize> = (0..requests).collect();
            let position = self.execute_some(&all, Phase::Main, &mut dfs).await;
            if !dfs.is_redundant() {
                self.count(position);
            }
            if reduce && self.found.executions[position].0.waited {
                // Requests that wait for each other outside the database share more than the database.
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
        let whole =
            |(execution, ..): &(Execution, Vec<usize>, Phase)| execution.is_exact() && !execution.waited_in_service;
        self.found.complete &= self.found.executions.iter().all(whole);
    }

    async fn by_chance(&mut self, depth: Option<usize>) {
        let begin = Instant::now();
        let requests = self.subject.requests();
        let steps = self.found.traces.iter().map(Vec::len).sum();
        let mut number = 0;
        while !self.spent(begin) {
            match depth {
                Some(depth) => self.execute(&mut Pct::new(self.plan.seed, number, requests, steps, depth)).await,
                None => self.execute(&mut Random::new(self.plan.seed, number)).await,
            }
            number += 1;
        }
    }

    /// All requests at one moment and nothing parked, again and again: each is counted, because there is no schedule that
    /// could have been the same.
    async fn stress(&mut self) {
        let begin = Instant::now();
        while !self.spent(begin) {
            let number = self.next;
            self.next += 1;
            self.seed(number).await;
            self.proxy.pass();
            let gate = Arc::new(tokio::sync::Barrier::new(self.subject.requests()));
            let started: Vec<_> = (0..self.subject.requests())
                .map(|request| {
                    let (gate, operation) = (Arc::clone(&gate), self.subject.start(number, request));
                    let deadline = self.plan.timing.deadline;
                    tokio::spawn(async move {
                        gate.wait().await;
                        let invoked = Instant::now();
                        let completion = tokio::time::timeout(deadline, operation).await.ok();
                        Request { invoked, completed: Some(Instant::now()), completion }
                    })
                })
                .collect();
            let now = Instant::now();
            let nobody = Request { invoked: now, completed: None, completion: None };
            let mut requests = Vec::new();
            for request in started {
                requests.push(request.await.unwrap_or_else(|_| nobody.clone()));
            }
            let execution = Execution { number, requests, ..Execution::default() };
            self.found.searched.push(self.found.executions.len());
            self.found.executions.push((execution, (0..self.subject.requests()).collect(), Phase::Main));
        }
        self.hold();
    }

    /// One execution of all requests, counted.
    async fn execute(&mut self, policy: &mut dyn Policy) {
        let all: Vec<usize> = (0..self.subject.requests()).collect();
        let position = self.execute_some(&all, Phase::Main, policy).await;
        self.count(position);
    }

    /// One execution of some requests; its position.
    pub(super) async fn execute_some(&mut self, requests: &[usize], phase: Phase, policy: &mut dyn Policy) -> usize {
        let number = self.next;
        self.next += 1;
        self.seed(number).await;
        let execution = self.scheduler.execute_some(self.subject, number, requests, policy).await;
        self.learn(&execution);
        self.found.executions.push((execution, requests.to_vec(), phase));
        self.found.executions.len() - 1
    }

    /// Every request once, one after the other, and nothing parked: who logs in, fills a cache or opens a connection at its
    /// first request does so now. What they wrote is part of the history.
    async fn warm_up(&mut self) {
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
            self.found.executions.push((execution, vec![request], Phase::Control));
        }
        self.hold();
    }

    /// Sees that what must be there before the requests of an execution is there, many executions at a time: it is not part
    /// of any request, so it passes.
    async fn seed(&mut self, number: u32) {
        if number < self.seeded {
            return;
        }
        self.seeded = number.saturating_add(SEEDED_AT_ONCE);
        let keys = self.subject.keys_to_seed(number..self.seeded);
        if keys.is_empty() {
            return;
        }
        self.proxy.pass();
        if let Err(error) = self.target.seed(&keys).await {
            self.found.dead = MAX_DEAD;
            self.found.reasons.push(format!("what must be there before the requests is not: {}", chain(&error)));
        }
        self.hold();
    }

    /// Takes note of what an execution says of all.
    fn learn(&mut self, execution: &Execution) {
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
        if execution.waited_in_service {
            found.notes.insert("requests wait for each other in the service".to_owned());
        }
        let diverged = execution.stuck.as_deref().is_some_and(|reason| reason.starts_with(NOT_DETERMINISTIC));
        if diverged {
            found.diverged += 1;
            if found.diverged == 1 {
                found.reasons.extend(execution.stuck.clone());
            }
            return;
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
    fn count(&mut self, position: usize) {
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
                self.found.diverged += 1;
                if self.found.diverged == 1 {
                    self.found.reasons.push(note);
                }
                self.found.complete = false;
            }
            Some(_) => {}
        }
    }

    /// Parks commands again, after they were allowed to pass.
    pub(super) fn hold(&mut self) {
        let (timing, parallel) = (self.scheduler.timing, self.scheduler.parallel);
        self.scheduler = Scheduler::new(self.proxy.hold(), timing);
        self.scheduler.parallel = parallel;
    }
}

/// How many interleavings there are if every request does what it does alone.
fn estimate(traces: &[Trace]) -> u64 {
    let mut done = 0_u64;
    let mut ways = 1_u64;
    for trace in traces {
        for step in 1..=trace.len() as u64 {
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

fn describe(outcome: Option<&crate::history::Outcome>) -> String {
    use crate::history::Outcome;
    match outcome {
        Some(Outcome::Ok(_)) => "it answered".to_owned(),
        Some(Outcome::Failed(cause) | Outcome::Unknown(cause)) => cause.message.to_string(),
        None => "no answer".to_owned(),
    }
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
            assert_eq!(estimate(&traces), expected, "{lengths:?}");
        }
        assert_eq!(estimate(&vec![vec![command; 40]; 4]), u64::MAX);
    }
}
