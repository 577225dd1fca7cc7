//! `where`: which documents a key is unique among, as the profile writes it.
//!
//! TOML has no null, which is what most filters are about. Here it has: a bare `null` is read as one.

use std::borrow::Cow;

use mongodb::bson::{Bson, Document};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

/// A filter as `find` takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(pub Document);

/// What stands for a null between reading the text and reading its values. It is as long as the word with its quotes, so
/// that mistakes are shown where they are.
const NULL: &str = "\u{80}";
const QUOTED_NULL: &str = "'\u{80}'";

/// Operators that run code on the server, which an audit must not.
const REFUSED: [&str; 5] = ["$where", "$function", "$accumulator", "$text", "$near"];

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let value = toml::Value::deserialize(deserializer)?;
        let json = match value {
            toml::Value::Table(_) => json_of(value).map(flat),
            toml::Value::String(text) => {
                serde_json::from_str(&text).map_err(|error| format!("it is not JSON: {error}"))
            }
            _ => Err("write a table, as in { deletedAt = null }, or JSON in quotes".to_owned()),
        };
        let document = json.and_then(|json| serde_json::from_value(json).map_err(|error| error.to_string()));
        let filter = document.map(Filter).map_err(|problem| Error::custom(format!("where: {problem}")))?;
        match filter.refused() {
            Some(operator) => Err(Error::custom(format!("where: {operator} cannot be used here"))),
            None => Ok(filter),
        }
    }
}

impl JsonSchema for Filter {
    fn schema_name() -> Cow<'static, str> {
        "Filter".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["object", "string"] })
    }
}

impl Filter {
    /// As it would stand in a profile: `where = { deletedAt = null }`.
    pub fn as_toml(&self) -> String {
        match serde_json::to_value(&self.0) {
            Ok(json) => format!("where = {}", toml_of(&json)),
            Err(_) => format!("where = {:?}", self.0.to_string()),
        }
    }

    /// An operator in it that must not be.
    fn refused(&self) -> Option<&str> {
        fn within(value: &Bson) -> Option<&str> {
            match value {
                Bson::Document(document) => {
                    document.iter().find_map(|(name, value)| match REFUSED.contains(&name.as_str()) {
                        true => Some(name.as_str()),
                        false => within(value),
                    })
                }
                Bson::Array(array) => array.iter().find_map(within),
                _ => None,
            }
        }
        self.0.iter().find_map(
            |(name, value)| if REFUSED.contains(&name.as_str()) { Some(name.as_str()) } else { within(value) },
        )
    }
}

fn json_of(value: toml::Value) -> Result<Json, String> {
    Ok(match value {
        toml::Value::String(text) if text == NULL => Json::Null,
        toml::Value::String(text) => Json::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => {
            serde_json::Number::from_f64(number).map(Json::Number).ok_or("it holds a number that is none")?
        }
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(date) => serde_json::json!({ "$date": date.to_string() }),
        toml::Value::Array(values) => values.into_iter().map(json_of).collect::<Result<Vec<_>, _>>()?.into(),
        toml::Value::Table(table) => {
            let entry = |(name, value)| Ok::<_, String>((name, json_of(value)?));
            Json::Object(table.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
    })
}

/// `{ meta = { deletedAt = null } }` and `meta.deletedAt = null` are one to TOML, and the path is meant.
fn flat(json: Json) -> Json {
    fn put(path: &str, value: Json, flat: &mut serde_json::Map<String, Json>) {
        match value {
            Json::Object(object) if !object.is_empty() && !object.keys().any(|name| name.starts_with('$')) => {
                for (name, value) in object {
                    put(&format!("{path}.{name}"), value, flat);
                }
            }
            value => {
                flat.insert(path.to_owned(), value);
            }
        }
    }
    let Json::Object(object) = json else { return json };
    let mut all = serde_json::Map::new();
    for (name, value) in object {
        put(&name, value, &mut all);
    }
    Json::Object(all)
}

fn toml_of(json: &Json) -> String {
    let bare = |name: &str| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter))
    };
    let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(_) | Json::Number(_) => json.to_string(),
        Json::String(value) => text(value),
        Json::Array(values) => format!("[{}]", values.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        Json::Object(object) if object.is_empty() => "{}".to_owned(),
        Json::Object(object) => {
            let entry = |(name, value): (&String, &Json)| {
                let name = if bare(name) { name.clone() } else { text(name) };
                format!("{name} = {}", toml_of(value))
            };
            format!("{{ {} }}", object.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The text with each bare `null` made readable for TOML.
pub(super) fn with_nulls(text: &str) -> Cow<'_, str> {
    let mut read = String::new();
    let mut copied = 0;
    for at in bare_nulls(text) {
        read.push_str(&text[copied..at]);
        read.push_str(QUOTED_NULL);
        copied = at + QUOTED_NULL.len();
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    read.push_str(&text[copied..]);
    Cow::Owned(read)
}

/// A message about the text as the user wrote it.
pub(super) fn as_written(message: &str) -> String {
    message.replace(QUOTED_NULL, "null").replace(NULL, "null")
}

/// Where a null stands elsewhere than in a filter, if it does.
pub(super) fn misplaced_null(read: &str) -> Option<String> {
    fn within(value: &toml::Value, path: &str) -> Option<String> {
        match value {
            _ if path == "key.where" => None,
            toml::Value::String(text) if text == NULL => Some(path.to_owned()),
            toml::Value::Array(values) => values.iter().find_map(|value| within(value, path)),
            toml::Value::Table(table) => table.iter().find_map(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                within(value, &path)
            }),
            _ => None,
        }
    }
    let table: toml::Table = toml::from_str(read).ok()?;
    within(&toml::Value::Table(table), "")
}

/// Where a word `null` stands as a value: not in a text, a comment or a name.
fn bare_nulls(text: &str) -> Vec<usize> {
    const WORD: &[u8] = b"null";
    let bytes = text.as_bytes();
    let is_word =
        |at: usize| bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-.\"'".contains(byte));
    let mut found = Vec::new();
    let (mut at, mut before) = (0, b'\n');
    while at < bytes.len() {
        match bytes[at] {
            b'#' => at = line_end(bytes, at),
            quote @ (b'"' | b'\'') => {
                at = text_end(bytes, at, quote);
                before = quote;
            }
            _ if bytes[at..].starts_with(WORD) && b"=,[".contains(&before) && !is_word(at + WORD.len()) => {
                let after = bytes[at + WORD.len()..].iter().find(|byte| !b" \t".contains(byte));
                if after != Some(&b'=') {
                    found.push(at);
                }
                at += WORD.len();
                before = b'l';
            }
            byte => {
                if !byte.is_ascii_whitespace() {
                    before = byte;
                }
                at += 1;
            }
        }
    }
    found
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| from + length)
}

/// Where a text ends that begins at a quote; three quotes hold a text of several lines.
fn text_end(bytes: &[u8], from: usize, quote: u8) -> usize {
    let three = [quote; 3];
    let long = bytes[from..].starts_with(&three);
    let mut at = from + if long { 3 } else { 1 };
    while at < bytes.len() {
        if bytes[at] == b'\\' && quote == b'"' {
            at += 2;
        } else if long && bytes[at..].starts_with(&three) {
            return at + 3;
        } else if !long && (bytes[at] == quote || bytes[at] == b'\n') {
            return at + 1;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{doc, oid::ObjectId};

    use super::*;

    #[derive(Deserialize)]
    struct Holder {
        r#where: Filter,
    }

    fn read(text: &str) -> Result<Document, String> {
        let holder: Result<Holder, _> = toml::from_str(&with_nulls(text));
        holder.map(|holder| holder.r#where.0).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_filter_is_read_and_written_again() {
        let id = ObjectId::parse_str("65a1b2c3d4e5f60718293a4b").unwrap();
        for (text, expected) in [
            ("where = { deletedAt = null }", doc! { "deletedAt": null }),
            ("where = {deletedAt=null,archived=false}", doc! { "deletedAt": null, "archived": false }),
            ("where = { \"a.b\" = null, n = 5 }", doc! { "a.b": null, "n": 5 }),
            ("where = { a.b = null }", doc! { "a.b": null }),
            ("where = { status = { \"$in\" = [\"a\", null] } }", doc! { "status": { "$in": ["a", null] } }),
            ("where = '{ \"deletedAt\": null }'", doc! { "deletedAt": null }),
            ("where = { owner = { \"$oid\" = \"65a1b2c3d4e5f60718293a4b\" } }", doc! { "owner": id }),
            ("where = { a = 'null', b = \"x # null\" } # = null", doc! { "a": "null", "b": "x # null" }),
            ("where = { null = null }", doc! { "null": null }),
            ("where = {}", doc! {}),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
            assert_eq!(read(&Filter(expected.clone()).as_toml()).unwrap(), expected, "{text}");
        }
        assert_eq!(Filter(doc! { "deletedAt": null }).as_toml(), "where = { deletedAt = null }");
    }

    #[test]
    fn mistakes_in_a_filter_are_named() {
        for (text, expected) in [
            ("where = 5", "write a table"),
            ("where = 'deletedAt'", "not JSON"),
            ("where = { \"$where\" = 'true' }", "$where cannot be used here"),
            ("where = { a = { \"$where\" = 'true' } }", "$where cannot be used here"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(misplaced_null(&with_nulls("[key]\nfield = null")).as_deref(), Some("key.field"));
        assert_eq!(misplaced_null(&with_nulls("[key]\nwhere = { a = null }")), None);
    }

    #[test]
    fn places_in_a_text_with_nulls_stay_where_they_are() {
        let text = "where = { a = null }\nnot toml";
        assert_eq!(with_nulls(text).len(), text.len());
    }
}
