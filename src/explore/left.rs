//! What executions share and runs out: places, a stock, a quota. From then on everybody is refused, and rightly.
//!
//! *Soundness*: whoever was refused was left something only if somebody was served after that. So the requests come once more at the
//! end, one after another, where the last of them were all refused. *Completeness*: where nobody is served any more, nothing is said of
//! executions in which nobody was.

use super::explorer::Explorer;
use super::policy::Serial;
use super::subject::Subject;
use crate::checker::ServedUntil;
use crate::history::{Operation, Outcome, Phase};
use crate::verdict::Invariant;

/// Whether there was something left for one of these that was refused; also, if none of them was.
pub(super) fn left_something(served: &ServedUntil, operations: &[Operation]) -> bool {
    let mut refused = operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Failed(_))).peekable();
    refused.peek().is_none() || refused.any(|operation| served.left_something(operation))
}

impl Explorer<'_> {
    /// Until when requests were served, in all executions.
    pub(super) fn served_until(&self) -> ServedUntil {
        let mut until = ServedUntil::default();
        let all = (0..self.found.executions.len()).flat_map(|position| self.operations(position));
        all.for_each(|operation| until.meet(&operation));
        until
    }

    /// Executions in which everybody was refused and after which nobody was served, though others had been before: what is never served
    /// on a key of its own has not run out.
    fn with_nothing_left(&self) -> Vec<usize> {
        let served = self.served_until();
        let executions = self.found.executions.iter().enumerate();
        let main = executions.filter(|(_, (_, _, phase))| phase.is_main()).map(|(position, _)| position);
        main.filter(|position| {
            let operations = self.operations(*position);
            let was_served = |operation: &Operation| served.of_kind(operation.action.name()).is_some();
            let is_refused =
                |operation: &Operation| matches!(operation.outcome, Outcome::Failed(_)) && was_served(operation);
            !operations.is_empty() && operations.iter().all(is_refused) && !left_something(&served, &operations)
        })
        .collect()
    }

    /// Has the requests come one after another once more, where the last of them were all refused.
    pub(super) async fn see_what_is_left(&mut self) {
        let is_judged = self.plan.invariants.contains(&Invariant::SomebodyServed);
        if !is_judged || self.is_over() || self.stop.is_cancelled() || self.with_nothing_left().is_empty() {
            return;
        }
        let all: Vec<usize> = (0..self.subject.requests()).collect();
        self.hold();
        self.execute_surely(&all, Phase::Main, &mut Serial).await;
        self.pass();
    }

    /// Why executions in which everybody was refused show nothing, where that is so.
    pub(super) fn nothing_left(&self) -> Option<String> {
        if !self.plan.invariants.contains(&Invariant::SomebodyServed) {
            return None;
        }
        let first = *self.with_nothing_left().first()?;
        Some(format!(
            "from \"{}\" on everybody was refused, and nobody was served after that: they refuse each other, or what executions \
             share (places, a stock, a quota) had run out; have `[[setup]]` make enough of it for all of them",
            self.found.executions[first].0.choices()
        ))
    }
}
