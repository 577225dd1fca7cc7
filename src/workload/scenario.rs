//! The workload of a scenario, and which invariants can be judged on it.
//!
//! Over HTTP an answer tells only what its JSONPaths read, and the final state is what `[observe]` reads. An invariant that
//! has nothing to look at would be inconclusive for ever; it is left out here, and the report says what was not judged.

use std::sync::Arc;

use super::{Append, CreateOrGet, Custom, Merge, Threads, Workload, of_kind, tag};
use crate::history::ElementCount;
use crate::scenario::{ElementsSpec, HttpSpec, ObserveHttp, Scenario, WorkloadKind};
use crate::verdict::Invariant;

/// The workload of a scenario. The keys of a run are its own.
pub fn of_scenario(scenario: &Scenario, run_id: &str) -> Arc<dyn Workload> {
    match (scenario.workload, scenario.target.http()) {
        (WorkloadKind::Custom, Some(http)) => Arc::new(Custom::new(&tag(run_id), &http.operations)),
        (WorkloadKind::CreateOrGet, Some(http)) if !http.operations.contains_key("get") => {
            Arc::new(CreateOrGet::new(&tag(run_id)).without_gets())
        }
        (WorkloadKind::Append, Some(http)) => {
            let append = Append::new(&tag(run_id));
            let append = if http.operations.contains_key("read") { append } else { append.without_reads() };
            let answers = http.messages.as_ref().is_none_or(|messages| messages.answers);
            Arc::new(if answers { append } else { append.without_answers() })
        }
        (WorkloadKind::Thread, Some(http)) => {
            let has = |name: &str| http.operations.contains_key(name);
            Arc::new(Threads::new(&tag(run_id)).with(has("resign-admin"), has("read-thread")))
        }
        (WorkloadKind::Merge, _) => Arc::new(Merge::new(&tag(run_id), scenario.deliveries.max)),
        (kind, _) => of_kind(kind, run_id),
    }
}

/// The invariants that are judged on a history of this scenario; the user's own come besides.
pub fn invariants_of(scenario: &Scenario, run_id: &str) -> Vec<Invariant> {
    let mut invariants = of_scenario(scenario, run_id).invariants();
    if let Some(http) = scenario.target.http() {
        invariants.retain(|invariant| can_be_judged(invariant, scenario, http));
    }
    invariants.extend(scenario.observe.elements().into_iter().flat_map(of_elements));
    if scenario.workload == WorkloadKind::Custom && scenario.observe.single() == Some(true) {
        invariants.push(Invariant::ZeroDuplicates);
    }
    invariants.extend(scenario.numbers.iter().map(|rule| Invariant::Custom(rule.name.as_str().into())));
    invariants.retain(|invariant| !scenario.expect.ignore.contains(invariant));
    invariants
}

/// What is demanded of elements.
fn of_elements(spec: &ElementsSpec) -> Vec<Invariant> {
    let mut invariants = vec![Invariant::NoPhantomElements];
    if spec.count != ElementCount::AtMostOnce {
        invariants.push(Invariant::NoLostElements);
    }
    if spec.count != ElementCount::AtLeastOnce {
        invariants.push(Invariant::NoDuplicateElements);
    }
    if spec.order {
        invariants.push(Invariant::ElementOrder);
    }
    invariants
}

fn can_be_judged(invariant: &Invariant, scenario: &Scenario, http: &HttpSpec) -> bool {
    let tells = |name: &str| http.operations.values().any(|operation| operation.outcome.contains_key(name));
    let creates = http.operations.values().any(|operation| !operation.status.created.is_empty());
    let mongo = scenario.observe.mongo.as_ref();
    let through_service = scenario.observe.http.as_ref();
    let observed = mongo.is_some() || through_service.is_some();
    match invariant {
        Invariant::SingleDocument | Invariant::ZeroDuplicates => observed,
        Invariant::SameId => tells("id"),
        Invariant::CreatedOnce => {
            let stamped = mongo.is_some_and(|mongo| mongo.stamp.is_some());
            tells("created") || tells("existing") || tells("created_by") || creates || stamped
        }
        Invariant::CreateOrGetLinearizable => tells("id"),
        // Messages of threads are in a collection of their own; an answer may show them.
        Invariant::NoLostMessages | Invariant::NoDuplicateMessages => {
            scenario.workload != WorkloadKind::Thread || through_service.is_some_and(ObserveHttp::shows_messages)
        }
        Invariant::DerivedFieldsExact => {
            let counted = |http: &ObserveHttp| http.messages.is_some() && http.counts_messages();
            scenario.workload != WorkloadKind::Thread || through_service.is_some_and(counted)
        }
        Invariant::InsertFieldsIntact => {
            let read = mongo.is_some_and(|mongo| mongo.stamp.is_some() || !mongo.insert_fields.is_empty());
            tells("created_by") || read
        }
        Invariant::PayloadIntact if scenario.workload == WorkloadKind::Append => {
            // What a service answers is its own business, unless it is known to repeat the message.
            http.messages.as_ref().is_some_and(|messages| messages.repeats)
        }
        _ => true,
    }
}

/// What a run over HTTP does not show, for its report. So many processes carry it out, each with a service of its own if the
/// scenario has one.
pub fn blind_spots(scenario: &Scenario, processes: u32) -> Vec<String> {
    let Some(http) = scenario.target.http() else { return Vec::new() };
    let observed = scenario.observe.mongo.is_some() || scenario.observe.http.is_some();
    let said = if scenario.invariants.is_empty() && scenario.numbers.is_empty() {
        ONLY_RESPONSES
    } else {
        ONLY_RESPONSES_AND_QUERIES
    };
    let unread = (!observed).then(|| said.to_owned());
    let instances = scenario.service.as_ref().map_or(http.base_urls.len(), |service| {
        http.base_urls.len().max(usize::try_from(service.instances.saturating_mul(processes)).unwrap_or(usize::MAX))
    });
    unread.into_iter().chain((instances == 1).then(|| ONE_INSTANCE.to_owned())).collect()
}

/// Said of a service that was run as one process.
const ONE_INSTANCE: &str = "one instance of the service was asked: where a single process puts its requests in order, by a lock or by having one thread, this proves nothing for two instances";

/// Said of responses alone, where the user's own invariants look into the database.
const ONLY_RESPONSES_AND_QUERIES: &str = "apart from your own invariants only responses were judged: without [observe.mongo] or [observe.http] a duplicate that neither shows stays unseen";

/// Said of every verdict without a final state.
const ONLY_RESPONSES: &str = "only responses were judged: without [observe.mongo] or [observe.http] a duplicate that no response shows stays unseen";
