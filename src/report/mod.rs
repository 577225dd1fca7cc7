//! Reports: the judged run, rendered. No network, no clock, no judging.

mod answer;
mod format;
mod json;
mod model;
#[cfg(test)]
mod sample;
mod terminal;

pub use json::{JsonError, from_json, to_json};

pub use model::{
    Bucket, Concurrency, ExpectationResult, FORMAT_VERSION, Generator, IntervalStats, Latency, OperationStats, Report,
    SerialControl, Skew, ThresholdResult, Unit,
};
pub use terminal::{Terminal, terminal};
