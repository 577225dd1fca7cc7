//! Scenarios: what to run. The only room that knows the file format.

mod model;

pub use model::{
    Arrivals, Comparison, Expectation, Keys, Limits, Load, Metric, MongoSpec, MongodSpec, Scenario, TargetSpec,
    Threshold, WorkloadKind,
};
