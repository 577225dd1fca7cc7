//! Reports: the judged run, rendered. No network, no clock, no judging.

mod model;

pub use model::{
    Bucket, Concurrency, ExpectationResult, FORMAT_VERSION, Generator, IntervalStats, Latency, OperationStats, Report,
    SerialControl, Skew, ThresholdResult,
};
