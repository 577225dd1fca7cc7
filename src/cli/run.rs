//! `onlyone run`: scenario after scenario, each to its report.

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use jiff::Timestamp;
use rand::RngExt;

use super::args::{Common, RunArgs};
use super::bursts;
use super::ci::Announcer;
use super::commit::origin;
use super::error::in_one_line;
use super::evidence::{ask_before, ask_between, read_back, reading};
use super::interrupt::{Interrupt, note};
use super::observed_key::look_at_key;
use super::place::{self, Lost, Place, Setting};
use super::probe::probe;
use super::progress::{Counted, Extent, ProgressLine};
use super::reproduce::reproduce;
use super::settle::wait_until_settled;
use super::several::{Judged, Tally};
use super::shards;
use super::show::show;
use super::store::{Store, check_run_id, fresh_run_id, with_unwritten};
use super::telemetry::{Telemetry, TelemetryArgs};
use super::{CliError, Io};
use crate::assess::{RUN_FORMAT_VERSION, Recording, RunRecord, assess, status_of};
use crate::driver::{self, Plan, Progress, Recorded, Run};
use crate::history::file::{Header, HistoryWriter};
use crate::history::{Observation, Phase};
use crate::live::{Feed, Subject};
use crate::report::{self, count};
use crate::scenario::{self, Load, Scenario};
use crate::scope::Ended;
use crate::shard::{Meeting, Shard};
use crate::stats::{Generator, Meter};
use crate::strategy;
use crate::target::Guard;
use crate::target::mongo::Queries;
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
        scenarios.push(load(path, common)?);
    }
    let seed = common.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    if common.dry_run {
        for scenario in &scenarios {
            dry_run(scenario, seed, io)?;
        }
        return Ok(ExitStatus::Holds);
    }
    let quiet = common.quiet;
    let interrupt = Interrupt::listen(move |text| note(text, quiet))?;
    let meeting = tokio::select! {
        biased;
        () = interrupt.stop.cancelled() => return Ok(ExitStatus::Interrupted),
        met = shards::meet(&args, &scenarios, seed, &interrupt.stop) => met?,
    };
    let seed = meeting.as_ref().map_or(seed, |meeting| meeting.seed());
    let announcer = Announcer::new(common.ci);
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
        let followed = &args.telemetry;
        let (interrupt, announcer, meeting) = (&interrupt, &announcer, meeting.as_ref());
        let place = args.rendezvous.as_deref();
        let one = One { scenario, common, followed, seed, run_id, interrupt, announcer, meeting, place };
        let ended = tokio::select! {
            biased;
            () = interrupt.kill.cancelled() => return Ok(tally.killed()),
            ended = async {
                match args.probe {
                    true => probe(scenario, common, &one.run_id, &interrupt.stop, io).await,
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

fn dry_run(scenario: &Scenario, seed: u64, io: &mut Io) -> Result<(), CliError> {
    let plan = Plan::new(scenario, "dry-run", seed);
    let operations = plan.operations().map_or("as many as the time allows".to_owned(), |count| count.to_string());
    let invariants = workload::invariants_of(scenario, "dry-run");
    let invariants = invariants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let resolved = scenario::resolved_toml(scenario).map_err(CliError::setup)?;
    let text = format!(
        "# {}\n# seed: {seed}\n# operations: {operations}, after {} of the serial control\n# judged: {invariants}\n\n{resolved}",
        scenario.file.display(),
        scenario.limits.serial_control,
    );
    io.result(&text).context("cannot write to stdout").map_err(CliError::setup)
}

/// One scenario's run.
struct One<'a> {
    scenario: &'a Scenario,
    common: &'a Common,
    followed: &'a TelemetryArgs,
    seed: u64,
    run_id: String,
    interrupt: &'a Interrupt,
    announcer: &'a Announcer,
    /// Where the other shards are met, if this is one of several.
    meeting: Option<&'a Arc<Meeting>>,
    /// Where that is, if it was named.
    place: Option<&'a str>,
}

/// What a run left behind, before it is judged.
struct Finished {
    meter: Meter,
    recorded: Recorded,
    dropped: u64,
    record: RunRecord,
    observation: Option<Observation>,
    /// What the run made cannot be removed, or is not to be.
    gone: bool,
}

/// A load that has been carried out.
struct Carried<'a> {
    recorded: &'a Recorded,
    plan: &'a Plan,
    epoch: Option<&'a Instant>,
}

/// How long the final state and the user's own invariants may take to be read.
pub(super) const READ_WITHIN: Duration = Duration::from_secs(120);
/// How long it may take to remove what the run made, and to stop what it started.
pub(super) const TEAR_DOWN_WITHIN: Duration = Duration::from_secs(20);

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

    fn shard(&self) -> Option<Shard> {
        self.meeting.map(|meeting| meeting.shard())
    }

    /// Whether this process does what is done once in a run.
    fn leads(&self) -> bool {
        self.shard().is_none_or(Shard::leads)
    }

    async fn run(&self, io: &mut Io) -> Result<Judged, CliError> {
        let guard = Guard { hosts: self.common.allow_target.clone(), databases: self.common.allow_database.clone() };
        // Refused before a folder is made or a server is started.
        place::check(self.scenario, &guard)?;
        let telemetry = self.telemetry(io).await?;
        let judged = self.followed(&guard, telemetry.as_ref(), io).await;
        if let Some(telemetry) = telemetry {
            telemetry.close().await;
        }
        judged
    }

    /// The run, and what follows it, if anything does.
    async fn followed(&self, guard: &Guard, telemetry: Option<&Telemetry>, io: &mut Io) -> Result<Judged, CliError> {
        let store = Store::create(&self.common.out, &shards::folder(&self.run_id, self.shard()))?;
        let started = SystemTime::now();
        let setting = Setting {
            scenario: self.scenario,
            common: self.common,
            guard,
            run_id: &self.run_id,
            store: &store,
            explored: None,
            attach: None,
            shard: self.shard(),
        };
        let mut place = tokio::select! {
            biased;
            () = self.interrupt.stop.cancelled() => {
                store.discard();
                return Ok((ExitStatus::Interrupted, None));
            }
            ready = self.set_up(&setting) => ready.inspect_err(|_| store.discard())?,
        };
        for finding in place.preflight.lint.iter().filter(|_| !self.common.quiet) {
            io.note(&format!("lint: {finding}\n"));
        }
        if let Some(telemetry) = telemetry {
            telemetry.begin();
        }
        let finished = self.carry_out(&mut place, &setting, (started, telemetry), io).await;
        let gone = finished.as_ref().map_or(true, |finished| finished.gone);
        for error in place.end(guard, gone).await {
            io.note(&error.render(io.err_colour));
        }
        self.conclude(finished?, &store, (started, telemetry), io).await
    }

    /// Sets up what the run goes to; of several shards the first does so before the others.
    async fn set_up(&self, setting: &Setting<'_>) -> Result<Place, CliError> {
        shards::before_set_up(self.meeting).await?;
        let place = setting.set_up().await?;
        shards::after_set_up(self.meeting).await?;
        Ok(place)
    }

    /// What follows the run, if anything does.
    async fn telemetry(&self, io: &mut Io) -> Result<Option<Telemetry>, CliError> {
        let planned = Plan::new(self.scenario, &self.run_id, self.seed).all_operations();
        let feed = Feed::new(&self.scenario.name, &self.run_id, planned);
        Telemetry::prepare(self.followed, (feed, subject(self.scenario)), io).await
    }

    async fn carry_out(
        &self,
        place: &mut Place,
        setting: &Setting<'_>,
        (started, telemetry): (SystemTime, Option<&Telemetry>),
        io: &Io,
    ) -> Result<Finished, CliError> {
        let meter = Meter::start().map_err(CliError::setup)?;
        // Saved first: whatever becomes of this process, what is recorded can be judged.
        let mut record = self.new_record(place, started)?;
        setting.store.write_record(&record)?;
        let plan = Plan::new(self.scenario, &self.run_id, self.seed);
        let progress = Arc::new(Progress::default());
        if let Some(telemetry) = telemetry {
            // Nobody else has set it: it is new.
            progress.watcher.set(telemetry.watcher()).ok();
        }
        let planned = match self.shard() {
            Some(shard) => plan.operations_of(shard),
            None => plan.operations(),
        };
        let extent = Extent { count: plan.all_operations(), time: duration(self.scenario) };
        let counted = Counted::Operations(Arc::clone(&progress));
        let line = ProgressLine::start(counted, extent, io.err_terminal, self.common.quiet);
        let stop = self.interrupt.stop.child_token();
        let load_ended = stop.child_token();
        if let Some(meeting) = self.meeting {
            meeting.keep_time(load_ended.clone());
        }
        let run = Run {
            plan: plan.clone(),
            workload: workload::of_scenario(self.scenario, &self.run_id),
            target: Arc::clone(&place.target),
            writer: Some(
                HistoryWriter::create(&setting.store.history(), &Header::new(&self.run_id)).map_err(CliError::setup)?,
            ),
            stop: stop.clone(),
            progress: Arc::clone(&progress),
        };
        record.server_before = place.identity(setting.guard, &self.interrupt.stop).await;
        let known = (self.run_id.as_str(), self.seed);
        record.as_if_serial = match self.meeting {
            None => bursts::compared(self.scenario, place, setting.guard, known, &stop).await,
            Some(_) => None,
        };
        let specs = &self.scenario.invariants;
        let (queries, unasked) = match self.leads() {
            true => ask_before(self.scenario, place, setting, &mut record, &self.interrupt.stop).await,
            false => (None, None),
        };
        let (first, serial) = (Arc::default(), Arc::default());
        let ask = |found| queries.clone().map(|queries| ask_between(queries, specs, found));
        let nothing = || -> driver::Between { Box::new(|| Box::pin(std::future::ready(()))) };
        let first_use = match place.await_first_use(self.scenario, setting.guard, &self.interrupt.stop).await {
            // Of several shards each would be the first.
            _ if self.meeting.is_some() => None,
            true => ask(&first).or_else(|| Some(nothing())),
            false => None,
        };
        let interludes = driver::Interludes { first_use, before_load: ask(&serial) };
        let mut running = std::pin::pin!(driver::run_together(run, interludes, self.meeting.cloned()));
        let mut lost = None;
        let (recorded, dropped) = tokio::select! {
            result = &mut running => result,
            found = place.lost() => {
                // Nothing more can come of it: stop, and let the drain collect what was in flight.
                lost = Some(found);
                stop.cancel();
                running.await
            }
        }
        .map_err(CliError::setup)?;
        drop(line);
        load_ended.cancel();
        let mut apart = shards::part(self.meeting, &recorded, lost.as_ref(), &mut record, progress.begun.get()).await;
        record.queries_first = std::mem::take(&mut *first.lock().unwrap_or_else(PoisonError::into_inner));
        record.queries_serial = std::mem::take(&mut *serial.lock().unwrap_or_else(PoisonError::into_inner));
        let observation = match &lost {
            Some(Lost { reason, readable: false }) => Err(reason.clone()),
            Some(Lost { readable: true, .. }) | None => {
                let load = Carried { recorded: &recorded, plan: &plan, epoch: progress.begun.get() };
                let (read, told) = self.read_final(place, setting, &mut record, (load, queries.as_deref())).await;
                apart.extend(told);
                read
            }
        };
        if !matches!(&lost, Some(Lost { readable: false, .. })) {
            record.server_after = place.identity(setting.guard, &self.interrupt.kill).await;
            let read = observation.as_ref().ok().and_then(Option::as_ref);
            look_at_key(place, setting, read, &self.interrupt.kill, &mut record.preflight).await;
        }
        if let (Some(meeting), true) = (self.meeting, self.leads()) {
            apart.extend(shards::end(meeting).await);
        }
        record.sightings = place.target.sightings();
        let notes = &mut record.preflight.notes;
        notes.extend(place.target.notes());
        notes.extend(ended_early(&recorded, planned, self.scenario));
        notes.extend(unasked);
        notes.extend(apart);
        let unwritten = recorded.write_error.as_ref().map(|_| "the history could not be written".to_owned());
        // That another shard is gone takes nothing away from what this one can do.
        let gone = lost.is_some() || unwritten.is_some() || (recorded.aborted.is_some() && self.meeting.is_none());
        record.aborted = lost.map(|lost| lost.reason).or_else(|| recorded.aborted.clone()).or(unwritten);
        record.observe_error = observation.as_ref().err().cloned().filter(|_| record.aborted.is_none());
        Ok(Finished { meter, recorded, dropped, record, observation: observation.unwrap_or_default(), gone })
    }

    /// Reads the final state, once nothing of the run is at work; of several shards the first does. And what readers are told
    /// of the others.
    async fn read_final(
        &self,
        place: &mut Place,
        setting: &Setting<'_>,
        record: &mut RunRecord,
        (load, queries): (Carried<'_>, Option<&Queries>),
    ) -> (Result<Option<Observation>, String>, Vec<String>) {
        if !self.leads() {
            // Nothing of this shard's service is to be at work when the first reads.
            let unstopped = place.quiesce(self.scenario).await.err().map(in_one_line);
            return (
                Ok(None),
                unstopped.into_iter().chain(shards::until_quiet(self.meeting, load.plan).await).collect(),
            );
        }
        let unquiet = shards::until_quiet(self.meeting, load.plan).await;
        shards::note_read(record, load.epoch);
        let history = &load.recorded.history;
        let read = async {
            // Asked while the service still runs: it may have work to do in the background.
            if let Some(queries) = queries {
                record.queries = queries.run_until_at_rest(&self.scenario.invariants).await;
            }
            wait_until_settled(place, self.scenario, &self.run_id, history).await;
            read_back(place, setting, unquiet.is_none()).await
        };
        let read = reading(self.scenario, history, self.interrupt).wait(read).await;
        record.interrupted = read.as_ref().is_err_and(|ended| *ended == Ended::Stopped);
        (read.unwrap_or_else(|ended| Err(ended.to_string())), unquiet.into_iter().collect())
    }

    /// The record of a run that has not begun.
    fn new_record(&self, place: &Place, started: SystemTime) -> Result<RunRecord, CliError> {
        Ok(RunRecord {
            format_version: RUN_FORMAT_VERSION,
            tool: "onlyone".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: self.run_id.clone(),
            seed: self.seed,
            started_at: Timestamp::try_from(started).map_err(CliError::setup)?.to_string(),
            origin: Some(origin(Timestamp::try_from(started).map_err(CliError::setup)?.to_string())),
            target: place.shown.clone(),
            reproduce: reproduce(self.scenario, self.common, self.seed, self.shard().map(|shard| (shard, self.place))),
            scenario_file: self.scenario.file.display().to_string(),
            scenario: scenario::resolved_toml(self.scenario).map_err(CliError::setup)?,
            preflight: place.preflight.clone(),
            machine: Some(crate::stats::machine()),
            generator: Generator::default(),
            server_before: None,
            server_after: None,
            observe_error: None,
            aborted: None,
            interrupted: false,
            explore: None,
            as_if_serial: None,
            queries_before: Vec::new(),
            queries_first: Vec::new(),
            queries_serial: Vec::new(),
            queries: Vec::new(),
            looks: Vec::new(),
            sightings: None,
            shard: self.meeting.map(|meeting| shards::record(self.scenario, meeting)),
            shards: Vec::new(),
        })
    }

    /// Judges and reports. Whatever cannot be written any more is told at the end, and masks no violation.
    async fn conclude(
        &self,
        finished: Finished,
        store: &Store,
        (started, telemetry): (SystemTime, Option<&Telemetry>),
        io: &mut Io,
    ) -> Result<Judged, CliError> {
        let Finished { meter, recorded, dropped, mut record, observation, .. } = finished;
        let history_written = recorded.write_error.map_or(Ok(()), |error| Err(CliError::setup(error)));
        record.generator = meter.stop(self.common.mongo != "embedded").map_err(CliError::setup)?;
        record.generator.dropped_arrivals = dropped;
        let evidence_written = store.write_record(&record);
        let recording = Recording { record: &record, history: &recorded.history, observation: observation.as_ref() };
        let (report, stats) = assess(recording).map_err(CliError::setup)?;
        let reports_written = store.write_reports(&report, &stats, started);
        let shown = match telemetry.is_some_and(Telemetry::has_events) {
            true => Ok(()),
            false => show(&report, Some(&store.directory.display().to_string()), self.common.format, io),
        };
        let events_written = match telemetry {
            Some(telemetry) => telemetry.end(&report, &store.directory, io).await,
            None => Ok(()),
        };
        self.announcer.announce(&report, io);
        let written = [history_written, evidence_written, reports_written, shown, events_written];
        let status = with_unwritten(status_of(&report), written, io);
        let directory = store.directory.display().to_string();
        Ok((status, Some(report::Ended::Judged { report: Box::new(report), directory })))
    }
}

/// What readers are told of a load that did not go on to its end.
fn ended_early(recorded: &Recorded, planned: Option<u64>, scenario: &Scenario) -> Option<String> {
    let carried_out = recorded.history.phase(Phase::Main).len() as u64;
    let planned = planned.filter(|planned| recorded.ended_early && carried_out < *planned)?;
    Some(format!(
        "ended after {} of {} operations: answers had shown a violation for {:?}, which nothing can undo (`limits.after_violation`)",
        count(carried_out),
        count(planned),
        scenario.limits.after_violation
    ))
}

/// What the operations of a scenario are sent to, in the names of metrics.
pub(super) fn subject(scenario: &Scenario) -> Subject {
    if scenario.target.http().is_some() { Subject::Service } else { Subject::Database }
}

/// How long a load goes on that ends by time.
fn duration(scenario: &Scenario) -> Option<Duration> {
    match scenario.load {
        Load::Closed { duration, .. } | Load::Open { duration, .. } => Some(duration),
        Load::Burst { .. } | Load::Waves { .. } => None,
    }
}
