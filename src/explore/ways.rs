//! What a request does after others have ended. Main type: [`Way`].

use super::evidence::operations;
use super::execution::{Execution, Step};
use super::explorer::Explorer;
use super::hub::shape;
use super::predict::{Trace, may_conflict};
use super::subject::Subject;
use super::wire::Kind;
use crate::history::Operation;

/// What the last of several requests did, one after another.
pub struct Way {
    /// Equal for requests that sent the same and were told the same, whatever the values.
    pub told: String,
    trace: Trace,
    /// All that was sent.
    pub operations: Vec<Operation>,
    /// The next execution that has not been.
    pub next: u32,
}

impl Way {
    /// Whether it may have changed what others find.
    pub fn writes(&self) -> bool {
        self.trace.iter().any(|command| command.kind == Kind::Write)
    }

    /// Whether one of the two may write what the other reads or writes.
    pub fn may_meet(&self, other: &Way) -> bool {
        self.trace.iter().any(|own| other.trace.iter().any(|theirs| may_conflict(own, theirs)))
    }
}

/// One step of a way: what was sent, and whether anything was found.
pub(super) fn told(step: &Step) -> String {
    let said = step.reply.as_ref();
    let found = said.map(|reply| (reply.returned.map(|of| of > 0), reply.matched.map(|of| of > 0), reply.code));
    format!("{}{found:?}", shape(&step.command))
}

impl Explorer<'_> {
    /// Sends all requests of the subject one after another; nothing where one of them came to no end.
    pub async fn last_of_all(mut self) -> Option<Way> {
        let last = self.subject.requests().checked_sub(1)?;
        let position = self.serial_run((0..=last).collect()).await;
        self.pass();
        let (execution, requests, phase) = self.found.executions.get(position)?;
        let ended = execution.requests.iter().all(|request| request.completed.is_some());
        let own = |execution: &Execution| -> Vec<Step> {
            execution.steps.iter().filter(|step| step.request == last).cloned().collect()
        };
        let steps = own(execution);
        (execution.stuck.is_none() && ended).then(|| Way {
            told: steps.iter().map(told).collect(),
            trace: steps.iter().map(|step| step.command.clone()).collect(),
            operations: operations(execution, requests, self.subject, *phase, self.start),
            next: self.next.max(self.seeded),
        })
    }
}
