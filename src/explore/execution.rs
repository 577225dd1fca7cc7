//! What one execution was: its steps, its decisions, its answers. [`Execution`] is a record; it decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::fault::Fault;
use super::schedule::{Choice, Pick, Schedule};
use super::wire::{Command, Reply};
use crate::target::Completion;

/// Why an execution ended that was told to.
pub(super) const INTERRUPTED: &str = "interrupted";

/// One execution of all requests under one schedule.
#[derive(Debug, Clone, Default)]
pub struct Execution {
    /// Its number; it names the key.
    pub number: u32,
    /// What was released, in order.
    pub schedule: Schedule,
    /// Every command that was released.
    pub steps: Vec<Step>,
    /// Answers that were parked as well, in the order in which they were delivered: the release that delivered it, and its
    /// position in `steps`.
    pub answers: Vec<(usize, usize)>,
    /// The requests, by position.
    pub requests: Vec<Request>,
    /// Why the execution could not be brought to its end.
    pub stuck: Option<String>,
    /// Commands that no request could have sent, by name and namespace. They passed.
    pub strays: Vec<String>,
    /// A request waited for another one: in the server, or in the service.
    pub waited: bool,
    /// It waited in the service, where the order in which requests come to wait is not chosen.
    pub waited_in_service: bool,
    /// It cannot be told for certain which request a command belongs to.
    pub ambiguous: bool,
    /// A request had several commands parked at once.
    pub parallel: bool,
    /// Requests of which polls were left out, with the command.
    pub polls: BTreeMap<usize, String>,
    /// Requests that a fault touched.
    pub touched: BTreeSet<usize>,
    /// The service was killed and started again: what it did at its start has passed.
    pub restarted: bool,
    /// What it wrote at its start, by name and namespace.
    pub at_start: BTreeSet<String>,
    /// It was killed and did not come back: `stuck` says why.
    pub lost: bool,
    /// What else there is to be told.
    pub notes: Vec<String>,
    /// Requests that were not sent, because the instance that they go to has ended at its start.
    pub unsent: BTreeSet<usize>,
    /// How many of the participants are starts of instances: the first ones. `requests` has them as well.
    pub starts: usize,
}

/// One released command.
#[derive(Debug, Clone)]
pub struct Step {
    /// The request that sent it.
    pub request: usize,
    /// How it was chosen.
    pub pick: Pick,
    /// Its position among the request's commands.
    pub ordinal: usize,
    /// Position of the release that let it go; commands released together share it.
    pub release: usize,
    /// When it came to the proxy.
    pub sent: SystemTime,
    /// What it asked for.
    pub command: Arc<Command>,
    /// What the server said, if it answered.
    pub reply: Option<Reply>,
    /// When it did.
    pub answered: Option<SystemTime>,
}

/// One request of an execution.
#[derive(Debug, Clone)]
pub struct Request {
    /// Immediately before it was sent.
    pub invoked: Instant,
    /// Immediately after its answer; absent when there was none in time.
    pub completed: Option<Instant>,
    /// Its answer.
    pub completion: Option<Completion>,
}

/// A participant by the name that schedules have for it: `S1` is the start of the first instance, `R1` the first request.
pub(super) fn participant(position: usize, starts: usize) -> String {
    match position.checked_sub(starts) {
        Some(request) => format!("R{}", request + 1),
        None => format!("S{}", position + 1),
    }
}

/// The start that a participant waits for: that of the instance to which its request goes. Requests go to the instances in turn.
pub(super) fn needed(position: usize, starts: usize) -> Option<usize> {
    position.checked_sub(starts)?.checked_rem(starts)
}

impl Execution {
    /// The schedule with names: `R1.find R2.find R1.insert R2.insert`. An answer that was parked is `R1.find↩`, a command that a
    /// fault struck `R1.find!crash`, one of a request that was delivered again `R1'.find`.
    pub fn named(&self) -> String {
        let name = |step: &Step| {
            let (again, fault) = ("'".repeat(usize::from(step.pick.delivery)), step.pick.fault);
            let fault = fault.map_or_else(String::new, |fault| format!("!{fault}"));
            format!("{}{again}.{}{fault}", participant(step.request, self.starts), step.command.name)
        };
        let mut releases: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for step in &self.steps {
            releases.entry(step.release).or_default().push(name(step));
        }
        for (release, step) in &self.answers {
            releases.entry(*release).or_default().extend(self.steps.get(*step).map(|step| format!("{}↩", name(step))));
        }
        releases.into_values().map(|names| names.join("+")).collect::<Vec<_>>().join(" ")
    }

    /// The schedule as it is typed: `s1 s2 1`.
    pub fn choices(&self) -> String {
        self.schedule.written(self.starts).to_string()
    }

    /// What happened in it.
    pub fn fault(&self) -> Option<Fault> {
        self.schedule.fault()
    }

    /// Whether everything in it is known to be what the schedule says.
    #[cfg(test)]
    pub(super) fn is_exact(&self) -> bool {
        self.is_exact_beside(&BTreeSet::new())
    }

    /// The same, where this passes in the background: it may have come before it was known for what it is.
    pub(super) fn is_exact_beside(&self, background: &BTreeSet<String>) -> bool {
        self.stuck.is_none() && !self.has_strays(background) && !self.ambiguous
    }

    /// Whether something passed that is not known to come in the background.
    pub(super) fn has_strays(&self, background: &BTreeSet<String>) -> bool {
        self.strays.iter().any(|stray| !background.contains(stray))
    }

    /// This execution, followed by another request that was sent when all of it was over.
    pub(super) fn followed_by(mut self, later: Execution, request: usize) -> Self {
        let (releases, steps) = (self.schedule.0.len(), self.steps.len());
        self.answers.extend(later.answers.into_iter().map(|(release, step)| (release + releases, step + steps)));
        self.schedule.0.extend(later.schedule.0);
        self.steps.extend(later.steps.into_iter().map(|step| Step { release: step.release + releases, ..step }));
        if let Some(record) = later.requests.into_iter().nth(request) {
            self.requests[request] = record;
        }
        self.stuck = self.stuck.or(later.stuck);
        self.strays.extend(later.strays);
        self.waited |= later.waited;
        self.ambiguous |= later.ambiguous;
        self.parallel |= later.parallel;
        self.touched.extend(later.touched);
        self.restarted |= later.restarted;
        self.at_start.extend(later.at_start);
        self.lost |= later.lost;
        self.notes.extend(later.notes);
        self.unsent.extend(later.unsent);
        self.starts = self.starts.max(later.starts);
        self
    }

    /// Records a release.
    pub(super) fn released(&mut self, choice: Choice) -> usize {
        self.schedule.0.push(choice);
        self.schedule.0.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passed_before_it_was_known_for_work_in_the_background_leaves_nothing_in_doubt() {
        let execution = Execution { strays: vec!["insert app.posted".to_owned()], ..Execution::default() };
        let known = |name: &str| BTreeSet::from([name.to_owned()]);
        assert!(!execution.is_exact() && !execution.is_exact_beside(&known("insert app.letters")));
        assert!(execution.is_exact_beside(&known("insert app.posted")));
        let unsure = Execution { ambiguous: true, ..execution };
        assert!(!unsure.is_exact_beside(&known("insert app.posted")));
    }
}
