//! Custom invariants: the user's own aggregations, carried out while no operation of the run is in flight. They only read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use mongodb::bson::Document;
use serde::{Deserialize, Serialize};

use super::aggregations::{Aggregations, Rendered};
use super::looked_at::{LookedAt, looked_at};
use super::{Connected, PoolOptions, truth};
use crate::scenario::{Expected, InvariantSpec};
use crate::target::{Guard, MongoUri, TargetError};

/// Documents kept of what should have been empty: more than are shown, so that those of the load are among them.
const EXAMPLES: usize = 40;
/// Documents counted at most.
const MOST: u64 = 1_000_000;
/// Between two looks at what may still be moving.
const BETWEEN: Duration = Duration::from_millis(200);
/// What is not as expected must stay as it is for so long: work in the background may be about to mend it.
const UNMET_FOR: Duration = Duration::from_secs(1);
/// What never comes to rest is looked at no longer than this, besides the invariant's own `within`.
const LONGEST: Duration = Duration::from_secs(5);

/// What came of an aggregation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryResult {
    /// Name of the invariant, without `custom:`.
    pub name: String,
    /// How many documents.
    pub documents: u64,
    /// The first of them.
    pub examples: Vec<serde_json::Value>,
    /// What it looked at; absent in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<LookedAt>,
    /// Two answers in a row were never equal in the time that there was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moving: bool,
    /// Why it could not be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A connection on which aggregations are carried out.
#[derive(Debug)]
pub struct Queries(Aggregations);

impl Queries {
    /// Connects. `database` is that of aggregations that name none.
    pub async fn open(
        uri: &MongoUri,
        guard: &Guard,
        database: &str,
        run_id: &str,
        captured: BTreeMap<String, String>,
    ) -> Result<Self, TargetError> {
        Aggregations::open(uri, guard, database, run_id, captured).await.map(Queries)
    }

    /// What the set-up has captured since: it was done anew.
    pub(crate) fn capture(&self, captured: BTreeMap<String, String>) {
        self.0.capture(captured);
    }

    /// Carries the aggregations out, in their order. One that fails tells why; it stops no other.
    pub async fn run(&self, specs: &[InvariantSpec]) -> Vec<QueryResult> {
        let mut results = Vec::new();
        for spec in specs {
            results.push(self.run_one(spec).await);
        }
        results
    }

    async fn run_one(&self, spec: &InvariantSpec) -> QueryResult {
        let result = match truth::await_majority(&self.0.connected, &self.0.database).await {
            Ok(()) => aggregate(spec, &self.0).await,
            Err(error) => Err(format!("a majority does not have the last writes: {}", error.kind)),
        };
        result.unwrap_or_else(|error| QueryResult {
            error: Some(self.0.uri.redact_text(&error)),
            ..QueryResult::nothing(&spec.name)
        })
    }

    /// Carries the aggregations out again and again, each until what it gives is at rest: until two answers in a row are
    /// equal, and, where they are not as expected, until they have stayed so for a while, or until the invariant's own
    /// `within` is over. The service may still be at work in the background.
    pub async fn run_until_at_rest(&self, specs: &[InvariantSpec]) -> Vec<QueryResult> {
        futures::future::join_all(specs.iter().map(|spec| self.at_rest(spec))).await
    }

    async fn at_rest(&self, spec: &InvariantSpec) -> QueryResult {
        let begin = Instant::now();
        let mut last = self.run_one(spec).await;
        let mut since = begin;
        loop {
            tokio::time::sleep(BETWEEN).await;
            let now = self.run_one(spec).await;
            let equal = now.gives_as_much_as(&last);
            if !equal {
                since = Instant::now();
            }
            last = now;
            let looked = last.looked_at.as_ref().is_some_and(|looked_at| looked_at.missing.is_empty());
            let met = looked && spec.expect.is_met(last.documents, last.examples.first());
            let long_enough = since.elapsed() >= UNMET_FOR && begin.elapsed() >= spec.within;
            if equal && (met || long_enough) {
                return last;
            }
            if begin.elapsed() >= LONGEST + spec.within {
                return QueryResult { moving: !equal, ..last };
            }
        }
    }
}

impl QueryResult {
    /// Why it says nothing, if it does not.
    pub(crate) fn blindness(&self) -> Option<String> {
        if let Some(error) = &self.error {
            return Some(format!("the aggregation failed: {error}"));
        }
        let looked_at = self.looked_at.as_ref().filter(|looked_at| !looked_at.missing.is_empty())?;
        Some(format!("nothing was looked at: {}", looked_at.missing.join("; ")))
    }

    /// Whether nothing was looked at.
    pub(crate) fn is_blind(&self) -> bool {
        self.blindness().is_some()
    }

    /// Whether two answers are equal, as far as their order does not matter: which documents come first is the server's choice.
    pub(crate) fn gives_as_much_as(&self, other: &Self) -> bool {
        let one = |result: &Self| result.examples.first().filter(|_| result.documents == 1).cloned();
        (self.documents, &self.looked_at, &self.error) == (other.documents, &other.looked_at, &other.error)
            && one(self) == one(other)
    }

    /// The result of an aggregation that gave nothing yet.
    fn nothing(name: &str) -> Self {
        let name = name.to_owned();
        QueryResult { name, documents: 0, examples: Vec::new(), looked_at: None, moving: false, error: None }
    }
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

async fn aggregate(spec: &InvariantSpec, aggregations: &Aggregations) -> Result<QueryResult, String> {
    let Rendered { database, collection, pipeline } =
        aggregations.rendered(spec.database.as_deref(), &spec.collection, &spec.pipeline)?;
    let failed = |error: mongodb::error::Error| error.kind.to_string();
    let (mut looked_at, empty) = looked_at(&database, &collection, &pipeline).await.map_err(failed)?;
    if !matches!(spec.expect, Expected::Empty) {
        looked_at.missing.extend(empty.iter().cloned());
    }
    let nowhere = !looked_at.missing.is_empty();
    let mut result = QueryResult { looked_at: Some(looked_at), ..QueryResult::nothing(&spec.name) };
    if nowhere {
        return Ok(result);
    }
    let mut cursor = database.collection::<Document>(&collection).aggregate(pipeline).await.map_err(failed)?;
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
    // Documents of which there must be none are evidence, whatever else is empty. That there are none is not.
    if result.documents == 0 && !empty.is_empty() {
        result.looked_at.iter_mut().for_each(|looked_at| looked_at.missing.extend(empty.iter().cloned()));
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;
    use crate::mongod::{Mongod, Options};
    use crate::scenario::{MongodSpec, Scope, SecretText, Template};

    #[tokio::test]
    async fn what_must_not_be_there_is_evidence_whatever_is_empty_beside_it() {
        let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: false })).await.unwrap();
        let (uri, guard) = (MongoUri::new(mongod.uri()), Guard::default());
        let queries = Queries::open(&uri, &guard, "onlyone_joined", "r1", BTreeMap::new()).await.unwrap();
        let database = mongodb::Client::with_uri_str(mongod.uri()).await.unwrap().database("onlyone_joined");
        let text = |text: &str| Template::compile(SecretText::plain(text), Scope::Run).unwrap();
        let pipeline = r#"[{ "$lookup": { "from": "posts", "localField": "post", "foreignField": "_id", "as": "p" } },
            { "$match": { "p": [] } }]"#;
        let spec = |expect| InvariantSpec {
            name: "no orphans".into(),
            database: None,
            collection: text("comments"),
            pipeline: text(pipeline),
            expect,
            within: Duration::ZERO,
        };
        let asked = async |expect| {
            let result = queries.run(&[spec(expect)]).await.remove(0);
            (result.documents, result.blindness().unwrap_or_default())
        };
        let comments = database.collection::<Document>("comments");
        comments.insert_one(doc! { "_id": 1, "post": 1 }).await.unwrap();
        let (found, why) = asked(Expected::Empty).await;
        assert!(found == 0 && why.contains("`posts`, which the aggregation joins"), "it may be misspelt: {why}");
        database.create_collection("posts").await.unwrap();
        assert_eq!(asked(Expected::Empty).await, (1, String::new()), "the post is gone, and the comment is not");
        let (_, why) = asked(Expected::Number { min: 0.0, max: 1.0 }).await;
        assert!(why.contains("holds nothing"), "a number of nothing says nothing: {why}");
        comments.delete_one(doc! { "_id": 1 }).await.unwrap();
        comments.insert_one(doc! { "_id": 2, "post": 2, "p": 1 }).await.unwrap();
        database.collection::<Document>("posts").insert_one(doc! { "_id": 2 }).await.unwrap();
        assert_eq!(asked(Expected::Empty).await, (0, String::new()));
        mongod.stop().await.unwrap();
    }
}
