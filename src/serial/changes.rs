//! What an execution did to a document that others write, too: what changed, not what it is now.
//!
//! Numbers are told as differences, lists as what was appended, nothing where nothing changed. A lost increment of a counter
//! that all executions share is seen this way: `+2` against `+1`.

use std::collections::BTreeMap;

use super::value::Value;

/// The name of a difference beside the identifier of its document.
pub(super) const CHANGED: &str = "changed";
const APPENDED: &str = "appended";
const REMOVED: &str = "<removed>";

/// What changed; none where nothing did.
pub(super) fn difference(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    Some(match (before, after) {
        (Value::Int(before), Value::Int(after)) => signed(*after as f64 - *before as f64),
        (Value::Int(before), Value::Float(after)) => signed(after - *before as f64),
        (Value::Float(before), Value::Int(after)) => signed(*after as f64 - before),
        (Value::Float(before), Value::Float(after)) => signed(after - before),
        (Value::List(before), Value::List(after)) => match after.strip_prefix(before.as_slice()) {
            Some(appended) => one(APPENDED, Value::List(appended.to_vec())),
            None => Value::List(after.clone()),
        },
        (Value::Map(before), Value::Map(after)) => {
            let names = before.keys().chain(after.keys());
            let mut changed = BTreeMap::new();
            for name in names {
                let part = match (before.get(name), after.get(name)) {
                    (Some(before), Some(after)) => difference(before, after),
                    (None, Some(after)) => Some(after.clone()),
                    (Some(_), None) => Some(Value::Text(REMOVED.to_owned())),
                    (None, None) => None,
                };
                changed.extend(part.map(|part| (name.clone(), part)));
            }
            Value::Map(changed)
        }
        (_, after) => after.clone(),
    })
}

/// A number with its sign, so that `+1` is not taken for the value 1. Rounded: sums of fractions are not exact.
fn signed(difference: f64) -> Value {
    let rounded = (difference * 1e6).round() / 1e6;
    Value::Other(format!("{rounded:+}"))
}

fn one(name: &str, value: Value) -> Value {
    Value::Map(BTreeMap::from([(name.to_owned(), value)]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let value = |json| Value::of_json(&json);
        let before = value(json!({ "n": 1, "tags": ["a"], "name": "x", "old": 1, "in": { "sum": 1.5 } }));
        let after = value(json!({ "n": 3, "tags": ["a", "b"], "name": "x", "in": { "sum": 1.75 } }));
        let expected = Value::Map(BTreeMap::from([
            ("n".to_owned(), Value::Other("+2".into())),
            ("tags".to_owned(), one(APPENDED, value(json!(["b"])))),
            ("old".to_owned(), Value::Text(REMOVED.into())),
            ("in".to_owned(), one("sum", Value::Other("+0.25".into()))),
        ]));
        assert_eq!(difference(&before, &after), Some(expected));
        assert_eq!(difference(&before, &before), None);
        let rewritten = difference(&value(json!([1, 2])), &value(json!([2])));
        assert_eq!(rewritten, Some(value(json!([2]))));
    }
}
