//! Reading fields of raw BSON documents without decoding the rest of them.

use mongodb::bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf};

/// The value at a dotted path through documents; arrays are not entered. Damaged BSON reads as absent.
pub(super) fn at<'a>(document: &'a RawDocument, path: &str) -> Option<RawBsonRef<'a>> {
    match path.split_once('.') {
        None => document.get(path).ok().flatten(),
        Some((first, rest)) => at(document.get_document(first).ok()?, rest),
    }
}

/// The value at a dotted path through documents.
pub(super) fn value_at<'a>(document: &'a Document, path: &str) -> Option<&'a Bson> {
    match path.split_once('.') {
        None => document.get(path),
        Some((first, rest)) => value_at(document.get_document(first).ok()?, rest),
    }
}

/// Puts a value at a dotted path through documents, which are made where there are none.
pub(super) fn put(document: &mut Document, path: &str, value: impl Into<Bson>) {
    match path.split_once('.') {
        None => {
            document.insert(path, value);
        }
        Some((first, rest)) => {
            let mut inner = document.get_document(first).cloned().unwrap_or_default();
            put(&mut inner, rest, value);
            document.insert(first, inner);
        }
    }
}

/// Appends type and content of a value, so that equal bytes mean equal values.
pub(super) fn push_bytes(value: RawBsonRef<'_>, bytes: &mut Vec<u8>) {
    bytes.push(value.element_type() as u8);
    match value {
        RawBsonRef::String(text) => bytes.extend_from_slice(text.as_bytes()),
        RawBsonRef::ObjectId(id) => bytes.extend_from_slice(&id.bytes()),
        other => {
            let mut holder = RawDocumentBuf::new();
            holder.append(mongodb::bson::cstr!(""), other);
            bytes.extend_from_slice(holder.as_bytes());
        }
    }
}

/// The decoded value; null when it cannot be decoded.
pub(super) fn decoded(value: RawBsonRef<'_>) -> Bson {
    Bson::try_from(value).unwrap_or(Bson::Null)
}

/// The value as it is in examples.
pub(super) fn shown(value: &Bson) -> serde_json::Value {
    match value {
        Bson::ObjectId(id) => id.to_hex().into(),
        other => serde_json::to_value(other).unwrap_or_default(),
    }
}

/// Whether a field is as good as absent: missing, null or an empty text.
pub(super) fn is_blank(value: Option<RawBsonRef<'_>>) -> bool {
    match value {
        None | Some(RawBsonRef::Null | RawBsonRef::Undefined) => true,
        Some(RawBsonRef::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}
