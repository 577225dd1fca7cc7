//! A document as the MongoDB shell writes it: `{ _id: ObjectId("…"), n: 3 }` is read faster than extended JSON.

use serde_json::{Map, Value};

/// The document in the shell's notation, on one line.
pub(crate) fn shell(value: &Value) -> String {
    match value {
        Value::Object(map) => special(map).unwrap_or_else(|| object(map)),
        Value::Array(items) => format!("[{}]", items.iter().map(shell).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn object(map: &Map<String, Value>) -> String {
    if map.is_empty() {
        return "{}".to_owned();
    }
    let field = |(name, value): (&String, &Value)| format!("{}: {}", quoted_if_needed(name), shell(value));
    format!("{{ {} }}", map.iter().map(field).collect::<Vec<_>>().join(", "))
}

fn quoted_if_needed(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$'))
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain && !name.is_empty() { name.to_owned() } else { Value::from(name).to_string() }
}

/// A value that JSON has no form for; `None` leaves a document as it is.
fn special(map: &Map<String, Value>) -> Option<String> {
    if map.len() != 1 {
        return None;
    }
    let (kind, value) = map.iter().next()?;
    match (kind.as_str(), value) {
        ("$oid", Value::String(hex)) => Some(format!("ObjectId({})", Value::from(hex.as_str()))),
        ("$numberInt" | "$numberLong" | "$numberDouble", Value::String(number)) => {
            number.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)).then(|| number.clone())
        }
        ("$date", Value::String(text)) => Some(format!("ISODate({})", Value::from(text.as_str()))),
        ("$date", Value::Object(inner)) => {
            let millis: i64 = inner.get("$numberLong")?.as_str()?.parse().ok()?;
            let moment = jiff::Timestamp::from_millisecond(millis).ok()?;
            Some(format!("ISODate(\"{moment:.3}\")"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_read_as_in_the_shell() {
        for (document, text) in [
            (json!({}), "{}"),
            (json!({ "_id": { "$oid": "6b01" }, "n": 3 }), r#"{ _id: ObjectId("6b01"), n: 3 }"#),
            (json!({ "a": [1, "x", null], "b-c": {} }), r#"{ a: [1, "x", null], "b-c": {} }"#),
            (json!({ "at": { "$date": { "$numberLong": "0" } } }), r#"{ at: ISODate("1970-01-01T00:00:00.000Z") }"#),
            (json!({ "at": { "$date": "1970-01-01T00:00:00Z" } }), r#"{ at: ISODate("1970-01-01T00:00:00Z") }"#),
            (json!({ "n": { "$numberLong": "-9" }, "m": { "$numberDouble": "NaN" } }), "{ n: -9, m: NaN }"),
            // What only looks like one of them stays as it is.
            (json!({ "$oid": 7 }), "{ $oid: 7 }"),
            (json!({ "$numberLong": "1) evil" }), r#"{ $numberLong: "1) evil" }"#),
            (json!({ "$oid": "6b01", "x": 1 }), r#"{ $oid: "6b01", x: 1 }"#),
        ] {
            assert_eq!(shell(&document), text);
        }
    }
}
