//! Rows of a database for the user's own rules about values and elements: [`Rows`]. They are only read.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::aggregations::{Aggregations, Rendered};
use super::truth;
use crate::scenario::Template;
use crate::target::{Guard, MongoUri, TargetError};

/// Rows read at most.
const MOST: usize = 5_000_000;

/// A connection on which rows are read.
#[derive(Debug)]
pub(in crate::target) struct Rows(Aggregations);

impl Rows {
    /// Connects. `database` is that of aggregations that name none.
    pub(in crate::target) async fn open(
        uri: &MongoUri,
        guard: &Guard,
        database: &str,
        run_id: &str,
        captured: BTreeMap<String, String>,
    ) -> Result<Self, TargetError> {
        let aggregations = Aggregations::open(uri, guard, database, run_id, captured).await?;
        truth::await_majority(&aggregations.connected, database).await.map_err(|error| TargetError::Step {
            step: "waiting until a majority has the last writes".to_owned(),
            source: uri.redact(error),
        })?;
        Ok(Rows(aggregations))
    }

    /// Everything that an aggregation gives.
    pub(in crate::target) async fn aggregate(
        &self,
        database: Option<&str>,
        collection: &Template,
        pipeline: &Template,
    ) -> Result<Vec<serde_json::Value>, String> {
        let Rendered { database, collection, pipeline } = self.0.rendered(database, collection, pipeline)?;
        let failed = |error: mongodb::error::Error| self.0.uri.redact_text(&error.kind.to_string());
        let cursor = database.collection::<Document>(&collection).aggregate(pipeline).await.map_err(failed)?;
        collect(cursor).await.map_err(|error| self.0.uri.redact_text(&error))
    }

    /// Every document of a collection.
    pub(in crate::target) async fn documents(&self, collection: &str) -> Result<Vec<serde_json::Value>, TargetError> {
        let failed = |source: String| TargetError::Step {
            step: "reading the elements".to_owned(),
            source: self.0.uri.redact_text(&source).into(),
        };
        let collection = self.0.connected.client.database(&self.0.database).collection::<Document>(collection);
        let cursor = collection.find(doc! {}).sort(doc! { "_id": 1 }).batch_size(1000).await;
        let cursor = cursor.map_err(|error| failed(error.kind.to_string()))?;
        collect(cursor).await.map_err(failed)
    }
}

async fn collect(mut cursor: mongodb::Cursor<Document>) -> Result<Vec<serde_json::Value>, String> {
    let mut rows = Vec::new();
    while let Some(row) = cursor.try_next().await.map_err(|error| error.kind.to_string())? {
        rows.push(serde_json::to_value(&row).map_err(|error| format!("a row cannot be read: {error}"))?);
        if rows.len() > MOST {
            return Err(format!("there are more than {MOST} rows"));
        }
    }
    Ok(rows)
}
