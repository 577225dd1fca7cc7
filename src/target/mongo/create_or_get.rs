//! Create-or-get on the run's own collections. The main type is [`Direct`]; the strategies themselves are in
//! `strategy::create_or_get`.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};

use super::super::Invocation;
use super::adapter::{Index, ReadError, RunDatabase, WorkloadAdapter, read_all};
use crate::history::{Action, Observed, Value};
use crate::strategy::create_or_get::{Call, Chats, KEY, Strategy, canonical_key, document_stamp, missing_fields};
use crate::strategy::{Description, Failure, MemoryLocks, document_id};
use crate::workload::participants;

/// Create-or-get by one strategy.
pub(super) struct Direct {
    strategy: Strategy,
    chats: Chats,
}

impl Direct {
    /// On the run's collections.
    pub(super) fn new(strategy: Strategy, run_database: &RunDatabase) -> Self {
        let chats = Chats {
            chats: run_database.collection("chats"),
            locks: run_database.collection("locks"),
            memory: MemoryLocks::default(),
            comment: run_database.comment(),
        };
        Direct { strategy, chats }
    }
}

impl WorkloadAdapter for Direct {
    fn description(&self) -> Description {
        self.strategy.description()
    }

    fn collections(&self) -> Vec<Collection<Document>> {
        vec![self.chats.chats.clone(), self.chats.locks.clone()]
    }

    fn indexes(&self, unique: bool) -> Vec<Index> {
        let mut indexes = Vec::new();
        if unique {
            indexes.push(unique_index(&self.chats.chats, KEY, true));
        }
        if self.strategy == Strategy::LockCollection {
            indexes.push(lock_index(&self.chats.locks));
        }
        indexes
    }

    fn lookup(&self) -> Document {
        doc! { KEY: "a_b" }
    }

    fn execute(self: Arc<Self>, operation: Invocation) -> BoxFuture<'static, Result<Value, Failure>> {
        async move {
            let [a, b] = participants(&operation.key);
            match operation.action {
                Action::CreateOrGet { reversed } => {
                    let participants = if reversed { [b, a] } else { [a, b] };
                    let caller = format!("client-{}", operation.client);
                    let call = Call { participants, op: operation.id, caller: &caller };
                    self.chats.create_or_get(self.strategy, call).await.map(Value::Document)
                }
                Action::Get => self.chats.get(self.strategy, [a, b]).await.map(Value::Found),
                other => Err(Failure::foreign(other.name(), "create-or-get")),
            }
        }
        .boxed()
    }

    fn observe(&self) -> BoxFuture<'_, Result<Vec<Observed>, ReadError>> {
        read_all(&self.chats.chats, observed).boxed()
    }
}

/// The unique index on a key.
pub(super) fn unique_index(collection: &Collection<Document>, key: &str, sparse: bool) -> Index {
    let options = IndexOptions::builder().unique(true).sparse(sparse).build();
    let model = IndexModel::builder().keys(doc! { key: 1 }).options(options).build();
    Index { collection: collection.clone(), model, name: "the unique index" }
}

/// The TTL index of lock documents.
pub(super) fn lock_index(locks: &Collection<Document>) -> Index {
    let options = IndexOptions::builder().expire_after(Duration::ZERO).build();
    let model = IndexModel::builder().keys(doc! { "expiresAt": 1 }).options(options).build();
    Index { collection: locks.clone(), model, name: "the TTL index of the locks" }
}

/// A chat as checkers see it. Its canonical key comes from its participants where it has them.
fn observed(document: &Document) -> Result<Observed, String> {
    let stored: Option<Arc<str>> = document.get_str(KEY).ok().map(Arc::from);
    let participants: Vec<&str> = document
        .get_array("participants")
        .map(|names| names.iter().filter_map(Bson::as_str).collect())
        .unwrap_or_default();
    let key = match (participants.as_slice(), &stored) {
        ([a, b], _) => canonical_key([a, b]),
        (_, Some(stored)) => stored.split_once('_').map_or(stored.to_string(), |(a, b)| canonical_key([a, b])),
        (_, None) => String::new(),
    };
    Ok(Observed {
        id: document_id(document).ok_or("a document has no _id")?,
        key: Arc::from(key),
        stored_key: stored,
        created_by: document_stamp(document),
        missing: missing_fields(document),
        messages: Vec::new(),
        last_message: None,
        thread: None,
        fields: serde_json::to_value(document).map_err(|error| format!("a document cannot be shown: {error}"))?,
    })
}
