//! A scenario written out with every default filled in, for `--dry-run`: it reads back as the same scenario.

use serde::Serialize;

use super::model::{Deliveries, Expectation, Limits, Load, MongodSpec, Scenario, TargetSpec, WorkloadKind};

/// Everything but the path, in the order of the file format.
#[derive(Serialize)]
struct Resolved<'a> {
    name: &'a str,
    workload: WorkloadKind,
    target: &'a TargetSpec,
    mongod: MongodSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<Deliveries>,
    load: &'a Load,
    limits: &'a Limits,
    expect: &'a Expectation,
}

/// The scenario as TOML.
pub fn resolved_toml(scenario: &Scenario) -> Result<String, toml::ser::Error> {
    let Scenario { name, file: _, workload, target, mongod, deliveries, load, limits, expect } = scenario;
    let resolved = Resolved {
        name,
        workload: *workload,
        target,
        mongod: *mongod,
        deliveries: (*workload == WorkloadKind::Merge).then_some(*deliveries),
        load,
        limits,
        expect,
    };
    // What is literal here must stay so when it is read again: the environment has already been expanded.
    toml::to_string(&resolved).map(|text| text.replace("${", "$${"))
}
