//! The sections on a service over HTTP as they are written. As in `file`, keys that must be there are optional here.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::file_fields::{Names, Stored};
use super::messages::Messages;
use super::prior::{OneOrMany, Prior};
use super::threads::Threads;
use super::values::{Bound, Count, DurationText};

/// Texts by name.
pub(super) type Texts = BTreeMap<Spanned<String>, Spanned<String>>;

/// `[target.http]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Http {
    /// Where the service is; several: instances of one service, used in turn.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) base_urls: Vec<Spanned<String>>,
    /// An operation without an answer after this is unknown.
    #[schemars(with = "Option<DurationText>")]
    pub(super) timeout: Option<Spanned<DurationText>>,
    /// How a burst is let go: `task` or `last-byte`.
    #[schemars(with = "Option<String>")]
    pub(super) release: Option<Spanned<String>>,
    /// Whether HTTP/2 is spoken.
    #[schemars(with = "Option<bool>")]
    pub(super) http2: Option<Spanned<bool>>,
    /// How often an operation is sent again.
    #[schemars(with = "Option<Count>")]
    pub(super) retries: Option<Spanned<Count>>,
    /// Whether each client keeps cookies.
    #[serde(default)]
    pub(super) cookies: bool,
    /// Path asked for once per connection before the run.
    #[schemars(with = "Option<String>")]
    pub(super) warm_up: Option<Spanned<String>>,
    /// How clients identify themselves.
    #[serde(default)]
    pub(super) auth: Auth,
    /// Settings of TLS.
    #[serde(default)]
    pub(super) tls: Tls,
    /// How messages look in answers and documents.
    #[schemars(with = "Option<Messages>")]
    pub(super) messages: Option<Spanned<Messages>>,
    /// The requests, by name of the operation.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Operation>")]
    pub(super) operations: BTreeMap<Spanned<String>, Spanned<Operation>>,
}

/// `auth`
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Auth {
    /// A request before the run that gives each client its token.
    #[schemars(with = "Option<Login>")]
    pub(super) login: Option<Spanned<Login>>,
    /// Token of all clients.
    #[schemars(with = "Option<String>")]
    pub(super) bearer: Option<Spanned<String>>,
    /// Headers, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) headers: Texts,
}

/// `auth.login`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Login {
    /// The request.
    #[schemars(with = "Option<Request>")]
    pub(super) request: Option<Spanned<Request>>,
    /// JSONPath of the token in the answer.
    #[schemars(with = "Option<String>")]
    pub(super) token: Option<Spanned<String>>,
    /// The header that carries the token; by default `authorization`.
    #[schemars(with = "Option<String>")]
    pub(super) header: Option<Spanned<String>>,
    /// What stands before the token; by default `Bearer`.
    #[schemars(with = "Option<String>")]
    pub(super) scheme: Option<Spanned<String>>,
    /// Who logs in: each `user`, or one for all, `once`.
    #[schemars(with = "Option<String>")]
    pub(super) per: Option<Spanned<String>>,
    /// Requests before the log-in, such as one that fetches a token against forgery.
    #[schemars(with = "Option<OneOrMany<Prior>>")]
    pub(super) before: Option<Spanned<OneOrMany<Prior>>>,
}

/// `tls`
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Tls {
    /// File of a certificate authority to trust.
    #[schemars(with = "Option<String>")]
    pub(super) ca: Option<Spanned<String>>,
}

/// A request.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Request {
    /// Method of the request.
    #[schemars(with = "Option<String>")]
    pub(super) method: Option<Spanned<String>>,
    /// Path of the request; a template.
    #[schemars(with = "Option<String>")]
    pub(super) path: Option<Spanned<String>>,
    /// Headers, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) headers: Texts,
    /// Body as JSON; texts are templates.
    #[schemars(with = "Option<serde_json::Value>")]
    pub(super) json: Option<Spanned<Json>>,
    /// Body as it is; a template.
    #[schemars(with = "Option<String>")]
    pub(super) body: Option<Spanned<String>>,
    /// Body as a form; a template.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) form: Option<Spanned<Texts>>,
}

/// `[target.http.operations.NAME]`: a request, and how its answer is understood.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Operation {
    /// Method of the request.
    #[schemars(with = "Option<String>")]
    pub(super) method: Option<Spanned<String>>,
    /// Path of the request; a template.
    #[schemars(with = "Option<String>")]
    pub(super) path: Option<Spanned<String>>,
    /// Headers, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) headers: Texts,
    /// Body as JSON; texts are templates.
    #[schemars(with = "Option<serde_json::Value>")]
    pub(super) json: Option<Spanned<Json>>,
    /// Body as it is; a template.
    #[schemars(with = "Option<String>")]
    pub(super) body: Option<Spanned<String>>,
    /// Body as a form; a template.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) form: Option<Spanned<Texts>>,
    /// JSONPaths of what the answer says.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) outcome: Texts,
    /// How statuses are understood.
    #[serde(default)]
    pub(super) status: Status,
    /// How often it is chosen, relative to the others.
    #[schemars(with = "Option<Count>")]
    pub(super) weight: Option<Spanned<Count>>,
    /// What its keys are.
    #[schemars(with = "Option<String>")]
    pub(super) keys: Option<Spanned<String>>,
    /// Requests that come first, once per key.
    #[schemars(with = "Option<OneOrMany<Prior>>")]
    pub(super) before: Option<Spanned<OneOrMany<Prior>>>,
}

/// `status`
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table of lists, such as `{ ok = [200, 201] }`")]
pub(super) struct Status {
    /// It happened.
    #[schemars(with = "Option<Vec<Count>>")]
    pub(super) ok: Option<Vec<Spanned<Count>>>,
    /// It happened and created.
    #[schemars(with = "Option<Vec<Count>>")]
    pub(super) created: Option<Vec<Spanned<Count>>>,
    /// It was rightly refused: what the loser of a unique create is told. No effect, and no error.
    #[schemars(with = "Option<Vec<Count>>")]
    pub(super) refused: Option<Vec<Spanned<Count>>>,
    /// Of a read: there is nothing.
    #[schemars(with = "Option<Vec<Count>>")]
    pub(super) absent: Option<Vec<Spanned<Count>>>,
    /// It certainly had no effect.
    #[schemars(with = "Option<Vec<Count>>")]
    pub(super) failed: Option<Vec<Spanned<Count>>>,
    /// It may have had an effect.
    #[schemars(with = "Option<Vec<Count>>")]
    pub(super) unknown: Option<Vec<Spanned<Count>>>,
}

/// `[service]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Service {
    /// The program and its arguments.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) command: Option<Spanned<Vec<Spanned<String>>>>,
    /// Folder to start it in, relative to the scenario file.
    #[schemars(with = "Option<String>")]
    pub(super) dir: Option<Spanned<String>>,
    /// Environment; templates.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) env: Texts,
    /// Whether it gets the whole environment of the harness, and not only a few harmless variables of it.
    #[serde(default)]
    pub(super) inherit: bool,
    /// Which port it listens on: `given`, the one that it is told (default), or `found`, wherever its processes listen.
    #[schemars(with = "Option<String>")]
    pub(super) port: Option<Spanned<String>>,
    /// Path polled until it answers 2xx; without it any answer at all is enough.
    #[schemars(with = "Option<String>")]
    pub(super) ready: Option<Spanned<String>>,
    /// How long that may take.
    #[schemars(with = "Option<DurationText>")]
    pub(super) ready_timeout: Option<Spanned<DurationText>>,
    /// How many are started.
    #[schemars(with = "Option<Count>")]
    pub(super) instances: Option<Spanned<Count>>,
}

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
    /// What the key's fields hold, where that is not the key itself; templates.
    #[schemars(with = "Option<Stored>")]
    pub(super) stored: Option<Spanned<Stored>>,
    /// Path of the identifier.
    #[schemars(with = "Option<String>")]
    pub(super) id: Option<Spanned<String>>,
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

/// `[observe.http]`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ObserveHttp {
    /// Method of the request.
    #[schemars(with = "Option<String>")]
    pub(super) method: Option<Spanned<String>>,
    /// Path of the request; a template.
    #[schemars(with = "Option<String>")]
    pub(super) path: Option<Spanned<String>>,
    /// Headers, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) headers: Texts,
    /// Body as JSON; texts are templates.
    #[schemars(with = "Option<serde_json::Value>")]
    pub(super) json: Option<Spanned<Json>>,
    /// Body as it is; a template.
    #[schemars(with = "Option<String>")]
    pub(super) body: Option<Spanned<String>>,
    /// Body as a form; a template.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) form: Option<Spanned<Texts>>,
    /// JSONPath of the documents in the answer.
    #[schemars(with = "Option<String>")]
    pub(super) documents: Option<Spanned<String>>,
    /// Where the identifier is.
    #[schemars(with = "Option<String>")]
    pub(super) id: Option<Spanned<String>>,
    /// Field that holds the messages.
    #[schemars(with = "Option<String>")]
    pub(super) messages: Option<Spanned<String>>,
    /// What each operation leaves in the document of its key.
    #[schemars(with = "Option<Elements>")]
    pub(super) elements: Option<Spanned<Elements>>,
    /// Where an observed thread has what.
    #[schemars(with = "Option<Threads>")]
    pub(super) thread: Option<Spanned<Threads>>,
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

/// JSON written as TOML; each part knows its place.
#[derive(Debug)]
pub(super) enum Json {
    Plain(serde_json::Value),
    Text(String),
    List(Vec<Spanned<Json>>),
    Object(Vec<(Spanned<String>, Spanned<Json>)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByHand;
        impl<'de> Visitor<'de> for ByHand {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON written as TOML")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Plain(value.into()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Plain(value.into()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Plain(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
                match serde_json::Number::from_f64(value) {
                    Some(number) => Ok(Json::Plain(number.into())),
                    None => Err(E::custom("JSON has no such number")),
                }
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Json::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut entries: Vec<(Spanned<String>, Spanned<Json>)> = Vec::new();
                // The parser hands a date over as a map of one name, which has no place.
                let no_date = |error: A::Error| match error.to_string().contains("$__toml_private") {
                    true => A::Error::custom("JSON has no dates: write the date as a text"),
                    false => error,
                };
                while let Some(name) = map.next_key::<Spanned<String>>().map_err(no_date)? {
                    entries.push((name, map.next_value()?));
                }
                Ok(Json::Object(entries))
            }
        }
        deserializer.deserialize_any(ByHand)
    }
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
