//! Values compared as values: a number is one whatever its type, an ObjectId or a UUID is its text. Two values that a
//! service takes for one have one text here, whether they were read in an answer or in a document.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime};
use serde_json::Value as Json;

use crate::history::Id;

/// Beyond this a double does not tell neighbouring whole numbers apart.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// An identifier: a text, a number, MongoDB's extended JSON, or several values together.
pub(super) fn id_of(value: &Json) -> Option<Id> {
    match value {
        Json::Bool(_) => None,
        other => text_of(other).filter(|text| !text.is_empty()).map(|text| Id::parse(&text)),
    }
}

/// The identifier of a document.
pub(super) fn stored_id(value: &Bson) -> Option<Id> {
    stored_text(value).filter(|text| !text.is_empty()).map(|text| Id::parse(&text))
}

/// The text of a value in an answer; none of null and of what holds nothing.
pub(super) fn text_of(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::Bool(flag) => Some(flag.to_string()),
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(match number.as_f64() {
            Some(double) if number.is_f64() => double_text(double),
            _ => number.to_string(),
        }),
        Json::Object(object) if object.is_empty() => None,
        Json::Object(object) => match object.iter().next() {
            Some((name, inner)) if object.len() == 1 && name.starts_with('$') => extended(name, inner),
            _ => {
                let parts: Vec<String> =
                    object.iter().map(|(name, value)| format!("{name}: {}", part(text_of(value)))).collect();
                Some(format!("{{{}}}", parts.join(", ")))
            }
        },
        Json::Array(items) if items.is_empty() => None,
        Json::Array(items) => {
            let parts: Vec<String> = items.iter().map(|item| part(text_of(item))).collect();
            Some(format!("[{}]", parts.join(", ")))
        }
    }
}

fn part(text: Option<String>) -> String {
    text.unwrap_or_else(|| "null".to_owned())
}

/// The text of a value of MongoDB's extended JSON.
fn extended(name: &str, inner: &Json) -> Option<String> {
    match (name, inner) {
        ("$oid" | "$uuid" | "$numberLong" | "$numberInt" | "$date", Json::String(text)) => Some(text.clone()),
        ("$numberDouble" | "$numberDecimal", Json::String(text)) => Some(number_text(text)),
        _ => Some(format!("{name} {inner}")),
    }
}

/// The text of a stored value; none of null.
pub(super) fn stored_text(value: &Bson) -> Option<String> {
    match value {
        Bson::Null | Bson::Undefined => None,
        Bson::String(text) | Bson::Symbol(text) => Some(text.clone()),
        Bson::ObjectId(id) => Some(id.to_hex()),
        Bson::Int32(number) => Some(number.to_string()),
        Bson::Int64(number) => Some(number.to_string()),
        Bson::Double(number) => Some(double_text(*number)),
        Bson::Decimal128(number) => Some(number_text(&number.to_string())),
        Bson::Boolean(flag) => Some(flag.to_string()),
        Bson::Binary(Binary { subtype: BinarySubtype::Uuid | BinarySubtype::UuidOld, bytes }) if bytes.len() == 16 => {
            Some(uuid_text(bytes))
        }
        Bson::DateTime(time) => Some(time.try_to_rfc3339_string().unwrap_or_else(|_| time.to_string())),
        Bson::Document(document) => {
            let parts: Vec<String> =
                document.iter().map(|(name, value)| format!("{name}: {}", part(stored_text(value)))).collect();
            Some(format!("{{{}}}", parts.join(", ")))
        }
        Bson::Array(items) => {
            let parts: Vec<String> = items.iter().map(|item| part(stored_text(item))).collect();
            Some(format!("[{}]", parts.join(", ")))
        }
        other => Some(other.to_string()),
    }
}

fn double_text(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < EXACT { format!("{number:.0}") } else { number.to_string() }
}

/// The text of a number that was written with a fraction or an exponent.
fn number_text(text: &str) -> String {
    match text.parse::<i128>() {
        Ok(_) => text.to_owned(),
        Err(_) => text.parse::<f64>().map_or_else(|_| text.to_owned(), double_text),
    }
}

fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Every value that has this text and that a key may be stored as; numbers of all types are one to the server.
pub(super) fn stored_as(text: &str) -> Vec<Bson> {
    let mut values = vec![Bson::String(text.to_owned())];
    if let Some(number) = text.parse::<i64>().ok().filter(|number| number.to_string() == text) {
        values.push(Bson::Int64(number));
    } else if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
        values.push(Bson::Double(number));
    }
    values.extend(ObjectId::parse_str(text).ok().map(Bson::ObjectId));
    values.extend(uuid_bytes(text).into_iter().flat_map(|bytes| {
        let binary = |subtype| Bson::Binary(Binary { subtype, bytes: bytes.clone() });
        [binary(BinarySubtype::Uuid), binary(BinarySubtype::UuidOld)]
    }));
    values.extend(DateTime::parse_rfc3339_str(text).ok().map(Bson::DateTime));
    values
}

fn uuid_bytes(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.split('-').collect();
    let shaped = text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    if !shaped || !digits.is_ascii() {
        return None;
    }
    (0..16).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Decimal128, doc};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_has_one_text_in_answers_and_in_documents() {
        let oid = ObjectId::parse_str("65a1b2c3d4e5f60718293a4b").unwrap();
        let uuid = "6f9619ff-8b86-4011-b42d-00c04fc964ff";
        let binary = Binary { subtype: BinarySubtype::Uuid, bytes: uuid_bytes(uuid).unwrap() };
        let decimal: Decimal128 = "12.50".parse().unwrap();
        let cases = [
            (Bson::ObjectId(oid), vec![json!(oid.to_hex()), json!({ "$oid": oid.to_hex() })]),
            (Bson::Int32(7), vec![json!(7), json!("7"), json!(7.0), json!({ "$numberInt": "7" })]),
            (Bson::Double(7.0), vec![json!(7), json!({ "$numberDouble": "7.0" })]),
            (Bson::Int64(1 << 60), vec![json!(1_u64 << 60), json!({ "$numberLong": (1_u64 << 60).to_string() })]),
            (Bson::Double(2.5), vec![json!(2.5), json!("2.5")]),
            (Bson::Decimal128(decimal), vec![json!(12.5)]),
            (Bson::Binary(binary), vec![json!(uuid), json!({ "$uuid": uuid })]),
            (Bson::Document(doc! { "a": 1.0, "b": oid }), vec![json!({ "a": 1, "b": oid.to_hex() })]),
            (Bson::Array(vec!["x".into(), 2.into()]), vec![json!(["x", 2])]),
        ];
        for (stored, answers) in cases {
            for answer in answers {
                assert_eq!(stored_id(&stored), id_of(&answer), "{stored} {answer}");
                assert!(stored_id(&stored).is_some(), "{stored}");
            }
        }
        for nothing in [json!(null), json!(""), json!({}), json!([]), json!(true)] {
            assert_eq!(id_of(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_text_is_looked_for_as_whatever_may_have_it() {
        for text in ["7", "2.5", "65a1b2c3d4e5f60718293a4b", "6f9619ff-8b86-4011-b42d-00c04fc964ff"] {
            let values = stored_as(text);
            assert!(values.len() > 1, "{text}");
            assert!(values.iter().all(|value| stored_text(value).as_deref() == Some(text)), "{values:?}");
        }
        assert_eq!(stored_as("a_b"), [Bson::String("a_b".into())]);
        assert_eq!(stored_as("007").len(), 2, "a double may be written so");
    }
}
