//! What the direct target needs of a workload: its collections, how an operation is carried out, its final documents.
//!
//! The main type is [`WorkloadAdapter`]. Each workload has one implementation, which translates between operations of a history
//! and the plain calls of its strategies. It knows neither connections nor deadlines, and classifies nothing.

use std::sync::Arc;

use futures::TryStreamExt;
use futures::future::BoxFuture;
use mongodb::bson::{Bson, Document, doc};
use mongodb::{Collection, Database, IndexModel};

use super::super::Invocation;
use super::{append, create_or_get, merge, thread, truth};
use crate::history::{Observed, Value};
use crate::scenario::WorkloadKind;
use crate::strategy::{Description, Failure, UnknownStrategy};

/// A workload carried out on MongoDB by one strategy.
pub trait WorkloadAdapter: Send + Sync + 'static {
    /// What users are told of the strategy.
    fn description(&self) -> Description;

    /// The run's own collections, the one that holds the key first. They are created before the run and dropped after it.
    fn collections(&self) -> Vec<Collection<Document>>;

    /// Indexes to create, with what to call them in an error.
    fn indexes(&self, unique: bool) -> Vec<Index>;

    /// Filter of the lookup by key in the first collection, for `explain`.
    fn lookup(&self) -> Document;

    /// Creates the documents of these keys, empty, before the first operation.
    fn seed<'a>(&'a self, _keys: &'a [Arc<str>]) -> BoxFuture<'a, Result<(), mongodb::error::Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Carries an operation out.
    fn execute(self: Arc<Self>, operation: Invocation) -> BoxFuture<'static, Result<Value, Failure>>;

    /// Reads the final documents, in any order.
    fn observe(&self) -> BoxFuture<'_, Result<Vec<Observed>, ReadError>>;
}

/// An index that a workload needs.
#[derive(Debug, Clone)]
pub struct Index {
    /// Where.
    pub collection: Collection<Document>,
    /// What.
    pub model: IndexModel,
    /// Its name in an error: `the unique index`.
    pub name: &'static str,
}

/// Where a run's collections are.
#[derive(Debug, Clone)]
pub struct RunDatabase {
    /// The database.
    pub database: Database,
    /// The run: part of every collection's name.
    pub run_id: Arc<str>,
}

impl RunDatabase {
    /// The run's collection of this name.
    pub fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(&format!("onlyone_{}_{name}", self.run_id))
    }

    /// Comment on every command of the run.
    pub fn comment(&self) -> Bson {
        Bson::String(format!("onlyone {}", self.run_id))
    }
}

/// Why the final documents cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The server does not give them.
    #[error("{0}")]
    Driver(#[from] mongodb::error::Error),
    /// A document is not what a run can have written.
    #[error("{0}")]
    Document(String),
}

/// All documents of a collection as checkers see them.
pub async fn read_all(
    collection: &Collection<Document>,
    mut observed: impl FnMut(&Document) -> Result<Observed, String>,
) -> Result<Vec<Observed>, ReadError> {
    let found = collection.find(doc! {}).sort(doc! { "_id": 1 }).batch_size(1000);
    let mut cursor = found.selection_criteria(truth::primary()).read_concern(truth::majority()).await?;
    let mut documents = Vec::new();
    while let Some(document) = cursor.try_next().await? {
        documents.push(observed(&document).map_err(ReadError::Document)?);
    }
    Ok(documents)
}

/// The adapter of a workload by the strategy of this name.
pub fn adapter(
    kind: WorkloadKind,
    strategy: &str,
    run_database: &RunDatabase,
) -> Result<Arc<dyn WorkloadAdapter>, UnknownStrategy> {
    match kind {
        WorkloadKind::CreateOrGet => Ok(Arc::new(create_or_get::Direct::new(strategy.parse()?, run_database))),
        WorkloadKind::Merge => Ok(Arc::new(merge::Direct::new(strategy.parse()?, run_database))),
        WorkloadKind::Append => Ok(Arc::new(append::Direct::new(strategy.parse()?, run_database))),
        WorkloadKind::Custom | WorkloadKind::Unique => Err(UnknownStrategy::new("custom", strategy)),
        WorkloadKind::Thread => Ok(Arc::new(thread::Direct::new(strategy.parse()?, run_database))),
    }
}
