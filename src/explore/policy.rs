//! Who decides what is released next: [`Policy`], and the simple ones.

use std::sync::Arc;

use super::conflict::commute;
use super::fault::Fault;
use super::schedule::{Choice, Pick, Schedule};
use super::wire::{Command, Kind};

/// What a decision is made from.
#[derive(Debug)]
pub struct View<'a> {
    /// Commands that are parked, by request, then in the order in which they came.
    pub enabled: &'a [Enabled],
    /// What is known of each request.
    pub lanes: &'a [LaneView],
}

/// A parked command, or the answer to one.
#[derive(Debug, Clone, PartialEq)]
pub struct Enabled {
    /// Request and slot.
    pub pick: Pick,
    /// Its position among the request's commands.
    pub ordinal: usize,
    /// What it asks for.
    pub command: Arc<Command>,
    /// It was carried out, and this is its answer.
    pub is_answer: bool,
}

impl Enabled {
    /// Whether it makes no difference which of two of different requests comes first. Two answers meet in the service's
    /// memory, which nobody knows; an answer and a command meet nowhere.
    pub(super) fn is_independent_of(&self, other: &Enabled) -> bool {
        match (self.is_answer, other.is_answer) {
            (false, false) => commute(&self.command, &other.command),
            (true, true) => false,
            _ => true,
        }
    }
}

/// What is known of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneView {
    /// Its class: see [`super::subject::Subject::class`].
    pub class: usize,
    /// Same number: it asked and was told the same so far.
    pub past: u64,
    /// It may have left a trace in the data.
    pub wrote: bool,
}

/// Why no decision can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undecided(pub String);

/// How the reason begins when a schedule that was given does not fit.
pub(super) const MISFIT: &str = "the schedule does not fit";

/// Decides what is released next.
pub trait Policy: Send {
    /// One of the enabled commands, or several to be released together.
    fn choose(&mut self, view: &View<'_>) -> Result<Choice, Undecided>;

    /// What is to happen in the execution, if that is known before it.
    fn plans(&self) -> Option<Fault> {
        None
    }
}

/// One request after the other, each to its end.
#[derive(Debug, Clone, Default)]
pub struct Serial;

impl Policy for Serial {
    fn choose(&mut self, view: &View<'_>) -> Result<Choice, Undecided> {
        first(view)
    }
}

/// Each request in turn.
#[derive(Debug, Clone, Default)]
pub struct Alternate {
    last: Option<usize>,
}

impl Policy for Alternate {
    fn choose(&mut self, view: &View<'_>) -> Result<Choice, Undecided> {
        let next = view.enabled.iter().find(|enabled| self.last.is_none_or(|last| enabled.pick.request > last));
        let pick = match next.or(view.enabled.first()) {
            Some(enabled) => enabled.pick,
            None => return Err(Undecided("nothing is parked".to_owned())),
        };
        self.last = Some(pick.request);
        Ok(Choice(vec![pick]))
    }
}

/// A schedule as it is written; when it is at its end, the rest one request after the other.
#[derive(Debug, Clone)]
pub struct Replay {
    schedule: Schedule,
    next: usize,
    strict: bool,
}

impl Replay {
    /// Replays exactly: a choice that is not parked is an error.
    pub fn new(schedule: Schedule) -> Self {
        Replay { schedule, next: 0, strict: true }
    }

    /// Leaves out what does not fit: a schedule that was predicted.
    pub fn lenient(schedule: Schedule) -> Self {
        Replay { schedule, next: 0, strict: false }
    }
}

impl Policy for Replay {
    fn plans(&self) -> Option<Fault> {
        self.schedule.fault()
    }

    fn choose(&mut self, view: &View<'_>) -> Result<Choice, Undecided> {
        while let Some(choice) = self.schedule.0.get(self.next) {
            self.next += 1;
            let parked = |pick: &Pick| view.enabled.iter().any(|enabled| enabled.pick == pick.without_fault());
            if choice.0.iter().all(parked) {
                return Ok(choice.clone());
            }
            if self.strict {
                return Err(Undecided(format!(
                    "{MISFIT}: step {} releases {choice}, but request {choice} has no such command parked",
                    self.next
                )));
            }
        }
        first(view)
    }
}

/// Each request alone up to its first write; then the writes of all of them together.
#[derive(Debug, Clone, Default)]
pub struct Together;

impl Policy for Together {
    fn choose(&mut self, view: &View<'_>) -> Result<Choice, Undecided> {
        let is_first = |enabled: &&Enabled| enabled.is_answer || enabled.command.kind != Kind::Write;
        if let Some(read) = view.enabled.iter().find(is_first) {
            return Ok(Choice(vec![read.pick]));
        }
        if view.enabled.is_empty() {
            return Err(Undecided("nothing is parked".to_owned()));
        }
        Ok(Choice(view.enabled.iter().map(|enabled| enabled.pick).collect()))
    }
}

/// The first parked command.
pub(super) fn first(view: &View<'_>) -> Result<Choice, Undecided> {
    match view.enabled.first() {
        Some(enabled) => Ok(Choice(vec![enabled.pick])),
        None => Err(Undecided("nothing is parked".to_owned())),
    }
}
