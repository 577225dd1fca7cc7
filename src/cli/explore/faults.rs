//! Faults of an exploration: what is asked for, whether it can be, and the service that is killed for it.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::asked::search;
use crate::cli::CliError;
use crate::cli::args::ExploreArgs;
use crate::explore::cause::chain;
use crate::explore::fault::{Fault, Faults, Lag, Restart, spared};
use crate::explore::outcome::Exploration;
use crate::explore::search::Search;
use crate::scenario::{FaultKind, Scenario};
use crate::session::Environment;
use crate::target::Service;

/// What may happen, and whether requests are delivered again: the arguments', or else the scenario's.
pub(super) fn asked(args: &ExploreArgs, scenario: &Scenario) -> (Vec<FaultKind>, bool) {
    let kinds = if args.faults.is_empty() { &scenario.explore.faults } else { &args.faults };
    (kinds.clone(), args.redeliver || scenario.explore.redeliver)
}

/// Whether something may happen: it is asked for, or is part of the schedule.
pub(super) fn are_there(args: &ExploreArgs, scenario: &Scenario) -> bool {
    let replayed = args.schedule.as_ref().is_some_and(|schedule| schedule.fault().is_some());
    replayed || !scenario.explore.faults.is_empty()
}

/// Refuses what cannot happen.
pub(super) fn check(args: &ExploreArgs, scenario: &Scenario, is_embedded: bool) -> Result<(), CliError> {
    if are_stale(args, scenario) && (!is_embedded || scenario.mongod.replica_set != 3 || args.attach.is_some()) {
        return Err(CliError::usage(anyhow::anyhow!(
            "`stale-read` holds a secondary of the harness's own replica set behind, and there is none"
        ))
        .hint("`[mongod]`, then `replica_set = 3`; and leave --mongo and --attach out"));
    }
    let in_schedule = args.schedule.as_ref().and_then(|schedule| schedule.fault());
    if args.schedule.as_ref().is_some_and(|schedule| schedule.faults() > 1) {
        return Err(CliError::usage(anyhow::anyhow!("the schedule has several faults, and an execution has one"))
            .hint("leave one: `--schedule \"1:crash 1' 2\"`"));
    }
    if args.redeliver && !are_there(args, scenario) {
        return Err(CliError::usage(anyhow::anyhow!(
            "`--redeliver` delivers again what a fault struck, and no fault is asked for"
        ))
        .hint("say which: `--faults crash,lost-answer`"));
    }
    let kills =
        scenario.explore.faults.contains(&FaultKind::Crash) || in_schedule.is_some_and(|fault| fault.is_crash());
    if kills && (scenario.service.is_none() || args.attach.is_some()) {
        return Err(CliError::usage(anyhow::anyhow!(
            "`crash` kills the service, and there is none that the harness started"
        ))
        .hint("let it start the service: `[service]`, then `command = [\"node\", \"server.js\"]`")
        .hint("or leave `crash` out: `lost-answer`, `lost-command` and `error-answer` need no service of its own"));
    }
    if !scenario.explore.faults.is_empty() && search(args, scenario) == Search::Stress {
        return Err(CliError::usage(anyhow::anyhow!(
            "a fault strikes a command that is parked, and `stress` parks none"
        ))
        .hint("take another search, such as `--search random`"));
    }
    Ok(())
}

/// The faults of an exploration, where there are any.
pub(super) async fn of(
    args: &ExploreArgs,
    scenario: &Scenario,
    environment: &Environment,
) -> Result<Option<Faults>, CliError> {
    let spec = &scenario.explore;
    if !are_there(args, scenario) {
        return Ok(None);
    }
    let lag = match are_stale(args, scenario) {
        true => Some(Arc::new(lag(environment).await?)),
        false => None,
    };
    Ok(Some(Faults {
        kinds: spec.faults.iter().copied().collect(),
        redeliver: spec.redeliver,
        lag,
        restart: environment.service().map(|service| Arc::new(Restarted(service)) as Arc<dyn Restart>),
    }))
}

/// Whether reads may be stale.
fn are_stale(args: &ExploreArgs, scenario: &Scenario) -> bool {
    let replayed = args.schedule.as_ref().is_some_and(|schedule| schedule.fault() == Some(Fault::StaleRead));
    replayed || scenario.explore.faults.contains(&FaultKind::StaleRead)
}

/// A secondary that can be held behind.
async fn lag(environment: &Environment) -> Result<Lag, CliError> {
    let attachment = super::attachment(environment)?;
    let lag = Lag::prepare(&attachment.proxy).await;
    lag.map_err(|why| CliError::setup(anyhow::anyhow!("no secondary can be held behind: {why}")))
}

/// Nothing is shown where no fault struck, of those that were asked for.
pub(super) fn doubt(mut exploration: Exploration, args: &ExploreArgs, scenario: &Scenario) -> Exploration {
    if !scenario.explore.faults.is_empty() && !search(args, scenario).is_replay() {
        exploration.report.doubts.extend(spared(&exploration));
    }
    exploration
}

/// What the arguments say of faults, for the command that does it again.
pub(super) fn words(args: &ExploreArgs) -> Vec<String> {
    let word = |kind: &FaultKind| FaultKind::ALL.iter().find(|(_, one)| one == kind).map(|(name, _)| *name);
    let kinds: Vec<&str> = args.faults.iter().filter_map(word).collect();
    let mut words = Vec::new();
    words.extend((!kinds.is_empty()).then(|| format!("--faults {}", kinds.join(","))));
    words.extend(args.redeliver.then(|| "--redeliver".to_owned()));
    words
}

/// The service under test.
#[derive(Debug)]
struct Restarted(Arc<Service>);

impl Restart for Restarted {
    fn kill(&self) -> BoxFuture<'_, Result<(), String>> {
        async { self.0.kill().await.map_err(|error| chain(&error)) }.boxed()
    }

    fn start(&self) -> BoxFuture<'_, Result<(), String>> {
        async { self.0.start_again().await.map_err(|error| chain(&error)) }.boxed()
    }
}
