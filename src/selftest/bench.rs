//! [`Bench`]: carries the table out on one server. Rounds come in slices, each an ordinary run on collections of its own,
//! until the bug is caught or its budget is used.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mongodb::bson::doc;
use tokio_util::sync::CancellationToken;

use super::catalogue::{Crowd, Plant, Planted};
use super::instances::Instances;
use super::outcome::Outcome;
use crate::checker::{Evidence, judge};
use crate::driver::{self, DriverError, Plan, Progress, Run};
use crate::explore::together::Meeting;
use crate::history::Phase;
use crate::report::{SelftestBug, SelftestTwin};
use crate::scenario::{Limits, Load, MemorySize, MongoSpec};
use crate::stats::{self, Conditions};
use crate::target::memory::MemoryTarget;
use crate::target::mongo::{Connected, MongoTarget, PoolOptions};
use crate::target::{Guard, MongoUri, Preflight, Target, TargetError};
use crate::verdict::{InvariantResult, Verdict, Witness};
use crate::workload;

/// Most rounds of one slice.
const LONGEST_SLICE: u32 = 480;
/// Rounds that a bug may escape before the server is asked to let upserts meet.
const MEET_AFTER: u32 = 200;
/// Slices that a twin's rounds come in.
const TWIN_SLICES: u32 = 3;
/// Time after which a twin gets one slice only.
const TWINS_SHORT_AFTER: Duration = Duration::from_secs(40);
/// Serial operations before each slice: a defect that needs no race shows in them.
const SERIAL: u32 = 8;

/// Why the table cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum SelftestError {
    /// The server, or the harness, failed under a trial.
    #[error("the trial of {plant} cannot be carried out")]
    Target {
        /// Which.
        plant: String,
        /// Why.
        #[source]
        source: TargetError,
    },
    /// The driver failed.
    #[error("the trial of {plant} cannot be carried out")]
    Driver {
        /// Which.
        plant: String,
        /// Why.
        #[source]
        source: DriverError,
    },
}

/// What is carried out next, for a progress line.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Trials that are over.
    pub done: usize,
    /// Trials in all.
    pub all: usize,
    /// The bug, or `twin`.
    pub id: &'a str,
    /// What is tried.
    pub plant: &'a Plant,
    /// Bugs that escaped so far, and twins that were accused.
    pub wrong: usize,
}

/// One server, on which all trials are carried out.
pub struct Bench {
    connected: Connected,
    connections: u32,
    uri: MongoUri,
    database: String,
    run_id: String,
    seed: u64,
    stop: CancellationToken,
}

/// What one slice showed.
struct Slice {
    main: Vec<InvariantResult>,
    control: Vec<InvariantResult>,
    effective_trials: u64,
    operations: u64,
}

impl Bench {
    /// Connects. What the trials create carries the identifier of the run, in a database that the guard allows.
    pub async fn open(
        uri: MongoUri,
        guard: &Guard,
        database: &str,
        run_id: &str,
        seed: u64,
        stop: CancellationToken,
    ) -> Result<Self, TargetError> {
        guard.check_database(database)?;
        let most = [Crowd::Few, Crowd::Many, Crowd::Families, Crowd::InServer];
        let connections = most.iter().flat_map(|crowd| crowd.clients()).copied().max().unwrap_or(1);
        // One more than clients: it tells the server to let them go while all others are held.
        let connections = connections + 1;
        let pool = PoolOptions { connections, retry_writes: false, retry_reads: false };
        let connected = Connected::open(&uri, guard, pool).await?;
        Ok(Bench { connected, connections, uri, database: database.to_owned(), run_id: run_id.to_owned(), seed, stop })
    }

    /// What is true of the server. The pool is filled on the way.
    pub async fn facts(&self) -> Result<Preflight, TargetError> {
        let ready = self.connected.warm_up(self.connections).await;
        let asked = self.connected.admin(doc! { "buildInfo": 1 }).await;
        let build = asked.map_err(|error| TargetError::Step {
            step: "asking for the server's version".to_owned(),
            source: self.uri.redact(error),
        })?;
        Ok(Preflight {
            server_version: build.get_str("version").ok().map(str::to_owned),
            connections_ready: Some(ready),
            ..Preflight::default()
        })
    }

    /// Carries out the table: first every bug, then each twin once. Ends early when it is told to stop.
    pub async fn carry_out(&self, table: &[Planted], mut step: impl FnMut(Step<'_>)) -> Result<Outcome, SelftestError> {
        let mut twins: Vec<(Plant, Crowd)> = Vec::new();
        for planted in table {
            if !twins.iter().any(|(twin, _)| *twin == planted.twin) {
                twins.push((planted.twin, planted.crowd));
            }
        }
        let all = table.len() + twins.len();
        let mut outcome = Outcome::default();
        for (number, planted) in table.iter().enumerate() {
            step(Step { done: number, all, id: planted.id, plant: &planted.bug, wrong: outcome.wrong() });
            let bug = self.bug(number, planted, &mut outcome).await?;
            if self.stop.is_cancelled() {
                outcome.interrupted = true;
                return Ok(outcome);
            }
            outcome.bugs.push(bug);
        }
        for (number, (twin, crowd)) in twins.iter().enumerate() {
            step(Step { done: table.len() + number, all, id: "twin", plant: twin, wrong: outcome.wrong() });
            let judged = self.twin(table.len() + number, twin, *crowd, &mut outcome).await?;
            if self.stop.is_cancelled() {
                outcome.interrupted = true;
                return Ok(outcome);
            }
            outcome.twins.push(judged);
        }
        Ok(outcome)
    }

    async fn bug(&self, number: usize, planted: &Planted, outcome: &mut Outcome) -> Result<SelftestBug, SelftestError> {
        let begin = Instant::now();
        let (mut rounds, mut next, mut effective, mut slices) = (0, planted.crowd.first_slice(), 0, 0);
        let mut also = Vec::new();
        let mut caught = None;
        while rounds < planted.budget && caught.is_none() && !self.stop.is_cancelled() {
            let length = next.min(planted.budget - rounds).min(LONGEST_SLICE);
            let name = format!("{number}-{slices}");
            let slicing = self.slice(&name, &planted.bug, planted.crowd, length);
            let slice = match rounds >= MEET_AFTER {
                true => self.meeting(slicing).await?,
                false => slicing.await?,
            };
            (rounds, next, slices) = (rounds + length, next * 2, slices + 1);
            effective += slice.effective_trials;
            outcome.operations += slice.operations;
            // What needs no race shows in the serial control as well, or only there.
            let judged = slice.main.iter().chain(&slice.control);
            for result in judged.filter(|result| result.verdict == Verdict::Violated) {
                if result.name == planted.by {
                    if caught.is_some() {
                        continue;
                    }
                    caught = Some(result.clone());
                } else if !also.contains(&result.name) {
                    also.push(result.name.clone());
                }
            }
        }
        also.sort();
        let explanation = caught.as_ref().and_then(|result| result.witnesses.first());
        Ok(SelftestBug {
            id: planted.id.to_owned(),
            workload: planted.bug.workload().as_str().to_owned(),
            strategy: planted.bug.name(),
            unique_index: planted.bug.unique_index(),
            caught: caught.is_some(),
            by: caught.as_ref().map(|result| result.name.clone()),
            expected: planted.by.clone(),
            also,
            rounds,
            effective_trials: effective,
            ms: millis(begin.elapsed()),
            witness: explanation.map(|witness| witness.explanation.clone()),
            twin: planted.twin.name(),
        })
    }

    /// Carries the slices out while the server stops upserts for a moment again and again, if it is one that can: on a single processor,
    /// or a busy one, they hardly ever meet by themselves.
    async fn meeting<T>(&self, slicing: impl Future<Output = T>) -> T {
        let Some(meeting) = Meeting::of(Some(&self.connected.client)).await else { return slicing.await };
        let end = CancellationToken::new();
        let (slice, ()) = futures::join!(
            async {
                let slice = slicing.await;
                end.cancel();
                slice
            },
            meeting.again_and_again(end.clone())
        );
        slice
    }

    async fn twin(
        &self,
        number: usize,
        twin: &Plant,
        crowd: Crowd,
        outcome: &mut Outcome,
    ) -> Result<SelftestTwin, SelftestError> {
        let begin = Instant::now();
        let length = crowd.twin_rounds().div_ceil(TWIN_SLICES);
        let (mut rounds, mut effective) = (0, 0);
        let mut accusations: Vec<InvariantResult> = Vec::new();
        let mut doubts = Vec::new();
        for attempt in 0..TWIN_SLICES {
            let slice = self.slice(&format!("{number}-{attempt}"), twin, crowd, length).await?;
            rounds += length;
            effective += slice.effective_trials;
            outcome.operations += slice.operations;
            let judged = slice.main.iter().chain(&slice.control);
            accusations.extend(judged.filter(|result| result.verdict == Verdict::Violated).cloned());
            doubts = slice.main.into_iter().filter(|result| result.verdict == Verdict::Inconclusive).collect();
            // On a machine that is busy with other things, one slice has to do.
            let late = outcome.begin.elapsed() > TWINS_SHORT_AFTER && doubts.is_empty() && effective > 0;
            if !accusations.is_empty() || late || self.stop.is_cancelled() {
                break;
            }
        }
        let verdict = match (accusations.is_empty(), doubts.is_empty() && effective > 0) {
            (false, _) => Verdict::Violated,
            (true, true) => Verdict::Holds,
            (true, false) => Verdict::Inconclusive,
        };
        let reason = match doubts.first() {
            Some(doubt) => Some(format!("{}: {}", doubt.name, doubt.reason.as_deref().unwrap_or("cannot tell"))),
            None if effective == 0 => Some("no two operations on one key ever overlapped".to_owned()),
            None => None,
        };
        let witnesses: Vec<Witness> = accusations.iter().flat_map(|result| result.witnesses.first().cloned()).collect();
        outcome.accusing.extend(witnesses);
        Ok(SelftestTwin {
            workload: twin.workload().as_str().to_owned(),
            strategy: twin.name(),
            unique_index: twin.unique_index(),
            accused: verdict == Verdict::Violated,
            verdict,
            by: accusations.into_iter().map(|result| result.name).collect(),
            reason: reason.filter(|_| verdict == Verdict::Inconclusive),
            rounds,
            effective_trials: effective,
            ms: millis(begin.elapsed()),
        })
    }

    /// One ordinary run, judged.
    async fn slice(&self, number: &str, plant: &Plant, crowd: Crowd, rounds: u32) -> Result<Slice, SelftestError> {
        let run_id = format!("{}-{number}", self.run_id);
        let failed = |source: TargetError| SelftestError::Target { plant: plant.name(), source };
        let target = self.target(plant, &run_id).map_err(failed)?;
        let clients = crowd.clients().iter().copied().max().unwrap_or(1);
        target.prepare(clients).await.map_err(failed)?;
        let slice = self.run(&run_id, plant, crowd, rounds, Arc::clone(&target)).await;
        // The server may be somebody's own: nothing stays behind, however the run ended.
        let removed = target.tear_down().await.map_err(failed);
        let slice = slice?;
        removed.map(|()| slice)
    }

    async fn run(
        &self,
        run_id: &str,
        plant: &Plant,
        crowd: Crowd,
        rounds: u32,
        target: Arc<dyn Target>,
    ) -> Result<Slice, SelftestError> {
        let load = Load::Burst { clients: crowd.clients().to_vec(), rounds, jitter: Duration::ZERO };
        let workload = workload::of_kind(plant.workload(), run_id);
        let invariants = workload.invariants();
        let run = Run {
            plan: Plan { run_id: Arc::from(run_id), seed: self.seed, load, limits: limits(), ignored: Vec::new() },
            workload,
            target: Arc::clone(&target),
            writer: None,
            stop: self.stop.clone(),
            progress: Arc::new(Progress::default()),
        };
        let (recorded, _) =
            driver::run(run).await.map_err(|source| SelftestError::Driver { plant: plant.name(), source })?;
        let observation =
            target.observe().await.map_err(|source| SelftestError::Target { plant: plant.name(), source })?;
        let history = recorded.history;
        let judged = |phase| judge(&history, observation.as_ref(), phase, &invariants);
        let (main, control) = (judged(Phase::Main), judged(Phase::Control));
        let conditions = Conditions { clients: 0, burst: true, connections: None, violated: false };
        let evidence = Evidence::of_phase(&history, observation.as_ref(), Phase::Main);
        let effective_trials =
            stats::concurrency(std::slice::from_ref(&evidence), &Default::default(), conditions).effective_trials;
        Ok(Slice { main, control, effective_trials, operations: history.operations.len() as u64 })
    }

    fn target(&self, plant: &Plant, run_id: &str) -> Result<Arc<dyn Target>, TargetError> {
        let (workload, strategy, unique_index, instances) = match *plant {
            Plant::Memory(lie) => return Ok(Arc::new(MemoryTarget::new(lie))),
            Plant::Mongo { workload, strategy, unique_index, instances } => {
                (workload, strategy, unique_index, instances)
            }
        };
        let one = || {
            let spec = MongoSpec {
                strategy: strategy.to_owned(),
                unique_index,
                database: self.database.clone(),
                pool: None,
                write_concern: None,
                retry_writes: false,
                retry_reads: false,
                delay: Duration::ZERO,
            };
            MongoTarget::on(self.connected.clone(), self.uri.clone(), spec, workload, run_id)
        };
        if instances < 2 {
            return Ok(Arc::new(one()?));
        }
        let others = (1..instances).map(|_| one()).collect::<Result<_, _>>()?;
        Ok(Arc::new(Instances::new(one()?, others)))
    }
}

fn limits() -> Limits {
    Limits {
        operation_deadline: Duration::from_secs(10),
        drain: Duration::from_secs(5),
        after_violation: Duration::from_secs(5),
        serial_control: SERIAL,
        min_effective_trials: 1,
        max_unknown: 1.0,
        memory: MemorySize::default(),
    }
}

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
