//! What is accepted may be stored a little later: the final state is waited for while the service still runs.

use super::environment::Environment;
use crate::checker::is_wrong;
use crate::history::{History, Observation};
use crate::scenario::Scenario;
use crate::scope::Rest;
use crate::workload;

/// Waits until nothing is wrong with the final state, or what is wrong has stayed so for long enough. What cannot be read is
/// told by whoever reads it afterwards.
pub(crate) async fn wait_until_settled(
    environment: &Environment,
    scenario: &Scenario,
    run_id: &str,
    history: &History,
) {
    // Numbers are read by aggregations of their own, also where no documents are.
    if scenario.observe.mongo.is_none() && scenario.observe.http.is_none() && scenario.numbers.is_empty() {
        return;
    }
    let invariants = workload::invariants_of(scenario, run_id);
    let wrong = |observation: &Option<Observation>| {
        observation.as_ref().is_some_and(|observation| is_wrong(history, observation, &invariants))
    };
    Rest::within(scenario.stored_within()).reached(|| environment.target.observe(), wrong).await.ok();
}
