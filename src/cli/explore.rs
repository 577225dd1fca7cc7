//! `onlyone explore`: a scenario's requests, driven through their interleavings.

mod asked;
mod commands;
mod conclusion;
mod established;
mod faults;
mod fresh;
mod pairs;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use rand::RngExt;

use self::asked::{check, fits, operations, requests, requests_are_asked_for, search};
use super::args::ExploreArgs;
use super::interrupt::{Interrupt, note};
use super::options::options;
use super::progress::{Counted, Extent, Known, ProgressLine};
use super::run::{load, subject};
use super::telemetry::Telemetry;
use super::{CliError, Io};
use crate::assess::RunRecord;
use crate::explore::comparison::AsIfSerial;
use crate::explore::explorer::{Explorer, Plan};
use crate::explore::indexes;
use crate::explore::outcome::Exploration;
use crate::explore::pairs::unserved;
use crate::explore::schedule::Schedule;
use crate::explore::scheduler::Timing;
use crate::explore::search::{Budget, Search};
use crate::explore::serial_runs::MOST_UNORDERED;
use crate::explore::so_far::SoFar;
use crate::explore::subject::Operations;
use crate::explore::watch::Watch;
use crate::live::Feed;
use crate::scenario::{self, Scenario, WorkloadKind};
use crate::session::own_invariants::Asked;
use crate::session::store::{Store, check_run_id, fresh_run_id};
use crate::session::{Environment, EnvironmentSpec, ProxyAttachment, bursts, new_record};
use crate::target::Guard;
use crate::verdict::ExitStatus;
use crate::workload::{self, Requests};

/// Explores one scenario, or requests without one.
pub(super) async fn explore(args: ExploreArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    if let Some(id) = &args.common.run_id {
        check_run_id(id)?;
    }
    match &args.scenario {
        Some(path) => {
            let scenario = load(path, &args.common)?;
            explore_scenario(&args, scenario, None, io).await
        }
        None => super::init::explore_requests(args, io).await,
    }
}

/// Explores a scenario; one that came from no file is kept in the run's folder.
pub(super) async fn explore_scenario(
    args: &ExploreArgs,
    mut scenario: Scenario,
    written: Option<&Written>,
    io: &mut Io,
) -> Result<ExitStatus, CliError> {
    scenario.explore.judge = pairs::judge(args, &scenario);
    (scenario.explore.faults, scenario.explore.redeliver) = faults::asked(args, &scenario);
    scenario.explore.strict = args.strict.then_some(true).or(scenario.explore.strict);
    let seed = args.common.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    let run_id = args.common.run_id.clone().unwrap_or_else(fresh_run_id);
    let operations = operations(args, &scenario)?;
    let pairs = pairs::operations(args, &scenario)?;
    let requests = if pairs.is_some() { pairs::size(args, &scenario) } else { requests(args, &scenario) };
    fits(args, &scenario, requests)?;
    fresh::check(args, &scenario, pairs.is_some())?;
    if args.common.dry_run {
        let resolved = scenario::resolved_toml(&scenario).map_err(CliError::setup)?;
        let search = search(args, &scenario);
        let meeting =
            pairs.as_ref().map_or_else(String::new, |names| format!(", every choice of {}", names.join(", ")));
        let text = format!(
            "# {}\n# seed: {seed}\n# search: {search}, {requests} requests{meeting}\n\n{resolved}",
            scenario.file.display()
        );
        io.result(&text).context("cannot write to stdout").map_err(CliError::setup)?;
        return Ok(ExitStatus::Holds);
    }
    let quiet = args.common.quiet;
    let (interrupt, so_far) = (&Interrupt::listen(move |text| note(text, quiet))?, Arc::default());
    let scenario = &scenario;
    let feed = match known(scenario) {
        Known::OnTheWay | Known::AlsoAtTheEnd => Feed::new(&scenario.name, &run_id, None),
        Known::AtTheEnd => Feed::judged_at_the_end(&scenario.name, &run_id),
    };
    let telemetry = Telemetry::prepare(&args.telemetry, (feed, subject(scenario)), io).await?;
    let one = One { args, scenario, written, telemetry, seed, run_id, requests, operations, pairs, interrupt, so_far };
    let exploring = async {
        tokio::select! {
            biased;
            () = interrupt.kill.cancelled() => Ok(ExitStatus::Interrupted),
            status = one.run(io) => status,
        }
    };
    if search(args, scenario) == Search::Stress {
        // Without an order requests are to meet by themselves, on all threads there are.
        return exploring.await;
    }
    // At any time only one request moves: on one thread, what is handed on from task to task wakes nobody.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::setup)?;
    // Moved in, because a runtime must not be dropped where nothing may block.
    tokio::task::block_in_place(move || runtime.block_on(exploring))
}

/// When it is known what violates.
fn known(scenario: &Scenario) -> Known {
    let judging = scenario.judging();
    match (judging.checkers, judging.as_if_serial) {
        (false, _) => Known::AtTheEnd,
        (true, true) => Known::AlsoAtTheEnd,
        (true, false) => Known::OnTheWay,
    }
}

/// The proxy, which every exploration has.
fn attachment(environment: &Environment) -> Result<&ProxyAttachment, CliError> {
    let attached = environment.attachment.as_ref();
    attached.ok_or_else(|| CliError::setup(anyhow::anyhow!("there is no proxy in front of the server")))
}

/// Between two looks at the documents of an exploration that goes on, at least.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// A scenario that was made of requests.
pub(super) struct Written {
    /// As it is in the file.
    pub(super) text: String,
    /// Requests that were asked for and are not in it, with the reason.
    pub(super) left_out: Vec<String>,
}

impl Written {
    /// Nothing holds of what was not sent.
    fn doubts(&self) -> Vec<String> {
        let doubt = |line: &String| {
            format!(
                "not explored: {line}; name the request that makes what it needs before it, say so by `before` in a scenario, or leave this one out"
            )
        };
        self.left_out.iter().map(doubt).collect()
    }
}

/// One exploration.
struct One<'a> {
    args: &'a ExploreArgs,
    scenario: &'a Scenario,
    /// The scenario as it is written, where it came from no file.
    written: Option<&'a Written>,
    /// What follows it, if anything does.
    telemetry: Option<Telemetry>,
    seed: u64,
    run_id: String,
    requests: u32,
    operations: Vec<String>,
    /// Operations of which every choice is explored.
    pairs: Option<Vec<String>>,
    interrupt: &'a Interrupt,
    /// How far it is, for the progress line.
    so_far: Arc<SoFar>,
}

/// What an exploration left behind, before it is judged.
struct Finished {
    exploration: Exploration,
    /// Why it ended before its end.
    aborted: Option<String>,
    /// What is known of it beside what was found.
    record: RunRecord,
}

impl One<'_> {
    async fn run(&self, io: &mut Io) -> Result<ExitStatus, CliError> {
        let common = &self.args.common;
        let options = options(common, self.interrupt);
        let guard = &options.guard;
        check(self.args, self.scenario, guard)?;
        faults::check(self.args, self.scenario, options.mongo.is_embedded())?;
        let store = Store::create(&common.out, &self.run_id)?;
        if let Some(written) = self.written {
            super::init::write_scenario(&self.scenario.file, &written.text)?;
        }
        let started = SystemTime::now();
        if !self.scenario.faults.is_empty() {
            io.note(
                "`[[fault]]` is for `onlyone run`, and left out: an exploration has faults of its own, by `--faults`\n",
            );
        }
        let spec = EnvironmentSpec {
            scenario: self.scenario,
            options: &options,
            run_id: &self.run_id,
            store: &store,
            explored: Some(self.clients()),
            attach: self.args.attach,
            shard: None,
        };
        if let Some(port) = self.args.attach {
            let host = self.scenario.network.advertised();
            io.note(&format!(
                "waiting for the service: point it at mongodb://{host}:{port} in place of its database\n"
            ));
        }
        let environment = tokio::select! {
            biased;
            () = self.interrupt.stop.cancelled() => {
                store.discard();
                return Ok(ExitStatus::Interrupted);
            }
            ready = spec.set_up() => ready.inspect_err(|_| store.discard())?,
        };
        if let Some(telemetry) = &self.telemetry {
            telemetry.begin();
        }
        let counted = Counted::Schedules(Arc::clone(&self.so_far), known(self.scenario));
        let extent = Extent { count: self.args.max_schedules.map(u64::from), time: Some(self.args.max_time) };
        let line = ProgressLine::start(counted, extent, io.err_terminal, common.quiet);
        let finished = self.carry_out(&environment, &spec, started).await;
        drop(line);
        let lost = !finished.as_ref().is_ok_and(|finished| finished.aborted.is_none());
        for error in environment.end(guard, lost).await {
            io.note(&error.render(io.err_colour));
        }
        self.conclude(finished?, &store, started, io).await
    }

    /// Explores. A service that is lost in the middle ends the search, and what was found so far is judged; without a
    /// server there is nothing to judge by.
    async fn carry_out(
        &self,
        environment: &Environment,
        spec: &EnvironmentSpec<'_>,
        started: SystemTime,
    ) -> Result<Finished, CliError> {
        let guard = &spec.options.guard;
        let mut record = new_record(spec, environment, (self.seed, started), String::new())?;
        record.server_before = environment.identity(guard, &self.interrupt.stop).await;
        let stop = self.interrupt.stop.child_token();
        let mut exploring = std::pin::pin!(self.explore(environment, guard, stop.clone()));
        let (explored, aborted) = tokio::select! {
            explored = &mut exploring => (explored?, None),
            lost = environment.lost() => {
                stop.cancel();
                (exploring.await?, Some(lost.reason))
            }
        };
        let mut exploration = faults::doubt(explored, self.args, self.scenario);
        exploration.report.doubts.extend(self.written.into_iter().flat_map(Written::doubts));
        record.preflight.notes.extend(environment.target.notes());
        record.server_after = environment.identity(guard, &self.interrupt.kill).await;
        record.sightings = environment.target.sightings();
        Ok(Finished { exploration, aborted, record })
    }

    async fn explore(
        &self,
        environment: &Environment,
        guard: &Guard,
        stop: tokio_util::sync::CancellationToken,
    ) -> Result<Exploration, CliError> {
        let mut whole = match &self.pairs {
            Some(names) => self.explore_pairs(names, environment, guard, &stop).await?,
            None => {
                let start = Instant::now();
                let (subject, plan) =
                    (self.subject(environment, &self.operations, self.requests), self.plan(None, true));
                let explorer = self.explorer(environment, &subject, &plan, stop.clone()).await?;
                let fresh = self.explored(explorer, environment, guard, &self.args.operations).await?;
                let place = established::Place { environment, guard, stop: &stop, start };
                self.established(fresh, &[], place).await?
            }
        };
        if self.scenario.workload == WorkloadKind::Custom && !stop.is_cancelled() {
            whole.report.doubts.extend(unserved(&whole.history));
        }
        Ok(whole)
    }

    /// Carries an exploration of these operations out; none are those of the scenario.
    async fn explored<'e>(
        &'e self,
        explorer: Explorer<'e>,
        environment: &'e Environment,
        guard: &Guard,
        operations: &[String],
    ) -> Result<Exploration, CliError> {
        let explorer = self.watched(explorer, environment, guard).await?;
        let client = attachment(environment)?.direct.client.clone();
        let read = |namespaces| async move { indexes::read(&client, namespaces).await };
        Ok(explorer.explore(read, &self.command(operations)).await)
    }

    /// The most requests that are under way at once.
    fn clients(&self) -> u32 {
        let named = self.pairs.as_ref().map_or(0, Vec::len);
        self.requests.max(u32::try_from(named).unwrap_or(u32::MAX))
    }

    /// Requests that do these operations.
    fn subject(&self, environment: &Environment, operations: &[String], requests: u32) -> Operations {
        let workload = workload::of_scenario(self.scenario, &self.run_id);
        let all = Requests::new(workload, operations.to_vec(), requests, self.seed);
        let subject = Operations::of_requests(Arc::clone(&environment.target), &all, requests);
        match environment.fresh_executions().and_then(|fresh| fresh.starts()) {
            Some((starts, launch)) => subject.with_starts(starts, launch),
            None => subject,
        }
    }

    /// How they are explored; within this budget, where it is but a part of the whole.
    fn plan(&self, budget: Option<(Option<u32>, Duration)>, warm_up: bool) -> Plan {
        let (executions, time) = budget.unwrap_or((self.args.max_schedules, self.args.max_time));
        Plan {
            search: search(self.args, self.scenario),
            budget: Budget { executions, time, ..Budget::default() },
            seed: self.seed,
            reduce: self.args.no_reduction.then_some(false),
            timing: self.timing(),
            invariants: match self.scenario.judging().checkers {
                true => workload::invariants_of(self.scenario, &self.run_id),
                false => Vec::new(),
            },
            warm_up: warm_up && self.scenario.target.http().is_some(),
            may_reduce: !requests_are_asked_for(self.args, self.scenario),
            before: self.first_in_turn(),
            twice: self.args.twice,
            park_answers: self.scenario.explore.park_answers,
            settle: self.scenario.target.http().map(|_| self.scenario.stored_within()),
        }
    }

    /// Of a schedule that is carried out again: as many requests as come first one after another, as it is said, or where all orders are too
    /// many.
    fn first_in_turn(&self) -> usize {
        let (requests, schedule) = (self.requests as usize, self.args.schedule.as_ref());
        let is_long = requests > MOST_UNORDERED;
        let first = self.args.in_turn.or_else(|| schedule.filter(|_| is_long).map(Schedule::first_in_turn));
        first.unwrap_or(0).min(requests.saturating_sub(2))
    }

    fn timing(&self) -> Timing {
        let default = Timing::default();
        let start = self.scenario.service.as_ref().map_or(default.start, |service| service.ready_timeout);
        Timing { deadline: self.scenario.limits.operation_deadline, start, ..default }
    }

    async fn explorer<'e>(
        &self,
        environment: &'e Environment,
        subject: &'e Operations,
        plan: &'e Plan,
        stop: tokio_util::sync::CancellationToken,
    ) -> Result<Explorer<'e>, CliError> {
        let attachment = attachment(environment)?;
        let explorer = Explorer::new(&attachment.proxy, Arc::clone(&environment.target), subject, plan, stop)
            .on_server(attachment.direct.client.clone())
            .telling(Arc::clone(&self.so_far), self.looks());
        let explorer = match faults::of(self.args, self.scenario, environment).await? {
            Some(faults) => explorer.with_faults(faults),
            None => explorer,
        };
        let explorer = match environment.fresh_executions() {
            Some(fresh) => explorer.on_fresh_databases(fresh),
            None => explorer,
        };
        let explorer = match self.as_if_serial(self.scenario) {
            Some(how) => explorer.judging(how),
            None => explorer,
        };
        Ok(match self.telemetry.as_ref().map(Telemetry::follows) {
            Some(follows) => explorer.followed(follows),
            None => explorer,
        })
    }

    /// Whether documents are looked at in between: where somebody follows, and it takes no request of the service.
    fn looks(&self) -> Option<Duration> {
        let followed = (!self.args.common.quiet || self.telemetry.is_some()) && known(self.scenario) != Known::AtTheEnd;
        let past = self.scenario.target.http().is_none() || self.scenario.observe.mongo.is_some();
        (followed && past).then_some(BETWEEN_LOOKS)
    }

    /// Looks at the user's own invariants as well.
    async fn watched<'e>(
        &'e self,
        explorer: Explorer<'e>,
        environment: &Environment,
        guard: &Guard,
    ) -> Result<Explorer<'e>, CliError> {
        let checkers = self.scenario.judging().checkers;
        Ok(match environment.open_queries(guard, self.scenario, &self.run_id).await?.filter(|_| checkers) {
            Some(queries) => {
                let target = Arc::clone(&environment.target);
                let watch = Watch::new(Asked { queries, specs: &self.scenario.invariants, target });
                explorer.watching(if self.written.is_some() { watch.guessed() } else { watch })
            }
            None => explorer,
        })
    }

    /// How executions are held against serial runs, where they are.
    fn as_if_serial(&self, scenario: &Scenario) -> Option<AsIfSerial> {
        let judging = scenario.judging();
        if !judging.as_if_serial {
            return None;
        }
        let spec = &scenario.explore;
        let settings = bursts::settings(spec);
        // Other checkers take every operation on a key for one of the execution's own.
        let alone = !judging.checkers || (scenario.workload == WorkloadKind::Custom && !scenario.has_rules());
        // What a request would be told once more says nothing where it may not have happened.
        let faults = faults::are_there(self.args, scenario);
        Some(AsIfSerial { settings, probes: spec.probes.unwrap_or(alone && !faults) })
    }
}
