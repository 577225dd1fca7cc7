//! What executions wrote, read past the proxy: from the oplog where there is one, else by looking at the collections that
//! requests are known to write. Main type: [`Capture`].

mod buckets;
mod follow;
mod oplog;
mod values;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, Timestamp, doc};
use mongodb::error::ErrorKind;
use mongodb::options::FindOptions;
use mongodb::{Client, Namespace};

use oplog::Unreadable;
use window::{Identity, identity};
pub(super) use window::{Window, Written};

use crate::scope::Ended;

/// Attempts at reading what a broken connection interrupted.
const ATTEMPTS: u32 = 3;
/// Documents of the service that may be there from the start, at most.
const MOST_AT_START: usize = 20_000;

/// Why it cannot be told what was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaptureError {
    /// The server did not answer as it should.
    #[error("what was written cannot be read")]
    Server(#[from] mongodb::error::Error),
    /// The server did not answer in time.
    #[error("what was written cannot be read")]
    Late(#[from] Ended),
    /// An entry of the oplog is not understood.
    #[error(transparent)]
    Entry(#[from] Unreadable),
    /// Too much to be looked at.
    #[error("the service's databases hold more than {MOST_AT_START} documents from the start")]
    TooMany,
}

impl CaptureError {
    /// Whether the connection alone was lost: a driver gives one up where a busy machine kept the server from answering its
    /// heartbeats.
    fn is_passing(&self) -> bool {
        let CaptureError::Server(error) = self else { return false };
        matches!(error.kind.as_ref(), ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. })
    }
}

/// Reads what is written, execution by execution.
#[derive(Debug)]
pub(super) struct Capture {
    client: Client,
    databases: BTreeSet<String>,
    /// The server keeps an oplog.
    pub(super) has_oplog: bool,
    /// Documents as they were when last heard of.
    known: BTreeMap<Identity, (Bson, Document)>,
    /// What time series call the field that the measurements of a bucket have in common.
    metas: BTreeMap<String, String>,
    read_to: Timestamp,
    windows: Vec<Window>,
    /// Windows up to this one are filled.
    filled: usize,
}

impl Capture {
    /// Looks at what these databases hold now. `client` must not go through the proxy.
    pub(super) async fn begin(client: Client, databases: BTreeSet<String>) -> Result<Self, CaptureError> {
        let hello = client.database("admin").run_command(doc! { "hello": 1 }).await?;
        let mut capture = Capture {
            client,
            databases,
            has_oplog: hello.contains_key("setName"),
            known: BTreeMap::new(),
            metas: BTreeMap::new(),
            read_to: Timestamp { time: 0, increment: 0 },
            windows: Vec::new(),
            filled: 0,
        };
        if capture.has_oplog {
            capture.read_to = capture.now().await?;
        }
        capture.known = capture.stored().await?;
        Ok(capture)
    }

    /// The databases were dropped and made anew. An oplog tells of that itself.
    pub(super) async fn begun_anew(&mut self) -> Result<(), CaptureError> {
        if self.has_oplog {
            return Ok(());
        }
        self.known = self.stored().await?;
        Ok(())
    }

    /// What the databases hold now.
    async fn stored(&self) -> Result<BTreeMap<Identity, (Bson, Document)>, CaptureError> {
        let mut known = BTreeMap::new();
        for namespace in self.namespaces().await? {
            for (id, document) in self.documents(&namespace).await? {
                known.insert(identity(&namespace, &id), (id, document));
            }
            if known.len() > MOST_AT_START {
                return Err(CaptureError::TooMany);
            }
        }
        Ok(known)
    }

    /// An execution begins. `directly`: nothing was sent since the last one ended, whose end is its beginning then.
    pub(super) async fn open(&mut self, directly: bool) -> Result<(), CaptureError> {
        let from = match self.windows.last().and_then(|last| last.to).filter(|_| directly) {
            Some(end) => Some(end),
            None if self.has_oplog => Some(self.now().await?),
            None => None,
        };
        self.windows.push(Window { from, ..Window::default() });
        Ok(())
    }

    /// It has ended, having sent write commands to these collections; the number of its window. `told`: when the last of its
    /// commands was carried out, where that is known.
    pub(super) async fn close(
        &mut self,
        touched: &BTreeSet<String>,
        told: Option<Timestamp>,
    ) -> Result<usize, CaptureError> {
        let number = self.windows.len().saturating_sub(1);
        if self.has_oplog {
            let to = match told {
                Some(told) => told,
                None => self.now().await?,
            };
            self.windows.last_mut().into_iter().for_each(|window| window.to = Some(to));
        } else {
            self.compare(touched).await?;
        }
        Ok(number)
    }

    /// Closes the window, having sent write commands to whatever there is.
    pub(super) async fn close_all(&mut self) -> Result<usize, CaptureError> {
        let touched = if self.has_oplog { BTreeSet::new() } else { self.with_dropped(self.namespaces().await?) };
        self.close(&touched, None).await
    }

    /// These collections, and those that are in no list any more.
    fn with_dropped(&self, listed: Vec<String>) -> BTreeSet<String> {
        listed.into_iter().chain(self.known.keys().map(|(namespace, _)| namespace.clone())).collect()
    }

    /// What an execution wrote. Only what was collected is there.
    pub(super) fn window(&self, number: usize) -> Option<&Window> {
        self.windows.get(number)
    }

    /// Reads what the oplog has of the executions so far.
    pub(super) async fn collect(&mut self) -> Result<(), CaptureError> {
        if !self.has_oplog {
            return Ok(());
        }
        again(async || self.read_on().await).await
    }

    fn record(
        &mut self,
        window: Option<usize>,
        identity: &Identity,
        id: Bson,
        before: Option<Document>,
        after: Option<Document>,
    ) {
        let Some(window) = window.and_then(|number| self.windows.get_mut(number)) else { return };
        *window.changes.entry(identity.0.clone()).or_default() += 1;
        match window.written.get_mut(identity) {
            Some(written) => written.after = after,
            None => {
                let written = Written { namespace: identity.0.clone(), id, before, after };
                window.written.insert(identity.clone(), written);
            }
        }
    }

    /// Without an oplog: what is in these collections now that was not there before.
    async fn compare(&mut self, touched: &BTreeSet<String>) -> Result<(), CaptureError> {
        let last = self.windows.len().checked_sub(1);
        for namespace in touched {
            let now: BTreeMap<Identity, (Bson, Document)> = (self.documents(namespace).await?.into_iter())
                .map(|(id, document)| (identity(namespace, &id), (id, document)))
                .collect();
            let before: Vec<Identity> = self.known.keys().filter(|(other, _)| other == namespace).cloned().collect();
            let all: BTreeSet<Identity> = before.into_iter().chain(now.keys().cloned()).collect();
            for identity in all {
                let (old, new) = (self.known.remove(&identity), now.get(&identity).cloned());
                let id = new.as_ref().or(old.as_ref()).map_or(Bson::Null, |(id, _)| id.clone());
                let (before, after) =
                    (old.map(|(_, document)| document), new.as_ref().map(|(_, document)| document.clone()));
                if before != after {
                    self.record(last, &identity, id, before, after);
                }
                if let Some(new) = new {
                    self.known.insert(identity, new);
                }
            }
        }
        Ok(())
    }

    /// The time of the last write.
    pub(super) async fn now(&self) -> Result<Timestamp, CaptureError> {
        let admin = self.client.database("admin");
        let pong = again(async || Ok(admin.run_command(doc! { "ping": 1 }).await?)).await?;
        Ok(pong.get_timestamp("operationTime").unwrap_or(self.read_to))
    }

    async fn namespaces(&self) -> Result<Vec<String>, CaptureError> {
        let mut namespaces = Vec::new();
        for database in &self.databases {
            // Views show what others store. An oplog tells of measurements as buckets; without one they are read as such.
            let stored: &[&str] = if self.has_oplog { &["collection"] } else { &["collection", "timeseries"] };
            let database = self.client.database(database);
            for name in database.list_collection_names().filter(doc! { "type": { "$in": stored } }).await? {
                if !name.starts_with("system.") || (self.has_oplog && buckets::is_of_buckets(&name)) {
                    namespaces.push(format!("{}.{name}", database.name()));
                }
            }
        }
        Ok(namespaces)
    }

    async fn documents(&self, namespace: &str) -> Result<Vec<(Bson, Document)>, CaptureError> {
        let Some((database, collection)) = namespace.split_once('.') else { return Ok(Vec::new()) };
        let namespace = Namespace { db: database.to_owned(), coll: collection.to_owned() };
        let options = FindOptions::builder().limit(i64::try_from(MOST_AT_START + 1).ok()).build();
        let collection = self.client.database(&namespace.db).collection::<Document>(&namespace.coll);
        let documents: Vec<Document> = collection.find(doc! {}).with_options(options).await?.try_collect().await?;
        let with_id = |document: Document| Some((document.get("_id")?.clone(), document));
        Ok(documents.into_iter().filter_map(with_id).collect())
    }
}

#[cfg(test)]
impl Capture {
    /// Reads the oplog of a server, of which nothing is known yet.
    pub(super) fn of_nothing(client: Client) -> Self {
        Capture {
            client,
            databases: BTreeSet::new(),
            has_oplog: true,
            known: BTreeMap::new(),
            metas: BTreeMap::new(),
            read_to: Timestamp { time: 0, increment: 0 },
            windows: Vec::new(),
            filled: 0,
        }
    }

    /// One that has seen these documents come, window by window.
    pub(super) fn of_windows(client: Client, windows: &[&[(&str, Document)]]) -> Self {
        let mut capture = Capture::of_nothing(client);
        for (number, documents) in windows.iter().enumerate() {
            capture.windows.push(Window::default());
            for (namespace, document) in *documents {
                let id = document.get("_id").cloned().unwrap_or(Bson::Null);
                capture.record(Some(number), &identity(namespace, &id), id, None, Some(document.clone()));
            }
        }
        capture
    }
}

/// Reads, and once more where the connection alone was lost.
async fn again<T>(mut read: impl AsyncFnMut() -> Result<T, CaptureError>) -> Result<T, CaptureError> {
    for _ in 1..ATTEMPTS {
        match read().await {
            Err(error) if error.is_passing() => {}
            other => return other,
        }
    }
    read().await
}

#[cfg(test)]
mod server_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_collection_that_was_dropped_is_looked_at_once_more() {
        let mut capture = Capture::of_nothing(Client::with_uri_str("mongodb://127.0.0.1:1").await.unwrap());
        capture.known.insert(identity("app.gone", &1.into()), (1.into(), doc! { "_id": 1 }));
        let looked_at: Vec<String> = capture.with_dropped(vec!["app.there".to_owned()]).into_iter().collect();
        assert_eq!(looked_at, ["app.gone", "app.there"]);
    }
}
