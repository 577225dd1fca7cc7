//! [`Value`]: what answers and documents are made of, whatever protocol they came by.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::shapes;

/// A value of an answer or of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A moment, in milliseconds since 1970.
    Date(i64),
    /// An identifier by its type: an ObjectId, a binary UUID.
    Id(String),
    /// Something of another kind, in words.
    Other(String),
    /// Values in order.
    List(Vec<Value>),
    /// Values by name. The order of names in a document is no part of an outcome.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// A body: JSON where it is JSON, else the text itself.
    pub fn of_body(body: &[u8]) -> Self {
        match serde_json::from_slice::<Json>(body) {
            Ok(json) => Value::of_json(&json),
            Err(_) if body.is_empty() => Value::Null,
            Err(_) => Value::Text(String::from_utf8_lossy(body).into_owned()),
        }
    }

    /// A value of JSON. Identifiers in MongoDB's extended form are what they stand for.
    pub fn of_json(json: &Json) -> Self {
        match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(*flag),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Value::Int(whole),
                (None, Some(float)) => Value::float(float),
                (None, None) => Value::Other(number.to_string()),
            },
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(items) => Value::List(items.iter().map(Value::of_json).collect()),
            Json::Object(fields) => extended(fields).unwrap_or_else(|| {
                Value::Map(fields.iter().map(|(name, value)| (name.clone(), Value::of_json(value))).collect())
            }),
        }
    }

    /// Whether it is, or holds, a moment after this one, which is in milliseconds since 1970: in any of the forms in which
    /// moments are stored.
    pub fn is_later(&self, than: i64) -> bool {
        match self {
            Value::Date(moment) => *moment > than,
            Value::Int(number) => shapes::moment(*number, than).is_some_and(|moment| {
                // Whole seconds may be rounded.
                let rounded = if moment / 1000 == *number { 1000 } else { 0 };
                moment > than + rounded
            }),
            #[expect(clippy::cast_possible_truncation, reason = "moments are small enough, and others are none")]
            Value::Float(number) => Value::Int(*number as i64).is_later(than),
            Value::Text(text) => shapes::moment_of(text, than).is_some_and(|moment| moment > than),
            Value::List(items) => items.iter().any(|item| item.is_later(than)),
            Value::Map(fields) => fields.values().any(|field| field.is_later(than)),
            Value::Null | Value::Bool(_) | Value::Id(_) | Value::Other(_) => false,
        }
    }

    /// Whether a date is at this path, or in a list there or on the way.
    pub fn holds_date_at(&self, path: &str) -> bool {
        match self {
            Value::Date(_) => path.is_empty(),
            Value::List(items) => items.iter().any(|item| item.holds_date_at(path)),
            Value::Map(fields) => {
                let (name, rest) = path.split_once('.').unwrap_or((path, ""));
                fields.get(name).is_some_and(|field| field.holds_date_at(rest))
            }
            _ => false,
        }
    }

    /// A number that has no fraction is a whole one, whatever it was stored as: `1.0` is `1` to those who read it.
    pub fn float(float: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
        if float.fract() == 0.0 && float.abs() < 9e15 { Value::Int(float as i64) } else { Value::Float(float) }
    }
}

fn extended(fields: &serde_json::Map<String, Json>) -> Option<Value> {
    let (name, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
    match (name.as_str(), value) {
        ("$oid", Json::String(id)) => Some(Value::Id(id.clone())),
        ("$numberLong" | "$numberInt", Json::String(number)) => number.parse().ok().map(Value::Int),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_date_is_found_along_a_path() {
        let held = |value: Value| Value::Map(BTreeMap::from([("goes".to_owned(), value)]));
        let (date, number) = (Value::Date(1), Value::Int(1));
        assert!(held(date.clone()).holds_date_at("goes") && !held(number).holds_date_at("goes"));
        assert!(!held(date.clone()).holds_date_at("comes") && !held(date.clone()).holds_date_at("goes.at"));
        let lists = held(Value::List(vec![Value::Null, held(Value::List(vec![date]))]));
        assert!(lists.holds_date_at("goes.goes") && !lists.holds_date_at("goes"));
    }

    #[test]
    fn moments_that_are_still_to_come_are_told_in_every_form() {
        const NOW: i64 = 1_795_755_600_000;
        let later = |json| Value::of_json(&json).is_later(NOW);
        let (soon, before) = (NOW + 30_000, NOW - 30_000);
        assert!(Value::Date(soon).is_later(NOW) && !Value::Date(before).is_later(NOW));
        assert!(later(json!(soon)) && !later(json!(before)) && later(json!(soon as f64 + 0.5)));
        assert!(later(json!(soon / 1000)) && !later(json!(NOW / 1000 + 1)), "seconds");
        assert!(later(json!("2026-11-27T05:10:34Z")) && !later(json!("2026-11-27T04:10:34Z")));
        assert!(later(json!({ "lease": { "by": "one", "until": soon } })) && !later(json!({ "lease": [before, 42] })));
    }

    #[test]
    fn numbers_are_what_they_say_and_bodies_what_they_are() {
        assert_eq!(Value::of_json(&json!(1.0)), Value::Int(1));
        assert_eq!(Value::of_json(&json!(1.5)), Value::Float(1.5));
        assert_eq!(Value::of_json(&json!({ "$oid": "65f0" })), Value::Id("65f0".into()));
        assert_eq!(Value::of_body(b"gone"), Value::Text("gone".into()));
        assert_eq!(Value::of_body(b""), Value::Null);
        assert_eq!(Value::of_body(b"[1]"), Value::List(vec![Value::Int(1)]));
    }
}
