//! The open load: operations start at computed times, whatever became of the earlier ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::load::Picker;
use super::ramp::Arriving;
use super::worker::{OperationSlot, Shared, Worker};
use crate::history::Phase;
use crate::scenario::Arrivals;
use crate::workload::Position;

/// An open load.
pub(super) struct Open {
    /// When it begins.
    pub(super) begin: Instant,
    /// How many arrivals there are by when.
    pub(super) arriving: Arriving,
    pub(super) arrivals: Arrivals,
    pub(super) keys: Picker,
    /// Arrivals of each stage that found every client busy.
    pub(super) dropped: Vec<AtomicU64>,
}

impl Open {
    pub(super) fn new(begin: Instant, arriving: Arriving, arrivals: Arrivals, keys: Picker) -> Self {
        let dropped = (0..arriving.stages()).map(|_| AtomicU64::new(0)).collect();
        Open { begin, arriving, arrivals, keys, dropped }
    }
}

/// One arrival.
struct Arrival {
    number: u64,
    intended: Instant,
    stage: usize,
}

/// Sends each arrival to a free client, and counts those that find none. Ends when all operations have ended.
pub(super) async fn open(shared: Arc<Shared>, load: Arc<Open>, workers: Vec<Worker>) -> JoinSet<()> {
    let (to_dispatcher, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let pacer = {
        let (shared, load) = (Arc::clone(&shared), Arc::clone(&load));
        // A thread of its own: the runtime's timers are a millisecond coarse.
        tokio::task::spawn_blocking(move || pace(&shared, &load, &to_dispatcher))
    };
    let free = Arc::new(std::sync::Mutex::new(workers));
    let mut running = JoinSet::new();
    while let Some(arrival) = arrivals.recv().await {
        let worker = free.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        let Some(mut worker) = worker else {
            if let Some(dropped) = load.dropped.get(arrival.stage) {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
            continue;
        };
        let (shared, load, free) = (Arc::clone(&shared), Arc::clone(&load), Arc::clone(&free));
        running.spawn(async move {
            // An arrival's operation follows from its number, whichever client takes it.
            worker.random = shared.random(FIRST_STREAM + arrival.number);
            let key = load.keys.pick(&mut worker.random);
            let round = u32::try_from(arrival.number).unwrap_or(u32::MAX);
            let position = Position { phase: Phase::Main, client: 0, round, key, fresh: false };
            let op = shared.first_main + arrival.number;
            worker.execute(OperationSlot { op, position, key, intended: arrival.intended }).await;
            free.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(worker);
        });
        while running.try_join_next().is_some_and(|joined| joined.is_ok()) {}
    }
    if let Err(panicked) = pacer.await {
        running.spawn(async move { std::panic::resume_unwind(panicked.into_panic()) });
    }
    running
}

/// Streams of arrivals lie beyond those of clients.
const FIRST_STREAM: u64 = 1 << 40;
const PACER_STREAM: u64 = 1 << 39;

/// How late the end of a run is noticed at most.
const TICK: Duration = Duration::from_millis(20);

/// Sleeps in short pieces, so that a run that is told to stop between two arrivals ends; whether it goes on.
fn sleep_until(moment: Instant, shared: &Shared) -> bool {
    loop {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() || shared.stop.is_cancelled() {
            return !shared.stop.is_cancelled();
        }
        std::thread::sleep(left.min(TICK));
    }
}

fn pace(shared: &Shared, load: &Open, to_dispatcher: &UnboundedSender<Arrival>) {
    let mut random: ChaCha8Rng = shared.random(PACER_STREAM);
    let mut at = 0.0_f64;
    for number in 0_u64.. {
        // Computed from the start, never from when the last one really went.
        #[expect(clippy::cast_precision_loss, reason = "arrival numbers are far below 2^52")]
        let due = match load.arrivals {
            Arrivals::Constant => number as f64,
            Arrivals::Poisson => {
                let gap: f64 = Exp1.sample(&mut random);
                at += gap;
                at
            }
        };
        let Some((offset, stage)) = load.arriving.moment(due).filter(|_| !shared.stop.is_cancelled()) else { return };
        // All shards compute the same arrivals, and each sends its own.
        if !shared.shard().is_none_or(|shard| shard.owns(number)) {
            continue;
        }
        let intended = load.begin + offset;
        if !sleep_until(intended, shared) {
            return;
        }
        if to_dispatcher.send(Arrival { number, intended, stage }).is_err() {
            return;
        }
    }
}
