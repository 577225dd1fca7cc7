//! A validated scenario: what the file means, with every default filled in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::{Serialize, Serializer};

use super::environment::Variable;
use super::http::{HttpSpec, ServiceSpec};
use super::load::{Fresh, Load};
use super::load_fault::FaultSpec;
use super::memory::MemorySize;
use super::network::NetworkSpec;
use super::observed::{InvariantSpec, ObserveSpec};
use super::prior::PriorSpec;
use super::rules::NumberSpec;
use super::workloads::WorkloadKind;
use crate::verdict::{Invariant, Verdict};

/// What to run, against what, and what to expect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scenario {
    /// Its name, for people.
    pub name: String,
    /// The file it came from.
    pub file: PathBuf,
    /// What kind of operations.
    pub workload: WorkloadKind,
    /// Where they go.
    pub target: TargetSpec,
    /// The service under test, if the harness starts it.
    pub service: Option<ServiceSpec>,
    /// What is started beside it: workers, other services on the same database.
    pub companions: Vec<ServiceSpec>,
    /// Where the harness and the service meet.
    pub network: NetworkSpec,
    /// Requests that come first, once per run.
    pub setup: Vec<PriorSpec>,
    /// Where the final state of a service is read.
    pub observe: ObserveSpec,
    /// The embedded server, when no other is named.
    pub mongod: MongodSpec,
    /// How often contents are delivered, in the merge workload.
    pub deliveries: Deliveries,
    /// How they are let go.
    pub load: Load,
    /// What is not there yet when a round of a burst begins.
    pub fresh: Option<Fresh>,
    /// What breaks on purpose while they go on.
    pub faults: Vec<FaultSpec>,
    /// How they are explored.
    pub explore: ExploreSpec,
    /// Deadlines, floors and the serial control.
    pub limits: Limits,
    /// What it takes to exit 0.
    pub expect: Expectation,
    /// The user's own invariants.
    pub invariants: Vec<InvariantSpec>,
    /// The user's own rules about numbers.
    pub numbers: Vec<NumberSpec>,
    /// Variables of the environment that values came from.
    #[serde(skip)]
    pub variables: Vec<Variable>,
}

/// At-least-once delivery (`[deliveries]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Deliveries {
    /// Most deliveries of one content; each is delivered once to so many times.
    pub max: u32,
}

/// What an exploration does when nothing else is asked for (`[explore]`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ExploreSpec {
    /// Requests that come together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u8>,
    /// What they do, in turn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// Whether every choice of them is explored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs: Option<bool>,
    /// How schedules are chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchKind>,
    /// What judges the executions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgeKind>,
    /// Whether each request is sent once more when all is over, so that its answer is compared as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<bool>,
    /// Whether answers of the server are parked as well.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub park_answers: bool,
    /// What may happen to a request's commands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultKind>,
    /// Whether a request that a fault touched is delivered again until it is answered well.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redeliver: bool,
    /// Places that are not compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Lists of which the order does not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unordered: Vec<String>,
    /// Statuses that refuse a request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<u16>,
    /// Whether refused requests and mixed answers violate as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// A kind of fault (`[explore] faults`), in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The service is killed after a command, and started again.
    Crash,
    /// The server carries a command out, and its answer is lost with the connection.
    LostAnswer,
    /// The connection is closed before the server sees a command.
    LostCommand,
    /// An error is the answer, and the server never sees the command.
    ErrorAnswer,
    /// A secondary that lags answers a read.
    StaleRead,
}

impl FaultKind {
    /// All, with their words.
    pub const ALL: [(&'static str, FaultKind); 5] = [
        ("crash", FaultKind::Crash),
        ("lost-answer", FaultKind::LostAnswer),
        ("lost-command", FaultKind::LostCommand),
        ("error-answer", FaultKind::ErrorAnswer),
        ("stale-read", FaultKind::StaleRead),
    ];
}

/// What judges the executions of an exploration (`[explore] judge`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgeKind {
    /// The workload's checkers and the user's own invariants.
    Checkers,
    /// The serial runs of the same requests, and nothing else.
    AsIfSerial,
    /// Both.
    Both,
}

impl JudgeKind {
    /// All, with their words.
    pub const ALL: [(&'static str, JudgeKind); 3] =
        [("checkers", JudgeKind::Checkers), ("as-if-serial", JudgeKind::AsIfSerial), ("both", JudgeKind::Both)];
}

/// Who judges an exploration, with the defaults resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judging {
    /// The workload's checkers and the user's own invariants.
    pub checkers: bool,
    /// The serial runs of the same requests.
    pub as_if_serial: bool,
}

impl Scenario {
    /// How long what is accepted may take to be stored, wherever the final state is read.
    pub fn stored_within(&self) -> Duration {
        let numbers = self.numbers.iter().map(|rule| rule.within).max().unwrap_or_default();
        self.observe.within().max(numbers)
    }

    /// Whether the user says what must be true: queries, rules about numbers, elements that operations leave, or one
    /// document for each key.
    pub fn has_rules(&self) -> bool {
        !self.invariants.is_empty()
            || !self.numbers.is_empty()
            || self.observe.elements().is_some()
            || self.observe.single() == Some(true)
    }

    /// Who judges an exploration: operations of one's own without an invariant have nothing else to be held against than
    /// their own serial runs.
    pub fn judging(&self) -> Judging {
        let nothing_else = self.workload == WorkloadKind::Custom && !self.has_rules();
        let by_default = if nothing_else { JudgeKind::Both } else { JudgeKind::Checkers };
        match self.explore.judge.unwrap_or(by_default) {
            JudgeKind::Checkers => Judging { checkers: true, as_if_serial: false },
            JudgeKind::AsIfSerial => Judging { checkers: false, as_if_serial: true },
            JudgeKind::Both => Judging { checkers: true, as_if_serial: true },
        }
    }
}

impl ExploreSpec {
    /// Most requests that can be explored together.
    pub const MOST_REQUESTS: u8 = 8;
}

/// A way to choose schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchKind {
    /// Every interleaving, or one of each kind.
    Exhaustive,
    /// Random priorities: finds a bug with a known probability.
    Pct,
    /// A random walk.
    Random,
    /// No order at all: the requests are let go together, as in a stress test. For comparison.
    Stress,
}

impl SearchKind {
    /// All, with their words.
    pub const ALL: [(&'static str, SearchKind); 4] = [
        ("exhaustive", SearchKind::Exhaustive),
        ("pct", SearchKind::Pct),
        ("random", SearchKind::Random),
        ("stress", SearchKind::Stress),
    ];
}

impl Default for Deliveries {
    fn default() -> Self {
        Deliveries { max: 3 }
    }
}

/// Where operations go.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetSpec {
    /// Directly to MongoDB, by a strategy.
    Mongo(MongoSpec),
    /// To a service over HTTP.
    Http(Box<HttpSpec>),
}

impl TargetSpec {
    /// The service over HTTP, if it is one.
    pub fn http(&self) -> Option<&HttpSpec> {
        match self {
            TargetSpec::Mongo(_) => None,
            TargetSpec::Http(http) => Some(http),
        }
    }
}

/// The direct target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MongoSpec {
    /// Name of the strategy; validated against the workload's.
    pub strategy: String,
    /// Whether the unique index stands behind it.
    pub unique_index: bool,
    /// Database of the run.
    pub database: String,
    /// Connections in the pool; `None` is as many as clients.
    pub pool: Option<u32>,
    /// When a write is acknowledged; `None` leaves it to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_concern: Option<WriteConcern>,
    /// Whether the driver sends a write again on its own.
    pub retry_writes: bool,
    /// Whether the driver sends a read again on its own.
    pub retry_reads: bool,
    /// Time that each operation waits before it is sent: a planted slowdown.
    #[serde(with = "friendly")]
    pub delay: Duration,
}

/// When a write is acknowledged (`[target.mongo] write_concern`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteConcern {
    /// When the primary has it in memory.
    Memory,
    /// When the primary has it in its journal.
    Journal,
    /// When a majority of the members has it.
    Majority,
}

impl WriteConcern {
    /// All, with their words.
    pub const ALL: [(&'static str, WriteConcern); 3] =
        [("memory", WriteConcern::Memory), ("journal", WriteConcern::Journal), ("majority", WriteConcern::Majority)];
}

/// The embedded server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MongodSpec {
    /// Members of its replica set: 0 is a standalone server, else 1 or 3.
    pub replica_set: u8,
    /// Whether it is started with `enableTestCommands=1`, which fail points need.
    pub test_commands: bool,
}

/// Deadlines, floors and the serial control (`[limits]`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Limits {
    /// An operation without an answer after this is unknown. Default 10 s.
    #[serde(with = "friendly")]
    pub operation_deadline: Duration,
    /// How long operations in flight are waited for after an interruption. Default 5 s.
    #[serde(with = "friendly")]
    pub drain: Duration,
    /// How long bursts and waves go on once answers have shown a violation, which nothing can undo. Default 5 s.
    #[serde(with = "friendly")]
    pub after_violation: Duration,
    /// Operations of the serial control; 0 leaves it out. Default 20.
    pub serial_control: u32,
    /// Fewer keys on which two operations really overlapped than this: inconclusive. Default 1.
    pub min_effective_trials: u64,
    /// A larger share of unknown outcomes than this: inconclusive. Default 0.05.
    pub max_unknown: f64,
    /// What its operations may take in memory; a longer history lies on the disk in segments. Default 512 MB.
    pub memory: MemorySize,
}

/// What it takes to exit 0.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Expectation {
    /// The verdict that the scenario expects; `None` is `holds`.
    pub verdict: Option<Verdict>,
    /// Expected verdicts of single invariants.
    pub invariants: BTreeMap<Invariant, Verdict>,
    /// Invariants that are not judged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<Invariant>,
    /// Bounds on latency and error rate.
    #[serde(serialize_with = "texts")]
    pub thresholds: Vec<Threshold>,
}

/// Thresholds are written as the user wrote them: the same words as in the file.
fn texts<S: Serializer>(thresholds: &[Threshold], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(thresholds.iter().map(|threshold| &threshold.text))
}

/// A bound such as `create-or-get.p99 < 250ms` or `error_rate < 0.01%`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Threshold {
    /// As the user wrote it.
    pub text: String,
    /// What is measured.
    pub metric: Metric,
    /// How it is compared.
    pub comparison: Comparison,
    /// The bound: microseconds for a latency, a share from 0 to 1 for a rate, operations per second for throughput.
    pub bound: f64,
}

/// What a threshold measures.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// A quantile (0 to 1; 1 is the maximum) of an operation's latency over all its outcomes that were answered.
    Latency {
        /// Name of the operation, `create-or-get`.
        operation: String,
        /// From 0 to 1.
        quantile: f64,
    },
    /// Share of operations that failed or are unknown.
    ErrorRate,
    /// Share of operations that met a duplicate-key error (E11000), handled or leaked. Only a direct target sees both.
    DuplicateKeyRate,
    /// Operations per second.
    Throughput,
}

/// How a threshold compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}
