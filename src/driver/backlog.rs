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
    use std::sync::mpsc::{Receiver, channel};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use futures::FutureExt;
    use tokio_util::sync::CancellationToken;

    use super::super::live_violations::LiveViolations;
    use super::super::recorder::{Buffer, Enough, Progress, Recorder, Watcher};
    use super::*;
    use crate::history::fixture::operation;
    use crate::history::{Action, OpId, Operation, Outcome, Value};

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

    /// Halts the recorder for as long as there is who sends.
    #[derive(Debug)]
    struct Halts(Mutex<Receiver<()>>);

    impl Watcher for Halts {
        fn recorded(&self, _: &[Operation], _: &[usize]) {
            self.0.lock().unwrap().recv().ok();
        }
    }

    #[tokio::test]
    async fn a_client_is_to_wait_while_the_recorder_is_behind_and_no_longer() {
        let (halting, halts) = channel();
        let progress = Arc::new(Progress::default());
        progress.watcher.set(Box::new(Halts(Mutex::new(halts)))).unwrap();
        let seen = (LiveViolations::default(), Enough::new(None, CancellationToken::new()));
        let recorder = Recorder::start((None, u64::MAX), None, progress, CancellationToken::new(), seen).unwrap();
        let mut buffer = Buffer::new(recorder.sender(), recorder.backlog());
        let one = operation(0, "k", Action::Get, [0, 5], Outcome::Ok(Value::Found(None)));
        let now = Instant::now();
        let mut is_told = |op: u64| buffer.push(Operation { id: OpId(op), ..one.clone() }, now);
        let sent = (1..=2 * Backlog::LONG as u64).find(|op| is_told(*op)).unwrap();
        assert!(sent > Backlog::LONG as u64, "{sent}");
        {
            let mut room = std::pin::pin!(buffer.room());
            assert!(room.as_mut().now_or_never().is_none());
            drop(halting);
            tokio::time::timeout(Duration::from_secs(60), room).await.unwrap();
        }
        drop(buffer);
        assert_eq!(recorder.finish().unwrap().carried_out, sent);
    }
}
