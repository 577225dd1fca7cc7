//! Unique indexes of referring collections: which of them redirecting would violate.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document};

use super::forms::name;
use super::path::values;

/// A unique index of a referring collection.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit::repair) struct UniqueIndex {
    name: String,
    paths: Vec<String>,
    sparse: bool,
}

impl UniqueIndex {
    /// The index that the server lists, if it is unique and can be violated by redirecting one of these fields.
    pub(in crate::audit::repair) fn of(listed: &Document, fields: &[&str]) -> Option<Self> {
        if !listed.get_bool("unique").unwrap_or(false) {
            return None;
        }
        let paths: Vec<String> = listed.get_document("key").ok()?.keys().cloned().collect();
        let touches = |path: &String| {
            fields.iter().any(|field| {
                let within = |outer: &str, inner: &str| inner == outer || inner.starts_with(&format!("{outer}."));
                within(path, field) || within(field, path)
            })
        };
        let name = listed.get_str("name").ok()?.to_owned();
        let sparse = listed.get_bool("sparse").unwrap_or(false);
        paths.iter().any(touches).then_some(UniqueIndex { name, paths, sparse })
    }

    /// Pairs of documents that it would not let in together, by position: an earlier one and a later one.
    pub(super) fn clashes<'a>(&self, documents: impl Iterator<Item = (usize, &'a Document)>) -> Vec<(usize, usize)> {
        let mut seen: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        let mut clashes = Vec::new();
        for (position, document) in documents {
            for key in self.keys(document) {
                match seen.get(&key) {
                    Some(&earlier) if earlier != position => clashes.push((earlier, position)),
                    Some(_) => {}
                    None => {
                        seen.insert(key, position);
                    }
                }
            }
        }
        clashes
    }

    /// The entries of a document: several where a path leads through an array.
    fn keys(&self, document: &Document) -> Vec<Vec<String>> {
        let found: Vec<Vec<&Bson>> = self.paths.iter().map(|path| values(document, path)).collect();
        if self.sparse && found.iter().all(Vec::is_empty) {
            return Vec::new();
        }
        let mut keys = vec![Vec::new()];
        for values in found {
            let mut names: Vec<String> = values.into_iter().map(name).collect();
            if names.is_empty() {
                names.push(name(&Bson::Null));
            }
            keys = keys
                .iter()
                .flat_map(|key: &Vec<String>| {
                    names.iter().map(move |name| [key.as_slice(), std::slice::from_ref(name)].concat())
                })
                .collect();
        }
        keys
    }

    /// What it is called, and what the profile would have to say for it to be obeyed.
    pub(super) fn sentence(&self, field: &str) -> String {
        let others: Vec<String> =
            self.paths.iter().filter(|path| *path != field).map(|path| format!("{path:?}")).collect();
        match others.is_empty() {
            true => format!("the unique index `{}` lets in one", self.name),
            false => format!(
                "the unique index `{}` lets in one; `unique_with = [{}]` says that one of them may go",
                self.name,
                others.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn only_unique_indexes_of_the_reference_matter() {
        let listed = |key: Document, unique: bool| doc! { "name": "i", "key": key, "unique": unique };
        for (index, expected) in [
            (listed(doc! { "user": 1, "course": 1 }, true), true),
            (listed(doc! { "user": 1, "course": 1 }, false), false),
            (listed(doc! { "course": 1 }, true), false),
            (listed(doc! { "user.id": 1 }, true), true),
            (listed(doc! { "username": 1 }, true), false),
        ] {
            assert_eq!(UniqueIndex::of(&index, &["user"]).is_some(), expected, "{index}");
        }
    }

    #[test]
    fn documents_clash_by_value_and_per_element() {
        let index = |sparse: bool| {
            UniqueIndex::of(&doc! { "name": "i", "key": { "u": 1, "c": 1 }, "unique": true, "sparse": sparse }, &["u"])
                .unwrap()
        };
        for (documents, sparse, expected) in [
            (vec![doc! { "u": 1, "c": 2 }, doc! { "u": 1.0, "c": 2_i64 }], false, 1),
            (vec![doc! { "u": 1, "c": 2 }, doc! { "u": 1, "c": 3 }], false, 0),
            (vec![doc! { "u": [1, 2], "c": 2 }, doc! { "u": [2, 3], "c": 2 }], false, 1),
            (vec![doc! { "u": [1, 1], "c": 2 }], false, 0),
            (vec![doc! { "u": 1 }, doc! { "u": 1, "c": null }], false, 1),
            (vec![doc! {}, doc! {}], false, 1),
            (vec![doc! {}, doc! {}], true, 0),
        ] {
            assert_eq!(index(sparse).clashes(documents.iter().enumerate()).len(), expected, "{documents:?}");
        }
    }
}
