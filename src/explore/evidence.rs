//! From executions to verdicts: the operations of an execution, judged by the same checkers as a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::execution::Execution;
use super::subject::{Operations, Subject};
use crate::checker::judge;
use crate::history::{Cause, History, Nanos, Observation, Observed, Operation, Outcome, Phase};
use crate::verdict::{Invariant, Verdict};

/// Operations of an execution, as a history has them. Requests that were left out have none.
pub(super) fn operations(
    execution: &Execution,
    requests: &[usize],
    subject: &Operations,
    phase: Phase,
    start: Instant,
) -> Vec<Operation> {
    let since = |moment: Instant| -> Nanos {
        u64::try_from(moment.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX)
    };
    let operation = |request: &usize| {
        let record = &execution.requests[*request];
        let invocation = subject.invocation(execution.number, *request);
        let invoked = since(record.invoked);
        let (outcome, connected, attempts) = match &record.completion {
            Some(completion) => (completion.outcome.clone(), completion.connected, completion.attempts),
            None => (Outcome::Unknown(Cause::new("no answer before the execution was given up")), None, 1),
        };
        Operation {
            id: invocation.id,
            client: invocation.client,
            round: execution.number,
            phase,
            key: invocation.key,
            action: invocation.action,
            intended: invoked,
            invoked,
            connected: connected.map(since),
            completed: since(record.completed.unwrap_or_else(Instant::now)),
            attempts,
            outcome,
            late: None,
        }
    };
    // What an instance does at its start is no operation.
    let is_sent = |request: &&usize| **request >= subject.starts() && !execution.unsent.contains(*request);
    requests.iter().filter(is_sent).map(operation).collect()
}

/// Operations as a history has them: in order, its control first. Serial runs that came later are judged like every execution.
pub(super) fn in_order(mut operations: Vec<Operation>) -> Vec<Operation> {
    operations.sort_by_key(|operation| operation.id);
    let later = operations.iter_mut().skip_while(|operation| !operation.phase.is_main());
    later.for_each(|operation| operation.phase = Phase::Main);
    operations
}

/// Final documents, by key.
pub(super) struct Documents<'a> {
    observation: Option<&'a Observation>,
    by_key: BTreeMap<Arc<str>, Vec<Observed>>,
}

impl<'a> Documents<'a> {
    pub(super) fn new(observation: Option<&'a Observation>) -> Self {
        let mut by_key: BTreeMap<Arc<str>, Vec<Observed>> = BTreeMap::new();
        for document in observation.iter().flat_map(|observation| &observation.documents) {
            by_key.entry(Arc::clone(&document.key)).or_default().push(document.clone());
        }
        Documents { observation, by_key }
    }

    /// Judges one execution by itself, beside what requests do alone: the worst verdict, and what is violated.
    pub(super) fn verdict(
        &self,
        operations: &[Operation],
        alone: &[Operation],
        invariants: &[Invariant],
    ) -> (Verdict, Vec<Invariant>) {
        let Some(first) = operations.first() else { return (Verdict::Inconclusive, Vec::new()) };
        let documents = self.by_key.get(&first.key).cloned().unwrap_or_default();
        let observation = self.observation.map(|whole| Observation {
            source: whole.source,
            quiescent: whole.quiescent,
            documents,
            set_aside: whole.set_aside.clone(),
            vanished: whole.vanished.clone(),
            effects: Arc::clone(&whole.effects),
        });
        let operations = [alone, operations].concat();
        let history = History { operations, ..History::default() };
        let mut results = judge(&history, observation.as_ref(), Phase::Main, invariants);
        // Without a serial control there is nothing to hold the execution against.
        results.retain(|result| result.name != Invariant::SomebodyServed || result.checked > 0);
        let violated =
            results.iter().filter(|result| result.verdict == Verdict::Violated).map(|result| result.name.clone());
        (Verdict::combine(results.iter().map(|result| result.verdict)), violated.collect())
    }
}
