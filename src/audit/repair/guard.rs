//! Conditions and updates that take effect only on what was read.

use mongodb::bson::{Bson, Document, doc};

use super::decide::id_of;

/// A document equal to the one read, field by field and in order.
pub(super) fn same_document(document: &Document) -> Document {
    doc! { "_id": id_of(document), "$expr": { "$eq": ["$$ROOT", { "$literal": document }] } }
}

/// An expression: the field has the value read, or is still missing.
pub(super) fn same_field(field: &str, value: Option<&Bson>) -> Bson {
    match value {
        Some(value) => Bson::Document(doc! { "$eq": [format!("${field}"), { "$literal": value }] }),
        None => Bson::Document(doc! { "$eq": [{ "$type": format!("${field}") }, "missing"] }),
    }
}

/// An expression: the array still begins with the elements read. What was appended since does not matter.
pub(super) fn same_beginning(field: &str, elements: &[Bson]) -> Bson {
    let path = format!("${field}");
    if elements.is_empty() {
        return doc! { "$in": [{ "$type": path }, ["array", "missing", "null", "undefined"]] }.into();
    }
    let beginning = doc! { "$slice": [&path, i64::try_from(elements.len()).unwrap_or(i64::MAX)] };
    let equal = doc! { "$eq": [beginning, { "$literal": elements.to_vec() }] };
    doc! { "$cond": [{ "$isArray": path }, equal, false] }.into()
}

/// An expression: what was appended to the elements read holds none of `others`, which are about to be taken in. It keeps
/// a change that took effect already from taking effect again.
pub(super) fn same_rest(field: &str, read: usize, others: &[Bson]) -> Bson {
    let own = doc! { "$ifNull": [format!("${field}"), []] };
    let number = i64::try_from(read).unwrap_or(i64::MAX);
    let since = doc! { "$slice": [own.clone(), number, { "$max": [1, { "$size": own }] }] };
    doc! { "$eq": [{ "$size": { "$setIntersection": [since, { "$literal": others.to_vec() }] } }, 0] }.into()
}

/// Where an element of a rearranged array comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// This position of the array itself.
    Own(usize),
    /// This position of the elements that are taken in.
    Other(usize),
}

/// An expression: the array's first `read` elements rearranged, with `others` taken in, and then whatever was appended
/// since. Only the positions are sent, so that the command is not larger than the documents.
pub(super) fn rearranged(field: &str, read: usize, order: &[From], others: &[Bson]) -> Bson {
    let own = doc! { "$ifNull": [format!("${field}"), []] };
    let number = |position: usize| i64::try_from(position).unwrap_or(i64::MAX);
    let positions: Vec<i64> = order
        .iter()
        .map(|from| match from {
            From::Own(position) => number(*position),
            From::Other(position) => number(read + position),
        })
        .collect();
    let pool = if others.is_empty() {
        own.clone()
    } else if read == 0 {
        doc! { "$literal": others.to_vec() }
    } else {
        doc! { "$concatArrays": [{ "$slice": [own.clone(), number(read)] }, { "$literal": others.to_vec() }] }
    };
    let picked = doc! { "$let": {
        "vars": { "pool": pool },
        "in": { "$map": { "input": positions, "as": "at", "in": { "$arrayElemAt": ["$$pool", "$$at"] } } },
    } };
    let since = doc! { "$slice": [own.clone(), number(read), { "$max": [1, { "$size": own }] }] };
    doc! { "$concatArrays": [picked, since] }.into()
}
