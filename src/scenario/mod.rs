//! Scenarios: what to run. The only room that knows the file format.

mod diagnostic;
mod environment;
mod error;
mod file;
mod file_fields;
mod file_http;
mod file_json;
mod file_observe;
mod file_request;
mod file_stages;
mod filters;
mod http;
mod json_path;
mod load;
mod load_fault;
mod memory;
mod messages;
mod model;
mod network;
mod observed;
mod overrides;
mod prior;
mod read;
mod resolved;
mod rules;
mod schema;
mod secret;
mod source;
mod stages;
mod suggest;
mod template;
mod threads;
mod threshold;
mod validate;
mod values;
mod workloads;

pub use diagnostic::Diagnostics;
pub use environment::{Environment, Variable};
pub use error::ScenarioError;
pub(crate) use filters::{decoded, encoded};
pub use http::{
    AuthSpec, BodySpec, HttpSpec, KeySharing, LoginPer, LoginSpec, OperationSpec, PortKind, Release, RequestSpec,
    ServiceSpec, StatusSpec, TlsSpec,
};
pub use json_path::JsonPath;
pub use load::{Arrivals, Fresh, Keys, Load};
pub use load_fault::{FaultNeeds, FaultSpec, FaultTarget, LoadFault};
pub use memory::MemorySize;
pub use messages::MessageSpec;
pub use model::{
    Comparison, Deliveries, Expectation, ExploreSpec, FaultKind, JudgeKind, Judging, Limits, Metric, MongoSpec,
    MongodSpec, Scenario, SearchKind, TargetSpec, Threshold, WriteConcern,
};
pub use network::NetworkSpec;
pub use observed::{Expected, InvariantSpec, ObserveHttp, ObserveMongo, ObserveSpec, the_number};
pub use prior::{Capture, PriorSpec};
pub use read::{load, load_text};
pub use resolved::resolved_toml;
pub use rules::{BoundsSpec, Distinct, ElementPlace, ElementsSpec, NumberSpec, Per};
pub use schema::schema;
pub use secret::SecretText;
pub use stages::{Stage, StageSpan};
pub(crate) use suggest::nearest;
pub use template::{JsonTemplate, RenderError, Scope, Template, TemplateMistake};
pub use threads::ThreadPaths;
pub use validate::{KnownStrategies, names_a_secret};
pub use workloads::WorkloadKind;
