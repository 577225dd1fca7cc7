//! Identifiers: of operations, and of the documents that a system under test hands out.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Number of an operation, unique within its run and assigned in the order of intent.
///
/// It is stamped into everything the operation writes (`createdByOp`, `opId`), so that the final documents tell which
/// operation made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct OpId(pub u64);

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op{}", self.0)
    }
}

/// A document's identifier as the system under test returned it.
///
/// A MongoDB ObjectId is kept in its twelve bytes, so that a history of millions of operations needs no allocation for
/// them; anything else is kept as text. Both print and parse as one string, and the same string gives the same `Id`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// An ObjectId: 24 lower-case hexadecimal digits when printed.
    Object([u8; 12]),
    /// Any other identifier.
    Text(Arc<str>),
}

impl Id {
    /// Reads an identifier from the text that a service returned.
    pub fn parse(text: &str) -> Self {
        match object_bytes(text) {
            Some(bytes) => Id::Object(bytes),
            None => Id::Text(Arc::from(text)),
        }
    }
}

/// The bytes of an ObjectId, if the text is one in canonical spelling (so that printing restores the text exactly).
fn object_bytes(text: &str) -> Option<[u8; 12]> {
    let digits = text.as_bytes();
    if digits.len() != 24 {
        return None;
    }
    let mut bytes = [0; 12];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(bytes)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Object(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Id::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

impl From<[u8; 12]> for Id {
    fn from(bytes: [u8; 12]) -> Self {
        Id::Object(bytes)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Id::Text(text) => serializer.serialize_str(text),
            Id::Object(bytes) => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let mut text = [0_u8; 24];
                for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
                    pair[0] = HEX[usize::from(byte >> 4)];
                    pair[1] = HEX[usize::from(byte & 15)];
                }
                serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(Id::parse(&text))
    }
}

impl schemars::JsonSchema for Id {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_as_the_text_it_was_read_from() {
        for text in
            ["65a1b2c3d4e5f60718293a4b", "65A1B2C3D4E5F60718293A4B", "42", "", "chat-7", "zza1b2c3d4e5f60718293a4b"]
        {
            assert_eq!(Id::parse(text).to_string(), text);
            let json = serde_json::to_string(&Id::parse(text)).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Id>(&json).unwrap(), Id::parse(text));
        }
    }

    #[test]
    fn only_canonical_object_ids_are_packed() {
        assert!(matches!(Id::parse("65a1b2c3d4e5f60718293a4b"), Id::Object(_)));
        assert!(matches!(Id::parse("65A1b2c3d4e5f60718293a4b"), Id::Text(_)));
    }
}
