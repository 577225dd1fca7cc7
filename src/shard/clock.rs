//! What is known of one shard's clock: [`Clock`].
//!
//! A run's times are read from the monotonic clock of the machine that sent the operation. Where shards meet there is a clock
//! that all of them can ask. Each round trip to it bounds how far it is ahead of the shard's own: it was read after the
//! question was sent and before the answer came. Between two such marks the difference moves by no more than clocks drift.
//!
//! *Soundness*: rests on the round trips and on one assumption, that the two clocks gain or lose no more than `drift_ppm` on
//! each other. Marks that contradict each other say that it is broken; then nothing is known, at no moment of the run: whoever
//! measures keeps none of them. A clock that is set by less than the marks leave open is not noticed. *Cost*: one pass over
//! the marks for each moment; there are few of them.

use serde::{Deserialize, Serialize};

use crate::history::Nanos;

/// A bound on the difference of the clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The moment, on the shard's own clock.
    pub at_ns: Nanos,
    /// How far the clock of the meeting is ahead, at least.
    pub least_ns: i64,
    /// At most.
    pub most_ns: i64,
}

/// What is known of a shard's clock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clock {
    /// Whose clock all shards asked, in words.
    pub reference: String,
    /// How much the two clocks may gain or lose on each other, in millionths.
    pub drift_ppm: u32,
    /// What was measured. Empty: nothing is known.
    pub marks: Vec<Mark>,
}

/// What two clocks may gain or lose on each other: an operating system slews its own by at most 500 millionths.
pub const DRIFT_PPM: u32 = 1_000;

/// A difference of clocks, at least and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// At least.
    pub least: i64,
    /// At most.
    pub most: i64,
}

impl Difference {
    /// Half its width, rounded up: so far a time may be off either way.
    pub fn uncertainty(self) -> u64 {
        self.most.abs_diff(self.least).div_ceil(2)
    }

    /// Its middle.
    pub fn middle(self) -> i64 {
        self.least.saturating_add_unsigned(self.most.abs_diff(self.least) / 2)
    }
}

impl Clock {
    /// How far the clock of the meeting is ahead at this moment; `None` where nothing is known.
    pub fn difference(&self, at: Nanos) -> Option<Difference> {
        let bounds = self.marks.iter().map(|mark| {
            let drift = self.drift(mark.at_ns.abs_diff(at));
            (mark.least_ns.saturating_sub(drift), mark.most_ns.saturating_add(drift))
        });
        let (least, most) = bounds.reduce(|one, other| (one.0.max(other.0), one.1.min(other.1)))?;
        (least <= most).then_some(Difference { least, most })
    }

    /// Whether two marks contradict each other: a clock was set, or stood still. Far from both of them that does not show.
    pub fn contradicts_itself(&self) -> bool {
        self.marks.iter().any(|mark| self.difference(mark.at_ns).is_none())
    }

    /// What is known of the clock, for times that count from this later moment. What was measured before it counts as measured then,
    /// less precisely by what drifted meanwhile.
    pub fn counted_from(&self, zero: Nanos) -> Self {
        let ahead = i64::try_from(zero).unwrap_or(i64::MAX);
        let moved = |mark: &Mark| {
            let early = self.drift(zero.saturating_sub(mark.at_ns));
            Mark {
                at_ns: mark.at_ns.saturating_sub(zero),
                least_ns: mark.least_ns.saturating_add(ahead).saturating_sub(early),
                most_ns: mark.most_ns.saturating_add(ahead).saturating_add(early),
            }
        };
        Clock { marks: self.marks.iter().map(moved).collect(), ..self.clone() }
    }

    /// What the clocks may have gained or lost on each other in so much time.
    fn drift(&self, apart: Nanos) -> i64 {
        let drift = (u128::from(apart) * u128::from(self.drift_ppm)).div_ceil(1_000_000);
        i64::try_from(drift).unwrap_or(i64::MAX)
    }

    /// What is known of the clock where both clocks have other zeros: the shard's began `later`, the other was `ahead`.
    pub fn rebased(&self, later: Nanos, ahead: i64) -> Self {
        let moved = |mark: &Mark| Mark {
            at_ns: mark.at_ns.saturating_add(later),
            least_ns: mark.least_ns.saturating_sub(ahead),
            most_ns: mark.most_ns.saturating_sub(ahead),
        };
        Clock { marks: self.marks.iter().map(moved).collect(), ..self.clone() }
    }

    /// The earliest moment that this time can have been, on the clock of the meeting.
    pub fn earliest(&self, at: Nanos) -> Nanos {
        self.difference(at).map_or(0, |difference| at.saturating_add_signed(difference.least))
    }

    /// The latest.
    pub fn latest(&self, at: Nanos) -> Nanos {
        self.difference(at).map_or(Nanos::MAX - 1, |difference| at.saturating_add_signed(difference.most))
    }
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
