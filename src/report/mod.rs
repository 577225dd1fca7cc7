//! Reports: the judged run, rendered. No network, no clock, no judging.

mod model;

pub use model::{
    Concurrency, ExpectationResult, FORMAT_VERSION, Generator, Latency, OperationStats, Report, SerialControl, Skew,
    ThresholdResult,
};
