//! One run: the serial control, the load, the drain, the history.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::barrier::Barrier;
use super::closing::LastKeysOfAll;
use super::live_violations::LiveViolations;
use super::load::{self, Closed, Picker, Working};
use super::open::{self, Open};
use super::plan::{self, CONTROL_CLIENTS, Plan, Segment};
use super::ramp::Arriving;
use super::recorder::{Enough, Message, Progress, Recorded, Recorder};
use super::rounds::{closing_round, joined, rounds, rounds_after};
use super::silence::Silence;
use super::worker::{Shared, Worker, control_slot};
use crate::history::file::{HistoryWriter, operations_within};
use crate::scenario::Load;
use crate::scope::{Ended, Scope};
use crate::shard::{Meeting, Shard};
use crate::stats::StageMarks;
use crate::target::{Target, TargetError};
use crate::workload::{KeyTable, Workload};

/// Everything that a run needs.
pub struct Run {
    /// What is run.
    pub plan: Plan,
    /// Which operations.
    pub workload: Arc<dyn Workload>,
    /// Where they go; it is prepared already.
    pub target: Arc<dyn Target>,
    /// Where the history is written; `None` only keeps it.
    pub writer: Option<HistoryWriter>,
    /// Cancelled when the run is to stop issuing: drain, then end.
    pub stop: CancellationToken,
    /// Counts for the progress line.
    pub progress: Arc<Progress>,
}

/// Why a run could not be carried out. Whatever goes wrong with an operation is its outcome, not an error.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// A task of the harness itself panicked.
    #[error("{PANICKED}")]
    Panicked,
    /// The documents that must be there before the run could not be created.
    #[error("cannot prepare the keys of the run")]
    Seed(#[source] TargetError),
    /// A thread could not be started.
    #[error("cannot start the recorder")]
    Recorder(#[source] std::io::Error),
}

/// What is said of a run in which a task of the harness panicked.
const PANICKED: &str =
    "a task of the harness panicked: this is a bug of onlyone, and nothing can be concluded from the run";
/// How long the documents that must be there before a run may take to create.
const SEED_WITHIN: Duration = Duration::from_secs(60);
/// How long late answers are waited for once it is clear that there are none.
const SILENT_DRAIN: Duration = Duration::from_millis(300);

/// Carries out a run to its end, or to the end of its drain once `stop` is cancelled. The number is that of the
/// arrivals of an open load that found every client busy.
pub async fn run(run: Run) -> Result<(Recorded, u64), DriverError> {
    run_with(run, Interludes::default()).await
}

/// Something to be done between the serial control and the load, while nothing of the run is in flight.
pub type Between = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// What is done while nothing of the run is in flight.
#[derive(Default)]
pub struct Interludes {
    /// After what comes first of all, on whatever is not there yet: one round of a burst, or the first operation of each
    /// client of a closed load, all at once. Without it nothing comes before the serial control.
    pub first_use: Option<Between>,
    /// Between the serial control and the load.
    pub before_load: Option<Between>,
    /// Before each round of a burst, while nothing is in flight; an error ends the load.
    pub before_rounds: Option<BeforeRound>,
}

/// Something to be done before each round.
pub type BeforeRound = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Carries out a run as [`run`] does, with this in between.
pub async fn run_with(run: Run, interludes: Interludes) -> Result<(Recorded, u64), DriverError> {
    run_together(run, interludes, None).await
}

/// Carries out this shard's part of a run, together with the others; without a meeting, all of it.
pub async fn run_together(
    run: Run,
    interludes: Interludes,
    meeting: Option<Arc<Meeting>>,
) -> Result<(Recorded, u64), DriverError> {
    // Also if it never begins.
    let load_ends = run.progress.load_ends.clone().drop_guard();
    let shard = meeting.as_ref().map(|meeting| meeting.shard());
    let (controls, control_keys) = run.plan.control();
    let keys = KeyTable::new(&*run.workload, control_keys, run.plan.keys());
    // What is done once is done by the first; the others begin when it has.
    if shard.is_none_or(Shard::leads) {
        seed(&*run.target, &keys.existing(&*run.workload), &run.stop).await?;
    }
    // What ends the load before its time is either an interruption or enough seen.
    let (interruption, stop) = (run.stop.clone(), run.stop.child_token());
    let rounds = matches!(run.plan.load, Load::Burst { .. } | Load::Waves { .. });
    let progress = Arc::clone(&run.progress);
    let enough = Enough::new(rounds.then_some(run.plan.limits.after_violation), stop.clone());
    let seen = LiveViolations::without(&run.plan.ignored);
    let writer = (run.writer, operations_within(run.plan.limits.memory.bytes()));
    let recorder = Recorder::start(writer, run.plan.operations(), run.progress, run.stop, (seen, enough))
        .map_err(DriverError::Recorder)?;
    let shared = Arc::new(Shared {
        keys,
        target: run.target,
        workload: run.workload,
        epoch: Instant::now(),
        deadline: run.plan.limits.operation_deadline,
        stop,
        abandon: CancellationToken::new(),
        next_client: AtomicU32::new(first_spare(run.plan.load.clients().max(CONTROL_CLIENTS), shard)),
        stragglers: std::sync::Mutex::new(JoinSet::new()),
        seed: run.plan.seed,
        first_main: u64::from(controls),
        silence: Silence::default(),
        last_keys: LastKeysOfAll::default(),
        meeting,
        parted: OnceLock::new(),
        next_round: AtomicU32::new(0),
    });
    progress.begun.get_or_init(|| shared.epoch);
    let watchdog =
        AbortOnDropHandle::new(tokio::spawn(abandon_after_drain(Arc::clone(&shared), run.plan.limits.drain)));
    let mut dropped = Vec::new();
    let phases = phases((&shared, &progress), &recorder, &run.plan, interludes, &mut dropped);
    // A panic of this task's own work, too, ends the run in good order: what was recorded is worth having.
    let panicked = match AssertUnwindSafe(phases).catch_unwind().await {
        Ok(finished) => finished.is_err(),
        Err(_) => true,
    };
    drop(load_ends);
    if interruption.is_cancelled() {
        recorder.sender().send(Message::Interrupted).ok();
    }
    let late = collect_late_answers(&shared, run.plan.limits.drain).await;
    watchdog.abort();
    let aborted = match panicked || late.is_err() {
        true => Some(PANICKED.to_owned()),
        false => shared.silence.reason().or_else(|| shared.parted.get().cloned()),
    };
    let recorded = tokio::task::spawn_blocking(|| recorder.finish()).await.ok().flatten();
    let recorded = recorded.ok_or(DriverError::Panicked)?;
    let ended_early = recorded.ended_early && aborted.is_none();
    let stages = (!run.plan.load.stages().is_empty()).then(|| {
        let begun = progress.load_begun.get().map(|begun| shared.at(*begun));
        StageMarks { begun_ns: vec![begun.unwrap_or_default()], dropped: dropped.clone() }
    });
    Ok((Recorded { aborted, ended_early, stages, ..recorded }, dropped.iter().sum()))
}

/// The first number from this one on that a client of the shard may go on under.
fn first_spare(from: u32, shard: Option<Shard>) -> u32 {
    (from..).find(|number| shard.is_none_or(|shard| shard.owns((*number).into()))).unwrap_or(from)
}

/// Creates what must be there before the first operation, unless the run is to stop.
async fn seed(target: &dyn Target, keys: &[Arc<str>], stop: &CancellationToken) -> Result<(), DriverError> {
    match Scope::new(SEED_WITHIN, stop).wait(target.seed(keys)).await {
        Ok(seeded) => seeded.map_err(DriverError::Seed),
        Err(Ended::Stopped) => Ok(()),
        Err(late @ Ended::Deadline(_)) => {
            Err(DriverError::Seed(TargetError::Step { step: "creating it".to_owned(), source: late.into() }))
        }
    }
}

/// The first round where there is one, the serial control, then the load, and one caller alone where it takes him.
async fn phases(
    (shared, progress): (&Arc<Shared>, &Progress),
    recorder: &Recorder,
    plan: &Plan,
    interludes: Interludes,
    dropped: &mut Vec<u64>,
) -> Result<(), DriverError> {
    let before_rounds = interludes.before_rounds;
    let (controls, _) = plan.control();
    let mut segments = plan.segments();
    let mut turns = 0;
    if let Some(after) = interludes.first_use.filter(|_| controls > 0) {
        // The serial control would be the first to use what is not there yet.
        let first = match &plan.load {
            Load::Burst { .. } => plan::take_first(&mut segments).map(|first| rounds(shared, recorder, vec![first])),
            Load::Closed { clients, operations, keys, .. }
                if operations.is_none_or(|all| all > u64::from(*clients)) =>
            {
                turns = 1;
                Some(first_turns(shared, recorder, *clients, Picker::new(*keys).ok_or(DriverError::Panicked)?))
            }
            Load::Closed { .. }
            | Load::Open { .. }
            | Load::Waves { .. }
            | Load::RampingClients { .. }
            | Load::RampingRate { .. } => None,
        };
        if let Some(first) = first {
            joined(shared, first).await?;
            shared.stop.run_until_cancelled(after()).await;
        }
    }
    if shared.leads() {
        control(shared, recorder, controls).await;
        if let Some(between) = interludes.before_load.filter(|_| controls > 0) {
            shared.stop.run_until_cancelled(between()).await;
        }
    }
    let Some(begin) = shared.begin().await else { return Ok(()) };
    progress.load_begun.get_or_init(|| begin);
    progress.load_begins.cancel();
    let remaining = Remaining { segments, turns, begin, before_rounds: before_rounds.clone() };
    main_phase(shared, recorder, plan, remaining, dropped).await?;
    closing_round(shared, recorder, plan, before_rounds).await
}

/// What is left of a load once its beginning has been carried out.
struct Remaining {
    /// Rounds that are still to come.
    segments: Vec<Segment>,
    /// Operations of each client that have been.
    turns: u32,
    /// When the load begins.
    begin: Instant,
    /// What comes before each round.
    before_rounds: Option<BeforeRound>,
}

/// Starts the clients of a closed load with one operation each, all at once.
fn first_turns(shared: &Arc<Shared>, recorder: &Recorder, clients: u32, keys: Picker) -> JoinSet<()> {
    let barrier = Arc::new(Barrier::new(clients));
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let worker = Worker::new(Arc::clone(shared), client, recorder);
        tasks.spawn(load::first_turn(Arc::clone(shared), Arc::clone(&barrier), keys, client, worker));
    }
    tasks
}

/// Once the run is to stop, answers are waited for no longer than the drain.
async fn abandon_after_drain(shared: Arc<Shared>, drain: Duration) {
    shared.stop.cancelled().await;
    let drain = if shared.silence.reason().is_some() { drain.min(SILENT_DRAIN) } else { drain };
    tokio::time::sleep(drain).await;
    shared.abandon.cancel();
}

/// The serial control: operations of the load's kind one after another, on keys of their own.
async fn control(shared: &Arc<Shared>, recorder: &Recorder, operations: u32) {
    let mut workers: Vec<Worker> =
        (0..CONTROL_CLIENTS).map(|client| Worker::new(Arc::clone(shared), client, recorder)).collect();
    for number in 0..operations {
        if shared.stop.is_cancelled() {
            return;
        }
        let slot = control_slot(number, CONTROL_CLIENTS);
        workers[slot.position.client as usize].execute(slot).await;
    }
}

async fn main_phase(
    shared: &Arc<Shared>,
    recorder: &Recorder,
    plan: &Plan,
    remaining: Remaining,
    dropped: &mut Vec<u64>,
) -> Result<(), DriverError> {
    let worker = |client| Worker::new(Arc::clone(shared), client, recorder);
    let clients = (0..plan.load.clients()).filter(|client| shared.owns(*client));
    let mut tasks = JoinSet::new();
    match &plan.load {
        Load::Burst { .. } | Load::Waves { .. } => {
            return rounds_after(shared, recorder, remaining.segments, remaining.before_rounds).await;
        }
        Load::RampingClients { keys, .. } => {
            let closed = Arc::new(Closed {
                clients: plan.load.clients(),
                begin: remaining.begin,
                working: Working::InStages(plan.load.stages()),
                turns: 0,
                left: None,
                keys: Picker::new(*keys).ok_or(DriverError::Panicked)?,
            });
            for client in clients {
                tasks.spawn(load::closed(Arc::clone(shared), Arc::clone(&closed), client, worker(client)));
            }
        }
        Load::Closed { clients: count, duration, operations, keys } => {
            let closed = Arc::new(Closed {
                clients: *count,
                begin: remaining.begin,
                working: Working::Throughout(*duration),
                turns: remaining.turns,
                left: operations.map(|operations| {
                    let left = operations.saturating_sub(u64::from(remaining.turns) * u64::from(*count));
                    let left = shared.shard().map_or(left, |shard| shard.share(left));
                    AtomicI64::new(i64::try_from(left).unwrap_or(i64::MAX))
                }),
                keys: Picker::new(*keys).ok_or(DriverError::Panicked)?,
            });
            for client in clients {
                tasks.spawn(load::closed(Arc::clone(shared), Arc::clone(&closed), client, worker(client)));
            }
        }
        Load::Open { arrivals, keys, .. } | Load::RampingRate { arrivals, keys, .. } => {
            let keys = Picker::new(*keys).ok_or(DriverError::Panicked)?;
            let open = Arc::new(Open::new(remaining.begin, arriving(&plan.load), *arrivals, keys));
            tasks = open::open(Arc::clone(shared), Arc::clone(&open), clients.map(worker).collect()).await;
            *dropped = open.dropped.iter().map(|dropped| dropped.load(Ordering::Relaxed)).collect();
        }
    }
    joined(shared, tasks).await
}

/// The arrivals of an open load.
fn arriving(load: &Load) -> Arriving {
    match load {
        Load::Open { rate, duration, .. } => Arriving::constant(*rate, *duration),
        other => Arriving::new(other.stages()),
    }
}

/// Waits a little for answers that missed their deadline, as long as the run may still wait; what never comes stays unknown.
async fn collect_late_answers(shared: &Shared, patience: Duration) -> Result<(), DriverError> {
    let mut stragglers =
        std::mem::take(&mut *shared.stragglers.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    let mut result = Ok(());
    let all = async {
        while let Some(joined) = stragglers.join_next().await {
            if joined.is_err() {
                result = Err(DriverError::Panicked);
            }
        }
    };
    // A run that was told to stop has begun to drain already.
    if Scope::new(patience, &shared.abandon).wait(all).await.is_err() {
        // The server may still carry them out: the final read ends them there.
        stragglers.shutdown().await;
    }
    result
}
