//! The scenario file as it is written: what TOML and serde can check. Main type: [`File`].
//!
//! Unknown keys are errors. A choice of one (`[load.burst]`) is a struct of options rather than an enum: the same text, and
//! two choices at once can be named with both their places. Keys that must be there are optional here too, so that every
//! missing one is reported at once. What the values mean is checked in `validate`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::file_http::{Http, Service};
use super::file_observe::{Invariant, Observe};
use super::file_stages::Stages;
use super::load_fault::Fault;
use super::network::Network;
use super::prior::{OneOrMany, Prior};
use super::values::{Count, Counts, DurationText, MemoryText, Number, Share};

/// The whole file.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a scenario")]
pub(super) struct File {
    /// Name of the scenario, for people.
    #[schemars(with = "String")]
    pub(super) name: Option<Spanned<String>>,
    /// What kind of operations.
    #[schemars(with = "String")]
    pub(super) workload: Option<Spanned<String>>,
    /// Where operations go: one of these.
    #[schemars(with = "Target")]
    pub(super) target: Option<Spanned<Target>>,
    /// The service under test, started by the harness; of several the first one, and what it needs beside it.
    #[schemars(with = "Option<OneOrMany<Service>>")]
    pub(super) service: Option<Spanned<OneOrMany<Service>>>,
    /// Where the harness and the service meet, when that is not this machine's loopback.
    #[schemars(with = "Option<Network>")]
    pub(super) network: Option<Spanned<Network>>,
    /// Requests that come first, once per run, in this order.
    #[serde(default)]
    #[schemars(with = "Vec<Prior>")]
    pub(super) setup: Vec<Spanned<Prior>>,
    /// Where the final state of a service is read.
    #[serde(default)]
    pub(super) observe: Observe,
    /// At-least-once delivery, in the merge workload.
    #[schemars(with = "Option<Deliveries>")]
    pub(super) deliveries: Option<Spanned<Deliveries>>,
    /// The embedded server, when no other is named.
    #[serde(default)]
    pub(super) mongod: Mongod,
    /// How operations are let go: one of these.
    #[schemars(with = "Loads")]
    pub(super) load: Option<Spanned<Loads>>,
    /// What breaks on purpose while the load goes on.
    #[serde(default)]
    #[schemars(with = "Vec<Fault>")]
    pub(super) fault: Vec<Spanned<Fault>>,
    /// What `onlyone explore` does when its flags do not say otherwise.
    #[serde(default)]
    pub(super) explore: Explore,
    /// Deadlines, floors and the serial control.
    #[serde(default)]
    pub(super) limits: Limits,
    /// What it takes to exit 0.
    #[serde(default)]
    pub(super) expect: Expect,
    /// The user's own invariants.
    #[serde(default)]
    #[schemars(with = "Vec<Invariant>")]
    pub(super) invariant: Vec<Spanned<Invariant>>,
}

/// `[target]`: one of these.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table with one target, `[target.mongo]` or `[target.http]`")]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(super) struct Target {
    /// Directly to MongoDB, by a strategy.
    #[schemars(with = "Option<Mongo>")]
    pub(super) mongo: Option<Spanned<Mongo>>,
    /// Over HTTP, to a service.
    #[schemars(with = "Option<Http>")]
    pub(super) http: Option<Spanned<Http>>,
}

/// `[target.mongo]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Mongo {
    /// How an operation is carried out.
    #[schemars(with = "String")]
    pub(super) strategy: Option<Spanned<String>>,
    /// Whether the unique index stands behind it.
    #[serde(default = "yes")]
    pub(super) unique_index: bool,
    /// Database of the run.
    #[schemars(with = "Option<String>")]
    pub(super) database: Option<Spanned<String>>,
    /// Connections in the pool; as many as clients when not given.
    #[schemars(with = "Option<Count>")]
    pub(super) pool: Option<Spanned<Count>>,
    /// When a write is acknowledged: `memory` (the primary has it), `journal` (in its journal) or `majority` (most members have
    /// it); by default as the server does it.
    #[schemars(with = "Option<String>")]
    pub(super) write_concern: Option<Spanned<String>>,
    /// Whether the driver sends a write again on its own.
    #[serde(default)]
    pub(super) retry_writes: bool,
    /// Whether the driver sends a read again on its own.
    #[serde(default)]
    pub(super) retry_reads: bool,
    /// Time that each operation waits before it is sent: a planted slowdown, to see that it is found.
    #[schemars(with = "Option<DurationText>")]
    pub(super) delay: Option<Spanned<DurationText>>,
}

fn yes() -> bool {
    true
}

/// `[mongod]`
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Mongod {
    /// Members of its replica set: 0 is a standalone server, else 1 or 3.
    #[schemars(with = "Option<Count>")]
    pub(super) replica_set: Option<Spanned<Count>>,
    /// Whether it is started with `enableTestCommands=1`, which fail points need.
    #[serde(default)]
    pub(super) test_commands: bool,
}

/// `[deliveries]`
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Deliveries {
    /// Most deliveries of one content.
    #[schemars(with = "Option<Count>")]
    pub(super) max: Option<Spanned<Count>>,
}

/// `[explore]`
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Explore {
    /// Requests that come together; by default one per operation, else the clients of the burst if they are few, else 2.
    #[schemars(with = "Option<Count>")]
    pub(super) requests: Option<Spanned<Count>>,
    /// What the requests do, in turn; by default what the workload's race is about.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) operations: Vec<Spanned<String>>,
    /// Every choice of the operations is explored, equal ones included; by default where a custom workload has several and
    /// does not say which of them meet.
    pub(super) pairs: Option<bool>,
    /// How schedules are chosen: `exhaustive`, `pct`, `random` or `stress`.
    #[schemars(with = "Option<String>")]
    pub(super) search: Option<Spanned<String>>,
    /// What judges: `checkers`, `as-if-serial` (the serial runs of the same requests, and nothing else) or `both`; by default
    /// `both` for operations of one's own without an invariant, else `checkers`.
    #[schemars(with = "Option<String>")]
    pub(super) judge: Option<Spanned<String>>,
    /// As if serial: each request is sent once more when all is over, and its answer compared; by default where nothing else
    /// judges.
    pub(super) probes: Option<bool>,
    /// Whether answers of the server are parked as well, so that races in the service's memory between an answer and the next
    /// command are found, too: many more interleavings.
    #[serde(default)]
    pub(super) park_answers: bool,
    /// What may happen to a request's commands, once in an execution and in every interleaving: `crash` (the service is killed
    /// after a command, and started again), `lost-answer` (applied, then the connection is closed), `lost-command` (closed
    /// before), `error-answer` (an error instead).
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) faults: Vec<Spanned<String>>,
    /// Whether a request that a fault touched and that was not answered well is delivered again, as a webhook or a queue does.
    #[serde(default)]
    pub(super) redeliver: bool,
    /// As if serial: places that are not compared: `$.field` of answers, `collection.field` of documents.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) ignore: Vec<Spanned<String>>,
    /// As if serial: lists of which the order does not count.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) unordered: Vec<Spanned<String>>,
    /// As if serial: statuses that refuse a request; by default 4xx other than 401, 403, 404 and 410, and 503.
    #[serde(default)]
    #[schemars(with = "Vec<Count>")]
    pub(super) refusals: Vec<Spanned<Count>>,
    /// As if serial: refused requests and mixed answers violate as well.
    pub(super) strict: Option<bool>,
}

/// `[load]`: one of these, and `fresh`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table with one load, such as `[load.burst]`")]
#[schemars(extend("oneOf" = [
    { "required": ["burst"] }, { "required": ["closed"] }, { "required": ["open"] }, { "required": ["waves"] }, { "required": ["stages"] }
]))]
pub(super) struct Loads {
    /// What is not there yet when a round of a burst, or an execution of `explore`, begins: `database` (the service is started on a new one, and then the round begins) or
    /// `service` (its instances start together on a new database, and the round begins as soon as they listen).
    #[schemars(with = "Option<String>")]
    pub(super) fresh: Option<Spanned<String>>,
    /// All clients released together, round after round, a fresh key each round.
    #[schemars(with = "Option<Burst>")]
    pub(super) burst: Option<Spanned<Burst>>,
    /// Each client sends its next operation when the last has ended.
    #[schemars(with = "Option<Closed>")]
    pub(super) closed: Option<Spanned<Closed>>,
    /// Operations start at computed times, whatever became of the earlier ones.
    #[schemars(with = "Option<Open>")]
    pub(super) open: Option<Spanned<Open>>,
    /// Waves of clients on one key, one wave after the other.
    #[schemars(with = "Option<Waves>")]
    pub(super) waves: Option<Spanned<Waves>>,
    /// Clients or a rate that change over time.
    #[schemars(with = "Option<Stages>")]
    pub(super) stages: Option<Spanned<Stages>>,
}

/// `[load.burst]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Burst {
    /// Clients per round; several values share the rounds out.
    #[schemars(with = "Counts")]
    pub(super) clients: Option<Spanned<Counts>>,
    /// How many rounds.
    #[schemars(with = "Count")]
    pub(super) rounds: Option<Spanned<Count>>,
    /// Largest random offset of each start.
    #[schemars(with = "Option<DurationText>")]
    pub(super) jitter: Option<Spanned<DurationText>>,
}

/// `[load.closed]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Closed {
    /// How many clients.
    #[schemars(with = "Count")]
    pub(super) clients: Option<Spanned<Count>>,
    /// How long.
    #[schemars(with = "DurationText")]
    pub(super) duration: Option<Spanned<DurationText>>,
    /// At most so many operations in all.
    #[schemars(with = "Option<Count>")]
    pub(super) operations: Option<Spanned<Count>>,
    /// Which keys they meet on.
    #[schemars(with = "Option<Keys>")]
    pub(super) keys: Option<Spanned<Keys>>,
}

/// `[load.open]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Open {
    /// Operations per second.
    #[schemars(with = "Number")]
    pub(super) rate: Option<Spanned<Number>>,
    /// How long.
    #[schemars(with = "DurationText")]
    pub(super) duration: Option<Spanned<DurationText>>,
    /// Most operations in flight; an arrival beyond is counted as dropped.
    #[schemars(with = "Count")]
    pub(super) max_clients: Option<Spanned<Count>>,
    /// Spacing of the arrivals.
    #[schemars(with = "Option<String>")]
    pub(super) arrivals: Option<Spanned<String>>,
    /// Which keys they meet on.
    #[schemars(with = "Option<Keys>")]
    pub(super) keys: Option<Spanned<Keys>>,
}

/// `[load.waves]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Waves {
    /// Clients of each wave.
    #[schemars(with = "Vec<Count>")]
    pub(super) sizes: Option<Spanned<Vec<Spanned<Count>>>>,
    /// How many times, each on a fresh key.
    #[schemars(with = "Option<Count>")]
    pub(super) rounds: Option<Spanned<Count>>,
}

/// `keys = { … }`: one of these.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table with `uniform` or `zipf`")]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(super) struct Keys {
    /// Each key is equally likely.
    #[schemars(with = "Option<Uniform>")]
    pub(super) uniform: Option<Spanned<Uniform>>,
    /// A few keys take most of the load.
    #[schemars(with = "Option<Zipf>")]
    pub(super) zipf: Option<Spanned<Zipf>>,
}

/// `uniform = { … }`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Uniform {
    /// How many keys.
    #[schemars(with = "Count")]
    pub(super) count: Option<Spanned<Count>>,
}

/// `zipf = { … }`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Zipf {
    /// How many keys.
    #[schemars(with = "Count")]
    pub(super) count: Option<Spanned<Count>>,
    /// Skew: 1.1 is a usual one.
    #[schemars(with = "Number")]
    pub(super) exponent: Option<Spanned<Number>>,
}

/// `[limits]`
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Limits {
    /// An operation without an answer after this is unknown. Default 10 s.
    #[schemars(with = "Option<DurationText>")]
    pub(super) operation_deadline: Option<Spanned<DurationText>>,
    /// How long operations in flight are waited for after an interruption. Default 5 s.
    #[schemars(with = "Option<DurationText>")]
    pub(super) drain: Option<Spanned<DurationText>>,
    /// How long bursts and waves go on once answers have shown a violation. Default 5 s.
    #[schemars(with = "Option<DurationText>")]
    pub(super) after_violation: Option<Spanned<DurationText>>,
    /// Operations of the serial control; 0 leaves it out. Default 20.
    #[schemars(with = "Option<Count>")]
    pub(super) serial_control: Option<Spanned<Count>>,
    /// Fewer keys on which two operations really overlapped than this: inconclusive. Default 1.
    #[schemars(with = "Option<Count>")]
    pub(super) min_effective_trials: Option<Spanned<Count>>,
    /// A larger share of unknown outcomes than this: inconclusive. Default 5%.
    #[schemars(with = "Option<Share>")]
    pub(super) max_unknown: Option<Spanned<Share>>,
    /// What the operations of the run may take in memory, while it goes on and when it is judged; a longer history lies on the disk
    /// in segments. Default 512MB.
    #[schemars(with = "Option<MemoryText>")]
    pub(super) memory: Option<Spanned<MemoryText>>,
}

/// `[expect]`
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Expect {
    /// The verdict that the scenario expects; `holds` when not given.
    #[schemars(with = "Option<String>")]
    pub(super) verdict: Option<Spanned<String>>,
    /// Expected verdicts of single invariants.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) invariants: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Invariants that are not judged, because the service rightly breaks them.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) ignore: Vec<Spanned<String>>,
    /// Bounds such as `create-or-get.p99 < 250ms`, `error_rate < 0.01%`, `throughput > 500/s`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) thresholds: Vec<Spanned<String>>,
}
