//! How fast a repair goes, and how long it insists.

use std::time::Duration;

use tokio::time::Instant;

/// Lets so many documents through a second.
#[derive(Debug)]
pub(super) struct RateLimiter {
    interval: Duration,
    next: Instant,
}

impl RateLimiter {
    /// At most `rate` documents a second; without a rate, all at once.
    pub(super) fn new(rate: Option<f64>) -> Self {
        let interval =
            rate.filter(|rate| *rate > 0.0).map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        RateLimiter { interval, next: Instant::now() }
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

/// Documents that are read and written together; with a rate, so few that it is kept.
pub(super) fn at_once(rate: Option<f64>) -> usize {
    const AT_ONCE: usize = 500;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
    rate.map_or(AT_ONCE, |rate| rate.clamp(1.0, AT_ONCE as f64) as usize)
}

/// Cuts groups into batches of bounded size, or of one group that is larger; with a rate, into small ones.
pub(super) fn batches<T>(groups: &[T], size: impl Fn(&T) -> usize, rate: Option<f64>) -> Vec<&[T]> {
    let limit = at_once(rate);
    let mut batches = Vec::new();
    let (mut begin, mut documents) = (0, 0);
    for (position, group) in groups.iter().enumerate() {
        if position > begin && documents + size(group) > limit {
            batches.push(&groups[begin..position]);
            (begin, documents) = (position, 0);
        }
        documents += size(group);
    }
    if begin < groups.len() {
        batches.push(&groups[begin..]);
    }
    batches
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
    fn a_rate_makes_batches_small() {
        assert_eq!([None, Some(0.2), Some(20.9), Some(1e9)].map(at_once), [500, 1, 20, 500]);
        let sizes = |groups: &[usize], rate| -> Vec<usize> {
            batches(groups, |group| *group, rate).into_iter().map(<[usize]>::len).collect()
        };
        assert_eq!(sizes(&[2, 3, 2, 9, 1, 1], Some(5.0)), [2, 1, 1, 2]);
        assert_eq!((sizes(&[300, 200, 1], None), sizes(&[], None)), (vec![2, 1], vec![]));
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
