//! `onlyone run SCENARIO --probe`: one request of each operation, held against the scenario's description.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;

use super::args::Common;
use super::several::Judged;
use super::values::Format;
use super::{CliError, Io};
use crate::assess::fit;
use crate::history::{History, Nanos, Observation, OpId, Operation, Phase, Sightings};
use crate::report::{Ended, Fit};
use crate::scenario::Scenario;
use crate::scope::Scope;
use crate::session::store::Store;
use crate::session::{self, Environment, EnvironmentSpec, Options, READ_WITHIN, wait_until_settled};
use crate::target::Invocation;
use crate::verdict::{ExitStatus, Verdict};
use crate::workload::{self, Requests};

/// What a probe found, as JSON.
#[derive(Serialize)]
struct Probe<'a> {
    format_version: u32,
    scenario: &'a str,
    verdict: Verdict,
    /// Why it does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    fit: Fit,
}

/// Version of the JSON.
const FORMAT_VERSION: u32 = 1;

/// Sends the requests, reads the final state, and shows the table.
pub(super) async fn probe(
    scenario: &Scenario,
    common: &Common,
    options: &Options,
    run_id: &str,
    io: &mut Io,
) -> Result<Judged, CliError> {
    if scenario.target.http().is_none() {
        return Err(CliError::usage(anyhow::anyhow!("there is no service to probe: the target is MongoDB itself"))
            .hint("a probe holds a service against what `[target.http]` and `[observe]` say of it"));
    }
    let guard = &options.guard;
    session::check(scenario, guard)?;
    let store = Store::create(&options.out, run_id)?;
    let spec = EnvironmentSpec { scenario, options, run_id, store: &store, explored: None, attach: None, shard: None };
    let mut environment = spec.set_up().await.inspect_err(|_| store.discard())?;
    let reading = Scope::new(READ_WITHIN, &options.interrupt.stop);
    let probed = reading.wait(asked(scenario, run_id, &mut environment)).await;
    for error in environment.end(guard, !matches!(probed, Ok(Ok(_)))).await {
        io.note(&error.render(io.err_colour));
    }
    // What the service wrote is kept; a folder that nothing was written to is not.
    store.discard();
    let (history, observation, sightings) = match probed {
        Ok(probed) => probed?,
        Err(ended) => return Err(CliError::setup(anyhow::anyhow!("the probe was not completed: {ended}"))),
    };
    show(scenario, fit(scenario, run_id, &history, observation.as_ref(), &sightings), common.format, io)
}

/// Each operation once, one after another, and what is there afterwards.
async fn asked(
    scenario: &Scenario,
    run_id: &str,
    environment: &mut Environment,
) -> Result<(History, Option<Observation>, Sightings), CliError> {
    let start = Instant::now();
    let workload = workload::of_scenario(scenario, run_id);
    let mut history = History::default();
    for (number, name) in (1..).zip(names(scenario)) {
        let requests = Requests::new(Arc::clone(&workload), vec![name], 1, 0);
        let (key, action) = (requests.key(0), requests.action(0, 0));
        if requests.are_seeded() && history.operations.iter().all(|operation: &Operation| operation.key != key) {
            environment.target.seed(std::slice::from_ref(&key)).await?;
        }
        let invocation = Invocation { id: OpId(number), client: 0, phase: Phase::Control, key, action };
        let invoked = since(start);
        let completion = environment.target.apply(invocation.clone()).await;
        history.operations.push(Operation {
            id: invocation.id,
            client: 0,
            round: 0,
            phase: Phase::Control,
            key: invocation.key,
            action: invocation.action,
            intended: invoked,
            invoked,
            connected: None,
            completed: since(start),
            attempts: completion.attempts,
            outcome: completion.outcome,
            late: None,
        });
    }
    // What was accepted may be stored a little later.
    wait_until_settled(environment, scenario, run_id, &history).await;
    environment.quiesce(scenario).await?;
    let observation = environment.target.observe().await?;
    Ok((history, observation, environment.target.sightings().unwrap_or_default()))
}

fn since(start: Instant) -> Nanos {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
}

/// The scenario's operations, those that only look last.
fn names(scenario: &Scenario) -> Vec<String> {
    let looks = |name: &str| matches!(name, "get" | "read" | "read-thread" | "check-existing-thread");
    let all = scenario.target.http().into_iter().flat_map(|http| http.operations.keys().cloned());
    let mut names: Vec<String> = all.collect();
    names.sort_by_key(|name| looks(name));
    names
}

/// What is said where nothing was answered and nothing is stored.
const NOTHING: &str = "nothing was seen that the scenario could be held against";

fn show(scenario: &Scenario, fit: Fit, format: Format, io: &mut Io) -> Result<Judged, CliError> {
    let nothing = fit.rows.iter().all(|row| row.looked_at == 0);
    let reason = fit.misfit().or_else(|| nothing.then(|| NOTHING.to_owned()));
    let fits = reason.is_none();
    let text = match format {
        Format::Human => table(scenario, &fit, nothing),
        Format::Json => {
            let verdict = if fits { Verdict::Holds } else { Verdict::Inconclusive };
            let (scenario, reason) = (scenario.name.as_str(), reason.clone());
            let probe = Probe { format_version: FORMAT_VERSION, scenario, verdict, reason, fit };
            serde_json::to_string_pretty(&probe).map_err(CliError::setup)? + "\n"
        }
    };
    io.result(&text).context("cannot write to stdout").map_err(CliError::setup)?;
    let status = if fits { ExitStatus::Holds } else { ExitStatus::Inconclusive };
    Ok((status, Some(Ended::Probed { misfit: reason })))
}

fn table(scenario: &Scenario, fit: &Fit, nothing: bool) -> String {
    let said = match fit.misfit() {
        Some(_) => "the scenario does not describe this service",
        None if nothing => NOTHING,
        None => "the scenario describes this service, as far as one request of each operation tells",
    };
    let mut text = format!("{}: {said}\n\n{}", scenario.name, fit.table());
    for answer in &fit.answers {
        text.push_str(&format!("\n  {answer}"));
    }
    if let Some(document) = &fit.document {
        text.push_str(&format!("\n  {document}"));
    }
    text.push('\n');
    text
}
