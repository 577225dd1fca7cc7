//! Documents of MongoDB as values that are compared.

use mongodb::bson::{Bson, spec::BinarySubtype};

use crate::serial::Value;

/// The value.
pub(in crate::explore) fn value(bson: &Bson) -> Value {
    match bson {
        Bson::Null | Bson::Undefined => Value::Null,
        Bson::Boolean(flag) => Value::Bool(*flag),
        Bson::Int32(number) => Value::Int(i64::from(*number)),
        Bson::Int64(number) => Value::Int(*number),
        Bson::Double(number) => Value::float(*number),
        Bson::String(text) => Value::Text(text.clone()),
        Bson::DateTime(moment) => Value::Date(moment.timestamp_millis()),
        Bson::Timestamp(moment) => Value::Date(i64::from(moment.time) * 1000),
        Bson::ObjectId(id) => Value::Id(id.to_hex()),
        Bson::Binary(binary) => {
            let hex: String = binary.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            match binary.subtype {
                BinarySubtype::Uuid | BinarySubtype::UuidOld if binary.bytes.len() == 16 => Value::Id(uuid(&hex)),
                _ => Value::Text(hex),
            }
        }
        Bson::Array(items) => Value::List(items.iter().map(value).collect()),
        Bson::Document(document) => {
            Value::Map(document.iter().map(|(name, inner)| (name.clone(), value(inner))).collect())
        }
        other => Value::Other(other.to_string()),
    }
}

/// As answers spell it, so that the two are found to be one.
fn uuid(hex: &str) -> String {
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{doc, oid::ObjectId, uuid::Uuid};

    use super::*;

    #[test]
    fn identifiers_are_spelled_as_in_answers() {
        let (id, uuid) = (ObjectId::new(), Uuid::new());
        assert_eq!(value(&Bson::ObjectId(id)), Value::Id(id.to_string()));
        assert_eq!(value(&Bson::from(uuid)), Value::Id(uuid.to_string()));
        let Value::Map(fields) = value(&Bson::Document(doc! { "n": 1_i64, "f": 2.0, "x": [1, "a"] })) else { panic!() };
        assert_eq!((&fields["n"], &fields["f"]), (&Value::Int(1), &Value::Int(2)));
        assert_eq!(fields["x"], Value::List(vec![Value::Int(1), Value::Text("a".into())]));
    }
}
