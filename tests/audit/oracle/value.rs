//! Values, compared as a database does and as they are stored.

use mongodb::bson::{Bson, Document};

pub(crate) fn is_none(value: Option<&Bson>) -> bool {
    matches!(value, None | Some(Bson::Null))
}

/// The numbers of these databases are small: a double holds each of them exactly.
pub(super) fn number(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(number) => Some(f64::from(*number)),
        Bson::Int64(number) => number.to_string().parse().ok(),
        Bson::Double(number) => Some(*number),
        Bson::Decimal128(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// One value to a database: numbers by value, documents with their fields in order.
pub(crate) fn equal(left: &Bson, right: &Bson) -> bool {
    match (left, right) {
        (Bson::Array(left), Bson::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Bson::Document(left), Bson::Document(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|((name, left), (other, right))| name == other && equal(left, right))
        }
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => left == right,
            _ => left == right,
        },
    }
}

/// One value, also in the type of its numbers.
pub(crate) fn exactly(left: &Bson, right: &Bson) -> bool {
    format!("{left:?}") == format!("{right:?}")
}

/// An id as a name, under which an ObjectId and its text are one.
pub(crate) fn text(id: &Bson) -> String {
    match id {
        Bson::ObjectId(id) => id.to_hex(),
        Bson::String(text) => text.clone(),
        other => number(other).map_or_else(|| other.to_string(), |number| format!("number {number}")),
    }
}

/// The value at a path through documents.
pub(super) fn at<'a>(document: &'a Document, path: &str) -> Option<&'a Bson> {
    match path.split_once('.') {
        None => document.get(path),
        Some((first, rest)) => at(document.get(first)?.as_document()?, rest),
    }
}
