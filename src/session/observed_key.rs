//! What a run over HTTP can tell of the indexes behind its service, and what only `explore` could tell more.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::environment::Environment;
use super::reproduce::{quoted, set_words, variables};
use super::set_up::{EnvironmentSpec, is_told};
use crate::history::Observation;
use crate::scenario::{ObserveMongo, Scenario};
use crate::scope::Scope;
use crate::target::mongo::ObservedCollection;
use crate::target::{MongoUri, Preflight};
use crate::verdict::Invariant;
use crate::workload;

/// How long the server may take to list a few indexes.
const WITHIN: Duration = Duration::from_secs(15);

/// Looks at the indexes of the collection that is observed, when the load is over: a service may create them with its first
/// document. What is found goes beside what was found before the run.
pub(crate) async fn look_at_key(
    environment: &Environment,
    setting: &EnvironmentSpec<'_>,
    observation: Option<&Observation>,
    stop: &CancellationToken,
    preflight: &mut Preflight,
) {
    let scenario = setting.scenario;
    let Some(spec) = scenario.observe.mongo.as_ref().filter(|_| scenario.target.http().is_some()) else { return };
    // How the key is stored is seen in documents only.
    let Some(observation) = observation.filter(|observation| !observation.documents.is_empty()) else { return };
    let Some(collection) = collection(environment, setting, spec) else { return };
    let found = match Scope::new(WITHIN, stop).wait(collection.look(&observation.documents)).await {
        Ok(found) => found,
        Err(ended) => collection.untold(ended),
    };
    let doubled = found.doubled;
    preflight.indexes = found.indexes;
    preflight.lookup_plan = found.plan;
    preflight.notes.extend(found.notes);
    preflight.observed_key = found.key;
    if let Some(key) = &mut preflight.observed_key {
        let command = explore(scenario, &setting.options.overrides);
        key.explore = Some(match (&key.unique, collection.one) {
            (None, true) if doubled => {
                format!("Which commands make the second one, and in which order, `{command}` shows.")
            }
            (Some(_), true) => format!(
                "How the service takes the refusal (error 11000) is another matter: `{command}` tries every interleaving of \
                 its commands."
            ),
            (None, true) => {
                format!("Whether the service makes a second one, its commands tell: only `{command}` sees them.")
            }
            (_, false) => format!("What the service reads before it writes, only `{command}` sees."),
        });
    }
}

fn collection<'a>(
    environment: &Environment,
    setting: &EnvironmentSpec<'a>,
    spec: &'a ObserveMongo,
) -> Option<ObservedCollection<'a>> {
    let own = environment.data();
    let uri = spec.uri.as_ref().map(|uri| MongoUri::new(uri.expose())).or_else(|| own.map(|(uri, _)| uri.clone()))?;
    let database = spec.database.clone().or_else(|| own.map(|(_, database)| database.clone()))?;
    let single = [Invariant::SingleDocument, Invariant::ZeroDuplicates, Invariant::OneThreadPerSet];
    let one = workload::invariants_of(setting.scenario, setting.run_id).iter().any(|judged| single.contains(judged));
    Some(ObservedCollection { uri, guard: &setting.options.guard, database, spec, one })
}

/// The command that explores what was run.
fn explore(scenario: &Scenario, overrides: &[String]) -> String {
    let mut words = variables(scenario);
    words.extend(["onlyone explore".to_owned(), quoted(&scenario.file.display().to_string())]);
    // How it was loaded says nothing there.
    let overrides = overrides.iter().filter(|set| !set.starts_with("load."));
    words.extend(overrides.map(|set| set_words(set)));
    let told = scenario.service.as_ref().is_some_and(|service| is_told(service, "mongo.uri"));
    words.extend((!told).then(|| "--attach PORT".to_owned()));
    words.join(" ")
}
