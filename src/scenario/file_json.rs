//! JSON as it is written in TOML. Main type: [`Json`].

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

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
