//! Which documents have one key, which key a document should have, and whether a unique index would let all of them in.

use mongodb::bson::{Bson, Document};

use super::value::{at, equal, is_none};

/// How documents are known.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    /// By the people in it; the field holds their names, sorted and joined.
    People {
        field: &'static str,
        people: &'static str,
        prefix: Option<&'static str>,
        /// A person named twice counts once.
        once: bool,
    },
    /// By what is stored.
    Stored {
        fields: &'static [&'static str],
        any_case: bool,
        /// Documents without it may be there, any number of them.
        sparse: bool,
        /// An empty text is no key.
        required: bool,
    },
}

/// Groups of at least two documents that stand for one thing.
pub(super) fn groups(key: &Key, documents: &[&Document]) -> Vec<Vec<Document>> {
    let mut groups: Vec<(Vec<Bson>, Vec<Document>)> = Vec::new();
    for document in documents {
        let Some(own) = thing(key, document) else { continue };
        let same = |other: &[Bson]| other.len() == own.len() && other.iter().zip(&own).all(|(a, b)| equal(a, b));
        match groups.iter_mut().find(|(other, _)| same(other)) {
            Some((_, group)) => group.push((*document).clone()),
            None => groups.push((own, vec![(*document).clone()])),
        }
    }
    groups.into_iter().map(|(_, group)| group).filter(|group| group.len() > 1).collect()
}

/// What a document is by its key.
fn thing(key: &Key, document: &Document) -> Option<Vec<Bson>> {
    match key {
        Key::People { field, .. } => match names(key, document) {
            Some(names) => Some(names.into_iter().map(Bson::String).collect()),
            None => document.get(field).filter(|own| !is_blank(own)).map(|own| vec![own.clone()]),
        },
        Key::Stored { fields, any_case, required, .. } => {
            let values: Vec<Bson> = fields.iter().map(|field| seen(document, field, *any_case)).collect();
            let blank = |value: &Bson| *value == Bson::Null || (*required && *value == Bson::String(String::new()));
            (!values.iter().all(blank)).then_some(values)
        }
    }
}

/// Whether all of a document's key is there: who has none of a part may be anybody.
pub(super) fn is_whole(key: &Key, document: &Document) -> bool {
    let Key::Stored { fields, .. } = key else { return true };
    fields.iter().all(|field| !is_blank(&seen(document, field, false)))
}

/// A value as the index sees it.
fn seen(document: &Document, field: &str, any_case: bool) -> Bson {
    match at(document, field) {
        Some(Bson::String(text)) if any_case => text.to_lowercase().into(),
        value => value.cloned().unwrap_or(Bson::Null),
    }
}

fn is_blank(value: &Bson) -> bool {
    is_none(Some(value)) || value.as_str() == Some("")
}

/// The people in a document, with what comes before them. `None` if one of them has no name.
fn names(key: &Key, document: &Document) -> Option<Vec<String>> {
    let Key::People { people, prefix, once, .. } = key else { return None };
    let name = |person: &Bson| match person {
        Bson::String(text) if !text.is_empty() => Some(text.clone()),
        Bson::ObjectId(id) => Some(id.to_hex()),
        Bson::Int32(number) => Some(number.to_string()),
        Bson::Int64(number) => Some(number.to_string()),
        _ => None,
    };
    let mut names: Vec<String> = document.get(people)?.as_array()?.iter().map(name).collect::<Option<_>>()?;
    if names.is_empty() {
        return None;
    }
    names.sort();
    if *once {
        names.dedup();
    }
    if let Some(prefix) = prefix {
        names.insert(0, name(document.get(prefix)?)?);
    }
    Some(names)
}

/// Gives a document the key that its people give. Returns it where it was another one.
pub(super) fn set(key: &Key, document: &mut Document) -> Option<String> {
    let Key::People { field, .. } = key else { return None };
    let right = names(key, document)?.join("_");
    if document.get(field).and_then(Bson::as_str) == Some(&right) {
        return None;
    }
    document.insert(*field, &right);
    Some(right)
}

/// Whether no two documents have one entry in the unique index of the key.
pub(super) fn index_fits(key: &Key, documents: &[&Document]) -> bool {
    let (fields, any_case, sparse): (&[&str], bool, bool) = match key {
        Key::People { field, .. } => (&[*field], false, true),
        Key::Stored { fields, any_case, sparse, .. } => (fields, *any_case, *sparse),
    };
    let there = |document: &&&Document| !sparse || fields.iter().any(|field| at(document, field).is_some());
    let entry = |document: &&Document| fields.iter().map(|field| seen(document, field, any_case)).collect::<Vec<_>>();
    let entries: Vec<Vec<Bson>> = documents.iter().filter(there).map(entry).collect();
    let same = |left: &[Bson], right: &[Bson]| left.iter().zip(right).all(|(left, right)| equal(left, right));
    (1..entries.len()).all(|later| !entries[..later].iter().any(|earlier| same(earlier, &entries[later])))
}
