//! A slow disk: flushes of the server's journal are held back, by the server's own fail point.
//!
//! What is slowed is what waits for the journal: a write with `j: true`, and one that a majority must have in its journals. Writes
//! that are acknowledged from memory, reads, and checkpoints are as fast as ever.

use std::time::Duration;

use mongodb::bson::doc;

use super::inject::{Failure, Hold, Struck};
use super::server::while_set;
use crate::mongod::Mongod;
use crate::scenario::FaultSpec;

/// The server's thread that flushes journals asks before each flush whether it may go on, and again after this time if not.
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// Holds each flush back, on average for the delay.
pub(super) async fn slow_down(mongod: &Mongod, spec: &FaultSpec, hold: Hold<'_>) -> Result<Struck, Failure> {
    let delay = spec.delay.unwrap_or_default();
    let mode = doc! { "activationProbability": probability(delay) };
    let on = doc! { "configureFailPoint": "pauseJournalFlusherBeforeFlush", "mode": mode };
    let count = while_set(mongod, &on, hold).await?;
    Ok(Struck { met: format!("flushes of the journal, {delay:?} late on average"), count, ..Struck::default() })
}

/// With which probability a flush must be refused each time, to be late by so much on average.
fn probability(delay: Duration) -> f64 {
    delay.as_secs_f64() / (delay + ASKED_EVERY).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_is_late_by_the_delay_on_average() {
        // Refused with probability p each time, it is asked for p / (1 - p) times in vain.
        for millis in [10, 100, 300, 2_000] {
            let delay = Duration::from_millis(millis);
            let p = probability(delay);
            let late = ASKED_EVERY.as_secs_f64() * p / (1.0 - p);
            assert!((late - delay.as_secs_f64()).abs() < 1e-9, "{delay:?}: {late}");
        }
    }
}
