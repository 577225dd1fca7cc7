//! One execution under way: what is parked, what is in the server, which answers are held.

mod arrivals;
mod faults;
mod stale;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use arrivals::Silence;
use tokio::sync::oneshot;

use super::alone::came_up;
use super::conflict::commute;
use super::execution::{Execution, INTERRUPTED, Request, Step, needed, participant};
use super::fault::Fault;
use super::gate::{Deliver, Event, Release, Replied, StepId};
use super::lane::Lane;
use super::lint::own_name;
use super::policy::{Enabled, LaneView, Policy, View};
use super::polling::{self, Changed, Told, polls};
use super::schedule::{Choice, Pick};
use super::scheduler::Scheduler;
use super::subject::Subject;
use super::unheard::OVERTAKEN;
use super::wire::{Command, Kind, Reply};
use crate::history::Outcome;
use crate::scope::Scope;

/// An execution under way.
pub(super) struct Run<'a> {
    scheduler: &'a mut Scheduler,
    subject: &'a dyn Subject,
    execution: Execution,
    lanes: Vec<Lane>,
    /// Released commands: their request, and their position in the execution's steps.
    in_server: HashMap<StepId, (usize, usize)>,
    /// Answers that are held: of which request, to which step, and none where it was lost.
    answers: VecDeque<(usize, usize, Option<Replied>)>,
    /// The request that moved last.
    mover: Option<usize>,
    /// Changes to the data so far.
    changes: Vec<Changed>,
    /// Per step: how many there were when it was released.
    since: Vec<usize>,
    /// A silence was not waited for.
    hurried: bool,
    /// Commands that must not reach the server before the service is killed.
    withheld: Vec<oneshot::Sender<Release>>,
}

impl<'a> Run<'a> {
    pub(super) fn new(scheduler: &'a mut Scheduler, subject: &'a dyn Subject, number: u32) -> Self {
        let now = Instant::now();
        let request = Request { invoked: now, completed: None, completion: None };
        let requests = vec![request; subject.requests()];
        Run {
            lanes: (0..subject.requests()).map(|_| Lane::default()).collect(),
            scheduler,
            subject,
            execution: Execution { number, requests, starts: subject.starts(), ..Execution::default() },
            in_server: HashMap::new(),
            answers: VecDeque::new(),
            mover: None,
            changes: Vec::new(),
            since: Vec::new(),
            hurried: false,
            withheld: Vec::new(),
        }
    }

    pub(super) async fn carry_out(mut self, requests: &[usize], policy: &mut dyn Policy) -> Execution {
        for lane in (0..self.lanes.len()).filter(|lane| !requests.contains(lane)) {
            self.lanes[lane].finished = true;
        }
        // What is left of an earlier execution has nothing to do with this one.
        self.drain();
        let lags = policy.plans() == Some(Fault::StaleRead);
        let mut ended = match self.fall_behind(lags).await {
            Ok(()) => self.run(requests, policy).await,
            Err(reason) => Err(reason),
        };
        // What went wrong first is the reason.
        ended = ended.and(self.catch_up(lags).await);
        if ended.is_ok() {
            ended = self.only_one_read_lagged(lags).await;
        }
        self.drain();
        if let Err(reason) = ended {
            self.execution.stuck = Some(reason);
            self.clean_up().await;
        }
        self.excuse_stale_answers();
        self.doubt_outcomes();
        self.execution
    }

    async fn run(&mut self, requests: &[usize], policy: &mut dyn Policy) -> Result<(), String> {
        loop {
            self.drain();
            if self.scheduler.stop.is_cancelled() {
                return Err(INTERRUPTED.to_owned());
            }
            while let Some((request, step, answer)) = self.answers.pop_front() {
                match answer {
                    Some(replied) if self.scheduler.park_answers => {
                        // It was carried out, whoever knows of it by now.
                        self.take_effect(request, step, &replied);
                        self.lanes[request].answers.push((step, replied));
                    }
                    answer => {
                        if let Some(replied) = &answer {
                            self.take_effect(request, step, replied);
                        }
                        self.deliver(request, step, answer);
                        self.settle(request).await?;
                    }
                }
            }
            self.deliver_again().await?;
            self.starts_are_known()?;
            self.start_those_due(requests).await?;
            let at_rest = self.in_server.is_empty() && self.lanes.iter().all(|lane| lane.finished);
            let enabled = self.enabled();
            if enabled.is_empty() {
                if at_rest {
                    return Ok(());
                }
                let deadline = self.scheduler.timing.deadline;
                self.wait(deadline, None).await.map_err(|Silence| self.whom_it_waits_for(deadline))?;
                continue;
            }
            if self.execution.steps.len() >= self.scheduler.timing.steps {
                return Err(format!(
                    "more than {} commands: the requests do not come to an end",
                    self.scheduler.timing.steps
                ));
            }
            let lanes = self.lane_views();
            let choice =
                policy.choose(&View { enabled: &enabled, lanes: &lanes }).map_err(|error| error.to_string())?;
            self.touch(&choice);
            for request in self.release(&choice)? {
                self.settle(request).await?;
            }
            self.await_answers().await?;
            self.after(&choice).await?;
            if let Some(stored) = &mut self.scheduler.stored {
                // What is not seen in time is not shown, and neither is what follows it.
                Scope::new(self.scheduler.timing.deadline, &self.scheduler.stop).wait(stored.look()).await.ok();
            }
        }
    }

    /// Sends what need not wait any more: a request waits for its instance to be up, and is not sent where that has ended instead.
    async fn start_those_due(&mut self, requests: &[usize]) -> Result<(), String> {
        for &request in requests {
            let (lane, needed) = (&self.lanes[request], needed(request, self.execution.starts));
            if lane.started || lane.finished || needed.is_some_and(|start| !self.lanes[start].finished) {
                continue;
            }
            let has_ended = |start: usize| self.lanes[start].started && !came_up(&self.execution.requests[start]);
            if needed.is_some_and(has_ended) {
                self.lanes[request].finished = true;
                self.execution.unsent.insert(request);
                continue;
            }
            self.start(request);
            self.settle(request).await?;
        }
        Ok(())
    }

    /// An error where it is not known what came of a start.
    fn starts_are_known(&self) -> Result<(), String> {
        for (lane, record) in self.execution.requests.iter().enumerate().take(self.execution.starts) {
            if let Some(Outcome::Unknown(cause)) = record.completion.as_ref().map(|completion| &completion.outcome) {
                return Err(format!("{}: {}", participant(lane, self.execution.starts), cause.message));
            }
        }
        Ok(())
    }

    fn start(&mut self, request: usize) {
        let future = self.subject.start(self.execution.number, request);
        let (sender, execution) = (self.scheduler.sender.clone(), self.execution.number);
        if self.lanes[request].delivery == 0 {
            self.execution.requests[request].invoked = Instant::now();
        }
        self.lanes[request].started = true;
        let lingers = self.scheduler.overtakes;
        tokio::spawn(async move {
            let completion = future.await;
            if lingers {
                // What it sent before its answer came another way.
                tokio::time::sleep(OVERTAKEN).await;
            }
            // Nobody listens when the exploration has ended; then nobody needs to know.
            sender.send(Event::Finished { execution, request, completion }).ok();
        });
    }

    /// What may be released: all that is parked, but for polls while another request can go on.
    fn enabled(&mut self) -> Vec<Enabled> {
        let mut enabled = Vec::new();
        let mut idle = Vec::new();
        for (request, lane) in self.lanes.iter().enumerate() {
            let alone = self.scheduler.alone.get(&self.subject.class(request)).map_or(&[][..], Vec::as_slice);
            for (slot, held) in lane.parked.iter().enumerate() {
                let command = Arc::clone(&held.command);
                let is_poll = polls(request, &lane.told, &command, alone, &self.changes);
                let pick = Pick { request, slot, delivery: lane.delivery, ..Pick::default() };
                let parked = Enabled { pick, ordinal: held.ordinal, command, is_answer: false };
                if is_poll { idle.push(parked) } else { enabled.push(parked) }
            }
            for (index, (step, _)) in lane.answers.iter().enumerate() {
                let step = &self.execution.steps[*step];
                let pick =
                    Pick { request, slot: lane.parked.len() + index, delivery: lane.delivery, ..Pick::default() };
                let command = Arc::clone(&step.command);
                enabled.push(Enabled { pick, ordinal: step.ordinal, command, is_answer: true });
            }
        }
        if enabled.is_empty() {
            // Nobody else can go on: time may have changed something.
            return idle;
        }
        for poll in idle {
            self.execution.polls.entry(poll.pick.request).or_insert_with(|| {
                let collection = poll.command.collection.as_deref().map(own_name);
                [Some(&*poll.command.name), collection].into_iter().flatten().collect::<Vec<_>>().join(" ")
            });
        }
        enabled
    }

    fn lane_views(&self) -> Vec<LaneView> {
        let view = |(request, lane): (usize, &Lane)| LaneView {
            class: self.subject.class(request),
            past: lane.past,
            // Of what is not answered yet, nobody has heard whether it wrote.
            wrote: lane.wrote || !lane.answers.is_empty(),
        };
        self.lanes.iter().enumerate().map(view).collect()
    }

    /// Lets go what was chosen; the requests that were given an answer by that.
    fn release(&mut self, choice: &Choice) -> Result<Vec<usize>, String> {
        let release = self.execution.released(choice.clone());
        // From the last slot on, so that the positions before it stay what they are.
        let mut picks = choice.0.clone();
        picks.sort_by_key(|pick| std::cmp::Reverse((pick.request, pick.slot)));
        let (mut gates, mut answered) = (Vec::new(), Vec::new());
        for pick in picks {
            let lane = self.lanes.get_mut(pick.request);
            let lane = lane.filter(|lane| pick.slot < lane.parked.len() + lane.answers.len());
            let Some(lane) = lane else { return Err(format!("request {pick} has no such command parked")) };
            if let Some(answer) = pick.slot.checked_sub(lane.parked.len()) {
                let (step, replied) = lane.answers.remove(answer);
                self.execution.answers.push((release, step));
                self.deliver(pick.request, step, Some(replied));
                answered.push(pick.request);
                continue;
            }
            let held = lane.parked.remove(pick.slot);
            self.learn_late(pick.request, held.ordinal);
            let goes = pick.fault.map_or(Some(Release::Forward), Fault::release);
            if goes.is_some() {
                self.in_server.insert(held.step, (pick.request, self.execution.steps.len()));
            }
            self.since.push(self.changes.len());
            self.execution.steps.push(Step {
                request: pick.request,
                pick,
                ordinal: held.ordinal,
                release,
                sent: held.sent,
                command: held.command,
                reply: None,
                answered: None,
            });
            gates.push((held.gate, goes));
        }
        for (gate, goes) in gates {
            match goes {
                // A gate without a command behind it: its connection is gone, and that is an event of its own.
                Some(release) => drop(gate.send(release)),
                None => self.withheld.push(gate),
            }
        }
        Ok(answered)
    }

    /// Waits for the answers to what is in the server. One that does not come while others could go on is left there: the
    /// server makes the command wait, for a transaction of another request.
    async fn await_answers(&mut self) -> Result<(), String> {
        while !self.in_server.is_empty() {
            let others_can = self.lanes.iter().any(Lane::has_a_choice) || !self.answers.is_empty();
            let patience = if others_can { self.scheduler.timing.stall } else { self.scheduler.timing.deadline };
            if let Err(Silence) = self.wait(patience, None).await {
                if self.scheduler.stop.is_cancelled() {
                    return Err(INTERRUPTED.to_owned());
                }
                if !others_can {
                    return Err(self.whom_it_waits_for(patience));
                }
                self.execution.waited = true;
                return Ok(());
            }
        }
        // Answers are delivered in the order of the requests, whatever order they came in.
        self.answers.make_contiguous().sort_by_key(|(request, ..)| *request);
        Ok(())
    }

    fn deliver(&mut self, request: usize, step: usize, answer: Option<Replied>) {
        let Some(replied) = answer else { return self.unheard(request, step) };
        let deliver = self.fault_at(step).map_or(Deliver::Forward, Fault::deliver);
        match deliver {
            Deliver::Forward => self.hear(request, step, &replied),
            Deliver::Drop => self.unheard(request, step),
        }
        replied.gate.send(deliver).ok();
    }

    /// Takes note of a command of which its request hears nothing: it may have changed what it names.
    fn unheard(&mut self, request: usize, step: usize) {
        self.lanes[request].wrote = true;
        let command = Arc::clone(&self.execution.steps[step].command);
        self.changes.push(Changed { request, command });
    }

    /// Takes note of what a request is told about a command.
    fn hear(&mut self, request: usize, position: usize, replied: &Replied) {
        let step = &self.execution.steps[position];
        // Two requests that were told the same by reads with a write between them are where the data is concerned in one
        // place, but not in one class of interleavings: so the writes count.
        let writes = self.execution.steps[..position].iter().filter(|other| !commute(&other.command, &step.command));
        let (writes, command, reply) = (writes.count(), Arc::clone(&step.command), &replied.reply);
        let (undone, changed) = effect(&command, reply);
        let lane = &mut self.lanes[request];
        lane.hear(step.ordinal, &command, reply, writes);
        lane.wrote |= changed;
        let since = self.since[position];
        if undone {
            let of_it = |told: &&mut Told| told.command.in_transaction && told.command.name != "commitTransaction";
            lane.told.iter_mut().rev().take_while(of_it).for_each(|told| told.changed = false);
        }
        lane.told.push(Told { command, answer: polling::answer(reply), changed, since });
    }

    /// Takes note of what a command changed, as soon as the server has carried it out.
    fn take_effect(&mut self, request: usize, position: usize, replied: &Replied) {
        let command = Arc::clone(&self.execution.steps[position].command);
        let (_, changed) = effect(&command, &replied.reply);
        if changed {
            self.changes.push(Changed { request, command });
        }
    }
}

/// Whether a command undid its transaction, and whether it may have changed data.
fn effect(command: &Command, reply: &Reply) -> (bool, bool) {
    // What fails in a transaction undoes all of it, and so does an end without a commit.
    let undone = command.in_transaction && (!reply.ok || command.name == "abortTransaction");
    let changed = command.in_transaction || (command.kind == Kind::Write && !reply.changed_nothing());
    (undone, !undone && changed)
}
