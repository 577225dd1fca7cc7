//! The direct target: strategies carried out in this process, on MongoDB.

mod classify;
mod connect;
mod observe;
mod preflight;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mongodb::bson::{Bson, doc};
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};

use super::{Completion, Invocation, MongoUri, Preflight, Target, TargetError};
use crate::history::{Action, Observation, Outcome, Value};
use crate::scenario::MongoSpec;
use crate::strategy::create_or_get::{Call, Chats, KEY, Strategy};
use crate::strategy::{Failure, MemoryLocks};
use crate::workload::participants;

pub use classify::outcome as outcome_of_failure;
pub use connect::{Connected, PoolOptions, noting_connection};

/// Create-or-get on the run's own collections.
pub struct MongoTarget {
    connected: Connected,
    uri: MongoUri,
    database: Database,
    spec: MongoSpec,
    strategy: Strategy,
    chats: Arc<Chats>,
}

impl MongoTarget {
    /// Connects. What the run creates will carry its identifier.
    pub async fn connect(
        uri: MongoUri,
        guard: &super::Guard,
        spec: MongoSpec,
        strategy: Strategy,
        clients: u32,
        run_id: &str,
    ) -> Result<Self, TargetError> {
        guard.check_database(&spec.database)?;
        let pool = PoolOptions {
            connections: spec.pool.unwrap_or(clients).max(1),
            retry_writes: spec.retry_writes,
            retry_reads: spec.retry_reads,
        };
        let connected = Connected::open(&uri, guard, pool).await?;
        let database = connected.client.database(&spec.database);
        let chats = Chats {
            chats: database.collection(&format!("onlyone_{run_id}_chats")),
            locks: database.collection(&format!("onlyone_{run_id}_locks")),
            memory: MemoryLocks::default(),
            comment: Bson::String(format!("onlyone {run_id}")),
        };
        Ok(MongoTarget { connected, uri, database, spec, strategy, chats: Arc::new(chats) })
    }

    /// The client, for what else the run needs of the same server.
    pub fn connected(&self) -> &Connected {
        &self.connected
    }

    fn step(&self, step: &str) -> impl FnOnce(mongodb::error::Error) -> TargetError {
        let step = step.to_owned();
        move |error| TargetError::Step { step, source: self.uri.redact(error) }
    }

    async fn create_collections(&self) -> Result<(), TargetError> {
        // Created now, so that no operation pays for it or fails on it; and the index before the first document.
        self.database.create_collection(self.chats.chats.name()).await.map_err(self.step("creating the collection"))?;
        if self.spec.unique_index {
            let options = IndexOptions::builder().unique(true).sparse(true).build();
            let index = IndexModel::builder().keys(doc! { KEY: 1 }).options(options).build();
            self.chats.chats.create_index(index).await.map_err(self.step("creating the unique index"))?;
        }
        if self.strategy == Strategy::LockCollection {
            let options = IndexOptions::builder().expire_after(std::time::Duration::ZERO).build();
            let index = IndexModel::builder().keys(doc! { "expiresAt": 1 }).options(options).build();
            self.chats.locks.create_index(index).await.map_err(self.step("creating the TTL index of the locks"))?;
        }
        Ok(())
    }
}

impl Target for MongoTarget {
    fn prepare(&self, clients: u32) -> BoxFuture<'_, Result<Preflight, TargetError>> {
        async move {
            self.create_collections().await?;
            let ready = self.connected.warm_up(self.spec.pool.unwrap_or(clients).max(1)).await;
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

    fn apply(&self, operation: Invocation) -> BoxFuture<'static, Completion> {
        let chats = Arc::clone(&self.chats);
        let strategy = self.strategy;
        async move {
            let (result, connected) = noting_connection(carry_out(&chats, strategy, &operation)).await;
            let outcome = match result {
                Ok(value) => Outcome::Ok(value),
                Err(failure) => classify::outcome(&failure),
            };
            Completion { outcome, connected, attempts: 1 }
        }
        .boxed()
    }

    fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, TargetError>> {
        async move { observe::final_state(self).await.map(Some) }.boxed()
    }

    fn tear_down(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        async move {
            for collection in [&self.chats.chats, &self.chats.locks] {
                collection.drop().await.map_err(self.step("dropping the run's collections"))?;
            }
            Ok(())
        }
        .boxed()
    }
}

async fn carry_out(chats: &Chats, strategy: Strategy, operation: &Invocation) -> Result<Value, Failure> {
    let [a, b] = participants(&operation.key);
    match operation.action {
        Action::CreateOrGet { reversed } => {
            let participants = if reversed { [b, a] } else { [a, b] };
            let caller = format!("client-{}", operation.client);
            let call = Call { participants, op: operation.id, caller: &caller };
            chats.create_or_get(strategy, call).await.map(Value::Document)
        }
        Action::Get => chats.get([a, b]).await.map(Value::Found),
    }
}
