//! `onlyone explore`: a scenario's requests, driven through their interleavings.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use jiff::Timestamp;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::args::{ExploreArgs, SearchKind};
use super::check::show;
use super::interrupt::Interrupt;
use super::run::{load, quoted};
use super::server::Server;
use super::store::{Store, check_run_id, fresh_run_id};
use super::{CliError, Io};
use crate::assess::{RUN_FORMAT_VERSION, Recording, RunRecord, assess, status_of};
use crate::explore::explorer::{Explorer, Plan};
use crate::explore::outcome::Exploration;
use crate::explore::proxy::Proxy;
use crate::explore::scheduler::Timing;
use crate::explore::search::{Budget, Search};
use crate::explore::subject::Operations;
use crate::explore::{indexes, members};
use crate::history::file::{Header, HistoryWriter};
use crate::history::{Action, Phase};
use crate::scenario::{self, Load, Scenario, TargetSpec, WorkloadKind};
use crate::target::mongo::{Connected, MongoTarget, PoolOptions};
use crate::target::{Guard, MongoUri, Preflight, Target};
use crate::verdict::ExitStatus;
use crate::workload::{self, Slot, Workload};

/// Requests beyond this many are not the default, although the scenario's burst has them.
const MOST_BY_DEFAULT: u32 = 4;

/// Explores one scenario.
pub(super) async fn explore(args: ExploreArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    if let Some(id) = &args.common.run_id {
        check_run_id(id)?;
    }
    let scenario = load(&args.scenario, &args.common)?;
    let seed = args.common.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    let run_id = args.common.run_id.clone().unwrap_or_else(fresh_run_id);
    let requests = requests(&args, &scenario);
    if args.common.dry_run {
        let resolved = scenario::resolved_toml(&scenario).map_err(CliError::setup)?;
        let search = search(&args);
        let text = format!(
            "# {}\n# seed: {seed}\n# search: {search}, {requests} requests\n\n{resolved}",
            args.scenario.display()
        );
        io.result(&text).context("cannot write to stdout").map_err(CliError::setup)?;
        return Ok(ExitStatus::Holds);
    }
    let quiet = args.common.quiet;
    let interrupt = Interrupt::listen(move |text| {
        if !quiet {
            use std::io::Write;
            // There is nowhere left to report that stderr is closed.
            std::io::stderr().write_all(text.as_bytes()).ok();
        }
    })?;
    let one = One { args: &args, scenario: &scenario, seed, run_id, requests, interrupt: &interrupt };
    tokio::select! {
        biased;
        () = interrupt.kill.cancelled() => Ok(ExitStatus::Interrupted),
        status = one.run(io) => status,
    }
}

fn requests(args: &ExploreArgs, scenario: &Scenario) -> u32 {
    let of_load = match &scenario.load {
        Load::Burst { clients, .. } => clients.iter().copied().find(|clients| (1..=MOST_BY_DEFAULT).contains(clients)),
        _ => None,
    };
    args.requests.map(u32::from).or(of_load).unwrap_or(2)
}

/// What a request asks for: each one acts on the fresh key.
fn action(workload: &dyn Workload, kind: WorkloadKind, request: u32, requests: u32, seed: u64) -> Action {
    match kind {
        // The last request names the pair in the other order, which must make no difference.
        WorkloadKind::CreateOrGet => Action::CreateOrGet { reversed: request > 0 && request + 1 == requests },
        _ => {
            let slot = Slot { phase: Phase::Main, client: request, round: 0, key: 0, fresh: true };
            workload.action(slot, &mut ChaCha8Rng::seed_from_u64(seed))
        }
    }
}

fn search(args: &ExploreArgs) -> Search {
    match (&args.schedule, args.search) {
        (Some(schedule), _) => Search::Replay { schedule: schedule.clone(), times: args.times },
        (None, SearchKind::Exhaustive) => Search::Exhaustive,
        (None, SearchKind::Pct) => Search::Pct { depth: usize::from(args.depth) },
        (None, SearchKind::Random) => Search::Random,
    }
}

/// One exploration.
struct One<'a> {
    args: &'a ExploreArgs,
    scenario: &'a Scenario,
    seed: u64,
    run_id: String,
    requests: u32,
    interrupt: &'a Interrupt,
}

/// What stands between the requests and the server.
struct Ready {
    proxy: Proxy,
    /// To the server itself, past the proxy.
    direct: Connected,
    target: Arc<MongoTarget>,
    preflight: Preflight,
}

impl One<'_> {
    async fn run(&self, io: &mut Io) -> Result<ExitStatus, CliError> {
        let common = &self.args.common;
        let guard = Guard { hosts: common.allow_target.clone(), databases: common.allow_database.clone() };
        let TargetSpec::Mongo(spec) = &self.scenario.target;
        guard.check_database(&spec.database).map_err(crate::target::TargetError::from)?;
        let store = Store::create(&common.out, &self.run_id)?;
        let started = SystemTime::now();
        let (server, ready) = tokio::select! {
            biased;
            () = self.interrupt.stop.cancelled() => return Ok(ExitStatus::Interrupted),
            ready = self.set_up(&guard) => ready?,
        };
        let lost = self.interrupt.stop.child_token();
        let explored = tokio::select! {
            explored = self.carry_out(&ready, lost) => explored.map_err(CliError::from),
            reason = server.lost() => Err(CliError::setup(anyhow::anyhow!(reason))),
        };
        if explored.is_ok()
            && let Err(error) = ready.target.tear_down().await
        {
            io.note(&CliError::from(error).render(io.err_colour));
        }
        let uri = server.uri();
        server.stop().await?;
        let preflight = ready.preflight.clone();
        drop(ready);
        self.conclude(explored?, preflight, &uri, &store, started, io)
    }

    async fn set_up(&self, guard: &Guard) -> Result<(Server, Ready), CliError> {
        let TargetSpec::Mongo(spec) = &self.scenario.target;
        let common = &self.args.common;
        let server = Server::start(&common.mongo, self.scenario.mongod, common.quiet).await?;
        let uri = server.uri();
        let pool = PoolOptions { connections: 1, retry_writes: false, retry_reads: false };
        // Opened first: the guard looks at the server's own addresses, not at the proxy's.
        let direct = Connected::open(&uri, guard, pool).await?;
        let proxy = Proxy::start(&members::of(&direct.client, &uri).await).await.map_err(CliError::setup)?;
        let through = MongoUri::new(proxy.uri(uri.expose()).map_err(CliError::usage)?);
        let kind = self.scenario.workload;
        let target = MongoTarget::connect(through, guard, spec.clone(), kind, self.requests, &self.run_id).await?;
        let preflight = target.prepare(self.requests).await?;
        Ok((server, Ready { proxy, direct, target: Arc::new(target), preflight }))
    }

    async fn carry_out(
        &self,
        ready: &Ready,
        stop: tokio_util::sync::CancellationToken,
    ) -> Result<Exploration, crate::target::TargetError> {
        let workload = workload::of_scenario(self.scenario, &self.run_id);
        let invariants = workload.invariants();
        let target: Arc<dyn Target> = Arc::clone(&ready.target) as Arc<dyn Target>;
        let (keys, actions, requests) = (Arc::clone(&workload), self.scenario.workload, self.requests);
        let subject = Operations::new(
            Arc::clone(&target),
            move |execution| keys.key(Phase::Main, execution),
            (0..requests).map(|request| action(&*workload, actions, request, requests, self.seed)).collect(),
        );
        let plan = Plan {
            search: search(self.args),
            budget: Budget { executions: self.args.max_schedules, time: self.args.max_time, ..Budget::default() },
            seed: self.seed,
            reduce: self.args.no_reduction.then_some(false),
            timing: Timing { deadline: self.scenario.limits.operation_deadline, ..Timing::default() },
            invariants,
        };
        let explorer = Explorer::new(&ready.proxy, target, &subject, &plan, stop);
        let client = ready.direct.client.clone();
        explorer.explore(|namespaces| async move { indexes::read(&client, namespaces).await }, &self.command()).await
    }

    /// Stores, judges and reports.
    fn conclude(
        &self,
        explored: Exploration,
        preflight: Preflight,
        uri: &MongoUri,
        store: &Store,
        started: SystemTime,
        io: &mut Io,
    ) -> Result<ExitStatus, CliError> {
        let Exploration { history, observation, report } = explored;
        let mut writer =
            HistoryWriter::create(&store.history(), &Header::new(&self.run_id)).map_err(CliError::setup)?;
        for operation in &history.operations {
            writer.append(operation).map_err(CliError::setup)?;
        }
        writer.finish(history.interrupted).map_err(CliError::setup)?;
        let record = RunRecord {
            format_version: RUN_FORMAT_VERSION,
            tool: "onlyone".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: self.run_id.clone(),
            seed: self.seed,
            started_at: Timestamp::try_from(started).map_err(CliError::setup)?.to_string(),
            target: uri.to_string(),
            reproduce: self.reproduce(),
            scenario_file: self.scenario.file.display().to_string(),
            scenario: scenario::resolved_toml(self.scenario).map_err(CliError::setup)?,
            preflight,
            generator: crate::stats::usage().map_err(CliError::setup)?,
            observe_error: None,
            aborted: None,
            explore: Some(report),
        };
        store.write_evidence(&record, observation.as_ref())?;
        let recording = Recording { record: &record, history: &history, observation: observation.as_ref() };
        let (report, stats) = assess(recording).map_err(CliError::setup)?;
        store.write_reports(&report, &stats, started)?;
        show(&report, Some(&store.directory.display().to_string()), self.args.common.format, io)?;
        Ok(status_of(&report))
    }

    /// The command without what says how to explore.
    fn command(&self) -> String {
        let common = &self.args.common;
        let mut words = vec!["onlyone explore".to_owned(), quoted(&self.scenario.file.display().to_string())];
        words.extend(common.overrides.iter().map(|set| format!("--set {}", quoted(set))));
        if common.mongo != "embedded" {
            words.push("--mongo \"$ONLYONE_MONGO_URI\"".to_owned());
        }
        words.extend(common.allow_target.iter().map(|host| format!("--allow-target {}", quoted(host))));
        words.extend(common.allow_database.iter().map(|name| format!("--allow-database {}", quoted(name))));
        words.join(" ")
    }

    fn reproduce(&self) -> String {
        let mut words = vec![self.command(), format!("--requests {} --seed {}", self.requests, self.seed)];
        match (&self.args.schedule, self.args.search) {
            (Some(schedule), _) => words.push(format!("--schedule \"{schedule}\" --times {}", self.args.times)),
            (None, SearchKind::Exhaustive) => {}
            (None, SearchKind::Pct) => words.push(format!("--search pct --depth {}", self.args.depth)),
            (None, SearchKind::Random) => words.push("--search random".to_owned()),
        }
        words.join(" ")
    }
}
