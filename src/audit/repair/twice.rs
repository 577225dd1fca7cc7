//! Documents that have a field twice. BSON can hold them, queries see one of the two, and what is read and written again
//! has lost the other: nothing is done to them.

use std::collections::BTreeSet;

use mongodb::bson::{Document, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::audit::raw::decoded;

/// A document as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Read {
    /// Of one that cannot be read only its `_id`.
    pub(super) document: Document,
    /// Why nothing is done to it, if it has a field twice or cannot be read.
    pub(super) twice: Option<String>,
    pub(super) unreadable: bool,
}

impl Read {
    /// Decodes a document, which leaves out one of two fields of one name.
    pub(super) fn of(raw: &RawDocumentBuf) -> Self {
        match Document::try_from(raw.as_ref()) {
            Ok(document) => {
                let twice = twice(raw).map(|field| {
                    format!("it has the field `{field}` twice, and which of the two counts cannot be told")
                });
                Read { document, twice, unreadable: false }
            }
            Err(error) => {
                let id = raw.get("_id").ok().flatten().map(decoded);
                let document = id.into_iter().map(|id| ("_id".to_owned(), id)).collect();
                let twice = Some(format!("it holds what cannot be read: {error}"));
                Read { document, twice, unreadable: true }
            }
        }
    }
}

/// The path of a field that a document, or one within it, has twice.
fn twice(document: &RawDocument) -> Option<String> {
    let mut names = BTreeSet::new();
    for field in document {
        let Ok((name, value)) = field else { continue };
        let name = name.as_str();
        if !names.insert(name) {
            return Some(name.to_owned());
        }
        if let Some(inner) = twice_within(value) {
            return Some(format!("{name}.{inner}"));
        }
    }
    None
}

fn twice_within(value: RawBsonRef<'_>) -> Option<String> {
    match value {
        RawBsonRef::Document(document) => twice(document),
        RawBsonRef::Array(array) => {
            let within = |(at, element)| twice_within(element).map(|inner| format!("{at}.{inner}"));
            array.into_iter().flatten().enumerate().find_map(within)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{RawArrayBuf, cstr};

    use super::*;

    #[test]
    fn a_field_that_is_there_twice_is_found_at_any_depth() {
        let mut inner = RawDocumentBuf::new();
        inner.append(cstr!("a"), 1);
        inner.append(cstr!("b"), 1);
        assert_eq!(twice(&inner), None);
        inner.append(cstr!("a"), 2);
        assert_eq!(twice(&inner).unwrap(), "a");
        let mut array = RawArrayBuf::new();
        array.push(1);
        array.push(inner);
        let mut outer = RawDocumentBuf::new();
        outer.append(cstr!("m"), array);
        let read = Read::of(&outer);
        assert!(read.twice.unwrap().contains("the field `m.1.a` twice"));
    }
}
