//! How fast a repair goes.

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

    /// Waits until the next document's turn.
    pub(super) async fn turn(&mut self) {
        if self.interval > Duration::ZERO {
            tokio::time::sleep_until(self.next).await;
            self.next = self.next.max(Instant::now()) + self.interval;
        }
    }
}
