//! Names of fields, one or several, and the values that they hold, as they are written in `[observe.mongo]`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

/// `"name"` or `["parentId", "name"]`
#[derive(Debug)]
pub(super) enum Names {
    One(String),
    Several(Vec<Spanned<String>>),
}

/// `"text"`, `["text", "text"]` or `{ field = "text" }`; texts are templates.
#[derive(Debug)]
pub(super) enum Stored {
    One(String),
    InOrder(Vec<Spanned<String>>),
    ByName(Vec<(Spanned<String>, Spanned<String>)>),
}

fn list<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Vec<Spanned<String>>, A::Error> {
    let mut items = Vec::new();
    while let Some(item) = seq.next_element()? {
        items.push(item);
    }
    Ok(items)
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByHand;
        impl<'de> Visitor<'de> for ByHand {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field, or a list of names")
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Names, E> {
                Ok(Names::One(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Names, A::Error> {
                list(seq).map(Names::Several)
            }
        }
        deserializer.deserialize_any(ByHand)
    }
}

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByHand;
        impl<'de> Visitor<'de> for ByHand {
            type Value = Stored;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a list of texts in the order of `key`, or a table of texts by the fields of `key`")
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Stored, E> {
                Ok(Stored::One(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Stored, A::Error> {
                list(seq).map(Stored::InOrder)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stored, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Stored::ByName(entries))
            }
        }
        deserializer.deserialize_any(ByHand)
    }
}

impl schemars::JsonSchema for Names {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Names".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }]
        })
    }
}

impl schemars::JsonSchema for Stored {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Stored".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                { "type": "object", "additionalProperties": { "type": "string" }, "minProperties": 1 }
            ]
        })
    }
}
