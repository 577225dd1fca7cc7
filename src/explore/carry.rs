//! Executions of an exploration, one by one: what they teach, and what counts.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use tokio::sync::mpsc;

use super::alone::describe;
use super::dfs::NOT_DETERMINISTIC;
use super::execution::{Execution, INTERRUPTED};
use super::explorer::{Explorer, MAX_DEAD};
use super::filled::{NO_RULE, filled};
use super::found::{Found, Patience};
use super::gate::Event;
use super::hub::shape;
use super::policy::{MISFIT, Policy, Replay};
use super::scheduler::{Learned, Scheduler};
use super::spent::Part;
use super::subject::Subject;
use super::watch::{After, Watch};
use crate::history::Phase;
use crate::scope::{Ended, Scope};

const WAIT_IN_SERVICE: &str = "requests wait for each other in the service";

/// What is said of a command that passed.
pub(super) fn of_nobody(stray: &str) -> String {
    format!("no request could have sent this; it passed: {stray}")
}

impl Explorer<'_> {
    /// One execution of all requests, counted; repeated if it was the machine that was slow.
    pub(super) async fn execute<P: Policy + Clone>(&mut self, policy: &mut P) {
        let all: Vec<usize> = (0..self.subject.requests()).collect();
        let position = self.execute_surely(&all, Phase::Main, policy).await;
        self.count(position);
        self.again(position).await;
    }

    /// One execution of some requests; its position. One in which something seems to be amiss is carried out once more,
    /// because the machine may just have been slow: then the first takes back all that it taught.
    pub(super) async fn execute_surely<P: Policy + Clone>(
        &mut self,
        requests: &[usize],
        phase: Phase,
        policy: &mut P,
    ) -> usize {
        let (before, taught) = (policy.clone(), self.taught());
        let position = self.execute_some(requests, phase, policy).await;
        if !self.is_doubtful(position) {
            return position;
        }
        self.take_back(taught, position);
        *policy = before;
        let again = self.execute_some(requests, phase, policy).await;
        self.confirm_doubt(again);
        again
    }

    /// What is known before an execution.
    fn taught(&self) -> Taught {
        Taught {
            notes: self.found.notes.clone(),
            reasons: self.found.reasons.clone(),
            dead: self.found.dead,
            diverged: self.found.diverged,
            parallel: self.scheduler.parallel,
            learned: self.scheduler.learned.clone(),
        }
    }

    /// Whether an execution is to be repeated: nothing in it may be due to a slow machine.
    fn is_doubtful(&mut self, position: usize) -> bool {
        if self.stop.is_cancelled() {
            return false;
        }
        let Found { executions, confirmed, background, .. } = &self.found;
        let (execution, ..) = &executions[position];
        if execution.lost {
            // There is nobody to carry it out again.
            return false;
        }
        // Other commands after the same releases are the service's own doing, unless whose they are was in doubt.
        let diverged = execution.stuck.as_deref().is_some_and(|reason| reason.starts_with(NOT_DETERMINISTIC))
            || self.found.seen.get(&execution.schedule).is_some_and(|named| *named != execution.named());
        let stuck = execution.stuck.is_some() && !diverged && !is_misfit(execution);
        let inexact = execution.ambiguous || execution.has_strays(background);
        if (stuck && !confirmed.stuck)
            || (diverged && execution.ambiguous && !confirmed.diverged)
            || (inexact && !confirmed.inexact)
        {
            return true;
        }
        if !execution.waited {
            return false;
        }
        match self.found.patience {
            Patience::Usual(stall) => {
                self.found.patience = Patience::Raised(stall);
                self.scheduler.timing.stall = (stall * 5).min(self.plan.timing.deadline / 2);
                true
            }
            Patience::Raised(_) | Patience::Confirmed => false,
        }
    }

    /// Takes back all that an execution taught; its requests were sent, and stay in the history.
    fn take_back(&mut self, taught: Taught, position: usize) {
        self.untell(position);
        let found = &mut self.found;
        (found.notes, found.reasons) = (taught.notes, taught.reasons);
        (found.dead, found.diverged) = (taught.dead, taught.diverged);
        (self.scheduler.parallel, self.scheduler.learned) = (taught.parallel, taught.learned);
        self.comparison.iter_mut().for_each(|comparison| comparison.forget(position));
        let (execution, ..) = &mut found.executions[position];
        *execution = Execution {
            number: execution.number,
            requests: std::mem::take(&mut execution.requests),
            unsent: std::mem::take(&mut execution.unsent),
            starts: execution.starts,
            ..Execution::default()
        };
    }

    /// What a repetition shows as well is not the machine's doing.
    fn confirm_doubt(&mut self, position: usize) {
        let found = &mut self.found;
        let (execution, ..) = &found.executions[position];
        let diverged = execution.stuck.as_deref().is_some_and(|reason| reason.starts_with(NOT_DETERMINISTIC));
        found.confirmed.diverged |= diverged;
        found.confirmed.stuck |= execution.stuck.is_some() && !diverged;
        found.confirmed.inexact |= execution.ambiguous || execution.has_strays(&found.background);
        if let Patience::Raised(stall) = found.patience {
            // It was the machine, which may be slow again; or requests do wait for each other.
            found.patience = if execution.waited { Patience::Confirmed } else { Patience::Usual(stall) };
            self.scheduler.timing.stall = stall;
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

    /// One execution of some requests, whatever comes of it; its position.
    pub(super) async fn execute_some(&mut self, requests: &[usize], phase: Phase, policy: &mut dyn Policy) -> usize {
        match self.begin_execution(requests).await {
            (number, Ok(())) => self.execute_begun(number, requests, phase, policy).await,
            (number, Err(why)) => self.never_began(number, phase, why),
        }
    }

    /// Does all that comes before the requests of the next execution: its number, and whether it can go on.
    pub(super) async fn begin_execution(&mut self, requests: &[usize]) -> (u32, Result<(), String>) {
        let number = self.next;
        self.next += 1;
        self.recognise_background();
        let begun = self.begin_afresh().await;
        if begun.is_ok() {
            self.seed(number).await;
            self.make_ready(number, requests).await;
        }
        (number, begun)
    }

    /// The requests of an execution that has begun; its position.
    pub(super) async fn execute_begun(
        &mut self,
        number: u32,
        requests: &[usize],
        phase: Phase,
        policy: &mut dyn Policy,
    ) -> usize {
        self.open_window().await;
        let begin = Instant::now();
        let execution = self.scheduler.execute_some(self.subject, number, requests, policy).await;
        self.found.spent.add(Part::Executions, begin);
        if execution.restarted {
            self.target.was_killed();
        }
        let mut execution = self.await_quiescence(execution).await;
        self.learn(&execution);
        let position = self.found.executions.len();
        self.close_window(position, &mut execution, requests.to_vec()).await;
        self.comparison.iter_mut().for_each(|comparison| comparison.started_again(&execution));
        self.keep(execution, requests.to_vec(), phase);
        let position = self.found.executions.len() - 1;
        if phase.is_main() {
            self.look_in_passing(position, After::Main).await;
            self.tell_violations(position).await;
        }
        position
    }

    /// Looks while commands pass: the service may have work to do in the background.
    pub(super) async fn look_in_passing(&mut self, position: usize, after: After) {
        if self.watch.is_some() {
            self.pass();
            self.proxy.overhear();
            self.look(position, after).await;
            let overheard = self.proxy.overheard();
            self.found.overheard.extend(overheard);
            self.hold();
        }
    }

    /// What a service that works in the background sends between executions, and no request sends alone, is such work as well,
    /// also where it comes while a request could have sent it.
    fn recognise_background(&mut self) {
        // Where executions are held against serial runs, what comes late is one of their effects.
        if self.found.background.is_empty() || self.scheduler.alone.is_empty() || self.comparison.is_some() {
            return;
        }
        let own: BTreeSet<String> = self.scheduler.alone.values().flatten().map(|command| shape(command)).collect();
        for (shape, name) in std::mem::take(&mut self.found.overheard) {
            if !own.contains(&shape) {
                self.is_background(name, shape);
            }
        }
    }

    /// All requests one after another, each when the one before has been answered: what is violated then is a plain defect.
    pub(super) async fn serial_control(&mut self) {
        self.serial_run_surely((0..self.subject.requests()).collect()).await;
    }

    /// The requests in this order; once more, if it was the machine that was slow.
    pub(super) async fn serial_run_surely(&mut self, order: Vec<usize>) {
        let taught = self.taught();
        let position = self.serial_run(order.clone()).await;
        if self.is_doubtful(position) {
            self.take_back(taught, position);
            let again = self.serial_run(order).await;
            self.confirm_doubt(again);
        }
    }

    /// Looks at the user's own invariants after an execution.
    pub(super) async fn look(&mut self, position: usize, after: After) {
        let Some(watch) = &mut self.watch else { return };
        let (execution, ..) = &self.found.executions[position];
        watch.background |= !execution.strays.is_empty();
        let begin = Instant::now();
        let looking = Scope::new(watch.look_within(), &self.stop);
        watch.withdraw_about(&filled(execution), NO_RULE);
        let looked = looking.wait(watch.look(execution.number, after)).await;
        self.found.spent.add(Part::OwnInvariants, begin);
        self.found.take_back(watch.withdrawn());
        match looked {
            Ok(violated) if !violated.is_empty() => {
                self.found.custom.entry(position).or_default().extend(violated);
            }
            Err(Ended::Deadline(_)) => self.watch.iter_mut().for_each(Watch::missed),
            Ok(_) | Err(Ended::Stopped) => {}
        }
    }

    /// Looks once more when all executions are over: work in the background may have come later.
    pub(super) async fn look_again(&mut self) {
        let last = self.found.executions.iter().rposition(|(_, _, phase)| phase.is_main());
        if let Some(last) = last.filter(|_| self.watch.as_ref().is_some_and(|watch| watch.background)) {
            self.look(last, After::All).await;
        }
    }

    /// What was done since the last look belongs to no execution that is judged by it.
    pub(super) async fn skip_look(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        // What is not told is missed by the next look, which then says more.
        Scope::new(watch.asked_within(), &self.stop).wait(watch.skip()).await.ok();
    }

    /// Takes note of what an execution says of all.
    pub(super) fn learn(&mut self, execution: &Execution) {
        let is_connected = self.is_connected();
        let found = &mut self.found;
        found.notes.extend(execution.notes.iter().cloned());
        for stray in execution.strays.iter().filter(|stray| !found.background.contains(*stray)) {
            found.notes.insert(of_nobody(stray));
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
        // An instance may have nothing to do at its start.
        let started = execution.requests.iter().skip(execution.starts).any(|request| request.completion.is_some());
        if execution.stuck.as_deref() == Some(INTERRUPTED) {
            return;
        }
        let dead = execution.stuck.is_some() || (started && execution.steps.is_empty());
        if !dead {
            found.dead = 0;
            return;
        }
        // Nothing comes of a service that is lost.
        found.dead = if execution.lost { MAX_DEAD } else { found.dead + 1 };
        let outcome = execution.requests.iter().find_map(|request| request.completion.as_ref());
        let reason = execution.stuck.clone().unwrap_or_else(|| {
            let before = if is_connected { " before it was answered" } else { "" };
            format!(
                "no request reached the database{before} ({})",
                describe(outcome.map(|completion| &completion.outcome))
            )
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
                let interleavings = match execution.fault() {
                    Some(_) => self.found.classes.add_alone(),
                    None => self.found.classes.add(execution, &classes),
                };
                self.found.weights.push(interleavings);
                self.found.seen.insert(execution.schedule.clone(), named);
                self.found.searched.push(position);
            }
            Some(before) if *before != named => {
                let note = format!("{NOT_DETERMINISTIC}: {} was `{before}`, then `{named}`", execution.choices());
                self.diverged(note);
            }
            Some(_) => {}
        }
    }

    /// Releases that were repeated led to something else.
    fn diverged(&mut self, reason: String) {
        self.found.diverged += 1;
        if self.found.diverged == 1 {
            self.found.reasons.push(reason);
        }
    }

    /// Parks commands again, after they were allowed to pass.
    pub(super) fn hold(&mut self) {
        let events = self.proxy.hold();
        self.listen_to(events);
    }

    /// Lets everything pass, also what was parked since an execution ended: nobody else would ever release it.
    pub(super) fn pass(&mut self) {
        self.proxy.pass();
        self.comparison.iter_mut().for_each(|comparison| comparison.disturbed = true);
        self.listen_to(mpsc::unbounded_channel());
    }

    /// Goes on with other events. What is parked in those before is dropped, which lets it pass.
    fn listen_to(&mut self, events: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>)) {
        let fresh = Scheduler::new(events, self.scheduler.timing);
        let before = std::mem::replace(&mut self.scheduler, fresh);
        self.scheduler.parallel = before.parallel;
        self.scheduler.learned = before.learned;
        self.scheduler.alone = before.alone;
        self.scheduler.park_answers = before.park_answers;
        self.scheduler.stop = before.stop;
        self.scheduler.stored = before.stored;
        self.scheduler.faults = before.faults;
    }
}

/// What executions have taught so far.
struct Taught {
    notes: BTreeSet<String>,
    reasons: Vec<String>,
    dead: u32,
    diverged: u32,
    parallel: bool,
    learned: HashMap<(usize, u64), Learned>,
}

/// Whether a schedule that was given does not fit.
pub(super) fn is_misfit(execution: &Execution) -> bool {
    execution.stuck.as_deref().is_some_and(|reason| reason.starts_with(MISFIT))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::explore::fake::Bench;

    #[tokio::test]
    async fn what_is_known_for_background_work_was_never_a_command_of_nobody() {
        let bench = Bench::silent(Duration::from_millis(20)).await;
        let mut explorer = bench.explorer(CancellationToken::new());
        let posted = "insert app.posted";
        let execution = Execution { strays: vec![posted.to_owned()], ..Execution::default() };
        explorer.learn(&execution);
        assert!(explorer.found.notes.contains(&of_nobody(posted)), "{:?}", explorer.found.notes);
        explorer.is_background(posted.to_owned(), posted.to_owned());
        assert!(!explorer.found.notes.contains(&of_nobody(posted)), "{:?}", explorer.found.notes);
        explorer.learn(&execution);
        assert!(!explorer.found.notes.contains(&of_nobody(posted)), "nor does it come back");
    }
}
