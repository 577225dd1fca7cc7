//! The scenario file as it is written: what TOML and serde can check. Main type: [`File`].
//!
//! Unknown keys are errors. A choice of one (`[load.burst]`) is a struct of options rather than an enum: the same text, and
//! two choices at once can be named with both their places. Keys that must be there are optional here too, so that every
//! missing one is reported at once. What the values mean is checked in `validate`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::file_http::{Http, Invariant, Observe, Service};
use super::values::{Count, Counts, DurationText, Number, Share};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a scenario")]
pub(super) struct File {
    pub(super) name: Option<Spanned<String>>,
    pub(super) workload: Option<Spanned<String>>,
    pub(super) target: Option<Spanned<Target>>,
    pub(super) service: Option<Spanned<Service>>,
    #[serde(default)]
    pub(super) observe: Observe,
    #[serde(default)]
    pub(super) mongod: Mongod,
    pub(super) deliveries: Option<Spanned<Deliveries>>,
    pub(super) load: Option<Spanned<Loads>>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) expect: Expect,
    #[serde(default)]
    pub(super) invariant: Vec<Spanned<Invariant>>,
}

/// `[target]`: one of these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with one target, `[target.mongo]` or `[target.http]`")]
pub(super) struct Target {
    pub(super) mongo: Option<Spanned<Mongo>>,
    pub(super) http: Option<Spanned<Http>>,
}

/// `[target.mongo]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Mongo {
    pub(super) strategy: Option<Spanned<String>>,
    #[serde(default = "yes")]
    pub(super) unique_index: bool,
    pub(super) database: Option<Spanned<String>>,
    pub(super) pool: Option<Spanned<Count>>,
    #[serde(default)]
    pub(super) retry_writes: bool,
    #[serde(default)]
    pub(super) retry_reads: bool,
}

fn yes() -> bool {
    true
}

/// `[mongod]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Mongod {
    pub(super) replica_set: Option<Spanned<Count>>,
    #[serde(default)]
    pub(super) test_commands: bool,
}

/// `[deliveries]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Deliveries {
    pub(super) max: Option<Spanned<Count>>,
}

/// `[load]`: one of these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with one load, such as `[load.burst]`")]
pub(super) struct Loads {
    pub(super) burst: Option<Spanned<Burst>>,
    pub(super) closed: Option<Spanned<Closed>>,
    pub(super) open: Option<Spanned<Open>>,
    pub(super) waves: Option<Spanned<Waves>>,
}

/// `[load.burst]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Burst {
    pub(super) clients: Option<Spanned<Counts>>,
    pub(super) rounds: Option<Spanned<Count>>,
    pub(super) jitter: Option<Spanned<DurationText>>,
}

/// `[load.closed]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Closed {
    pub(super) clients: Option<Spanned<Count>>,
    pub(super) duration: Option<Spanned<DurationText>>,
    pub(super) operations: Option<Spanned<Count>>,
    pub(super) keys: Option<Spanned<Keys>>,
}

/// `[load.open]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Open {
    pub(super) rate: Option<Spanned<Number>>,
    pub(super) duration: Option<Spanned<DurationText>>,
    pub(super) max_clients: Option<Spanned<Count>>,
    pub(super) arrivals: Option<Spanned<String>>,
    pub(super) keys: Option<Spanned<Keys>>,
}

/// `[load.waves]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Waves {
    pub(super) sizes: Option<Spanned<Vec<Spanned<Count>>>>,
    pub(super) rounds: Option<Spanned<Count>>,
}

/// `keys = { … }`: one of these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `uniform` or `zipf`")]
pub(super) struct Keys {
    pub(super) uniform: Option<Spanned<Uniform>>,
    pub(super) zipf: Option<Spanned<Zipf>>,
}

/// `uniform = { … }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Uniform {
    pub(super) count: Option<Spanned<Count>>,
}

/// `zipf = { … }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Zipf {
    pub(super) count: Option<Spanned<Count>>,
    pub(super) exponent: Option<Spanned<Number>>,
}

/// `[limits]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Limits {
    pub(super) operation_deadline: Option<Spanned<DurationText>>,
    pub(super) drain: Option<Spanned<DurationText>>,
    pub(super) serial_control: Option<Spanned<Count>>,
    pub(super) min_effective_trials: Option<Spanned<Count>>,
    pub(super) max_unknown: Option<Spanned<Share>>,
}

/// `[expect]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Expect {
    pub(super) verdict: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) invariants: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    pub(super) thresholds: Vec<Spanned<String>>,
}
