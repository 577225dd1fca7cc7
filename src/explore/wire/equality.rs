//! What a filter pins down: the fields that it compares for equality, and whether that is all it does.

use std::collections::BTreeMap;

use mongodb::bson::spec::ElementType;
use mongodb::bson::{RawBsonRef, RawDocument};

use super::text;

/// A filter, as far as scheduling and the lint need it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Fields compared with one value: directly, by `$eq`, or in an `$and`.
    pub equalities: BTreeMap<String, Pinned>,
    /// Fields that are compared in another way, and operators such as `$or`.
    pub others: Vec<String>,
    /// What the parts of an `$or` compare with one value, beside `equalities`.
    pub alternatives: Vec<BTreeMap<String, Pinned>>,
    /// The whole filter, for people.
    pub text: String,
}

/// A value that a field is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    kind: u8,
    scalar: bool,
    text: String,
}

impl Pinned {
    /// The value in a document or a filter.
    pub fn new(value: RawBsonRef<'_>) -> Self {
        let kind = value.element_type();
        // Dates, binaries and decimals are shown in a shortened form; two of them never count as different.
        let scalar = matches!(
            kind,
            ElementType::String
                | ElementType::ObjectId
                | ElementType::Int32
                | ElementType::Int64
                | ElementType::Boolean
        );
        Pinned { kind: kind as u8, scalar, text: text::value(value) }
    }

    /// Whether no value can equal both. Only values of one type are compared, because `1` and `1.0` are equal to the
    /// server; a pair that is not known to differ may be the same.
    pub fn differs(&self, other: &Pinned) -> bool {
        self.scalar && self.kind == other.kind && self.text != other.text
    }

    /// Whether two values may be what one request says twice: equal, or a time, or an identifier that is made anew.
    pub fn is_like(&self, other: &Pinned) -> bool {
        self.kind == other.kind && (self.kind == ElementType::ObjectId as u8 || !self.differs(other))
    }

    /// Whether the value is known exactly.
    pub fn is_scalar(&self) -> bool {
        self.scalar
    }

    /// The value, for people.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Filter {
    /// Reads a filter.
    pub fn parse(document: &RawDocument) -> Self {
        let mut filter = Filter { text: text::document(document), ..Filter::default() };
        filter.add(document, 0);
        filter
    }

    /// The fields of a document that is inserted: each is known.
    pub fn of_document(document: &RawDocument) -> Self {
        let mut filter = Filter { text: text::document(document), ..Filter::default() };
        for (key, value) in document.into_iter().flatten() {
            filter.equalities.insert(key.as_str().to_owned(), Pinned::new(value));
        }
        filter
    }

    /// Whether the filter is one equality, or an `$and` of them: what the server's retry of an upsert asks for.
    pub fn is_equality(&self) -> bool {
        self.others.is_empty() && !self.equalities.is_empty()
    }

    fn add(&mut self, document: &RawDocument, depth: usize) {
        for (key, value) in document.into_iter().flatten() {
            let key = key.as_str();
            match value {
                RawBsonRef::Array(array) if key == "$and" && depth < 4 => {
                    for part in array.into_iter().flatten() {
                        match part.as_document() {
                            Some(part) => self.add(part, depth + 1),
                            None => self.others.push(key.to_owned()),
                        }
                    }
                }
                RawBsonRef::Array(array) if key == "$or" && depth < 4 => {
                    self.others.push(key.to_owned());
                    let parts = array.into_iter().flatten().filter_map(RawBsonRef::as_document);
                    self.alternatives.extend(parts.map(|part| Filter::parse(part).equalities));
                }
                RawBsonRef::Document(operators) if !key.starts_with('$') => match equal_to(operators) {
                    Some(value) => self.pin(key, value),
                    None => self.others.push(key.to_owned()),
                },
                RawBsonRef::RegularExpression(_) => self.others.push(key.to_owned()),
                _ if key == "$comment" => {}
                _ if key.starts_with('$') => self.others.push(key.to_owned()),
                value => self.pin(key, value),
            }
        }
    }

    fn pin(&mut self, key: &str, value: RawBsonRef<'_>) {
        if self.equalities.contains_key(key) {
            self.others.push(key.to_owned());
        } else {
            self.equalities.insert(key.to_owned(), Pinned::new(value));
        }
    }
}

/// The value of `{ $eq: value }`, or an embedded document that is compared whole.
fn equal_to(document: &RawDocument) -> Option<RawBsonRef<'_>> {
    let (key, value) = document.into_iter().next()?.ok()?;
    match key.as_str() {
        "$eq" => Some(value),
        operator if operator.starts_with('$') => None,
        _ => Some(RawBsonRef::Document(document)),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::rawdoc;

    use super::*;

    #[test]
    fn equalities_are_told_from_the_rest() {
        let cases = [
            (rawdoc! { "k": "a" }, vec!["k"], true),
            (rawdoc! { "k": { "$eq": "a" }, "n": 1 }, vec!["k", "n"], true),
            (rawdoc! { "$and": [{ "k": "a" }, { "n": 1 }] }, vec!["k", "n"], true),
            (rawdoc! { "k": "a", "$comment": "c" }, vec!["k"], true),
            (rawdoc! { "k": "a", "m": { "$ne": 1 } }, vec!["k"], false),
            (rawdoc! { "k": { "$in": ["a"] } }, vec![], false),
            (rawdoc! { "$or": [{ "k": "a" }] }, vec![], false),
            (rawdoc! { "$and": [{ "k": "a" }, { "k": "b" }] }, vec!["k"], false),
            (rawdoc! {}, vec![], false),
        ];
        for (document, fields, equality) in cases {
            let filter = Filter::parse(&document);
            assert_eq!(filter.equalities.keys().collect::<Vec<_>>(), fields, "{}", filter.text);
            assert_eq!(filter.is_equality(), equality, "{}", filter.text);
        }
    }

    #[test]
    fn only_values_that_cannot_be_equal_differ() {
        let document = rawdoc! { "a": "x", "b": "y", "one": 1, "two": 2, "float": 1.5, "list": ["x"], "null": null };
        let pinned = |key: &str| Pinned::new(document.get(key).unwrap().unwrap());
        let cases = [
            ("a", "b", true),
            ("a", "a", false),
            ("one", "two", true),
            ("one", "float", false),
            ("a", "list", false),
            ("a", "null", false),
        ];
        for (left, right, differ) in cases {
            assert_eq!(pinned(left).differs(&pinned(right)), differ, "{left} {right}");
        }
    }
}
