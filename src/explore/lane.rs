//! One request of an execution under way: what it has parked, what it has heard. Main type: [`Lane`].

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::oneshot;

use super::gate::{Release, Replied, StepId};
use super::polling::Told;
use super::wire::{Command, Reply};

/// How a request came to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    /// Commands that it sent.
    pub(super) sent: usize,
    /// It ended.
    pub(super) finished: bool,
}

/// One request.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) parked: Vec<Held>,
    /// Answers that are parked as well: to which step, and what it is.
    pub(super) answers: Vec<(usize, Replied)>,
    pub(super) next_ordinal: usize,
    pub(super) started: bool,
    pub(super) finished: bool,
    /// It neither sends nor ends: it waits for another request.
    pub(super) waiting: bool,
    /// Where it is as far as the data is concerned: what it asked and was told, and the writes before that.
    pub(super) past: u64,
    /// What it was told in words, the same in every execution.
    pub(super) heard: u64,
    pub(super) wrote: bool,
    /// Its commands and what it was told.
    pub(super) told: Vec<Told>,
    /// How often it had been delivered before.
    pub(super) delivery: u8,
}

/// A parked command.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) ordinal: usize,
    pub(super) step: StepId,
    pub(super) sent: SystemTime,
    pub(super) command: Arc<Command>,
    pub(super) gate: oneshot::Sender<Release>,
}

impl Lane {
    /// Takes note of an answer; `writes` is how many commands before it may have changed what it tells.
    pub(super) fn hear(&mut self, ordinal: usize, command: &Command, reply: &Reply, writes: usize) {
        let mut hasher = DefaultHasher::new();
        (self.past, &command.name, &command.collection, (reply.signature, writes)).hash(&mut hasher);
        self.past = hasher.finish();
        let mut hasher = DefaultHasher::new();
        (self.heard, ordinal, &command.name, &command.collection, reply.summary()).hash(&mut hasher);
        self.heard = hasher.finish();
    }

    /// Whether something of it can be let go.
    pub(super) fn has_a_choice(&self) -> bool {
        !self.parked.is_empty() || !self.answers.is_empty()
    }

    /// How it has come to rest since it had sent so many commands.
    pub(super) fn rest(&self, before: usize) -> Rest {
        Rest { sent: self.next_ordinal - before, finished: self.finished }
    }
}
