//! Measures a shard's clock against that of the meeting: before, in the course of and after the run. Main type: [`Pulse`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// What was measured so far.
struct Known {
    /// For times that count from the pulse's zero.
    clock: Clock,
    /// Marks have contradicted each other: a clock was set, and nothing is known. Those that show it may be dropped since.
    broken: bool,
}

/// What measures.
pub struct Pulse {
    board: Arc<dyn Board>,
    /// Zero of the times; any moment before the run.
    zero: Instant,
    known: Mutex<Known>,
}

impl Pulse {
    /// Measures for the first time, against the clock of this name. What others answer does not count.
    pub async fn begin(board: Arc<dyn Board>, reference: &str) -> Result<Arc<Self>, BoardError> {
        let clock = Clock { reference: reference.to_owned(), drift_ppm: DRIFT_PPM, marks: Vec::new() };
        let known = Mutex::new(Known { clock, broken: false });
        let pulse = Arc::new(Pulse { board, zero: Instant::now(), known });
        pulse.measure(THOROUGH).await?;
        if pulse.latest().is_none() {
            return Err(format!("{reference}, whose clock the first shard asked, did not answer").into());
        }
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
        let mut trip = Clock { marks: Vec::new(), ..self.known().clock.clone() };
        for _ in 0..trips {
            let before = self.since_zero(Instant::now());
            let told = self.board.time().await?;
            let after = self.since_zero(Instant::now());
            if told.clock == trip.reference {
                let [least, most] = told.time;
                // It was read after the question left and before the answer was there.
                trip.marks.push(Mark { at_ns: after, least_ns: less(least, after), most_ns: less(most, before) });
            }
        }
        let at_ns = self.since_zero(Instant::now());
        let mut known = self.known();
        match trip.difference(at_ns) {
            Some(Difference { least, most }) => {
                known.clock.marks.push(Mark { at_ns, least_ns: least, most_ns: most });
            }
            // None of the answers counts; or a clock was set in the course of it, and both halves contradict each other.
            None => known.clock.marks.extend(trip.marks),
        }
        known.broken |= known.clock.contradicts_itself();
        if known.clock.marks.len() > MOST_MARKS {
            let mut number = 0_usize;
            known.clock.marks.retain(|_| {
                number += 1;
                number == 1 || number.is_multiple_of(2)
            });
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_zero(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.zero).as_nanos()).unwrap_or(u64::MAX)
    }

    /// The time of the meeting's clock at a moment, as well as it is known.
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
        self.known().clock.marks.last().map(|last| Difference { least: last.least_ns, most: last.most_ns })
    }

    /// All that is known, for times that count from this moment.
    pub fn clock(&self, epoch: Instant) -> Clock {
        let known = self.known();
        match known.broken {
            true => Clock { marks: Vec::new(), ..known.clock.clone() },
            false => known.clock.counted_from(self.since_zero(epoch)),
        }
    }
}

fn less(time: i64, since: u64) -> i64 {
    time.saturating_sub(i64::try_from(since).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::board::memory::MemoryBoard;
    use super::*;

    async fn begin(board: &Arc<MemoryBoard>) -> Arc<Pulse> {
        Pulse::begin(Arc::clone(board) as Arc<dyn Board>, "the test").await.unwrap()
    }

    #[tokio::test]
    async fn the_exact_difference_is_within_what_was_measured() {
        // Whatever a second clock behind the same board says: there may be several servers.
        for second in [None, Some(600_000), Some(-40_000_000_000)] {
            let board = Arc::new(MemoryBoard::with_second(300_000_000, second));
            let pulse = begin(&board).await;
            let epoch = Instant::now();
            pulse.measure(BRIEF).await.unwrap();
            pulse.end().await.unwrap();
            let clock = pulse.clock(epoch);
            assert_eq!(clock.marks.len(), 3);
            for later in [0, 1_000_000, 500_000_000] {
                let found = clock.difference(later).unwrap();
                let exact = board.exact(epoch + Duration::from_nanos(later)) - i64::try_from(later).unwrap();
                assert!(found.least <= exact && exact <= found.most, "{exact} is not in {found:?}, second {second:?}");
            }
            let time = pulse.time_at(epoch);
            assert!(pulse.moment_of(time).max(epoch) - pulse.moment_of(time).min(epoch) < Duration::from_micros(1));
        }
    }

    #[tokio::test]
    async fn a_clock_that_the_first_shard_did_not_ask_is_not_asked() {
        let board: Arc<dyn Board> = Arc::new(MemoryBoard::new(0));
        let told = Pulse::begin(board, "that of another server").await.err().unwrap().to_string();
        assert!(told.starts_with("that of another server, whose clock"), "{told}");
    }

    #[tokio::test]
    async fn a_long_run_keeps_few_marks_and_the_first_of_them() {
        let pulse = begin(&Arc::new(MemoryBoard::new(0))).await;
        let first = pulse.known().clock.marks[0];
        for _ in 0..3 * MOST_MARKS {
            pulse.measure(1).await.unwrap();
        }
        let known = pulse.known();
        assert!(known.clock.marks.len() <= MOST_MARKS && known.clock.marks[0] == first);
    }

    #[tokio::test]
    async fn once_a_clock_was_set_nothing_is_known_of_the_whole_run() {
        let board = Arc::new(MemoryBoard::new(0));
        let pulse = begin(&board).await;
        let epoch = Instant::now();
        board.set(5_000_000_000);
        for _ in 0..3 * MOST_MARKS {
            pulse.measure(1).await.unwrap();
        }
        let clock = pulse.clock(epoch);
        assert_eq!((clock.marks.len(), clock.difference(0), clock.difference(u64::MAX / 2)), (0, None, None));
        assert_eq!(clock.reference, "the test");
        // Rounds are released by what it shows now.
        let off = pulse.time_at(Instant::now()) - board.exact(Instant::now());
        assert!(off.abs() < 100_000_000, "{off}");
    }
}
