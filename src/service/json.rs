//! [`Shown`]: a document as services show it: identifiers and times as text, numbers as numbers.

use mongodb::bson::{Bson, Document};
use serde::ser::{Error, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// A document in an answer.
#[derive(Debug)]
pub(super) struct Shown(pub(super) Document);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        map(&self.0, serializer)
    }
}

struct Part<'a>(&'a Bson);

fn map<S: Serializer>(document: &Document, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(document.len()))?;
    for (name, value) in document {
        map.serialize_entry(name, &Part(value))?;
    }
    map.end()
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Bson::ObjectId(id) => serializer.collect_str(id),
            Bson::DateTime(time) => serializer.serialize_str(&time.try_to_rfc3339_string().map_err(S::Error::custom)?),
            Bson::Document(document) => map(document, serializer),
            Bson::Array(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Part(value))?;
                }
                list.end()
            }
            Bson::Int32(number) => serializer.serialize_i32(*number),
            Bson::Int64(number) => serializer.serialize_i64(*number),
            Bson::Double(number) => serializer.serialize_f64(*number),
            Bson::String(text) => serializer.serialize_str(text),
            Bson::Boolean(value) => serializer.serialize_bool(*value),
            Bson::Null => serializer.serialize_none(),
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::{DateTime, doc, oid::ObjectId};

    #[test]
    fn a_document_is_shown_in_plain_json() {
        let id = ObjectId::parse_str("65a1b2c3d4e5f60718293a4b").unwrap();
        let document = doc! {
            "_id": id, "at": DateTime::from_millis(0), "n": 4_503_599_627_370_496_i64, "small": 7, "half": 0.5,
            "list": ["a", { "deep": id }], "none": null, "yes": true,
        };
        let shown = serde_json::to_string(&Shown(document)).unwrap();
        let expected = r#"{"_id":"65a1b2c3d4e5f60718293a4b","at":"1970-01-01T00:00:00Z","n":4503599627370496,"small":7,"half":0.5,"list":["a",{"deep":"65a1b2c3d4e5f60718293a4b"}],"none":null,"yes":true}"#;
        assert_eq!(shown, expected);
    }
}
