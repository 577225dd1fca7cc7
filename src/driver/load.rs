//! Rounds and closed loads: when each client takes its next turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, Zipf};

use super::barrier::{Barrier, BarrierSlot};
use super::plan::Segment;
use super::ramp;
use super::worker::{OperationSlot, Shared, Worker};
use crate::history::Phase;
use crate::scenario::{Keys, StageSpan};
use crate::workload::Position;

/// A segment with its barrier.
pub(super) struct Gated {
    pub(super) segment: Segment,
    pub(super) barrier: Barrier,
}

/// One client's rounds.
pub(super) async fn rounds(shared: Arc<Shared>, segments: Arc<Vec<Gated>>, client: u32, mut worker: Worker) {
    for Gated { segment, barrier } in segments.iter().filter(|gated| client < gated.segment.clients) {
        let mut barrier_slot = barrier.slot();
        for round in &segment.rounds {
            let position = Position { phase: Phase::Main, client, round: round.number, key: round.key, fresh: true };
            let op = shared.first_main + round.first_op + u64::from(client);
            let mut operation_slot = OperationSlot { op, position, key: round.key, intended: Instant::now() };
            let mut staged = None;
            if shared.target.stages() {
                // Nothing of this round is sent before everything of the last one has ended.
                if pass(&shared, barrier, &mut barrier_slot, here()).await.is_none() {
                    return;
                }
                if client < round.acting {
                    staged = Some(worker.stage(operation_slot).await);
                }
            }
            let moment = shared.moment(round.number, segment.clients);
            let Some(released) = pass(&shared, barrier, &mut barrier_slot, moment).await else { return };
            if client >= round.acting {
                continue;
            }
            operation_slot.intended = released + jitter(segment.jitter, &mut worker.random);
            let offset = async { tokio::time::sleep_until(operation_slot.intended.into()).await };
            if operation_slot.intended > released && shared.stop.run_until_cancelled(offset).await.is_none() {
                return;
            }
            match staged {
                Some((invocation, staged)) => worker.finish(operation_slot, invocation, staged).await,
                None => worker.execute(operation_slot).await,
            }
        }
    }
}

/// Waits at the barrier; `None` when the run is to stop.
async fn pass(
    shared: &Shared,
    barrier: &Barrier,
    barrier_slot: &mut BarrierSlot,
    moment: impl Future<Output = Option<Instant>>,
) -> Option<Instant> {
    tokio::select! {
        biased;
        () = shared.stop.cancelled() => None,
        released = barrier.pass(barrier_slot, moment) => Some(released),
    }
}

/// A release as soon as all clients of this process are there.
async fn here() -> Option<Instant> {
    Some(Instant::now())
}

fn jitter(largest: Duration, random: &mut ChaCha8Rng) -> Duration {
    if largest.is_zero() { Duration::ZERO } else { largest.mul_f64(random.random()) }
}

/// A closed load.
pub(super) struct Closed {
    pub(super) clients: u32,
    pub(super) begin: Instant,
    /// When its clients work, since it began: from the start to the end, or as stages say.
    pub(super) working: Working,
    /// Operations of each client that have been before it began.
    pub(super) turns: u32,
    /// Operations left to send; `None` is no limit.
    pub(super) left: Option<AtomicI64>,
    pub(super) keys: Picker,
}

/// The first operation of a client of a closed load, together with those of all others.
pub(super) async fn first_turn(
    shared: Arc<Shared>,
    barrier: Arc<Barrier>,
    keys: Picker,
    client: u32,
    mut worker: Worker,
) {
    let Some(intended) = pass(&shared, &barrier, &mut barrier.slot(), here()).await else { return };
    let key = keys.pick(&mut worker.random);
    let position = Position { phase: Phase::Main, client, round: 0, key, fresh: false };
    worker.execute(OperationSlot { op: shared.first_main + u64::from(client), position, key, intended }).await;
}

/// When the clients of a closed load work.
pub(super) enum Working {
    /// All of them, for so long.
    Throughout(Duration),
    /// As many as these stages say.
    InStages(Vec<StageSpan>),
}

impl Working {
    fn shifts(&self, client: u32) -> Vec<(Duration, Duration)> {
        match self {
            Working::Throughout(duration) => vec![(Duration::ZERO, *duration)],
            Working::InStages(stages) => ramp::shifts(stages, client),
        }
    }
}

/// One client of a closed load, from shift to shift.
pub(super) async fn closed(shared: Arc<Shared>, load: Arc<Closed>, client: u32, mut worker: Worker) {
    let mut round = load.turns;
    for (begin, end) in load.working.shifts(client) {
        let wait = tokio::time::sleep_until((load.begin + begin).into());
        if !begin.is_zero() && shared.stop.run_until_cancelled(wait).await.is_none() {
            return;
        }
        work((&shared, &load), client, &mut worker, (&mut round, load.begin + end)).await;
    }
}

/// One client at work until then: the next operation when the last has ended.
async fn work(
    (shared, load): (&Shared, &Closed),
    client: u32,
    worker: &mut Worker,
    (round, until): (&mut u32, Instant),
) {
    loop {
        let intended = Instant::now();
        if intended >= until || shared.stop.is_cancelled() {
            return;
        }
        if load.left.as_ref().is_some_and(|left| left.fetch_sub(1, Ordering::Relaxed) <= 0) {
            return;
        }
        let key = load.keys.pick(&mut worker.random);
        let position = Position { phase: Phase::Main, client, round: *round, key, fresh: false };
        let op = shared.first_main + u64::from(*round) * u64::from(load.clients) + u64::from(client);
        worker.execute(OperationSlot { op, position, key, intended }).await;
        *round += 1;
    }
}

/// Picks keys.
#[derive(Debug, Clone, Copy)]
pub(super) enum Picker {
    Uniform(u32),
    Zipf(Zipf<f64>),
}

impl Picker {
    /// A picker; `None` if the distribution's numbers make no sense, which a validated scenario rules out.
    pub(super) fn new(keys: Keys) -> Option<Self> {
        match keys {
            Keys::Uniform { count } => Some(Picker::Uniform(count)),
            Keys::Zipf { count, exponent } => Zipf::new(f64::from(count), exponent).ok().map(Picker::Zipf),
        }
    }

    /// Number of a key.
    pub(super) fn pick(&self, random: &mut ChaCha8Rng) -> u32 {
        match self {
            Picker::Uniform(count) => random.random_range(0..*count),
            // Zipf gives 1 to count.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number in the range of u32"
            )]
            Picker::Zipf(zipf) => (zipf.sample(random) as u32).saturating_sub(1),
        }
    }
}
