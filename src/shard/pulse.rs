//! Measures a shard's clock against that of the meeting: before, in the course of and after the run. Main type: [`Pulse`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::board::{Board, BoardError};
use super::clock::{Clock, DRIFT_PPM, Difference, Mark};

/// Round trips before and after the run: by chance some of them are short.
const THOROUGH: u32 = 40;
/// Round trips now and then in between.
const BRIEF: u32 = 6;
/// How often that is.
const EVERY: Duration = Duration::from_millis(500);
/// Marks kept; of more every second is dropped, which loses precision and nothing else.
const MOST_MARKS: usize = 120;

/// One measurement: how far the clock of the meeting was ahead of this process's.
#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Instant,
    difference: Difference,
}

/// What was measured so far.
pub struct Pulse {
    board: Arc<dyn Board>,
    /// Zero of the differences; any moment before the run.
    zero: Instant,
    measured: Mutex<Vec<Measured>>,
}

impl Pulse {
    /// Measures for the first time.
    pub async fn begin(board: Arc<dyn Board>) -> Result<Arc<Self>, BoardError> {
        let pulse = Arc::new(Pulse { board, zero: Instant::now(), measured: Mutex::default() });
        pulse.measure(THOROUGH).await?;
        Ok(pulse)
    }

    /// Measures now and then until it is told to stop. A failure loses a measurement; the last one tells whether it matters.
    pub fn keep_on(self: &Arc<Self>, stop: CancellationToken) {
        let pulse = Arc::clone(self);
        tokio::spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
                if stop.run_until_cancelled(pulse.measure(BRIEF)).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Measures for the last time.
    pub async fn end(&self) -> Result<(), BoardError> {
        self.measure(THOROUGH).await
    }

    /// Some round trips, joined into one bound.
    async fn measure(&self, trips: u32) -> Result<(), BoardError> {
        let mut marks = Vec::new();
        for _ in 0..trips {
            let before = self.since_zero(Instant::now());
            let [least, most] = self.board.time().await?;
            let after = self.since_zero(Instant::now());
            // It was read after the question left and before the answer was there.
            marks.push(Mark { at_ns: after, least_ns: less(least, after), most_ns: less(most, before) });
        }
        let at = Instant::now();
        let clock = Clock { reference: String::new(), drift_ppm: DRIFT_PPM, marks };
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        match clock.difference(self.since_zero(at)) {
            Some(difference) => measured.push(Measured { at, difference }),
            // A clock was set in the course of it: both halves are kept, and contradict each other.
            None => measured.extend(clock.marks.iter().map(|mark| Measured {
                at: self.zero + Duration::from_nanos(mark.at_ns),
                difference: Difference { least: mark.least_ns, most: mark.most_ns },
            })),
        }
        if measured.len() > MOST_MARKS {
            let mut number = 0_usize;
            measured.retain(|_| {
                number += 1;
                number == 1 || number.is_multiple_of(2)
            });
        }
        Ok(())
    }

    fn since_zero(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.zero).as_nanos()).unwrap_or(u64::MAX)
    }

    /// The time of the meeting's clock at a moment, as well as it is known; where nothing is, that of this process.
    pub fn time_at(&self, at: Instant) -> i64 {
        let ahead = self.latest().map_or(0, Difference::middle);
        i64::try_from(self.since_zero(at)).unwrap_or(i64::MAX).saturating_add(ahead)
    }

    /// The moment at which the meeting's clock shows this time.
    pub fn moment_of(&self, time: i64) -> Instant {
        let ahead = self.latest().map_or(0, Difference::middle);
        let since = u64::try_from(time.saturating_sub(ahead)).unwrap_or(0);
        self.zero + Duration::from_nanos(since)
    }

    fn latest(&self) -> Option<Difference> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).last().map(|last| last.difference)
    }

    /// All that is known, for times that count from this moment.
    pub fn clock(&self, epoch: Instant) -> Clock {
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let later = i64::try_from(self.since_zero(epoch)).unwrap_or(i64::MAX);
        let drift = |apart: Duration| {
            let drift = (apart.as_nanos() * u128::from(DRIFT_PPM)).div_ceil(1_000_000);
            i64::try_from(drift).unwrap_or(i64::MAX)
        };
        let mark = |measured: &Measured| {
            // What was measured before that moment counts as measured then, less precisely by what drifted meanwhile.
            let early = drift(epoch.saturating_duration_since(measured.at));
            Mark {
                at_ns: u64::try_from(measured.at.saturating_duration_since(epoch).as_nanos()).unwrap_or(u64::MAX),
                least_ns: measured.difference.least.saturating_add(later).saturating_sub(early),
                most_ns: measured.difference.most.saturating_add(later).saturating_add(early),
            }
        };
        Clock { reference: self.board.clock(), drift_ppm: DRIFT_PPM, marks: measured.iter().map(mark).collect() }
    }
}

fn less(time: i64, since: u64) -> i64 {
    time.saturating_sub(i64::try_from(since).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::board::memory::MemoryBoard;
    use super::*;

    #[tokio::test]
    async fn the_exact_difference_is_within_what_was_measured() {
        let board = Arc::new(MemoryBoard::new(300_000_000));
        let pulse = Pulse::begin(Arc::clone(&board) as Arc<dyn Board>).await.unwrap();
        let epoch = Instant::now();
        pulse.measure(BRIEF).await.unwrap();
        pulse.end().await.unwrap();
        let clock = pulse.clock(epoch);
        assert_eq!(clock.marks.len(), 3);
        for later in [0, 1_000_000, 500_000_000] {
            let found = clock.difference(later).unwrap();
            let exact = board.exact(epoch + Duration::from_nanos(later)) - i64::try_from(later).unwrap();
            assert!(found.least <= exact && exact <= found.most, "{exact} is not in {found:?}");
        }
        let time = pulse.time_at(epoch);
        assert!(pulse.moment_of(time).max(epoch) - pulse.moment_of(time).min(epoch) < Duration::from_micros(1));
    }

    #[tokio::test]
    async fn a_long_run_keeps_few_marks_and_the_first_of_them() {
        let board: Arc<dyn Board> = Arc::new(MemoryBoard::new(0));
        let pulse = Pulse::begin(board).await.unwrap();
        let first = pulse.measured.lock().unwrap()[0].at;
        for _ in 0..3 * MOST_MARKS {
            pulse.measure(1).await.unwrap();
        }
        let measured = pulse.measured.lock().unwrap();
        assert!(measured.len() <= MOST_MARKS && measured[0].at == first, "{}", measured.len());
    }
}
