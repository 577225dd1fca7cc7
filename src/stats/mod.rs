//! Statistics of a run: latency, overlap, thresholds, and what the run cost this process.
//!
//! Pure functions and accumulators over operations; only [`Meter`] and [`machine()`] ask the operating system. Nothing here judges.

mod compare;
mod figures;
mod kinds;
mod latency;
mod limit;
mod machine;
mod moments;
mod nearly;
mod overlap;
mod process;
mod series;
mod stages;
mod sums;
mod thresholds;
mod timeline;

pub use compare::{Change, Estimate, Finding, compare};
pub use figures::{
    Bucket, Concurrency, Generator, IntervalStats, Latency, LoggedInterval, Machine, OperationStats, ServiceTime, Skew,
    ThresholdResult, Unit,
};
pub use latency::{Clock, LatencyStats, Samples};
pub use limit::{AtRate, RateSearch};
pub use machine::machine;
pub use moments::Moments;
pub(crate) use overlap::is_answered;
pub use overlap::{Conditions, Overlap, concurrency};
pub use process::{Meter, UsageError, usage};
pub use stages::{Ramped, StageMarks, StageStats};
pub(crate) use stages::{stage_sums, stages_of};
pub(crate) use sums::{LatencySums, UnknownOutcome};
pub use thresholds::{add_service_times, evaluate, samples_needed};
pub use timeline::{Interval, Timeline};
