//! What is read in the end, and what must hold of it, as they are written: `[observe.*]` and `[[invariant]]`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use toml::Spanned;

use super::file_fields::{Names, Stored};
use super::file_request::table_with_request;
use super::threads::Threads;
use super::values::{Bound, Count, DurationText};

/// `[observe]`
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table with `[observe.mongo]` or `[observe.http]`")]
pub(super) struct Observe {
    /// Read from the database.
    #[schemars(with = "Option<ObserveMongo>")]
    pub(super) mongo: Option<Spanned<ObserveMongo>>,
    /// Read through the service.
    #[schemars(with = "Option<ObserveHttp>")]
    pub(super) http: Option<Spanned<ObserveHttp>>,
}

/// `[observe.mongo]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ObserveMongo {
    /// Connection string.
    #[schemars(with = "Option<String>")]
    pub(super) uri: Option<Spanned<String>>,
    /// Database.
    #[schemars(with = "Option<String>")]
    pub(super) database: Option<Spanned<String>>,
    /// Collection.
    #[schemars(with = "Option<String>")]
    pub(super) collection: Option<Spanned<String>>,
    /// Path of the field that holds the key, or of the fields that hold it together.
    #[schemars(with = "Option<Names>")]
    pub(super) key: Option<Spanned<Names>>,
    /// Which documents are looked at: a filter of MongoDB's, as JSON. All others are none of the run's.
    #[serde(rename = "where")]
    #[schemars(with = "Option<String>")]
    pub(super) filter: Option<Spanned<String>>,
    /// How long work done in the background may take until everything is there.
    #[schemars(with = "Option<DurationText>")]
    pub(super) within: Option<Spanned<DurationText>>,
    /// What the key's fields hold, where that is not the key itself; templates.
    #[schemars(with = "Option<Stored>")]
    pub(super) stored: Option<Spanned<Stored>>,
    /// Path of the identifier.
    #[schemars(with = "Option<String>")]
    pub(super) id: Option<Spanned<String>>,
    /// How answers name a document, where that is not its identifier as it is stored; a template of `{{ id }}`.
    #[schemars(with = "Option<String>")]
    pub(super) id_as: Option<Spanned<String>>,
    /// Path of the stamp of the creating operation.
    #[schemars(with = "Option<String>")]
    pub(super) stamp: Option<Spanned<String>>,
    /// Path of the list of messages.
    #[schemars(with = "Option<String>")]
    pub(super) messages: Option<Spanned<String>>,
    /// Paths that are written on insert.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) insert_fields: Vec<Spanned<String>>,
    /// What each operation leaves in the document of its key.
    #[schemars(with = "Option<Elements>")]
    pub(super) elements: Option<Spanned<Elements>>,
    /// Whether a key may have one document only.
    #[schemars(with = "Option<bool>")]
    pub(super) single: Option<Spanned<bool>>,
}

/// `elements = { in = "tags", is = "t{{ op.id }}", count = "exactly-once" }`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Elements {
    /// Where they are: a dotted field, through lists; over HTTP a JSONPath.
    #[serde(rename = "in")]
    #[schemars(with = "String")]
    pub(super) place: Option<Spanned<String>>,
    /// What an operation leaves; a template.
    #[schemars(with = "String")]
    pub(super) is: Option<Spanned<String>>,
    /// How often: `exactly-once`, `at-most-once`, `at-least-once` or `set`.
    #[schemars(with = "Option<String>")]
    pub(super) count: Option<Spanned<String>>,
    /// Whether their order must respect real time.
    #[schemars(with = "Option<bool>")]
    pub(super) order: Option<Spanned<bool>>,
    /// The operations that leave one.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) operations: Vec<Spanned<String>>,
    /// Another collection that has them.
    #[schemars(with = "Option<String>")]
    pub(super) collection: Option<Spanned<String>>,
    /// The field of that collection which holds the key.
    #[schemars(with = "Option<String>")]
    pub(super) key: Option<Spanned<String>>,
}

table_with_request! {
    /// `[observe.http]`
    #[serde(deny_unknown_fields, expecting = "a table")]
    ObserveHttp {
        /// How long work done in the background may take until everything is there.
        #[schemars(with = "Option<DurationText>")]
        within: Option<Spanned<DurationText>>,
        /// JSONPath of the documents in the answer.
        #[schemars(with = "Option<String>")]
        documents: Option<Spanned<String>>,
        /// Where the identifier is.
        #[schemars(with = "Option<String>")]
        id: Option<Spanned<String>>,
        /// Field that holds the messages.
        #[schemars(with = "Option<String>")]
        messages: Option<Spanned<String>>,
        /// What each operation leaves in the document of its key.
        #[schemars(with = "Option<Elements>")]
        elements: Option<Spanned<Elements>>,
        /// Whether a key may have one document only.
        #[schemars(with = "Option<bool>")]
        single: Option<Spanned<bool>>,
        /// Where an observed thread has what.
        #[schemars(with = "Option<Threads>")]
        thread: Option<Spanned<Threads>>,
    }
}

/// `[[invariant]]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Invariant {
    /// Its name.
    #[schemars(with = "Option<String>")]
    pub(super) name: Option<Spanned<String>>,
    /// Database.
    #[schemars(with = "Option<String>")]
    pub(super) database: Option<Spanned<String>>,
    /// Collection.
    #[schemars(with = "Option<String>")]
    pub(super) collection: Option<Spanned<String>>,
    /// Aggregation pipeline as JSON; a template.
    #[schemars(with = "Option<String>")]
    pub(super) pipeline: Option<Spanned<String>>,
    /// What the query must give: `"empty"`, a number of documents, or bounds; per key, an expression over what was done.
    #[schemars(with = "Option<Expected>")]
    pub(super) expect: Option<Spanned<Expected>>,
    /// How long work done in the background may take until it is met; asked again until then.
    #[schemars(with = "Option<DurationText>")]
    pub(super) within: Option<Spanned<DurationText>>,
    /// What is judged by itself: `key` or `run`.
    #[schemars(with = "Option<String>")]
    pub(super) per: Option<Spanned<String>>,
    /// The operations that it speaks of.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) operations: Vec<Spanned<String>>,
    /// JSONPath of a value in each observed document, in place of an aggregation.
    #[schemars(with = "Option<String>")]
    pub(super) value: Option<Spanned<String>>,
    /// What a document of the aggregation names the key by; a template.
    #[schemars(with = "Option<String>")]
    pub(super) key: Option<Spanned<String>>,
    /// Most operations that may be acknowledged.
    #[schemars(with = "Option<Count>")]
    pub(super) at_most: Option<Spanned<Count>>,
    /// What is all different, and leaves none out: `number`.
    #[schemars(with = "Option<String>")]
    pub(super) distinct: Option<Spanned<String>>,
    /// Whether distinct numbers may be left out in between.
    #[schemars(with = "Option<bool>")]
    pub(super) gaps: Option<Spanned<bool>>,
}

/// `expect = "empty"`, `expect = 0` or `expect = { min = 0, max = 1 }`
#[derive(Debug)]
pub(super) enum Expected {
    Word(String),
    Exactly(f64),
    Bounds(Bounds),
}

/// `{ min = 0, max = 1 }`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table with `min`, `max` or both")]
pub(super) struct Bounds {
    /// At least so many; per key also an expression.
    #[schemars(with = "Option<Bound>")]
    pub(super) min: Option<Spanned<Bound>>,
    /// At most so many; per key also an expression.
    #[schemars(with = "Option<Bound>")]
    pub(super) max: Option<Spanned<Bound>>,
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByHand;
        impl<'de> Visitor<'de> for ByHand {
            type Value = Expected;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"empty\", a number, or a table with `min` and `max`")
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Expected, E> {
                Ok(Expected::Word(value.to_owned()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Expected, E> {
                Ok(Expected::Exactly(value as f64))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Expected, E> {
                Ok(Expected::Exactly(value as f64))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Expected, E> {
                Ok(Expected::Exactly(value))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Expected, A::Error> {
                Bounds::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Expected::Bounds)
            }
        }
        deserializer.deserialize_any(ByHand)
    }
}

impl schemars::JsonSchema for Expected {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Expected".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let bounds = generator.subschema_for::<Bounds>();
        schemars::json_schema!({ "anyOf": [{ "type": "string", "examples": ["empty", "like.acknowledged"] }, { "type": "number" }, bounds] })
    }
}
