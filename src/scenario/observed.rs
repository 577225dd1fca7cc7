//! What a validated scenario says of what is read in the end, and of what must hold of it: `[observe.*]`, `[[invariant]]`.

use std::fmt;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::{Serialize, Serializer};

use super::http::RequestSpec;
use super::json_path::JsonPath;
use super::rules::ElementsSpec;
use super::secret::SecretText;
use super::template::Template;
use super::threads::ThreadPaths;

/// Where the final state is read (`[observe]`).
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ObserveSpec {
    /// From the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mongo: Option<ObserveMongo>,
    /// Through the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<ObserveHttp>,
}

/// Reads the final state from the database (`[observe.mongo]`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObserveMongo {
    /// The server; `None` is the run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<SecretText>,
    /// The database; `None` is the run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The collection.
    pub collection: String,
    /// The paths of the fields that hold the key, mostly one.
    #[serde(serialize_with = "one_or_list")]
    pub key: Vec<String>,
    /// Which documents are looked at: a filter, as JSON; `None` is all.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// How long work done in the background may take until everything is there. Default none.
    #[serde(with = "friendly", skip_serializing_if = "Duration::is_zero")]
    pub within: Duration,
    /// What each of the key's fields holds, in their order; empty where it is the key itself.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "one_or_list")]
    pub stored: Vec<Template>,
    /// The path of what identifies a document. Default `_id`.
    pub id: String,
    /// How answers name a document: a template of its identifier, `{{ id }}`. By default it is that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_as: Option<Template>,
    /// The path of the number of the creating operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
    /// The path of the messages, where documents have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<String>,
    /// Paths that every complete document has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub insert_fields: Vec<String>,
    /// What operations leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elements: Option<ElementsSpec>,
    /// Whether a key may have one document only, where the user says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single: Option<bool>,
}

/// Reads the final state through the service (`[observe.http]`), one request per key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObserveHttp {
    /// The request.
    #[serde(flatten)]
    pub request: RequestSpec,
    /// Where the answer has the documents.
    pub documents: JsonPath,
    /// Where each of them has its identifier. Default `$._id`.
    pub id: JsonPath,
    /// The field that holds the messages, where documents have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<String>,
    /// What operations leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elements: Option<ElementsSpec>,
    /// Whether a key may have one document only, where the user says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single: Option<bool>,
    /// How long work done in the background may take until everything is there. Default none.
    #[serde(with = "friendly", skip_serializing_if = "Duration::is_zero")]
    pub within: Duration,
    /// Where a thread has what, in the workload of threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<ThreadPaths>,
}

impl ObserveHttp {
    /// Whether it shows messages of threads, one by one or as a number.
    pub fn shows_messages(&self) -> bool {
        self.messages.is_some() || self.counts_messages()
    }

    /// Whether it shows how many messages a thread has.
    pub fn counts_messages(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| thread.message_count.is_some())
    }
}

impl ObserveSpec {
    /// How long work done in the background may take, wherever the final state is read.
    pub fn within(&self) -> Duration {
        let mongo = self.mongo.as_ref().map(|mongo| mongo.within);
        mongo.or_else(|| self.http.as_ref().map(|http| http.within)).unwrap_or_default()
    }

    /// What operations leave, wherever that is read.
    pub fn elements(&self) -> Option<&ElementsSpec> {
        let mongo = self.mongo.as_ref().and_then(|mongo| mongo.elements.as_ref());
        mongo.or_else(|| self.http.as_ref().and_then(|http| http.elements.as_ref()))
    }

    /// Whether a key may have one document only, where the user says so.
    pub fn single(&self) -> Option<bool> {
        let mongo = self.mongo.as_ref().and_then(|mongo| mongo.single);
        mongo.or_else(|| self.http.as_ref().and_then(|http| http.single))
    }
}

/// A user's own invariant (`[[invariant]]`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InvariantSpec {
    /// Its name, after `custom:`.
    pub name: String,
    /// The database; `None` is that of the observation, or the run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The collection.
    pub collection: Template,
    /// The aggregation, as JSON.
    pub pipeline: Template,
    /// What must come of it.
    pub expect: Expected,
    /// How long work done in the background may take until it is met. Default none.
    #[serde(with = "friendly", skip_serializing_if = "Duration::is_zero")]
    pub within: Duration,
}

/// What must come of an aggregation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expected {
    /// No document.
    Empty,
    /// One document with one number, within these bounds.
    Number {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
}

impl Expected {
    /// Whether an aggregation that gave so many documents, the first of which is this one, is as expected. What cannot be
    /// told is not.
    pub fn is_met(&self, documents: u64, first: Option<&serde_json::Value>) -> bool {
        match self {
            Expected::Empty => documents == 0,
            Expected::Number { min, max } => {
                the_number(documents, first).is_ok_and(|number| (*min..=*max).contains(&number))
            }
        }
    }
}

/// The one number of the one document of an aggregation; no document counts as 0, which is what `$count` and `$group` give
/// of nothing.
pub fn the_number(documents: u64, first: Option<&serde_json::Value>) -> Result<f64, String> {
    let document = match (documents, first) {
        (0, _) => return Ok(0.0),
        (1, Some(document)) => document,
        (found, _) => return Err(format!("the aggregation must give one document, and gave {found}")),
    };
    let fields = document.as_object().into_iter().flatten();
    let numbers: Vec<f64> = fields.filter(|(name, _)| *name != "_id").filter_map(|(_, value)| value.as_f64()).collect();
    match numbers.as_slice() {
        [number] => Ok(*number),
        numbers => Err(format!("the document must have one number besides `_id`, and has {}", numbers.len())),
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Empty => f.write_str("empty"),
            Expected::Number { min, max } if min == max => write!(f, "the number {min}"),
            Expected::Number { min, max: f64::INFINITY } => write!(f, "a number of at least {min}"),
            Expected::Number { min: f64::NEG_INFINITY, max } => write!(f, "a number of at most {max}"),
            Expected::Number { min, max } => write!(f, "a number from {min} to {max}"),
        }
    }
}

impl Serialize for Expected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Expected::Empty => serializer.serialize_str("empty"),
            Expected::Number { min, max } => serializer.collect_map([("min", min), ("max", max)]),
        }
    }
}

/// One value is written as itself.
pub(super) fn one_or_list<T: Serialize, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    match values {
        [one] => one.serialize(serializer),
        several => several.serialize(serializer),
    }
}
