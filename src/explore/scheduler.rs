//! The scheduler: carries out one execution, so that at any time only one request can move.
//!
//! A command's request follows from cause. Requests are started one at a time, each until its first command is parked or it
//! ends. Then a command is released, its answer is held, and delivered when everything else is at rest: whatever is parked
//! next was sent by the request that got the answer. What arrives while nobody could have sent it is background work; it
//! passes and is reported. Every wait is for an event and has a deadline.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use super::execution::Execution;
use super::fault::Mode;
use super::gate::Event;
use super::lane::Rest;
use super::policy::Policy;
use super::predict::Trace;
use super::run::Run;
use super::stored::StoredView;
use super::subject::Subject;
use super::wire::Command;

/// Silence after which a service, or an instance of it, is done with what it does at its start.
pub(super) const START_QUIET: Duration = Duration::from_millis(50);

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Longest wait for a request or an answer when nothing else can go on: then the execution is given up.
    pub deadline: Duration,
    /// Longest wait for them when something else can: then the request waits for another one.
    pub stall: Duration,
    /// Longest wait for the next command of an instance that starts.
    pub start: Duration,
    /// Silence after which a request that has a command parked has no further one to send.
    pub quiet: Duration,
    /// Steps after which an execution is given up.
    pub steps: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            deadline: Duration::from_secs(10),
            stall: Duration::from_millis(500),
            start: Duration::from_secs(30),
            quiet: Duration::from_millis(20),
            steps: 400,
        }
    }
}

/// Carries out executions, one at a time.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) sender: UnboundedSender<Event>,
    pub(super) events: UnboundedReceiver<Event>,
    /// How long things may take.
    pub timing: Timing,
    /// Requests send several commands at once, so that each needs a silence to be at rest.
    pub parallel: bool,
    /// What was sent after the same class of request had heard the same: then the silence need not be waited for.
    pub(super) learned: HashMap<(usize, u64), Learned>,
    /// What a request of each class sends when it is alone.
    pub(super) alone: HashMap<usize, Trace>,
    /// Answers are parked as well, each until it is chosen.
    pub(super) park_answers: bool,
    /// Ends every wait.
    pub(super) stop: CancellationToken,
    /// Looks at what is stored after each release.
    pub(super) stored: Option<StoredView>,
    /// Faults may be chosen.
    pub(super) faults: Option<Mode>,
    /// What a request sent may still be on its way when it has been answered.
    pub(super) overtakes: bool,
}

/// How requests came to rest so far, after they had heard the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Learned {
    /// Every time.
    pub(super) rest: Rest,
    /// How often it was seen in full, with a silence after it.
    pub(super) seen: u32,
}

impl Learned {
    /// Silences after which the next one is not waited for.
    const ENOUGH: u32 = 2;

    /// Whether a request is known to be at rest when it has come this far.
    pub(super) fn settles(self, rest: Rest) -> bool {
        self.seen >= Self::ENOUGH && self.rest == rest
    }
}

impl Scheduler {
    /// A scheduler of what arrives through this channel.
    pub fn new((sender, events): (UnboundedSender<Event>, UnboundedReceiver<Event>), timing: Timing) -> Self {
        Scheduler {
            sender,
            events,
            timing,
            parallel: false,
            learned: HashMap::new(),
            alone: HashMap::new(),
            park_answers: false,
            stop: CancellationToken::new(),
            stored: None,
            faults: None,
            overtakes: false,
        }
    }

    /// Carries out an execution of all requests of the subject.
    pub async fn execute(&mut self, subject: &dyn Subject, number: u32, policy: &mut dyn Policy) -> Execution {
        let requests: Vec<usize> = (0..subject.requests()).collect();
        self.execute_some(subject, number, &requests, policy).await
    }

    /// Carries out an execution of these requests; the others are left out, and count as ended.
    pub async fn execute_some(
        &mut self,
        subject: &dyn Subject,
        number: u32,
        requests: &[usize],
        policy: &mut dyn Policy,
    ) -> Execution {
        Run::new(self, subject, number).carry_out(requests, policy).await
    }

    /// Lets what comes after an execution pass, until nothing is in flight and nothing more has come for this long: what came.
    pub(super) async fn await_quiescence(&mut self, quiet: Duration) -> Vec<Arc<Command>> {
        let mut passed = Vec::new();
        self.hear_out(quiet, &mut passed).await;
        passed
    }

    /// Lets what comes after an execution pass, and may be given up at any time: what came until then is there.
    pub(super) async fn hear_out(&mut self, quiet: Duration, passed: &mut Vec<Arc<Command>>) {
        let mut open = std::collections::BTreeSet::new();
        let until = Instant::now() + self.timing.deadline;
        loop {
            let event = match self.events.try_recv() {
                Ok(event) => event,
                Err(_) if quiet.is_zero() && open.is_empty() => return,
                Err(_) => {
                    let patience =
                        if open.is_empty() { quiet } else { until.saturating_duration_since(Instant::now()) };
                    match tokio::time::timeout(patience, self.events.recv()).await {
                        Ok(Some(event)) => event,
                        Ok(None) | Err(_) => return,
                    }
                }
            };
            match event {
                // Dropped, which lets it pass.
                Event::Parked(parked) => {
                    passed.push(parked.command);
                    open.insert(parked.step);
                }
                Event::Replied(replied) => {
                    open.remove(&replied.step);
                }
                Event::Lost { step, .. } => {
                    open.remove(&step);
                }
                Event::Finished { .. } => {}
            }
        }
    }

    /// Listens while no request runs: what arrives is the service's own work. It passes, and is returned.
    pub async fn listen(&mut self, time: Duration) -> Vec<Arc<Command>> {
        let until = Instant::now() + time;
        let mut heard = Vec::new();
        while let Ok(Some(event)) = tokio::time::timeout_at(until.into(), self.events.recv()).await {
            if let Event::Parked(parked) = event {
                heard.push(parked.command);
            }
        }
        heard
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
