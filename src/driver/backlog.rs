//! What is on the way to the recorder: [`Backlog`]. Whoever records faster than the history can be written waits, so that memory does
//! not fill with what nobody has written yet.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Operations that were handed over and are not recorded yet.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    operations: AtomicUsize,
    closed: AtomicBool,
    shrank: Notify,
}

impl Backlog {
    /// Where there are more, clients wait before they send the next.
    const LONG: usize = 1 << 16;

    /// So many were handed over.
    pub(super) fn grows(&self, by: usize) {
        self.operations.fetch_add(by, Ordering::AcqRel);
    }

    /// So many were recorded.
    pub(super) fn shrank(&self, by: usize) {
        let before = self.operations.fetch_sub(by, Ordering::AcqRel);
        if before > Self::LONG && before - by <= Self::LONG {
            self.shrank.notify_waiters();
        }
    }

    /// Whether there are too many.
    pub(super) fn is_long(&self) -> bool {
        self.operations.load(Ordering::Acquire) > Self::LONG && !self.closed.load(Ordering::Acquire)
    }

    /// Nothing is recorded any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.shrank.notify_waiters();
    }

    /// Waits until there are not too many.
    pub(super) async fn shrinks(&self) {
        let mut notified = std::pin::pin!(self.shrank.notified());
        // Whoever is told between the look and the wait is told all the same.
        while {
            notified.as_mut().enable();
            self.is_long()
        } {
            notified.as_mut().await;
            notified.set(self.shrank.notified());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn who_is_faster_waits_until_the_recorder_has_caught_up_or_is_gone() {
        for recorded in [true, false] {
            let backlog = Arc::new(Backlog::default());
            backlog.grows(Backlog::LONG);
            backlog.shrinks().await;
            backlog.grows(2);
            assert!(backlog.is_long());
            let waiting = tokio::spawn({
                let backlog = Arc::clone(&backlog);
                async move { backlog.shrinks().await }
            });
            tokio::task::yield_now().await;
            backlog.shrank(1);
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            if recorded {
                backlog.shrank(1)
            } else {
                backlog.close()
            }
            waiting.await.unwrap();
        }
    }
}
