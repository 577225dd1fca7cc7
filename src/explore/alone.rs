//! What each request does alone, and how many of them are explored together because of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::execution::{Execution, Request, participant};
use super::explorer::{Explorer, LISTEN};
use super::found::Patience;
use super::hub::{shape, signature};
use super::policy::Serial;
use super::predict::Trace;
use super::search::Search;
use super::searches::estimate;
use super::spent::Part;
use super::subject::Subject;
use crate::history::{Outcome, Phase};
use crate::scope::Scope;

/// How long a request is given at least to end while the service's own work is held back.
const WITHHELD_FOR: Duration = Duration::from_secs(1);
/// Interleavings of a search that ends in its time, those of requests that are alike counted once.
const AFFORDABLE: u64 = 200;

impl Explorer<'_> {
    /// Runs each kind of request alone, to learn what it does; again where it does what is not seen at once: it asks which collections there
    /// are, and so reads what others make, or it sends writes that its own answer overtakes.
    pub(super) async fn trace(&mut self) -> bool {
        let reasons = self.found.reasons.clone();
        let traced = self.traced().await;
        self.proxy.unheard_end().await;
        let (asks, overtakes) = (self.proxy.lets_catalogue_be_asked(), self.proxy.has_unheard());
        if !asks && !overtakes {
            return traced;
        }
        if asks {
            self.proxy.park_catalogue();
        }
        self.scheduler.overtakes = overtakes;
        self.found.reasons = reasons;
        self.scheduler.learned.clear();
        self.scheduler.alone.clear();
        self.traced().await
    }

    async fn traced(&mut self) -> bool {
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
            let alone = self.with_starts_before(request);
            let position = self.execute_surely(&alone, Phase::Control, &mut Serial).await;
            let (execution, ..) = &self.found.executions[position];
            parallel |= execution.parallel;
            let record = &execution.requests[request];
            if request >= self.subject.starts() {
                longest = longest.max(record.completed.unwrap_or(record.invoked) - record.invoked);
            }
            // Where an instance is started in each execution, it would have to be ready first.
            let tells_apart = !self.found.background.is_empty() && self.subject.starts() == 0;
            let sent = if tells_apart { self.sent_while_held(request, longest).await } else { None };
            if let Some(reason) = self.why_no_trace(position, request) {
                // Else it is said already why nothing was seen of it.
                self.found.reasons.extend(Some(reason).filter(|_| !tells_apart || sent.is_some()));
                return false;
            }
            let mut own = self.sent_by(position, request);
            if let Some(sent) = sent {
                // What is done in the background with what the request has left may come before it has ended.
                let overheard = &mut self.found.overheard;
                own.retain(|command| {
                    let is_own = sent.contains_key(&shape(command));
                    if !is_own {
                        overheard.insert(shape(command), signature(command));
                    }
                    is_own
                });
            }
            traces.insert(class, own);
        }
        self.scheduler.parallel = parallel;
        self.scheduler.alone = traces.iter().map(|(class, trace)| (*class, trace.clone())).collect();
        if parallel {
            self.found.notes.insert("a request sends several commands at once; each is a choice of its own".to_owned());
        }
        // A request that is this much slower than alone waits for another one.
        self.scheduler.timing.stall = (longest * 3).max(Duration::from_millis(100)).min(self.plan.timing.deadline / 2);
        self.found.patience = Patience::Usual(self.scheduler.timing.stall);
        self.read_catalogue(&traces).await;
        self.found.traces =
            (0..requests).filter_map(|request| traces.get(&self.subject.class(request)).cloned()).collect();
        true
    }

    /// What a request sends while the service's own work is held back, by its shape. One that comes to no end then sends the same,
    /// and of that nothing was parked: its orders are missing, which is said.
    async fn sent_while_held(&mut self, request: usize, alone: Duration) -> Option<BTreeMap<String, String>> {
        let (number, begun) = self.begin_execution(&[request]).await;
        if let Err(why) = begun {
            self.never_began(number, Phase::Control, why);
            return None;
        }
        self.pass();
        let held = self.proxy.withhold();
        let invoked = Instant::now();
        let mut answer = self.subject.start(number, request);
        let patience = (alone * 5).max(WITHHELD_FOR).min(self.plan.timing.deadline);
        let ended = Scope::new(patience, &self.stop).wait(&mut answer).await.ok();
        let apart = ended.as_ref().is_some_and(|completion| matches!(completion.outcome, Outcome::Ok(_)));
        let sent = self.proxy.overheard();
        drop(held);
        let completion = match ended {
            Some(completion) => Some(completion),
            None => Scope::new(self.plan.timing.deadline, &self.stop).wait(answer).await.ok(),
        };
        self.hold();
        self.found.spent.add(Part::Executions, invoked);
        // What is done now was waiting for the service's own work.
        let begin = Instant::now();
        let after = self.scheduler.listen(LISTEN).await;
        self.found.spent.add(Part::Listening, begin);
        for command in after {
            if !sent.contains_key(&shape(&command)) {
                self.found.overheard.insert(shape(&command), signature(&command));
            }
        }
        if !apart && !self.stop.is_cancelled() {
            let names: Vec<&str> = self.found.background.iter().map(String::as_str).collect();
            self.found.reasons.push(format!(
                "{} does not end while what the service sends by itself is held back ({}): it sends the same or waits for it, and \
                 orders of that are not explored; explore it without that work, or `onlyone run` it",
                participant(request, self.subject.starts()),
                names.join(", ")
            ));
        }
        let nobody = Request { invoked, completed: None, completion: None };
        let mut requests = vec![nobody; self.subject.requests()];
        requests[request] = Request { invoked, completed: completion.as_ref().map(|_| Instant::now()), completion };
        self.keep(Execution { number, requests, ..Execution::default() }, vec![request], Phase::Control);
        apart.then_some(sent)
    }

    /// Commands that a request sent in an execution.
    fn sent_by(&self, position: usize, request: usize) -> Trace {
        let (execution, ..) = &self.found.executions[position];
        let own = execution.steps.iter().filter(|step| step.request == request);
        own.map(|step| Arc::clone(&step.command)).collect()
    }

    fn why_no_trace(&self, position: usize, request: usize) -> Option<String> {
        let (execution, ..) = &self.found.executions[position];
        let name = format!("{} alone", participant(request, self.subject.starts()));
        if let Some(stuck) = &execution.stuck {
            return Some(format!("{name}: {stuck}"));
        }
        let starts = execution.requests.iter().enumerate().take(self.subject.starts());
        // Those that are not part of it have not been started.
        let mut failed = starts.filter(|(_, start)| start.completion.is_some() && !came_up(start));
        if let Some((start, record)) = failed.next() {
            let outcome = record.completion.as_ref().map(|completion| &completion.outcome);
            return Some(format!("{} alone: {}", participant(start, self.subject.starts()), describe(outcome)));
        }
        let sent_nothing = execution.steps.iter().all(|step| step.request != request);
        // An instance may have nothing to do at its start.
        if sent_nothing && request >= self.subject.starts() {
            let outcome = execution.requests[request].completion.as_ref().map(|completion| &completion.outcome);
            return Some(self.why_nothing_was_sent(&name, outcome));
        }
        None
    }

    /// A service that has connections through the proxy has its address; whatever it sends comes after its answers.
    fn why_nothing_was_sent(&self, name: &str, outcome: Option<&Outcome>) -> String {
        let told = describe(outcome);
        if !self.is_connected() {
            return format!("{name} sent no command through the proxy ({told}): is its database the proxy's address?");
        }
        let background: Vec<&str> = self.found.background.iter().map(String::as_str).collect();
        let afterwards = match background.is_empty() {
            true => String::new(),
            false => format!(" (background work, which passes: {})", background.join(", ")),
        };
        format!(
            "{name} sent no command before it was answered ({told}), and the service is connected through the proxy: it answers \
             before it asks its database, or does not ask it for this{afterwards}; what comes after an answer is not put in order \
             (`onlyone run` waits for it, and judges what it leaves)"
        )
    }

    /// Whether the service has asked its database through the proxy, or may do so at any time.
    pub(super) fn is_connected(&self) -> bool {
        self.proxy.connections() > 0 || self.proxy.used_connections() > 0
    }

    /// A request and what must have been started before it.
    fn with_starts_before(&self, request: usize) -> Vec<usize> {
        let starts = self.subject.starts();
        if request < starts { vec![request] } else { (0..starts).chain([request]).collect() }
    }

    /// Goes on with fewer requests where nobody asked for so many, and all their interleavings are beyond any budget.
    pub(super) fn reduce(&mut self) {
        let all = self.subject.requests();
        if !self.plan.may_reduce || self.subject.starts() > 0 || self.plan.search != Search::Exhaustive || all < 3 {
            return;
        }
        let interleavings = |requests: usize| estimate(&self.found.traces[..requests], self.plan.park_answers);
        // Requests that are alike change places for free.
        let alike = |requests: usize| (1..=requests as u64).product::<u64>();
        let affordable = |requests: &usize| interleavings(*requests) / alike(*requests) <= AFFORDABLE;
        let fewer = (2..all).rev().find(affordable).unwrap_or(2);
        if affordable(&all) {
            return;
        }
        let note = format!(
            "{all} requests have about {} interleavings: {fewer} are explored; `--requests {all}` goes through as many as the \
             budget allows",
            interleavings(all)
        );
        self.found.notes.insert(note);
        self.found.traces.truncate(fewer);
        self.subject.reduce_to(fewer);
    }
}

/// Whether an instance was ready in the end.
pub(super) fn came_up(start: &Request) -> bool {
    start.completion.as_ref().is_some_and(|completion| matches!(completion.outcome, Outcome::Ok(_)))
}

/// What a request came to, in words.
pub(super) fn describe(outcome: Option<&Outcome>) -> String {
    match outcome {
        Some(Outcome::Ok(_)) => "it answered".to_owned(),
        Some(Outcome::Failed(cause) | Outcome::Unknown(cause)) => cause.message.to_string(),
        None => "no answer".to_owned(),
    }
}
