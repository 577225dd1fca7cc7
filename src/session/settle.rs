//! What is accepted may be stored a little later: the final state is waited for while the service still runs.

use super::environment::Environment;
use crate::checker::is_wrong;
use crate::history::{History, Observation};
use crate::scenario::Scenario;
use crate::scope::Rest;
use crate::workload;

/// Waits until nothing is wrong with the final state, or what is wrong has stayed so for long enough. What cannot be read is
/// told by whoever reads it afterwards. Where that was something else at first, this is what it was.
pub(crate) async fn wait_until_settled(
    environment: &Environment,
    scenario: &Scenario,
    run_id: &str,
    history: &History,
) -> Option<Observation> {
    if !is_observed(scenario) {
        return None;
    }
    let invariants = workload::invariants_of(scenario, run_id);
    let wrong = |observation: &Option<Observation>| {
        observation.as_ref().is_some_and(|observation| is_wrong(history, observation, &invariants))
    };
    let rest = Rest::within(scenario.stored_within());
    rest.reached(|| environment.target.observe(), wrong).await.ok()?.first.flatten()
}

/// Waits until the final state stands still. Whether anything is wrong with it, more operations would tell than are in memory.
pub(super) async fn wait_until_at_rest(environment: &Environment, scenario: &Scenario) {
    if is_observed(scenario) {
        let rest = Rest::within(scenario.stored_within());
        rest.reached(|| environment.target.observe(), |_| true).await.ok();
    }
}

/// Numbers are read by aggregations of their own, also where no documents are.
fn is_observed(scenario: &Scenario) -> bool {
    scenario.observe.mongo.is_some() || scenario.observe.http.is_some() || !scenario.numbers.is_empty()
}
