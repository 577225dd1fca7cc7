//! Access to the audited database: what kind of collection it is, and streams of raw batches. Only reads.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use mongodb::bson::{Document, doc};
use mongodb::raw_batch_cursor::RawBatch;
use mongodb::{Collection, Database};
use tokio::sync::mpsc;

use super::AuditOptions;
use crate::audit::AuditError;
use crate::audit::error::{Result, Step};

/// Kind of a collection, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::audit) enum CollectionKind {
    /// Ordinary.
    Plain,
    /// Of a fixed size: documents cannot be removed or grow.
    Capped,
}

/// What the server tells of the collections of a database.
async fn listed(database: &Database, filter: Document) -> Result<Vec<Document>> {
    // Without rights on all collections the server still names those that the user may see.
    let command = doc! { "listCollections": 1, "filter": filter, "authorizedCollections": true, "nameOnly": false };
    let listed = match database.run_cursor_command(command).await {
        Ok(cursor) => cursor.try_collect().await,
        Err(error) => Err(error),
    };
    listed.reading(database.name(), "list the collections")
}

fn options_of(listed: &Document) -> Document {
    listed.get_document("options").cloned().unwrap_or_default()
}

/// The options with which a collection was created, or that were changed since; none if there is no such collection.
pub(in crate::audit) async fn options(database: &Database, name: &str) -> Result<Document> {
    Ok(listed(database, doc! { "name": name }).await?.first().map(options_of).unwrap_or_default())
}

/// Looks the collection up; an error says what it is instead, or what the database has.
pub(in crate::audit) async fn kind(database: &Database, name: &str) -> Result<CollectionKind> {
    let listed = listed(database, doc! {}).await?;
    let named = |document: &&Document| document.get_str("name").is_ok_and(|found| found == name);
    let Some(found) = listed.iter().find(named) else {
        let mut others: Vec<String> = listed
            .iter()
            .filter_map(|document| document.get_str("name").ok())
            .filter(|other| !other.starts_with("system."))
            .map(str::to_owned)
            .collect();
        others.sort_unstable();
        let (database, collection) = (database.name().to_owned(), name.to_owned());
        return Err(AuditError::NoCollection { database, collection, others });
    };
    let options = options_of(found);
    let unsuitable = |kind: String, hint: &str| {
        Err(AuditError::Unsuitable { collection: name.to_owned(), kind, hint: hint.to_owned() })
    };
    match found.get_str("type") {
        Ok("view") => {
            let on = options.get_str("viewOn").unwrap_or("another collection");
            unsuitable(format!("a view on `{on}`"), "name the collection that holds the documents")
        }
        Ok("timeseries") => unsuitable("a time-series collection".to_owned(), "it cannot have unique indexes"),
        _ if options.get_bool("capped").unwrap_or(false) => Ok(CollectionKind::Capped),
        _ => Ok(CollectionKind::Plain),
    }
}

/// Reads a collection in batches. The next batch is fetched while the last one is being looked at.
pub(super) async fn batches(
    collection: &Collection<Document>,
    filter: Document,
    projection: Document,
    options: &AuditOptions,
) -> Result<mpsc::Receiver<mongodb::error::Result<RawBatch>>> {
    let (sender, receiver) = mpsc::channel(1);
    let mut cursor = collection
        .find(filter)
        .projection(projection)
        .batch_size(options.batch_size)
        .max_time(options.max_time)
        .comment("onlyone audit")
        .batch()
        .await
        .reading(collection.namespace().db.as_str(), &format!("read `{}`", collection.name()))?;
    let pause = options.pause;
    // It ends with the cursor, or when the reader has gone.
    tokio::spawn(async move {
        while let Some(batch) = cursor.next().await {
            let failed = batch.is_err();
            if sender.send(batch).await.is_err() || failed {
                break;
            }
            if pause > Duration::ZERO {
                tokio::time::sleep(pause).await;
            }
        }
    });
    Ok(receiver)
}
