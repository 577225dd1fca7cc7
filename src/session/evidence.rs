//! What of a run is read beside its operations: the user's own invariants before and after, and the final state.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::READ_WITHIN;
use super::environment::Environment;
use super::error::in_one_line;
use super::interrupt::Interrupt;
use super::set_up::EnvironmentSpec;
use crate::assess::RunRecord;
use crate::driver;
use crate::history::{Earlier, History, Observation, Operation, Outcome};
use crate::scenario::{InvariantSpec, Scenario};
use crate::scope::Scope;
use crate::target::mongo::{Queries, QueryResult};
use crate::target::{Target, TargetError};

/// How long a look between the parts of the load may take.
const LOOK_WITHIN: Duration = Duration::from_secs(10);

/// The limits of reading back. An interruption that ended the load has not ended this, the next one does; one that came when the
/// load had just ended by itself does, too, or nobody would be told of it.
pub(crate) fn reading(scenario: &Scenario, history: &History, interrupt: &Interrupt) -> Scope {
    let stop = if history.interrupted { &interrupt.kill } else { &interrupt.stop };
    let own = scenario.invariants.iter().map(|spec| spec.within).max().unwrap_or_default();
    Scope::new(READ_WITHIN + own + scenario.stored_within(), stop)
}

/// Asks for the user's own invariants before the first operation; where to ask again, or why they cannot be asked for.
pub(crate) async fn ask_before(
    scenario: &Scenario,
    environment: &Environment,
    spec: &EnvironmentSpec<'_>,
    record: &mut RunRecord,
    stop: &CancellationToken,
) -> (Option<Arc<Queries>>, Option<String>) {
    let asking = async {
        let queries = environment.open_queries(&spec.options.guard, scenario, spec.run_id).await?;
        if let Some(queries) = &queries {
            record.queries_before = queries.run(&scenario.invariants).await;
        }
        Ok::<_, TargetError>(queries.map(Arc::new))
    };
    let unasked = |why: String| (None, Some(format!("no invariant of your own was judged: {why}")));
    match Scope::new(READ_WITHIN, stop).wait(asking).await {
        Ok(Ok(queries)) => (queries, None),
        Ok(Err(error)) => unasked(in_one_line(error)),
        Err(ended) => unasked(ended.to_string()),
    }
}

/// Asks for the user's own invariants while nothing is in flight.
pub(crate) fn ask_between(
    queries: Arc<Queries>,
    specs: &[InvariantSpec],
    found: &Arc<Mutex<Vec<QueryResult>>>,
) -> driver::Between {
    let (specs, found) = (specs.to_vec(), Arc::clone(found));
    Box::new(move || {
        Box::pin(async move {
            let results = queries.run_until_at_rest(&specs).await;
            *found.lock().unwrap_or_else(PoisonError::into_inner) = results;
        })
    })
}

/// What was there once nothing of the serial control was under way any more.
pub(crate) type Early = Arc<Mutex<Option<Observation>>>;

/// Does this, and then reads what is there: what is gone of it at the end nobody has asked to be removed. What cannot be read now is
/// read at the end.
pub(crate) fn look_after(first: Option<driver::Between>, target: Arc<dyn Target>, early: &Early) -> driver::Between {
    let early = Arc::clone(early);
    Box::new(move || {
        Box::pin(async move {
            if let Some(first) = first {
                first().await;
            }
            let read = tokio::time::timeout(LOOK_WITHIN, target.observe()).await;
            let read = read.ok().and_then(Result::ok).flatten();
            *early.lock().unwrap_or_else(PoisonError::into_inner) = read;
        })
    })
}

/// Keys of these operations on which nothing may still come.
pub(crate) fn keys_at_rest(operations: &[Operation]) -> BTreeSet<Arc<str>> {
    let keys = |of: &dyn Fn(&Operation) -> bool| -> BTreeSet<Arc<str>> {
        operations.iter().filter(|operation| of(operation)).map(|operation| Arc::clone(&operation.key)).collect()
    };
    let is_unknown = |operation: &Operation| matches!(operation.outcome, Outcome::Unknown(_));
    keys(&|_| true).difference(&keys(&is_unknown)).cloned().collect()
}

/// Reads the final state.
pub(crate) async fn read_back(
    environment: &mut Environment,
    spec: &EnvironmentSpec<'_>,
    quiet: bool,
    earlier: [Option<Earlier>; 2],
) -> Result<Option<Observation>, String> {
    environment.quiesce(spec.scenario).await.map_err(in_one_line)?;
    let mut observation = environment.target.observe().await.map_err(in_one_line)?;
    if let Some(observation) = &mut observation {
        // Of another shard something may still have been at work.
        observation.quiescent &= quiet;
    }
    for earlier in earlier.into_iter().flatten() {
        observation = observation.map(|observation| observation.since(&earlier));
    }
    // Saved at once: what was read is evidence, whatever follows.
    spec.store.write_observation(spec.run_id, observation.as_ref()).map_err(|error| error.render(false))?;
    Ok(observation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Ended;

    #[tokio::test]
    async fn an_interruption_is_of_the_load_or_of_what_is_read_after_it() {
        let text = "name = \"t\"\nworkload = \"create-or-get\"\n[target.mongo]\nstrategy = \"upsert-retry\"\n\
                    [load.burst]\nclients = 2\nrounds = 3\n";
        let scenario =
            crate::scenario::load_text("a.toml".as_ref(), text.to_owned(), &[], &|_| None, &crate::strategy::names);
        let scenario = scenario.unwrap();
        let interrupt = Interrupt::default();
        // Between the load's last answer and the first look.
        interrupt.stop.cancel();
        let waited = async |history: &History| {
            reading(&scenario, history, &interrupt).wait(std::future::pending::<()>()).await.unwrap_err()
        };
        assert_eq!(waited(&History::default()).await, Ended::Stopped);
        let ended_by_it = History { interrupted: true, ..History::default() };
        tokio::select! {
            biased;
            ended = waited(&ended_by_it) => panic!("{ended}"),
            () = tokio::task::yield_now() => {}
        }
        interrupt.kill.cancel();
        assert_eq!(waited(&ended_by_it).await, Ended::Stopped);
    }
}
