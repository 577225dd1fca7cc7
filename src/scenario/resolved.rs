//! A scenario written out with every default filled in, for `--dry-run`: it reads back as the same scenario.

use serde::Serialize;

use super::http::ServiceSpec;
use super::load::{Fresh, Load};
use super::load_fault::FaultSpec;
use super::model::{Deliveries, Expectation, ExploreSpec, Limits, MongodSpec, Scenario, TargetSpec};
use super::network::NetworkSpec;
use super::observed::{InvariantSpec, ObserveSpec, one_or_list};
use super::prior::PriorSpec;
use super::rules::NumberSpec;
use super::workloads::WorkloadKind;

/// Everything but the path, in the order of the file format.
#[derive(Serialize)]
struct Resolved<'a> {
    name: &'a str,
    workload: WorkloadKind,
    target: &'a TargetSpec,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "one_or_list")]
    service: Vec<&'a ServiceSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a NetworkSpec>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    setup: &'a [PriorSpec],
    observe: &'a ObserveSpec,
    mongod: MongodSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<Deliveries>,
    load: LoadTable<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fault: &'a [FaultSpec],
    #[serde(skip_serializing_if = "Option::is_none")]
    explore: Option<&'a ExploreSpec>,
    limits: &'a Limits,
    expect: &'a Expectation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    invariant: Vec<Own<'a>>,
}

/// `[load]`
#[derive(Serialize)]
struct LoadTable<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    fresh: Option<Fresh>,
    #[serde(flatten)]
    load: &'a Load,
}

/// One of the user's own invariants.
#[derive(Serialize)]
#[serde(untagged)]
enum Own<'a> {
    Query(&'a InvariantSpec),
    Numbers(&'a NumberSpec),
}

/// The scenario as TOML.
pub fn resolved_toml(scenario: &Scenario) -> Result<String, toml::ser::Error> {
    let Scenario {
        name,
        file: _,
        workload,
        target,
        service,
        companions,
        network,
        setup,
        observe,
        mongod,
        deliveries,
        load,
        fresh,
        faults,
        explore,
        limits,
        expect,
        invariants,
        numbers,
        variables: _,
    } = scenario;
    let resolved = Resolved {
        name,
        workload: *workload,
        target,
        service: service.iter().chain(companions).collect(),
        network: (*network != NetworkSpec::default()).then_some(network),
        setup,
        observe,
        mongod: *mongod,
        deliveries: (*workload == WorkloadKind::Merge).then_some(*deliveries),
        load: LoadTable { fresh: *fresh, load },
        fault: faults,
        explore: (*explore != ExploreSpec::default()).then_some(explore),
        limits,
        expect,
        invariant: invariants.iter().map(Own::Query).chain(numbers.iter().map(Own::Numbers)).collect(),
    };
    // What is literal here must stay so when it is read again: the environment has already been expanded.
    toml::to_string(&resolved).map(|text| text.replace("${", "$${"))
}
