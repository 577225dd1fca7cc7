//! The sections on a service over HTTP as they are written. As in `file`, keys that must be there are optional here.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::values::{Count, DurationText, Number};

/// Texts by name.
pub(super) type Texts = BTreeMap<Spanned<String>, Spanned<String>>;

/// `[target.http]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Http {
    #[serde(default)]
    pub(super) base_urls: Vec<Spanned<String>>,
    pub(super) timeout: Option<Spanned<DurationText>>,
    pub(super) release: Option<Spanned<String>>,
    pub(super) http2: Option<Spanned<bool>>,
    pub(super) retries: Option<Spanned<Count>>,
    #[serde(default)]
    pub(super) cookies: bool,
    pub(super) warm_up: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) auth: Auth,
    #[serde(default)]
    pub(super) tls: Tls,
    #[serde(default)]
    pub(super) operations: BTreeMap<Spanned<String>, Spanned<Operation>>,
}

/// `auth`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Auth {
    pub(super) login: Option<Spanned<Login>>,
    pub(super) bearer: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) headers: Texts,
}

/// `auth.login`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Login {
    pub(super) request: Option<Spanned<Request>>,
    pub(super) token: Option<Spanned<String>>,
}

/// `tls`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Tls {
    pub(super) ca: Option<Spanned<String>>,
}

/// A request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Request {
    pub(super) method: Option<Spanned<String>>,
    pub(super) path: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) headers: Texts,
    pub(super) json: Option<Spanned<Json>>,
    pub(super) body: Option<Spanned<String>>,
    pub(super) form: Option<Spanned<Texts>>,
}

/// `[target.http.operations.NAME]`: a request, and how its answer is understood.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Operation {
    pub(super) method: Option<Spanned<String>>,
    pub(super) path: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) headers: Texts,
    pub(super) json: Option<Spanned<Json>>,
    pub(super) body: Option<Spanned<String>>,
    pub(super) form: Option<Spanned<Texts>>,
    #[serde(default)]
    pub(super) outcome: Texts,
    #[serde(default)]
    pub(super) status: Status,
    pub(super) weight: Option<Spanned<Count>>,
    pub(super) keys: Option<Spanned<String>>,
}

/// `status`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of lists, such as `{ ok = [200, 201] }`")]
pub(super) struct Status {
    pub(super) ok: Option<Vec<Spanned<Count>>>,
    pub(super) created: Option<Vec<Spanned<Count>>>,
    pub(super) failed: Option<Vec<Spanned<Count>>>,
    pub(super) unknown: Option<Vec<Spanned<Count>>>,
}

/// `[service]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Service {
    pub(super) command: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) dir: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) env: Texts,
    pub(super) ready: Option<Spanned<String>>,
    pub(super) ready_timeout: Option<Spanned<DurationText>>,
    pub(super) instances: Option<Spanned<Count>>,
}

/// `[observe]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `[observe.mongo]` or `[observe.http]`")]
pub(super) struct Observe {
    pub(super) mongo: Option<Spanned<ObserveMongo>>,
    pub(super) http: Option<Spanned<ObserveHttp>>,
}

/// `[observe.mongo]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ObserveMongo {
    pub(super) uri: Option<Spanned<String>>,
    pub(super) database: Option<Spanned<String>>,
    pub(super) collection: Option<Spanned<String>>,
    pub(super) key: Option<Spanned<String>>,
    pub(super) stored: Option<Spanned<String>>,
    pub(super) id: Option<Spanned<String>>,
    pub(super) stamp: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) insert_fields: Vec<String>,
}

/// `[observe.http]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ObserveHttp {
    pub(super) method: Option<Spanned<String>>,
    pub(super) path: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) headers: Texts,
    pub(super) json: Option<Spanned<Json>>,
    pub(super) body: Option<Spanned<String>>,
    pub(super) form: Option<Spanned<Texts>>,
    pub(super) documents: Option<Spanned<String>>,
    pub(super) id: Option<Spanned<String>>,
}

/// `[[invariant]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Invariant {
    pub(super) name: Option<Spanned<String>>,
    pub(super) database: Option<Spanned<String>>,
    pub(super) collection: Option<Spanned<String>>,
    pub(super) pipeline: Option<Spanned<String>>,
    pub(super) expect: Option<Spanned<Expected>>,
}

/// `expect = "empty"`, `expect = 0` or `expect = { min = 0, max = 1 }`
#[derive(Debug)]
pub(super) enum Expected {
    Word(String),
    Exactly(f64),
    Bounds(Bounds),
}

/// `{ min = 0, max = 1 }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `min`, `max` or both")]
pub(super) struct Bounds {
    pub(super) min: Option<Number>,
    pub(super) max: Option<Number>,
}

/// JSON written as TOML; each part knows its place.
#[derive(Debug)]
pub(super) enum Json {
    Plain(serde_json::Value),
    Text(String),
    List(Vec<Spanned<Json>>),
    Object(Vec<(String, Spanned<Json>)>),
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
                let mut entries: Vec<(String, Spanned<Json>)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name.starts_with("$__toml_private") {
                        return Err(A::Error::custom("JSON has no dates: write the date as a text"));
                    }
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
