//! A MongoDB as a board: a document for each name, in a collection of their own. Its clock is the server's.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use mongodb::options::{ReadPreference, SelectionCriteria};

use super::board::{Board, BoardError, Told};
use crate::target::mongo::{Connected, PoolOptions};
use crate::target::{Guard, MongoUri, TargetError};

/// The collection in which shards meet.
const COLLECTION: &str = "onlyone_shards";
/// Connections: one waits while another writes.
const CONNECTIONS: u32 = 3;
/// The server tells its time in whole milliseconds.
const TICK_NS: i64 = 1_000_000;

/// A database that all shards reach.
pub struct Mongo {
    connected: Connected,
    texts: Collection<Document>,
    uri: MongoUri,
}

impl Mongo {
    /// Connects to it. Shards meet in this database.
    pub async fn open(uri: &MongoUri, guard: &Guard, database: &str) -> Result<Self, TargetError> {
        guard.check_database(database)?;
        let pool = PoolOptions { connections: CONNECTIONS, retry_writes: true, retry_reads: true };
        let connected = Connected::open(uri, guard, pool).await?;
        let texts = connected.client.database(database).collection(COLLECTION);
        Ok(Mongo { connected, texts, uri: uri.clone() })
    }

    fn failed(&self, error: mongodb::error::Error) -> BoardError {
        format!("the MongoDB {}: {}", self.uri, self.uri.redact(error)).into()
    }
}

/// Which server answered: behind one connection string there may be several, each with a clock of its own.
fn server(hello: &Document) -> String {
    let process = hello.get_document("topologyVersion").and_then(|version| version.get_object_id("processId"));
    process.map_or_else(|_| "the MongoDB server".to_owned(), |process| format!("the MongoDB server, process {process}"))
}

/// Names that begin so.
fn beginning(prefix: &str) -> Document {
    doc! { "_id": { "$gte": prefix, "$lt": format!("{prefix}\u{10ffff}") } }
}

impl Board for Mongo {
    fn time(&self) -> BoxFuture<'_, Result<Told, BoardError>> {
        async move {
            let hello = self.connected.admin(doc! { "hello": 1 }).await.map_err(|error| self.failed(error))?;
            let time = hello.get_datetime("localTime").map_err(|_| "the server does not tell its time")?;
            let time = time.timestamp_millis().saturating_mul(TICK_NS);
            Ok(Told { clock: server(&hello), time: [time, time.saturating_add(TICK_NS)] })
        }
        .boxed()
    }

    fn put<'a>(&'a self, name: &'a str, text: String) -> BoxFuture<'a, Result<(), BoardError>> {
        async move {
            let document = doc! { "_id": name, "text": text };
            let put = self.texts.replace_one(doc! { "_id": name }, document).upsert(true);
            put.await.map(|_| ()).map_err(|error| self.failed(error))
        }
        .boxed()
    }

    fn read<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<BTreeMap<String, String>, BoardError>> {
        async move {
            // What was put a moment ago is on the primary alone.
            let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
            let found = self.texts.find(beginning(prefix)).selection_criteria(primary);
            let found: Vec<Document> = match found.await {
                Ok(found) => found.try_collect().await.map_err(|error| self.failed(error))?,
                Err(error) => return Err(self.failed(error)),
            };
            let entry = |document: Document| {
                let name = document.get_str("_id").ok()?.strip_prefix(prefix)?.to_owned();
                Some((name, document.get_str("text").ok()?.to_owned()))
            };
            Ok(found.into_iter().filter_map(entry).collect())
        }
        .boxed()
    }

    fn wipe<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), BoardError>> {
        async move { self.texts.delete_many(beginning(prefix)).await.map(|_| ()).map_err(|error| self.failed(error)) }
            .boxed()
    }
}
