//! Targets: where operations go. The only rooms that speak a protocol; each classifies every error as ok, failed or
//! unknown.

mod answer;
mod delayed;
pub mod http;
pub mod memory;
pub mod mongo;
mod renewed;
mod safety;
mod service;
mod uri;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;

use crate::history::{Action, Observation, OpId, Outcome, Phase, Sightings};

pub use answer::RawAnswer;
pub use delayed::Delayed;
pub use renewed::Renewed;
pub use safety::{Guard, Refused, is_this_machine};
pub use service::{Awaited, ClockLibrary, INHERITED, Launched, Service, ServiceContext};
pub use uri::MongoUri;

/// One operation, ready to be carried out.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Its number, stamped into what it writes.
    pub id: OpId,
    /// The logical client.
    pub client: u32,
    /// Part of the run.
    pub phase: Phase,
    /// The canonical key.
    pub key: Arc<str>,
    /// What is asked for.
    pub action: Action,
}

/// What came of an operation.
#[derive(Debug, Clone)]
pub struct Completion {
    /// What is known of its effect.
    pub outcome: Outcome,
    /// When it first held a connection, where the target can tell.
    pub connected: Option<Instant>,
    /// How often it was sent.
    pub attempts: u16,
    /// The answer itself, where it is asked for.
    pub answer: Option<Arc<RawAnswer>>,
}

/// An operation made ready ahead of a release.
pub struct Staged {
    /// When the first byte of it was sent, if any was: from then on it may have its effect.
    pub sent: Option<Instant>,
    /// The rest of it, from the release on.
    pub finish: BoxFuture<'static, Completion>,
}

/// A place where operations go.
///
/// The driver calls `prepare` once, then `apply` (or `stage`, before a release) from many tasks at a time, then `observe`,
/// then `tear_down`, which runs also when the run was cut short.
pub trait Target: Send + Sync + 'static {
    /// Makes the target ready for `clients` concurrent operations and proves it.
    fn prepare(&self, clients: u32) -> BoxFuture<'_, Result<Preflight, TargetError>>;

    /// Creates the documents of these keys, empty, before the first operation.
    fn seed<'a>(&'a self, keys: &'a [Arc<str>]) -> BoxFuture<'a, Result<(), TargetError>> {
        if keys.is_empty() {
            return Box::pin(std::future::ready(Ok(())));
        }
        let source = "this target cannot create documents before the run".into();
        Box::pin(std::future::ready(Err(TargetError::Step { step: "seeding".to_owned(), source })))
    }

    /// What requests before the run captured, by name.
    fn captured(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// The service was killed: nothing that was asked of it before is under way any more, whether or not it was answered.
    fn was_killed(&self) {}

    /// Whether something comes before an operation that is none of it: a log-in, requests that come first.
    fn has_preliminaries(&self) -> bool {
        false
    }

    /// Does what comes before these operations. Otherwise each does so itself, when it is its turn.
    fn preliminaries<'a>(&'a self, _operations: &'a [Invocation]) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Carries an operation out. The future owns what it needs: one that missed its deadline goes on in the background,
    /// because a dropped operation may still happen on the server.
    fn apply(&self, operation: Invocation) -> BoxFuture<'static, Completion>;

    /// Does what comes before an operation's own request, such as a log-in; the rest of it can be started at any time.
    fn make_ready(&self, operation: Invocation) -> BoxFuture<'static, BoxFuture<'static, Completion>> {
        let rest = self.apply(operation);
        Box::pin(std::future::ready(rest))
    }

    /// Whether something can be done ahead of a release; then a burst calls `stage`.
    fn stages(&self) -> bool {
        false
    }

    /// Does what can be done ahead of the release. As with `apply`, the futures own what they need.
    fn stage(&self, operation: Invocation) -> BoxFuture<'static, Staged> {
        let finish = self.apply(operation);
        Box::pin(std::future::ready(Staged { sent: None, finish }))
    }

    /// What was noticed in the course of the run, for its report.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What was seen of a service besides the outcomes, after the final state was read; `None` of a target that the
    /// scenario need not describe.
    fn sightings(&self) -> Option<Sightings> {
        None
    }

    /// Waits until nothing of the run is in flight and reads the final state; `None` if it is out of reach by design.
    fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, TargetError>>;

    /// Removes what the run created, and nothing else.
    fn tear_down(&self) -> BoxFuture<'_, Result<(), TargetError>>;
}

/// What was found before the run; goes into `run.json` and the report.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Preflight {
    /// Version of the server, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// `standalone`, `replica set of 3`, `sharded`, or of a service its base URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<String>,
    /// Version of the client library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_version: Option<String>,
    /// Retry settings, by name.
    #[serde(default)]
    pub retries: std::collections::BTreeMap<String, bool>,
    /// Connections counted ready before the first operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_ready: Option<u32>,
    /// Indexes of the collection that holds the key.
    #[serde(default)]
    pub indexes: Vec<crate::lint::IndexFact>,
    /// Plan of the lookup by key: `IXSCAN participantsKey_1` or `COLLSCAN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup_plan: Option<String>,
    /// Why the connections do not allow the concurrency asked for; then nothing can be concluded from a run that holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub too_few_connections: Option<String>,
    /// What the strategy leaves open on these indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lint: Vec<crate::lint::LintFinding>,
    /// What the indexes of an observed collection mean for its key; read when the load was over, because a service may create
    /// them with its first document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_key: Option<crate::lint::ObservedKey>,
    /// What the run cannot show, or should be read with care.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Why a target cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It must not be used.
    #[error("refused by the safety guard")]
    Refused(#[from] Refused),
    /// It does not answer.
    #[error("cannot reach {target}")]
    Unreachable {
        /// The target, without secrets.
        target: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answers, but a step that the run needs failed.
    #[error("{step} failed")]
    Step {
        /// What was tried.
        step: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The workload has no such strategy.
    #[error(transparent)]
    Strategy(#[from] crate::strategy::UnknownStrategy),
}
