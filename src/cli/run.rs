//! `onlyone run`: scenario after scenario, each to its report.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rand::RngExt;

use super::args::{Common, RunArgs};
use super::ci::Announcer;
use super::following::Following;
use super::interrupt::{Interrupt, note};
use super::limit::{find_limit, first_rate};
use super::options::options;
use super::probe::probe;
use super::several::{Judged, Tally};
use super::shards::meet;
use super::show::{show, with_unwritten};
use super::telemetry::{Telemetry, TelemetryArgs};
use super::{CliError, Io};
use crate::assess::status_of;
use crate::driver::Plan;
use crate::live::{Feed, Subject};
use crate::report;
use crate::scenario::{self, Scenario};
use crate::session::reproduce::reproduce;
use crate::session::store::{check_run_id, fresh_run_id};
use crate::session::{Concluded, LoadSession, Options, faults, shards};
use crate::shard::Meeting;
use crate::strategy;
use crate::verdict::ExitStatus;
use crate::workload;

/// Runs every scenario; all are read before the first is run.
pub(super) async fn run(args: RunArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let common = &args.common;
    if let Some(id) = &common.run_id {
        check_run_id(id)?;
    }
    let mut scenarios = Vec::new();
    for path in &args.scenarios {
        let scenario = load(path, common)?;
        faults::check(&scenario, common.mongo == "embedded", args.shard.is_some())?;
        scenarios.push(scenario);
    }
    let first_rate = args.find_limit.then(|| first_rate(&scenarios)).transpose()?;
    let seed = common.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    if common.dry_run {
        for scenario in &scenarios {
            dry_run(scenario, (seed, first_rate), io)?;
        }
        return Ok(ExitStatus::Holds);
    }
    let quiet = common.quiet;
    let interrupt = Interrupt::listen(move |text| note(text, quiet))?;
    let meeting = tokio::select! {
        biased;
        () = interrupt.stop.cancelled() => return Ok(ExitStatus::Interrupted),
        met = meet(&args, &scenarios, seed, &interrupt.stop) => met?,
    };
    let seed = meeting.as_ref().map_or(seed, |meeting| meeting.seed());
    if let (Some(first), [scenario]) = (first_rate, scenarios.as_slice()) {
        return find_limit(&args, scenario, (&options(common, &interrupt), seed, first), io).await;
    }
    let (options, announcer) = (options(common, &interrupt), Announcer::new(common.ci));
    let mut tally = Tally::new(&scenarios, common, args.telemetry.events.is_some());
    for (index, scenario) in scenarios.iter().enumerate() {
        let run_id = match (&meeting, &common.run_id) {
            (Some(meeting), _) => meeting.run_id().to_owned(),
            (None, Some(id)) if scenarios.len() == 1 => id.clone(),
            (None, Some(id)) => format!("{id}-{}", index + 1),
            (None, None) => fresh_run_id(),
        };
        if !args.probe && tally.passes_over(scenario) {
            continue;
        }
        let (followed, announcer, meeting) = (&args.telemetry, &announcer, meeting.as_ref());
        let rendezvous = args.rendezvous.as_deref();
        let one = One { scenario, common, options: &options, followed, seed, run_id, announcer, meeting, rendezvous };
        let ended = tokio::select! {
            biased;
            () = interrupt.kill.cancelled() => return Ok(tally.killed()),
            ended = async {
                match args.probe {
                    true => probe(scenario, common, &options, &one.run_id, io).await,
                    false => one.run_or_give_up(io).await,
                }
            } => ended,
        };
        tally.note(scenario, ended, io)?;
        if interrupt.stop.is_cancelled() {
            break;
        }
    }
    tally.end(io)
}

pub(super) fn load(path: &Path, common: &Common) -> Result<Scenario, CliError> {
    let environment = |name: &str| std::env::var(name).ok();
    Ok(scenario::load(path, &common.overrides, &environment, &strategy::names)?)
}

fn dry_run(scenario: &Scenario, (seed, first_rate): (u64, Option<f64>), io: &mut Io) -> Result<(), CliError> {
    let plan = Plan::new(scenario, "dry-run", seed);
    let operations = plan.operations().map_or("as many as the time allows".to_owned(), |count| count.to_string());
    let invariants = workload::invariants_of(scenario, "dry-run");
    let invariants = invariants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let resolved = scenario::resolved_toml(scenario).map_err(CliError::setup)?;
    let search = first_rate.map_or_else(String::new, |rate| {
        format!("# searched for: the highest rate at which the thresholds hold, from {rate} operations per second on\n")
    });
    let text = format!(
        "# {}\n# seed: {seed}\n# operations: {operations}, after {} of the serial control\n# judged: {invariants}\n{}{search}\n{resolved}",
        scenario.file.display(),
        scenario.limits.serial_control,
        faults::in_plan(scenario, seed),
    );
    io.result(&text).context("cannot write to stdout").map_err(CliError::setup)
}

/// One scenario's run.
struct One<'a> {
    scenario: &'a Scenario,
    common: &'a Common,
    options: &'a Options,
    followed: &'a TelemetryArgs,
    seed: u64,
    run_id: String,
    announcer: &'a Announcer,
    /// Where the other shards are met, if this is one of several.
    meeting: Option<&'a Arc<Meeting>>,
    /// Where that is, if it was named.
    rendezvous: Option<&'a str>,
}

impl One<'_> {
    /// Runs; whatever ends it before its time, other shards are told.
    async fn run_or_give_up(&self, io: &mut Io) -> Result<Judged, CliError> {
        let ended = self.run(io).await;
        match &ended {
            Err(error) => shards::give_up(self.meeting, error).await,
            // Before it began.
            Ok((ExitStatus::Interrupted, None)) => shards::interrupted(self.meeting).await,
            Ok(_) => {}
        }
        ended
    }

    async fn run(&self, io: &mut Io) -> Result<Judged, CliError> {
        let shard = self.meeting.map(|meeting| (meeting.shard(), self.rendezvous));
        let session = LoadSession {
            scenario: self.scenario,
            options: self.options,
            run_id: self.run_id.clone(),
            seed: self.seed,
            meeting: self.meeting,
            reproduce: reproduce(self.scenario, self.options, self.seed, shard),
        };
        // Refused before a port is taken.
        session.check()?;
        let telemetry = self.telemetry(io).await?;
        let judged = self.followed(&session, telemetry.as_ref(), io).await;
        if let Some(telemetry) = telemetry {
            telemetry.close().await;
        }
        judged
    }

    /// What follows the run, if anything does.
    async fn telemetry(&self, io: &mut Io) -> Result<Option<Telemetry>, CliError> {
        let planned = Plan::new(self.scenario, &self.run_id, self.seed).all_operations();
        let feed = Feed::new(&self.scenario.name, &self.run_id, planned);
        Telemetry::prepare(self.followed, (feed, subject(self.scenario)), io).await
    }

    /// The run, and what is shown of it.
    async fn followed(
        &self,
        session: &LoadSession<'_>,
        telemetry: Option<&Telemetry>,
        io: &mut Io,
    ) -> Result<Judged, CliError> {
        let concluded = {
            let mut following = Following::new(self.scenario, telemetry, io, self.common.quiet);
            session.run(&mut following).await?
        };
        match concluded {
            Some(concluded) => self.tell(concluded, telemetry, io).await,
            None => Ok((ExitStatus::Interrupted, None)),
        }
    }

    /// Shows and announces the report. Whatever cannot be written any more is told at the end, and masks no violation.
    async fn tell(&self, concluded: Concluded, telemetry: Option<&Telemetry>, io: &mut Io) -> Result<Judged, CliError> {
        let Concluded { report, directory, unwritten } = concluded;
        let shown = match telemetry.is_some_and(Telemetry::has_events) {
            true => Ok(()),
            false => show(&report, Some(&directory.display().to_string()), self.common.format, io),
        };
        let events_written = match telemetry {
            Some(telemetry) => telemetry.end(&report, &directory, io).await,
            None => Ok(()),
        };
        self.announcer.announce(&report, io);
        let written = unwritten.into_iter().map(Err).chain([shown, events_written]);
        let status = with_unwritten(status_of(&report), written, io);
        let directory = directory.display().to_string();
        Ok((status, Some(report::Ended::Judged { report: Box::new(report), directory })))
    }
}

/// What the operations of a scenario are sent to, in the names of metrics.
pub(super) fn subject(scenario: &Scenario) -> Subject {
    if scenario.target.http().is_some() { Subject::Service } else { Subject::Database }
}
