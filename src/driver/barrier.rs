//! The barrier that lets a round go, and says when it did.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use tokio::sync::watch;

/// Holds clients back until all of them are there, round after round.
#[derive(Debug)]
pub(super) struct Barrier {
    size: u32,
    arrived: AtomicU32,
    release: watch::Sender<Instant>,
}

/// A client's place at a barrier.
pub(super) type BarrierSlot = watch::Receiver<Instant>;

impl Barrier {
    /// A barrier for so many clients.
    pub(super) fn new(size: u32) -> Self {
        Barrier { size, arrived: AtomicU32::new(0), release: watch::Sender::new(Instant::now()) }
    }

    /// A place for one client, which keeps it for all rounds.
    pub(super) fn slot(&self) -> BarrierSlot {
        self.release.subscribe()
    }

    /// Waits for all clients; the moment of the release, the same for each of them. The last to come waits for what others
    /// say of that moment, if anybody does; where they give none, nobody is let go.
    pub(super) async fn pass(&self, slot: &mut BarrierSlot, moment: impl Future<Output = Option<Instant>>) -> Instant {
        // Before arriving, or the release that this arrival causes would be taken for an old one.
        slot.mark_unchanged();
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.size {
            // Nobody can arrive for the next round before this release.
            self.arrived.store(0, Ordering::Release);
            match moment.await {
                Some(moment) => _ = self.release.send_replace(moment),
                None => std::future::pending().await,
            }
        }
        // The sender lives as long as the barrier, so there is always a next release.
        if slot.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        *slot.borrow()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn everyone_sees_the_same_release_and_nobody_runs_ahead() {
        const CLIENTS: u32 = 16;
        const ROUNDS: usize = 200;
        let barrier = Arc::new(Barrier::new(CLIENTS));
        let inside = Arc::new(AtomicU32::new(0));
        let clients = (0..CLIENTS).map(|_| {
            let (barrier, inside) = (Arc::clone(&barrier), Arc::clone(&inside));
            tokio::spawn(async move {
                let mut slot = barrier.slot();
                let mut releases = Vec::new();
                for round in 0..ROUNDS {
                    releases.push(barrier.pass(&mut slot, async { Some(Instant::now()) }).await);
                    let before = inside.fetch_add(1, Ordering::SeqCst);
                    assert!((before / CLIENTS) as usize == round, "a client ran ahead");
                }
                releases
            })
        });
        let releases = futures::future::try_join_all(clients).await.unwrap();
        assert!(releases.iter().all(|seen| seen == &releases[0]));
    }
}
