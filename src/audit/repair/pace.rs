//! How fast a repair goes, and how long it insists.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Lets so many documents through a second.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    /// At most `rate` documents a second; without a rate, all at once.
    pub(super) fn new(rate: Option<f64>) -> Self {
        let interval =
            rate.filter(|rate| *rate > 0.0).map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Pace { interval, next: Instant::now() }
    }

    /// Waits until it is the turn of so many documents.
    pub(super) async fn turns(&mut self, documents: usize) {
        for _ in 0..documents {
            self.turn().await;
        }
    }

    /// Waits until the next document's turn.
    pub(super) async fn turn(&mut self) {
        if self.interval > Duration::ZERO {
            tokio::time::sleep_until(self.next).await;
            self.next = self.next.max(Instant::now()) + self.interval;
        }
    }
}

/// How far a repair got, for whoever waits for it.
#[derive(Debug, Default)]
pub struct RepairProgress {
    round: AtomicU64,
    planned: AtomicU64,
    done: AtomicU64,
}

impl RepairProgress {
    /// A round of so many documents begins.
    pub(super) fn begin(&self, planned: usize) {
        self.round.fetch_add(1, Ordering::Relaxed);
        self.planned.store(planned as u64, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
    }

    /// So many more are dealt with.
    pub(super) fn steps(&self, more: usize) {
        self.done.fetch_add(more as u64, Ordering::Relaxed);
    }
}

impl std::fmt::Display for RepairProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [round, done, planned] = [&self.round, &self.done, &self.planned].map(|n| n.load(Ordering::Relaxed));
        match round {
            0 => f.write_str("reading"),
            _ => write!(f, "{done} of {planned} steps of round {round}"),
        }
    }
}

/// Tries at one document: so many, and none after the time is over. The first is always granted.
#[derive(Debug)]
pub(super) struct Tries {
    left: u32,
    until: Option<Instant>,
    patience: Duration,
}

impl Tries {
    /// At most so many tries within this time.
    pub(super) fn new(attempts: u32, patience: Duration) -> Self {
        Tries { left: attempts.max(1), until: None, patience }
    }

    /// Whether there is another try.
    pub(super) fn next(&mut self) -> bool {
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + self.patience);
        let granted = self.left > 0 && now <= until;
        self.left = self.left.saturating_sub(1);
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(attempts: u32, patience: Duration) -> usize {
        let mut tries = Tries::new(attempts, patience);
        let mut granted = 0;
        while tries.next() {
            granted += 1;
            assert!(granted <= 20, "it ends");
        }
        granted
    }

    #[test]
    fn progress_is_told_by_round() {
        let progress = RepairProgress::default();
        assert_eq!(progress.to_string(), "reading");
        progress.begin(3);
        progress.steps(1);
        assert_eq!(progress.to_string(), "1 of 3 steps of round 1");
        progress.begin(2);
        assert_eq!(progress.to_string(), "0 of 2 steps of round 2");
    }

    #[test]
    fn tries_end_by_number_or_by_time() {
        assert_eq!(granted(20, Duration::from_secs(3600)), 20);
        assert_eq!(granted(0, Duration::from_secs(3600)), 1);
        let mut tries = Tries::new(20, Duration::ZERO);
        assert!(tries.next());
        tries.until = Some(Instant::now() - Duration::from_millis(1));
        assert!(!tries.next(), "the time is over");
    }
}
