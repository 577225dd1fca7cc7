//! `onlyone selftest`: the kill matrix on one server, and its report.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::Context;
use rand::RngExt;

use super::args::SelftestArgs;
use super::ci::Announcer;
use super::interrupt::{Interrupt, note};
use super::options::{guard, log};
use super::progress::{Counted, Extent, ProgressLine, Trials};
use super::show::{show, with_unwritten};
use super::{CliError, Io};
use crate::assess::status_of;
use crate::report::{Report, write_all};
use crate::scenario::MongodSpec;
use crate::selftest::{Bench, CATALOGUE, Facts, Outcome, Pair, Planted, Step, Trials as Routes};
use crate::service::planted_routes;
use crate::session::commit::origin;
use crate::session::reproduce::quoted;
use crate::session::store::{Store, check_run_id, fresh_run_id};
use crate::session::{MongoLocation, Server};
use crate::stats::Meter;
use crate::target::{Guard, Preflight};
use crate::verdict::ExitStatus;

/// Carries out the matrix and reports it.
pub(super) async fn selftest(args: SelftestArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let common = &args.common;
    if let Some(id) = &common.run_id {
        check_run_id(id)?;
    }
    if !common.overrides.is_empty() {
        return Err(CliError::usage(anyhow::anyhow!("--set overrides a scenario, and selftest has none")));
    }
    if args.faults && common.mongo != "embedded" {
        return Err(CliError::usage(anyhow::anyhow!("--faults explores on a replica set of its own"))
            .hint("leave --mongo out, and unset ONLYONE_MONGO_URI"));
    }
    let (table, routes) = (table(&args)?, routes(&args));
    if common.dry_run {
        io.result(&(dry_run(&table) + &dry_run_routes(&routes)))
            .context("cannot write to stdout")
            .map_err(CliError::setup)?;
        return Ok(ExitStatus::Holds);
    }
    let guard = guard(common);
    guard.check_database(&args.database).map_err(crate::target::TargetError::from)?;
    let quiet = common.quiet;
    let interrupt = Interrupt::listen(move |text| note(text, quiet))?;
    let run_id = common.run_id.clone().unwrap_or_else(fresh_run_id);
    let store = Store::create(&common.out, &run_id)?;
    let one = One { args: &args, table, routes, guard, run_id, interrupt: &interrupt };
    let done = tokio::select! {
        biased;
        () = interrupt.kill.cancelled() => {
            store.discard();
            return Ok(ExitStatus::Interrupted);
        }
        report = one.carry_out(io.err_terminal) => report,
    };
    let report = done.inspect_err(|_| store.discard())?;
    let written = write_all(&store.directory, &report, None::<(&crate::stats::LatencyStats, SystemTime)>);
    let shown = show(&report, Some(&store.directory.display().to_string()), common.format, io);
    Announcer::new(common.ci).announce(&report, io);
    Ok(with_unwritten(status_of(&report), [written.map(drop).map_err(CliError::setup), shown], io))
}

/// The bugs that are asked for.
fn table(args: &SelftestArgs) -> Result<Vec<Planted>, CliError> {
    let by_load = |id: &String| CATALOGUE.iter().any(|planted| planted.id.eq_ignore_ascii_case(id));
    let by_route = |id: &String| planted_routes().any(|route| route.id.eq_ignore_ascii_case(id));
    if let Some(unknown) = args.bug.iter().find(|id| !(by_load(id) || args.faults && by_route(id))) {
        let error = CliError::usage(anyhow::anyhow!("no planted bug is called `{unknown}`"));
        return Err(match by_route(unknown) {
            true => error.hint("it is planted with --faults"),
            false => error.hint("`onlyone selftest --dry-run` lists them"),
        });
    }
    Ok(CATALOGUE.iter().filter(|planted| is_wanted(args, planted.id)).cloned().collect())
}

/// The planted routes that are asked for.
fn routes(args: &SelftestArgs) -> Vec<Pair> {
    let wanted = planted_routes().filter(|route| args.faults && is_wanted(args, route.id));
    wanted.map(|mutant| Pair { mutant, swapped: false }).collect()
}

fn is_wanted(args: &SelftestArgs, id: &str) -> bool {
    args.bug.is_empty() || args.bug.iter().any(|wanted| wanted.eq_ignore_ascii_case(id))
}

fn dry_run_routes(routes: &[Pair]) -> String {
    let line = |Pair { mutant, .. }: &Pair| {
        let faults = mutant.faults.iter().map(|fault| format!(" with {fault}")).collect::<String>();
        let requests = mutant.requests.join(" + ");
        format!("{:<4} {requests:<28} {}: explored{faults}; twin {}\n", mutant.id, mutant.bug, mutant.twin)
    };
    routes.iter().map(line).collect()
}

fn dry_run(table: &[Planted]) -> String {
    let line = |planted: &Planted| {
        let index = if planted.bug.unique_index() { "unique index" } else { "no index" };
        format!(
            "{:<4} {:<13} {:<36} {index:<12}  must be caught by {} within {} rounds; twin {}\n",
            planted.id,
            planted.bug.workload().as_str(),
            planted.bug.name(),
            planted.by,
            planted.budget,
            planted.twin.name()
        )
    };
    table.iter().map(line).collect()
}

/// One self-test.
struct One<'a> {
    args: &'a SelftestArgs,
    table: Vec<Planted>,
    routes: Vec<Pair>,
    guard: Guard,
    run_id: String,
    interrupt: &'a Interrupt,
}

impl One<'_> {
    async fn carry_out(&self, terminal: bool) -> Result<Report, CliError> {
        let common = &self.args.common;
        let seed = common.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
        let meter = Meter::start().map_err(CliError::setup)?;
        let (begin, date) = (Instant::now(), jiff::Timestamp::now().to_string());
        let (mut outcome, mut preflight) = Default::default();
        if !self.table.is_empty() {
            (outcome, preflight) = self.by_load(seed, terminal).await?;
        }
        if self.args.faults {
            outcome = outcome.with_routes(self.by_route(seed, terminal).await?);
        }
        let duration_s = begin.elapsed().as_secs_f64();
        let generator = meter.stop(common.mongo != "embedded").map_err(CliError::setup)?;
        let facts = Facts { duration_s, generator, machine: crate::stats::machine(), preflight };
        let report = outcome.report(&self.run_id, seed, self.reproduce(seed), facts);
        Ok(Report { origin: Some(origin(date)), ..report })
    }

    /// The table of strategies, on one server.
    async fn by_load(&self, seed: u64, terminal: bool) -> Result<(Outcome, Preflight), CliError> {
        let common = &self.args.common;
        let spec = MongodSpec { replica_set: 0, test_commands: true };
        let server = Server::start(&MongoLocation::of(&common.mongo), spec, &log(common.quiet)).await?;
        let tried = tokio::select! {
            biased;
            reason = server.lost() => Err(CliError::setup(anyhow::anyhow!(reason))),
            outcome = self.matrix(&server, seed, terminal) => outcome,
        };
        let stopped = server.stop().await;
        let tried = tried?;
        stopped?;
        Ok(tried)
    }

    /// The planted routes, on one server with an oplog. It has no test commands: one exploration must not hold what another sends.
    async fn by_route(&self, seed: u64, terminal: bool) -> Result<Outcome, CliError> {
        let common = &self.args.common;
        let program = std::env::current_exe().context("cannot find this program").map_err(CliError::setup)?;
        let spec = MongodSpec { replica_set: 0, test_commands: false };
        let server = Server::start_with_oplog(&MongoLocation::of(&common.mongo), spec, &log(common.quiet)).await?;
        let routes = Routes { program, mongo: server.uri(), seed, stop: self.interrupt.stop.clone() };
        let trials = Arc::new(Trials::default());
        let extent = Extent { count: Some(self.routes.len() as u64), time: None };
        let line = ProgressLine::start(Counted::Trials(Arc::clone(&trials)), extent, terminal, common.quiet);
        let step = |done, _, id: &str, wrong| trials.set(done, format!("{wrong} wrong so far  last {id}"));
        let tried = tokio::select! {
            biased;
            reason = server.lost() => Err(CliError::setup(anyhow::anyhow!(reason))),
            outcome = routes.carry_out(&self.routes, step) => outcome.map_err(CliError::setup),
        };
        drop(line);
        let stopped = server.stop().await;
        let tried = tried?;
        stopped?;
        Ok(tried)
    }

    async fn matrix(&self, server: &Server, seed: u64, terminal: bool) -> Result<(Outcome, Preflight), CliError> {
        let stop = self.interrupt.stop.clone();
        let bench = Bench::open(server.uri(), &self.guard, &self.args.database, &self.run_id, seed, stop).await?;
        let preflight = bench.facts().await?;
        let trials = Arc::new(Trials::default());
        let mut line = None;
        let outcome = bench
            .carry_out(&self.table, |Step { done, all, id, plant, wrong }| {
                let so_far = match wrong {
                    0 => "nothing wrong so far".to_owned(),
                    wrong => format!("{wrong} escaped or accused wrongly so far"),
                };
                trials.set(done, format!("{so_far}  now {id} {} {}", plant.workload().as_str(), plant.name()));
                // How many there are is known from the first on.
                line.get_or_insert_with(|| {
                    let extent = Extent { count: Some(all as u64), time: None };
                    ProgressLine::start(Counted::Trials(Arc::clone(&trials)), extent, terminal, self.args.common.quiet)
                });
            })
            .await;
        drop(line);
        Ok((outcome.map_err(CliError::setup)?, preflight))
    }

    fn reproduce(&self, seed: u64) -> String {
        let mut words = vec!["onlyone selftest".to_owned()];
        if self.args.faults {
            words.push("--faults".to_owned());
        }
        words.extend(self.args.bug.iter().map(|id| format!("--bug {}", quoted(id))));
        words.push(format!("--seed {seed}"));
        if self.args.common.mongo != "embedded" {
            words.push("--mongo \"$ONLYONE_MONGO_URI\"".to_owned());
        }
        words.join(" ")
    }
}
