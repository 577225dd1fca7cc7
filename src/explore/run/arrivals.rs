//! What arrives while an execution is under way: commands that are parked, answers, ends of requests; and waiting for it.

use std::time::{Duration, Instant, SystemTime};

use super::Run;
use crate::explore::execution::{INTERRUPTED, participant};
use crate::explore::gate::{Event, Parked};
use crate::explore::hub::{shape, signature};
use crate::explore::lane::Held;
use crate::explore::scheduler::{Learned, START_QUIET};
use crate::explore::wire::Command;
use crate::scope::Scope;

/// How long what is left of an execution that is given up may take to end; shorter if the exploration is to end.
const CLEAN_UP: Duration = Duration::from_secs(2);
const SHORT_CLEAN_UP: Duration = Duration::from_millis(200);

/// Nothing happened in the time that was given.
pub(super) struct Silence;

impl Run<'_> {
    /// Waits until a request that can move is at rest again: it has a further command parked, or it has ended.
    pub(super) async fn settle(&mut self, request: usize) -> Result<(), String> {
        let before = self.lanes[request].next_ordinal;
        let heard = (self.subject.class(request), self.lanes[request].heard);
        let timing = self.scheduler.timing;
        self.mover = Some(request);
        loop {
            let lane = &self.lanes[request];
            let moved = lane.next_ordinal > before;
            // Something else of it is under way, or answered and not delivered yet.
            let siblings = lane.has_a_choice()
                || self.in_server.values().any(|(owner, _)| *owner == request)
                || self.answers.iter().any(|(owner, ..)| *owner == request);
            let others_wait = self.lanes.iter().any(|lane| lane.waiting);
            if lane.finished && !others_wait && (moved || !self.may_be_late(request)) {
                return Ok(());
            }
            if moved && !self.scheduler.parallel && !others_wait {
                return Ok(());
            }
            let known = self.scheduler.learned.get(&heard).filter(|_| self.scheduler.parallel && !others_wait);
            if known.is_some_and(|known| known.settles(lane.rest(before))) {
                self.hurried = true;
                return Ok(());
            }
            let rested = lane.finished || moved || siblings;
            let others_can = self.lanes.iter().enumerate().any(|(other, lane)| other != request && lane.has_a_choice());
            let patience = match (rested, others_can || !self.in_server.is_empty()) {
                (true, _) if request < self.execution.starts => timing.quiet.max(START_QUIET),
                (true, _) => timing.quiet,
                // What a process does before its first command takes as long as it takes, whoever else could go on.
                (false, _) if request < self.execution.starts => timing.start,
                (false, true) => timing.stall,
                (false, false) => timing.deadline,
            };
            if let Err(Silence) = self.wait(patience, Some(request)).await {
                if self.scheduler.stop.is_cancelled() {
                    return Err(INTERRUPTED.to_owned());
                }
                if rested {
                    self.learn(request, heard, before);
                    return Ok(());
                }
                if patience == timing.deadline || request < self.execution.starts {
                    return Err(self.whom_it_waits_for(patience));
                }
                self.lanes[request].waiting = true;
                self.execution.waited = true;
                self.execution.waited_in_service = true;
                return Ok(());
            }
        }
    }

    /// Remembers what a request sent before it fell silent.
    fn learn(&mut self, request: usize, heard: (usize, u64), before: usize) {
        let rest = self.lanes[request].rest(before);
        let learned = self.scheduler.learned.entry(heard).or_insert(Learned { rest, seen: 0 });
        let seen = if learned.rest == rest { learned.seen + 1 } else { 1 };
        *learned = Learned { rest, seen };
    }

    /// Takes in the next event.
    pub(super) async fn wait(&mut self, patience: Duration, mover: Option<usize>) -> Result<(), Silence> {
        let event = Scope::new(patience, &self.scheduler.stop).wait(self.scheduler.events.recv()).await;
        match event {
            Ok(Some(event)) => {
                self.absorb(event, mover);
                Ok(())
            }
            Ok(None) | Err(_) => Err(Silence),
        }
    }

    /// Takes in what has arrived since everything came to rest: it came late, or from nowhere.
    pub(super) fn drain(&mut self) {
        while let Ok(event) = self.scheduler.events.try_recv() {
            self.absorb(event, None);
        }
    }

    pub(super) fn absorb(&mut self, event: Event, mover: Option<usize>) {
        match event {
            Event::Parked(parked) => match self.owner(mover, &parked.command) {
                Some(request) => self.park(request, parked),
                None => self.execution.strays.push(signature(&parked.command)),
            },
            Event::Replied(replied) => {
                if let Some((request, index)) = self.in_server.remove(&replied.step) {
                    let step = &mut self.execution.steps[index];
                    (step.reply, step.answered) = (Some(replied.reply.clone()), Some(SystemTime::now()));
                    self.answers.push_back((request, index, Some(replied)));
                }
            }
            Event::Lost { step, .. } => {
                if let Some((request, index)) = self.in_server.remove(&step) {
                    self.answers.push_back((request, index, None));
                }
                for lane in &mut self.lanes {
                    lane.parked.retain(|held| held.step != step);
                    lane.answers.retain(|(_, replied)| replied.step != step);
                }
            }
            Event::Finished { execution, request, completion } if execution == self.execution.number => {
                let record = &mut self.execution.requests[request];
                record.completed = Some(Instant::now());
                record.completion = Some(completion);
                self.lanes[request].finished = true;
                self.lanes[request].waiting = false;
            }
            // The late end of a request of an execution that was given up.
            Event::Finished { .. } => {}
        }
    }

    /// The request that a command belongs to: who could move, then who waited, then, if requests are known to send several
    /// commands at once, who moved last.
    fn owner(&mut self, mover: Option<usize>, command: &Command) -> Option<usize> {
        let waiting: Vec<usize> = (0..self.lanes.len()).filter(|lane| self.lanes[*lane].waiting).collect();
        let can_move = mover.filter(|mover| !self.lanes[*mover].finished);
        match (can_move, waiting.first()) {
            (Some(mover), None) => Some(mover),
            (Some(mover), Some(_)) => {
                // A request that waited may have been woken before the one that moves came to rest.
                self.execution.ambiguous |= !self.lanes[mover].parked.is_empty();
                Some(mover)
            }
            (None, Some(&waiter)) => {
                self.execution.ambiguous |=
                    waiting.iter().any(|other| self.subject.class(*other) != self.subject.class(waiter));
                Some(waiter)
            }
            (None, None) if self.mover.is_some_and(|mover| self.may_be_late(mover)) => self.mover,
            (None, None) if self.scheduler.parallel => {
                if self.hurried {
                    // What was learned is not so: whose command this is can no longer be told.
                    self.scheduler.learned.clear();
                    self.execution.ambiguous = true;
                }
                self.mover.filter(|mover| !self.lanes[*mover].finished)
            }
            (None, None) => self.only_sender(command),
        }
    }

    /// The only request that is under way, where it has sent a command like this a moment ago: it sends several at once, as it did
    /// not while it found nothing. What the service does by itself is not like it.
    fn only_sender(&mut self, command: &Command) -> Option<usize> {
        let mut open = (0..self.lanes.len()).filter(|lane| self.lanes[*lane].started && !self.lanes[*lane].finished);
        let (one, None) = (open.next()?, open.next()) else { return None };
        let own = shape(command);
        let released = self.execution.steps.iter().filter(|step| step.request == one);
        let released = released.map(|step| (&step.command, step.sent));
        let parked = self.lanes[one].parked.iter().map(|held| (&held.command, held.sent));
        let last = released.chain(parked).filter(|(other, _)| shape(other) == own).map(|(_, sent)| sent).max()?;
        let is_new = last.elapsed().is_ok_and(|since| since < self.scheduler.timing.quiet);
        // It is known from now on.
        self.execution.parallel |= is_new;
        is_new.then_some(one)
    }

    fn park(&mut self, request: usize, parked: Parked) {
        let lane = &mut self.lanes[request];
        lane.waiting = false;
        self.execution.parallel |= !lane.parked.is_empty();
        let Parked { step, command, gate } = parked;
        lane.parked.push(Held { ordinal: lane.next_ordinal, step, sent: SystemTime::now(), command, gate });
        lane.next_ordinal += 1;
    }

    /// Says whose next step did not come within this time.
    pub(super) fn whom_it_waits_for(&self, patience: Duration) -> String {
        let open = |request: &usize| self.lanes[*request].started && !self.lanes[*request].finished;
        let requests: Vec<String> =
            (0..self.lanes.len()).filter(open).map(|lane| participant(lane, self.execution.starts)).collect();
        let seconds = patience.as_secs_f64();
        let where_to = if self.in_server.is_empty() {
            "neither sends a command nor ends"
        } else {
            "has a command in the server that is not answered"
        };
        format!("{} {where_to} for {seconds} s", requests.join(", "))
    }

    /// Lets everything pass that is left, and gives it a little time to end.
    pub(super) async fn clean_up(&mut self) {
        let stopped = self.scheduler.stop.is_cancelled();
        let until = Instant::now() + if stopped { SHORT_CLEAN_UP } else { CLEAN_UP };
        self.answers.clear();
        self.withheld.clear();
        for lane in &mut self.lanes {
            lane.parked.clear();
            lane.answers.clear();
        }
        while self.lanes.iter().any(|lane| lane.started && !lane.finished) && Instant::now() < until {
            match tokio::time::timeout_at(until.into(), self.scheduler.events.recv()).await {
                // Dropped, which lets it pass.
                Ok(Some(Event::Parked(_) | Event::Replied(_) | Event::Lost { .. })) => {}
                Ok(Some(finished @ Event::Finished { .. })) => self.absorb(finished, None),
                Ok(None) | Err(_) => return,
            }
        }
    }
}
