//! Custom invariants: the user's own aggregations, carried out once nothing of the run is in flight. They only read.

use futures::TryStreamExt;
use minijinja::context;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document};
use serde::{Deserialize, Serialize};

use super::{Connected, PoolOptions};
use crate::scenario::InvariantSpec;
use crate::target::{Guard, MongoUri, TargetError};

/// Documents kept of what should have been empty.
const EXAMPLES: usize = 5;
/// Documents counted at most.
const MOST: u64 = 1_000_000;

/// What came of an aggregation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryResult {
    /// Name of the invariant, without `custom:`.
    pub name: String,
    /// How many documents.
    pub documents: u64,
    /// The first of them.
    pub examples: Vec<serde_json::Value>,
    /// Why it could not be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A connection on which aggregations are carried out.
#[derive(Debug)]
pub struct Queries {
    connected: Connected,
    uri: MongoUri,
    database: String,
    run_id: String,
}

impl Queries {
    /// Connects. `database` is that of aggregations that name none.
    pub async fn open(uri: &MongoUri, guard: &Guard, database: &str, run_id: &str) -> Result<Self, TargetError> {
        let pool = PoolOptions { connections: 1, retry_writes: false, retry_reads: true };
        let connected = Connected::open(uri, guard, pool).await?;
        Ok(Queries { connected, uri: uri.clone(), database: database.to_owned(), run_id: run_id.to_owned() })
    }

    /// Carries the aggregations out, in their order. One that fails tells why; it stops no other.
    pub async fn run(&self, specs: &[InvariantSpec]) -> Vec<QueryResult> {
        let mut results = Vec::new();
        for spec in specs {
            let result = run(spec, &self.connected, &self.database, &self.run_id).await;
            let failed = |error: String| QueryResult {
                name: spec.name.clone(),
                documents: 0,
                examples: Vec::new(),
                error: Some(self.uri.redact_text(&error)),
            };
            results.push(result.unwrap_or_else(failed));
        }
        results
    }
}

/// Connects, and carries the aggregations out.
pub async fn run_queries(
    specs: &[InvariantSpec],
    uri: &MongoUri,
    guard: &Guard,
    database: &str,
    run_id: &str,
) -> Result<Vec<QueryResult>, TargetError> {
    Ok(Queries::open(uri, guard, database, run_id).await?.run(specs).await)
}

/// Drops a database that the run made.
pub async fn drop_database(uri: &MongoUri, guard: &Guard, database: &str) -> Result<(), TargetError> {
    let pool = PoolOptions { connections: 1, retry_writes: false, retry_reads: false };
    let connected = Connected::open(uri, guard, pool).await?;
    let dropped = connected.client.database(database).drop().await;
    dropped.map_err(|error| TargetError::Step {
        step: "dropping the run's database".to_owned(),
        source: uri.redact(error),
    })
}

async fn run(spec: &InvariantSpec, connected: &Connected, database: &str, run_id: &str) -> Result<QueryResult, String> {
    let variables = context! { run => context! { id => run_id }, mongo => context! { database } };
    let text = spec.pipeline.render(&variables).map_err(|error| error.to_string())?;
    let stages: Vec<serde_json::Value> =
        serde_json::from_str(&text).map_err(|error| format!("the pipeline is not a list of stages: {error}"))?;
    let stage = |stage: serde_json::Value| match bson_of(stage)? {
        Bson::Document(stage) => Ok(stage),
        _ => Err("a stage of the pipeline is not an object".to_owned()),
    };
    let pipeline: Vec<Document> = stages.into_iter().map(stage).collect::<Result<_, _>>()?;
    let collection = spec.collection.render(&variables).map_err(|error| error.to_string())?;
    let database = connected.client.database(spec.database.as_deref().unwrap_or(database));
    let failed = |error: mongodb::error::Error| error.kind.to_string();
    let mut cursor = database.collection::<Document>(&collection).aggregate(pipeline).await.map_err(failed)?;
    let mut result = QueryResult { name: spec.name.clone(), documents: 0, examples: Vec::new(), error: None };
    while let Some(document) = cursor.try_next().await.map_err(failed)? {
        result.documents += 1;
        if result.examples.len() < EXAMPLES {
            let shown = serde_json::to_value(&document);
            result.examples.push(shown.map_err(|error| format!("a document cannot be shown: {error}"))?);
        }
        if result.documents >= MOST {
            break;
        }
    }
    Ok(result)
}

/// A value of a pipeline; an ObjectId and a date are written as MongoDB's extended JSON has them.
fn bson_of(value: serde_json::Value) -> Result<Bson, String> {
    use serde_json::Value as Json;
    Ok(match value {
        Json::Null => Bson::Null,
        Json::Bool(value) => Bson::Boolean(value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32),
            None => Bson::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Bson::String(text),
        Json::Array(items) => Bson::Array(items.into_iter().map(bson_of).collect::<Result<_, _>>()?),
        Json::Object(object) => {
            if let (1, Some((name, Json::String(text)))) = (object.len(), object.iter().next()) {
                match name.as_str() {
                    "$oid" => {
                        return ObjectId::parse_str(text)
                            .map(Bson::ObjectId)
                            .map_err(|_| format!("`{text}` is no ObjectId"));
                    }
                    "$date" => {
                        return DateTime::parse_rfc3339_str(text)
                            .map(Bson::DateTime)
                            .map_err(|_| format!("`{text}` is no date: write 2026-01-31T12:00:00Z"));
                    }
                    _ => {}
                }
            }
            let entry = |(name, value)| Ok::<_, String>((name, bson_of(value)?));
            Bson::Document(object.into_iter().map(entry).collect::<Result<Document, _>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_becomes_what_mongodb_takes() {
        let id = "0123456789abcdef01234567";
        let found =
            bson_of(json!({ "a": [1, 1.5, null, true], "b": { "$oid": id }, "$match": { "n": 5_000_000_000_i64 } }));
        let expected = mongodb::bson::doc! {
            "a": [1, 1.5, Bson::Null, true],
            "b": ObjectId::parse_str(id).unwrap(),
            "$match": { "n": 5_000_000_000_i64 },
        };
        assert_eq!(found, Ok(Bson::Document(expected)));
        assert!(bson_of(json!({ "$oid": "x" })).is_err());
        assert!(matches!(bson_of(json!({ "$date": "2026-01-31T12:00:00Z" })), Ok(Bson::DateTime(_))));
    }
}
