//! Aggregations of the user's own as they are written in the scenario: their texts rendered for this run, as MongoDB takes them,
//! and the connection on which they are carried out. Main type: [`Aggregations`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use minijinja::context;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document};

use super::Connected;
use crate::scenario::Template;
use crate::target::{Guard, MongoUri, TargetError};

/// A reading connection, and what the templates of aggregations know.
#[derive(Debug)]
pub(super) struct Aggregations {
    pub(super) connected: Connected,
    pub(super) uri: MongoUri,
    /// That of aggregations that name none.
    pub(super) database: String,
    run_id: String,
    /// What the set-up captured, for the templates.
    captured: Mutex<BTreeMap<String, String>>,
}

/// An aggregation, rendered.
pub(super) struct Rendered {
    pub(super) database: Database,
    pub(super) collection: String,
    pub(super) pipeline: Vec<Document>,
}

impl Aggregations {
    /// Connects.
    pub(super) async fn open(
        uri: &MongoUri,
        guard: &Guard,
        database: &str,
        run_id: &str,
        captured: BTreeMap<String, String>,
    ) -> Result<Self, TargetError> {
        let connected = Connected::open_reading(uri, guard).await?;
        let (uri, database, run_id) = (uri.clone(), database.to_owned(), run_id.to_owned());
        Ok(Aggregations { connected, uri, database, run_id, captured: Mutex::new(captured) })
    }

    /// What the set-up has captured since.
    pub(super) fn capture(&self, captured: BTreeMap<String, String>) {
        *self.captured.lock().unwrap_or_else(PoisonError::into_inner) = captured;
    }

    /// What is to be carried out. `database` where it is not that of the others.
    pub(super) fn rendered(
        &self,
        database: Option<&str>,
        collection: &Template,
        pipeline: &Template,
    ) -> Result<Rendered, String> {
        let (run, mongo) = (context! { id => &self.run_id }, context! { database => &self.database });
        let setup = self.captured.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let variables = context! { run, mongo, setup };
        let pipeline = pipeline_of(pipeline, &variables)?;
        let collection = collection.render(&variables).map_err(|error| error.to_string())?;
        let database = self.connected.client.database(database.unwrap_or(&self.database));
        Ok(Rendered { database, collection, pipeline })
    }
}

/// The stages of a pipeline.
fn pipeline_of(pipeline: &Template, variables: &minijinja::Value) -> Result<Vec<Document>, String> {
    let text = pipeline.render(variables).map_err(|error| error.to_string())?;
    let stages: Vec<serde_json::Value> =
        serde_json::from_str(&text).map_err(|error| format!("the pipeline is not a list of stages: {error}"))?;
    let stage = |stage: serde_json::Value| match bson_of(stage)? {
        Bson::Document(stage) => Ok(stage),
        _ => Err("a stage of the pipeline is not an object".to_owned()),
    };
    stages.into_iter().map(stage).collect()
}

/// A filter that is written as JSON.
pub fn filter_of(text: &str) -> Result<Document, String> {
    let filter = serde_json::from_str(text).map_err(|error| format!("the filter is not JSON: {error}"))?;
    match bson_of(filter)? {
        Bson::Document(filter) => Ok(filter),
        _ => Err("the filter is not an object".to_owned()),
    }
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
