//! Scenarios: what to run. The only room that knows the file format.

mod diagnostic;
mod environment;
mod error;
mod file;
mod model;
mod overrides;
mod read;
mod resolved;
mod schema;
mod source;
mod suggest;
mod threshold;
mod validate;
mod values;

pub use diagnostic::Diagnostics;
pub use environment::Environment;
pub use error::ScenarioError;
pub use model::{
    Arrivals, Comparison, Expectation, Keys, Limits, Load, Metric, MongoSpec, MongodSpec, Scenario, TargetSpec,
    Threshold, WorkloadKind,
};
pub use read::{load, load_text};
pub use resolved::resolved_toml;
pub use schema::schema;
pub use validate::KnownStrategies;
