//! Statistics of a run: latency, overlap, thresholds, and what the run cost this process.
//!
//! Pure functions and accumulators over operations; only [`usage`] asks the operating system. Nothing here judges.

mod latency;
mod overlap;
mod process;
mod thresholds;
mod timeline;

pub use latency::{Clock, LatencyStats, Samples};
pub use overlap::{Conditions, concurrency};
pub use process::{UsageError, usage};
pub use thresholds::evaluate;
pub use timeline::{Interval, Timeline};
