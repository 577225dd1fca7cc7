//! How far an audit, a repair, a restoring or a seed got, for whoever waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts the work of one stage after another.
#[derive(Debug, Default)]
pub struct WorkProgress {
    stage: Mutex<Option<Stage>>,
    done: AtomicU64,
    /// Defects that were found so far, in all stages.
    found: AtomicU64,
    /// Somebody looks for defects.
    looks: AtomicBool,
}

#[derive(Debug, Clone)]
struct Stage {
    what: String,
    total: Option<u64>,
    begun: Instant,
}

/// How far it got, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkDone {
    /// What is counted: "documents of `chats` read".
    pub what: String,
    /// How much of it is done.
    pub done: u64,
    /// How much there is, where that is known.
    pub total: Option<u64>,
    /// How long the stage has taken so far.
    pub elapsed: Duration,
    /// Defects that were found so far, where somebody looks for them.
    pub found: Option<u64>,
}

impl WorkProgress {
    /// A stage begins; `total` is how much there is to do, where that is known.
    pub(super) fn begin(&self, what: String, total: Option<u64>) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        self.done.store(0, Ordering::Relaxed);
        *stage = Some(Stage { what, total, begun: Instant::now() });
    }

    /// So much more is done.
    pub(super) fn more(&self, done: usize) {
        self.done.fetch_add(done as u64, Ordering::Relaxed);
    }

    /// So many more defects were found; none, too, is something that was looked for.
    pub(super) fn found(&self, more: u64) {
        self.looks.store(true, Ordering::Relaxed);
        self.found.fetch_add(more, Ordering::Relaxed);
    }

    /// How far it got; `None` before the first stage.
    pub fn now(&self) -> Option<WorkDone> {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let Stage { what, total, begun } = stage;
        let found = self.looks.load(Ordering::Relaxed).then(|| self.found.load(Ordering::Relaxed));
        Some(WorkDone { what, done: self.done.load(Ordering::Relaxed), total, elapsed: begun.elapsed(), found })
    }
}

impl WorkDone {
    /// How much is done in a second.
    #[allow(clippy::cast_precision_loss, reason = "a rate to read")]
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64().max(0.001)
    }

    /// How long the rest will take if it goes on like this. `None` where that cannot be told yet.
    pub fn left(&self) -> Option<Duration> {
        let rest = self.total?.checked_sub(self.done).filter(|_| self.done > 0)?;
        #[allow(clippy::cast_precision_loss, reason = "a time to read")]
        let seconds = self.elapsed.as_secs_f64() / self.done as f64 * rest as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_counts_from_zero_and_the_rest_follows_from_what_is_done() {
        let progress = WorkProgress::default();
        assert_eq!(progress.now(), None);
        progress.begin("documents read".to_owned(), Some(30));
        progress.more(10);
        let now = progress.now().unwrap();
        assert_eq!((now.what.as_str(), now.done, now.total), ("documents read", 10, Some(30)));
        let now = WorkDone { elapsed: Duration::from_secs(5), ..now };
        assert_eq!((now.rate(), now.left()), (2.0, Some(Duration::from_secs(10))));
        assert_eq!(now.found, None, "nobody looks");
        progress.found(0);
        progress.begin("steps".to_owned(), None);
        progress.found(2);
        assert_eq!(progress.now().unwrap().found, Some(2));
        let now = progress.now().unwrap();
        assert_eq!((now.done, now.left()), (0, None));
        let more = WorkDone { done: 31, total: Some(30), ..now };
        assert_eq!(more.left(), None, "more than was expected");
    }
}
