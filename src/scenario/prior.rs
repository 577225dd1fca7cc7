//! Requests that come first: `[[setup]]`, once per run, and `before` of an operation, once per key. Main types:
//! [`PriorSpec`] and [`Capture`].

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use toml::Spanned;

use super::file_request::{Texts, table_with_request};
use super::http::RequestSpec;
use super::json_path::JsonPath;
use super::values::Count;

/// A request that comes first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PriorSpec {
    /// What is sent.
    #[serde(flatten)]
    pub request: RequestSpec,
    /// What of its answer later requests may name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, Capture>,
    /// Statuses with which it counts as done; none: every 2xx and 3xx.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<u16>,
}

/// Where a value is in an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Capture {
    /// At a JSONPath in the body.
    Path(JsonPath),
    /// In a cookie that it sets.
    Cookie(String),
    /// In a field of a form in its page, or in a `meta` of that name.
    Field(String),
    /// In its header `location`, whole.
    Location,
    /// A part of the path in its header `location`, from 1.
    Part(usize),
}

impl Capture {
    /// What stands before the name of a cookie, and of a field.
    pub(super) const COOKIE: &'static str = "cookie:";
    pub(super) const FIELD: &'static str = "field:";
    /// The one header that is kept.
    pub(crate) const LOCATION: &'static str = "header:location";

    /// The number of the part of that header's path, where the text names one.
    pub(crate) fn part(text: &str) -> Option<usize> {
        let number = text.strip_prefix(Self::LOCATION)?.strip_prefix(':')?;
        number.parse().ok().filter(|number| *number > 0)
    }
}

impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Capture::Path(path) => path.fmt(f),
            Capture::Cookie(name) => write!(f, "{}{name}", Self::COOKIE),
            Capture::Field(name) => write!(f, "{}{name}", Self::FIELD),
            Capture::Location => f.write_str(Self::LOCATION),
            Capture::Part(number) => write!(f, "{}:{number}", Self::LOCATION),
        }
    }
}

impl Serialize for Capture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

table_with_request! {
    /// A request that comes first, as it is written.
    #[serde(deny_unknown_fields, expecting = "a table with a request")]
    Prior {
        /// What later requests may name: a JSONPath, `cookie:NAME`, `field:NAME` of a page's form, `header:location`, or
        /// `header:location:2` for the second part of its path.
        #[serde(default)]
        #[schemars(with = "BTreeMap<String, String>")]
        capture: Texts,
        /// Statuses with which it counts as done; by default every 2xx and 3xx.
        #[serde(default)]
        #[schemars(with = "Vec<Count>")]
        accept: Vec<Spanned<Count>>,
    }
}

/// One table, or a list of them.
#[derive(Debug)]
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        OneOrMany(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByHand<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ByHand<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table or a list of tables")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut many = Vec::new();
                while let Some(one) = seq.next_element()? {
                    many.push(one);
                }
                Ok(OneOrMany(many))
            }
        }
        deserializer.deserialize_any(ByHand(PhantomData))
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}
