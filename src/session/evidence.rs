//! What of a run is read beside its operations: the user's own invariants before and after, and the final state.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::READ_WITHIN;
use super::environment::Environment;
use super::error::in_one_line;
use super::interrupt::Interrupt;
use super::set_up::EnvironmentSpec;
use crate::assess::RunRecord;
use crate::driver;
use crate::history::{History, Observation};
use crate::scenario::{InvariantSpec, Scenario};
use crate::scope::Scope;
use crate::target::TargetError;
use crate::target::mongo::{Queries, QueryResult};

/// The limits of reading back. An interruption that ended the load has not ended this, the next one does.
pub(crate) fn reading(scenario: &Scenario, history: &History, interrupt: &Interrupt) -> Scope {
    let stop = if history.interrupted || interrupt.stop.is_cancelled() { &interrupt.kill } else { &interrupt.stop };
    let own = scenario.invariants.iter().map(|spec| spec.within).max().unwrap_or_default();
    Scope::new(READ_WITHIN + own + scenario.observe.within(), stop)
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

/// Reads the final state.
pub(crate) async fn read_back(
    environment: &mut Environment,
    spec: &EnvironmentSpec<'_>,
    quiet: bool,
) -> Result<Option<Observation>, String> {
    environment.quiesce(spec.scenario).await.map_err(in_one_line)?;
    let mut observation = environment.target.observe().await.map_err(in_one_line)?;
    if let Some(observation) = &mut observation {
        // Of another shard something may still have been at work.
        observation.quiescent &= quiet;
    }
    // Saved at once: what was read is evidence, whatever follows.
    spec.store.write_observation(observation.as_ref()).map_err(|error| error.render(false))?;
    Ok(observation)
}
