//! `[[fault]]` in a run: what is refused, what the plan says of it, and what is recorded.

use tokio_util::sync::CancellationToken;

use super::SessionError;
use super::environment::Environment;
use crate::driver::Progress;
use crate::fault::{inject, make_durable, plan_in_words, why_writes_survive};
use crate::history::{FaultInterval, Faults};
use crate::scenario::{FaultNeeds, FaultSpec, LoadFault, Scenario, TargetSpec};
use crate::target::ClockLibrary;

/// Refuses faults that cannot be had on this server, or in one process of several, before anything is started.
pub(crate) fn check(scenario: &Scenario, is_own_server: bool, is_shard: bool) -> Result<(), SessionError> {
    let Some(first) = scenario.faults.first() else { return Ok(()) };
    if is_shard {
        let why = anyhow::anyhow!(
            "faults are for a run of one process: `{}` would strike once for each shard",
            first.kind.as_str()
        );
        return Err(SessionError::usage(why).hint("leave `--shard` out, or `[[fault]]`"));
    }
    let strikes = |spec: &&FaultSpec| spec.kind.needs() == FaultNeeds::OwnServer;
    match scenario.faults.iter().find(strikes).filter(|_| !is_own_server) {
        None => Ok(()),
        Some(spec) => {
            let word = spec.kind.as_str();
            let why = anyhow::anyhow!(
                "`{word}` is for the server that the harness starts itself: one that is named is never struck"
            );
            let hint = "leave `--mongo` out; what strikes on the way to a named server are `reset-connections`, `delay` and `lost-answer`";
            Err(SessionError::usage(why).hint(hint))
        }
    }
}

/// Whether a run of this scenario needs a proxy in front of the server.
pub(super) fn need_proxy(scenario: &Scenario) -> bool {
    scenario.faults.iter().any(|spec| spec.kind.needs() == FaultNeeds::Proxy)
}

/// Whether its server must take fail points.
pub(super) fn need_fail_points(scenario: &Scenario) -> bool {
    scenario.faults.iter().any(|spec| matches!(spec.kind, LoadFault::FailCommand | LoadFault::SlowDisk))
}

/// Whether members of its server's replica set are to be cut off from each other.
pub(super) fn need_partitions(scenario: &Scenario) -> bool {
    scenario.faults.iter().any(|spec| spec.kind == LoadFault::Partition)
}

/// What moves the clock of the service, where that is asked for.
pub(super) fn clock_library(scenario: &Scenario) -> Result<Option<ClockLibrary>, SessionError> {
    if !scenario.faults.iter().any(|spec| spec.kind == LoadFault::Clock) {
        return Ok(None);
    }
    match ClockLibrary::find() {
        Some(library) => Ok(Some(library)),
        None => {
            let why = anyhow::anyhow!("`clock` moves the service's clock by libfaketime, which is not installed");
            let hint = "install it, on Debian and Ubuntu by `apt-get install libfaketime`, or leave that fault out";
            Err(SessionError::setup(why).hint(hint))
        }
    }
}

/// The lines of `--dry-run`.
pub(crate) fn in_plan(scenario: &Scenario, seed: u64) -> String {
    let lines = plan_in_words(&scenario.faults, seed, scenario.load.duration());
    lines.into_iter().map(|line| format!("# fault: {line}\n")).collect()
}

/// What stands in the record until the run has ended: if it dies, all may have been broken and lost at any time.
pub(super) fn unrecorded(scenario: &Scenario) -> Option<Faults> {
    let kinds: Vec<String> = scenario.faults.iter().map(|spec| spec.kind.as_str().to_owned()).collect();
    (!kinds.is_empty()).then(|| Faults::unrecorded(kinds))
}

/// The faults of a run that has not begun; none where none are planned.
async fn planned(scenario: &Scenario, environment: &Environment, stop: &CancellationToken) -> Option<Faults> {
    if scenario.faults.is_empty() {
        return None;
    }
    let survives = match (&scenario.target, environment.equipment().mongod) {
        (TargetSpec::Mongo(spec), Some(mongod)) => {
            why_writes_survive(mongod, scenario.mongod, spec.write_concern).await.map(str::to_owned)
        }
        // How a service has its writes acknowledged is not known.
        _ => None,
    };
    let planned = scenario.faults.iter().map(|spec| spec.kind.as_str().to_owned()).collect();
    let is_durable = match environment.equipment().mongod {
        Some(mongod) => stop.run_until_cancelled(make_durable(mongod)).await.unwrap_or_default(),
        None => true,
    };
    let intervals = if is_durable { Vec::new() } else { vec![undurable(scenario)?] };
    Some(Faults { survives, planned, intervals })
}

/// What was there before the load may be lost: told of the first fault that takes something from the server, if one does.
fn undurable(scenario: &Scenario) -> Option<FaultInterval> {
    let is_harmless = |kind| matches!(kind, LoadFault::FailCommand | LoadFault::SlowDisk);
    let takes = |spec: &FaultSpec| spec.kind.needs() == FaultNeeds::OwnServer && !is_harmless(spec.kind);
    let number = scenario.faults.iter().position(takes).unwrap_or_default();
    Some(FaultInterval {
        kind: scenario.faults.get(number)?.kind.as_str().to_owned(),
        number,
        loses_from_ns: Some(0),
        error: Some("what was there before the load could not be made durable".to_owned()),
        ..FaultInterval::default()
    })
}

/// Carries out a load, with the faults of its scenario beside it; what came of both.
pub(super) async fn beside<T>(
    scenario: &Scenario,
    seed: u64,
    environment: &Environment,
    (progress, stop): (&Progress, &CancellationToken),
    load: impl Future<Output = T>,
) -> (T, Option<Faults>) {
    let planned = planned(scenario, environment, stop).await;
    let breaking = inject(&scenario.faults, seed, environment.equipment(), progress, stop);
    let (loaded, intervals) = tokio::join!(load, breaking);
    (loaded, planned.map(|planned| Faults { intervals: [planned.intervals, intervals].concat(), ..planned }))
}
