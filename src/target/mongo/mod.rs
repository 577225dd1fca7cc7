//! The direct target: strategies carried out in this process, on MongoDB.

mod adapter;
mod aggregations;
mod append;
mod classify;
mod connect;
mod create_or_get;
mod indexes;
mod looked_at;
mod merge;
mod observe;
mod observed_key;
mod preflight;
mod queries;
mod rows;
mod snapshot;
mod thread;
pub(in crate::target) mod truth;
mod usage;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mongodb::Database;

use super::{Completion, Invocation, MongoUri, Preflight, Target, TargetError};
use crate::history::{Observation, Outcome};
use crate::scenario::{MongoSpec, WorkloadKind};

pub(in crate::target) use self::thread::observed as observed_thread;
pub use adapter::{Index, ReadError, RunDatabase, WorkloadAdapter, adapter, read_all};
pub use aggregations::filter_of;
pub use classify::outcome as outcome_of_failure;
use connect::WARM_UP_TIMEOUT;
pub use connect::{Connected, PoolOptions, noting_connection};
pub use indexes::list_indexes;
pub use looked_at::LookedAt;
pub use observed_key::ObservedCollection;
pub use queries::{Queries, QueryResult, drop_database};
pub(in crate::target) use rows::Rows;
pub use snapshot::snapshot;
pub use truth::{Identity, await_idle, await_idle_for};
pub use usage::used_replica_set;

/// A workload on the run's own collections.
pub struct MongoTarget {
    connected: Connected,
    uri: MongoUri,
    run_database: RunDatabase,
    spec: MongoSpec,
    workload: WorkloadKind,
    adapter: Arc<dyn WorkloadAdapter>,
    /// Another process creates and removes the collections.
    follows: bool,
}

impl MongoTarget {
    /// Connects. What the run creates will carry its identifier.
    pub async fn connect(
        uri: MongoUri,
        guard: &super::Guard,
        spec: MongoSpec,
        workload: WorkloadKind,
        clients: u32,
        run_id: &str,
    ) -> Result<Self, TargetError> {
        guard.check_database(&spec.database)?;
        let pool = PoolOptions {
            connections: spec.pool.unwrap_or(clients).max(1),
            retry_writes: spec.retry_writes,
            retry_reads: spec.retry_reads,
        };
        let connected = Connected::open_writing(&uri, guard, pool, spec.write_concern).await?;
        Self::on(connected, uri, spec, workload, run_id)
    }

    /// A target on a connection that is there already. The guard has seen it, and the database is the caller's own choice.
    pub fn on(
        connected: Connected,
        uri: MongoUri,
        spec: MongoSpec,
        workload: WorkloadKind,
        run_id: &str,
    ) -> Result<Self, TargetError> {
        let run_database =
            RunDatabase { database: connected.client.database(&spec.database), run_id: Arc::from(run_id) };
        let adapter = adapter(workload, &spec.strategy, &run_database)?;
        Ok(MongoTarget { connected, uri, run_database, spec, workload, adapter, follows: false })
    }

    /// A target on collections that another process creates before, and removes afterwards.
    #[must_use]
    pub fn following(self) -> Self {
        MongoTarget { follows: true, ..self }
    }

    /// The client, for what else the run needs of the same server.
    pub fn connected(&self) -> &Connected {
        &self.connected
    }

    fn database(&self) -> &Database {
        &self.run_database.database
    }

    fn step(&self, step: impl Into<String>) -> impl FnOnce(mongodb::error::Error) -> TargetError {
        let step = step.into();
        move |error| TargetError::Step { step, source: self.uri.redact(error) }
    }

    async fn create_collections(&self) -> Result<(), TargetError> {
        // Created now, so that no operation pays for it or fails on it; and the indexes before the first document.
        for collection in self.adapter.collections() {
            self.database().create_collection(collection.name()).await.map_err(self.step("creating the collection"))?;
        }
        for Index { collection, model, name } in self.adapter.indexes(self.spec.unique_index) {
            collection.create_index(model).await.map_err(self.step(format!("creating {name}")))?;
        }
        Ok(())
    }
}

impl Target for MongoTarget {
    fn prepare(&self, clients: u32) -> BoxFuture<'_, Result<Preflight, TargetError>> {
        async move {
            let wanted = self.spec.pool.unwrap_or(clients).max(1);
            preflight::room_for(self, wanted).await?;
            if !self.follows {
                self.create_collections().await?;
            }
            let ready = self.connected.warm_up(wanted).await;
            if ready < wanted {
                return Err(preflight::too_few(wanted, &format!("only {ready} could be made within {WARM_UP_TIMEOUT:?}")));
            }
            let mut preflight = preflight::facts(self).await?;
            preflight.connections_ready = Some(ready);
            if ready < clients {
                preflight.too_few_connections = Some(format!(
                    "the pool has {ready} of the {clients} connections that the clients need: no more operations than that can be in the server at once"
                ));
            }
            Ok(preflight)
        }
        .boxed()
    }

    fn seed<'a>(&'a self, keys: &'a [Arc<str>]) -> BoxFuture<'a, Result<(), TargetError>> {
        async move { self.adapter.seed(keys).await.map_err(self.step("creating documents before the run")) }.boxed()
    }

    fn apply(&self, operation: Invocation) -> BoxFuture<'static, Completion> {
        let adapter = Arc::clone(&self.adapter);
        async move {
            let (result, connected) = noting_connection(adapter.execute(operation)).await;
            let outcome = match result {
                Ok(value) => Outcome::Ok(value),
                Err(failure) => classify::outcome(&failure),
            };
            Completion { outcome, connected, attempts: 1, answer: None }
        }
        .boxed()
    }

    fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, TargetError>> {
        async move { observe::final_state(self).await.map(Some) }.boxed()
    }

    fn tear_down(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        async move {
            for collection in self.adapter.collections().into_iter().filter(|_| !self.follows) {
                collection.drop().await.map_err(self.step("dropping the run's collections"))?;
            }
            Ok(())
        }
        .boxed()
    }
}
