//! The entries that an index would have of a document: one for each element of an array on the way.
//!
//! It follows the server's own rules: an array on a path is entered, a number in a path is also a position in an array, an
//! empty array at the end of a path is an entry of its own, a missing field is null, and two arrays side by side cannot be
//! indexed.

use mongodb::bson::{RawArray, RawBsonRef, RawDocument};

use super::{Texts, push};

/// One entry: a value for each field of the key, in order.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit) struct Entry<'a> {
    /// The values; null for what is missing.
    pub(in crate::audit) values: Vec<RawBsonRef<'a>>,
    /// Whether no field was found. A sparse index leaves such an entry out.
    pub(in crate::audit) missing: bool,
}

impl Entry<'_> {
    /// Its canonical bytes: equal where a unique index lets only one document in.
    pub(in crate::audit) fn bytes(&self, texts: Texts<'_>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        self.push(texts, &mut bytes);
        bytes
    }

    /// Appends them.
    pub(in crate::audit) fn push(&self, texts: Texts<'_>, bytes: &mut Vec<u8>) {
        for value in &self.values {
            push(*value, texts, bytes);
        }
    }
}

/// Why no index can hold a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) enum Unindexable {
    /// Two fields of the key lead through different arrays.
    ParallelArrays,
    /// A part of a path is both a position in an array and a field of one of its elements.
    Ambiguous,
}

impl Unindexable {
    /// In words.
    pub(in crate::audit) fn as_str(self) -> &'static str {
        match self {
            Unindexable::ParallelArrays => "two arrays side by side",
            Unindexable::Ambiguous => "a number in a path is a position and a field at once",
        }
    }
}

/// The entries of a document. Equal ones may be among them.
pub(in crate::audit) fn entries<'a>(
    fields: &'a [String],
    document: &'a RawDocument,
) -> Result<Vec<Entry<'a>>, Unindexable> {
    // What nearly all keys are needs no walk.
    if let [field] = fields
        && !field.contains('.')
    {
        match document.get(field).ok().flatten() {
            Some(RawBsonRef::Array(_)) => {}
            Some(value) => return Ok(vec![Entry { values: vec![value], missing: false }]),
            None => return Ok(vec![Entry { values: vec![RawBsonRef::Null], missing: true }]),
        }
    }
    let mut found = Vec::with_capacity(1);
    let part = |field: &'a String| Part { rest: field, value: RawBsonRef::Null, positional: None };
    expand(Some(document), fields.iter().map(part).collect(), 0, &mut found)?;
    Ok(found)
}

/// The values at a path, as a query finds them: arrays on the way and at its end are looked into.
pub(in crate::audit) fn values_at<'a>(document: &'a RawDocument, path: &str, found: &mut Vec<RawBsonRef<'a>>) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let Ok(Some(value)) = document.get(first) else { return };
    below(value, rest, found);
}

fn below<'a>(value: RawBsonRef<'a>, rest: Option<&str>, found: &mut Vec<RawBsonRef<'a>>) {
    match (value, rest) {
        (RawBsonRef::Array(array), None) => found.extend(array.into_iter().flatten()),
        (value, None) => found.push(value),
        (RawBsonRef::Document(document), Some(rest)) => values_at(document, rest, found),
        (RawBsonRef::Array(array), Some(rest)) => {
            for element in array.into_iter().flatten() {
                if let RawBsonRef::Document(document) = element {
                    values_at(document, rest, found);
                }
            }
            let (first, beyond) = rest.split_once('.').map_or((rest, None), |(first, rest)| (first, Some(rest)));
            if let Some(element) = element_at(array, first) {
                below(element, beyond, found);
            }
        }
        _ => {}
    }
}

/// How far one field of the key has been followed.
#[derive(Clone, Copy)]
struct Part<'a> {
    /// What is left of its path; empty at the end.
    rest: &'a str,
    /// The value at the end.
    value: RawBsonRef<'a>,
    /// What it leads to if the next part of the path is a position in the array that is being entered.
    positional: Option<Positional<'a>>,
}

#[derive(Clone, Copy)]
struct Positional<'a> {
    /// The element at that position is an array itself.
    nested: bool,
    rest: &'a str,
    value: Option<RawBsonRef<'a>>,
}

/// Follows all fields down to the next array, and through each of its elements.
fn expand<'a>(
    document: Option<&'a RawDocument>,
    mut parts: Vec<Part<'a>>,
    mut not_found: usize,
    found: &mut Vec<Entry<'a>>,
) -> Result<(), Unindexable> {
    let mut entered: Option<&'a RawArray> = None;
    let mut through = Vec::new();
    let mut by_element = true;
    for (number, part) in parts.iter_mut().enumerate().filter(|(_, part)| !part.rest.is_empty()) {
        let Some((value, rest, nested)) = next(document, part)? else {
            (part.value, part.rest) = (RawBsonRef::Null, "");
            not_found += 1;
            continue;
        };
        part.rest = rest;
        match value {
            RawBsonRef::Array(array) => {
                through.push(number);
                by_element &= !nested;
                if entered.is_some_and(|other| !std::ptr::eq(other.as_bytes(), array.as_bytes())) {
                    return Err(Unindexable::ParallelArrays);
                }
                entered = Some(array);
            }
            value => part.value = value,
        }
    }
    let Some(array) = entered else {
        let missing = not_found == parts.len();
        found.push(Entry { values: parts.iter().map(|part| part.value).collect(), missing });
        return Ok(());
    };
    let mut enter = |element: Option<RawBsonRef<'a>>| {
        let mut parts = parts.clone();
        for (number, part) in parts.iter_mut().enumerate() {
            let is_through = through.contains(&number);
            part.positional = (is_through && !part.rest.is_empty()).then(|| positional(array, part.rest)).flatten();
            if is_through && part.rest.is_empty() {
                let element = element.unwrap_or(RawBsonRef::Undefined);
                // An array at a position is one value, but for an empty one.
                part.value = if by_element || array.is_empty() { element } else { RawBsonRef::Array(array) };
            }
        }
        expand(element.and_then(|element| element.as_document()), parts, not_found, found)
    };
    if array.is_empty() {
        return enter(None);
    }
    array.into_iter().flatten().try_for_each(|element| enter(Some(element)))
}

/// The next value on a field's way with the rest of its path, and whether it is an array within an array.
type Next<'a> = Option<(RawBsonRef<'a>, &'a str, bool)>;

fn next<'a>(document: Option<&'a RawDocument>, part: &Part<'a>) -> Result<Next<'a>, Unindexable> {
    let first = part.rest.split('.').next().unwrap_or_default();
    let here = document.is_some_and(|document| document.get(first).is_ok_and(|value| value.is_some()));
    match (here, part.positional) {
        (true, Some(_)) => Err(Unindexable::Ambiguous),
        (true, None) => {
            Ok(document.and_then(|document| descend(document, part.rest)).map(|(value, rest)| (value, rest, false)))
        }
        (false, Some(Positional { nested, rest, value })) => Ok(value.map(|value| (value, rest, nested))),
        (false, None) => Ok(None),
    }
}

/// Follows a path to its end, or to the first array on it.
fn descend<'a>(document: &'a RawDocument, path: &'a str) -> Option<(RawBsonRef<'a>, &'a str)> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    further(document.get(first).ok().flatten()?, rest)
}

fn further<'a>(value: RawBsonRef<'a>, rest: &'a str) -> Option<(RawBsonRef<'a>, &'a str)> {
    match value {
        RawBsonRef::Array(_) => Some((value, rest)),
        _ if rest.is_empty() => Some((value, rest)),
        RawBsonRef::Document(document) => descend(document, rest),
        _ => None,
    }
}

fn positional<'a>(array: &'a RawArray, path: &'a str) -> Option<Positional<'a>> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let element = element_at(array, first)?;
    let nested = matches!(element, RawBsonRef::Array(_));
    Some(match further(element, rest) {
        Some((value, rest)) => Positional { nested, rest, value: Some(value) },
        None => Positional { nested, rest: "", value: None },
    })
}

/// The element at the position that a part of a path names, if it is a number as arrays number their elements.
fn element_at<'a>(array: &'a RawArray, name: &str) -> Option<RawBsonRef<'a>> {
    let position: usize = name.parse().ok().filter(|position: &usize| position.to_string() == name)?;
    array.get(position).ok().flatten()
}
