//! Rounds: clients that come together, round after round, and one alone at the end where it takes him.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::barrier::Barrier;
use super::load::{self, Gated};
use super::plan::{self, Plan, Segment};
use super::recorder::Recorder;
use super::run::{BeforeRound, DriverError};
use super::worker::{Shared, Worker};

/// Starts clients that come together round after round.
pub(super) fn rounds(shared: &Arc<Shared>, recorder: &Recorder, segments: Vec<Segment>) -> JoinSet<()> {
    let clients = segments.iter().map(|segment| segment.clients).max().unwrap_or(0);
    let gated = |segment: Segment| Gated { barrier: Barrier::new(shared.share(segment.clients)), segment };
    let segments = Arc::new(segments.into_iter().map(gated).collect::<Vec<_>>());
    let mut tasks = JoinSet::new();
    for client in (0..clients).filter(|client| shared.owns(*client)) {
        let worker = Worker::new(Arc::clone(shared), client, recorder);
        tasks.spawn(load::rounds(Arc::clone(shared), Arc::clone(&segments), client, worker));
    }
    tasks
}

/// Carries out rounds, with this before each of them.
pub(super) async fn rounds_after(
    shared: &Arc<Shared>,
    recorder: &Recorder,
    segments: Vec<Segment>,
    before: Option<BeforeRound>,
) -> Result<(), DriverError> {
    match before {
        Some(before) => rounds_apart(shared, recorder, segments, before).await,
        None => joined(shared, rounds(shared, recorder, segments)).await,
    }
}

/// Carries out rounds one by one, with this before each of them.
async fn rounds_apart(
    shared: &Arc<Shared>,
    recorder: &Recorder,
    mut segments: Vec<Segment>,
    before: BeforeRound,
) -> Result<(), DriverError> {
    while let Some(round) = plan::take_next(&mut segments) {
        match shared.stop.run_until_cancelled(before()).await {
            None => break,
            Some(Ok(())) => joined(shared, rounds(shared, recorder, vec![round])).await?,
            Some(Err(why)) => {
                _ = shared.parted.set(why);
                shared.stop.cancel();
            }
        }
    }
    Ok(())
}

/// One caller alone, where nobody was served in the last rounds.
pub(super) async fn closing_round(
    shared: &Arc<Shared>,
    recorder: &Recorder,
    plan: &Plan,
    before_rounds: Option<BeforeRound>,
) -> Result<(), DriverError> {
    if !shared.leads() || !shared.last_keys.keys().ended_in_refusals() {
        return Ok(());
    }
    match plan.closing() {
        Some(closing) => rounds_after(shared, recorder, vec![closing], before_rounds).await,
        None => Ok(()),
    }
}

/// Waits for clients to end.
pub(super) async fn joined(shared: &Shared, mut tasks: JoinSet<()>) -> Result<(), DriverError> {
    let mut result = Ok(());
    while let Some(joined) = tasks.join_next().await {
        if joined.is_err() {
            // Others may wait at a barrier for the one that is gone.
            shared.stop.cancel();
            result = Err(DriverError::Panicked);
        }
    }
    result
}
