//! Entries of the oplog, and what they make of a document: [`Entry`].
//!
//! Updates are differences (`$v: 2`, since MongoDB 5.0), `{ $set, $unset }` (older), or whole documents.

use mongodb::bson::{Bson, Document};

/// An entry that is not understood: nothing can be said of what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an entry of the oplog is not understood: {0}")]
pub(in crate::explore) struct Unreadable(pub(super) String);

/// One change of one document, or of a whole collection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Entry<'a> {
    Insert {
        namespace: &'a str,
        document: &'a Document,
    },
    Update {
        namespace: &'a str,
        id: &'a Document,
        change: &'a Document,
    },
    Delete {
        namespace: &'a str,
        id: &'a Document,
    },
    /// A collection ends.
    Drop {
        database: &'a str,
        collection: &'a str,
    },
    /// All of a database's end.
    DropAll {
        database: &'a str,
    },
    /// A collection becomes another one, in the place of what was there.
    Rename {
        from: &'a str,
        to: &'a str,
    },
}

/// The changes of an entry; those of a transaction are inside of one.
pub(super) fn entries(entry: &Document) -> Result<Vec<Entry<'_>>, Unreadable> {
    let unreadable = |what: &str| Unreadable(format!("{what} of {}", entry.get_str("ns").unwrap_or("?")));
    let namespace = entry.get_str("ns").unwrap_or_default();
    let object = entry.get_document("o").map_err(|_| unreadable("an operation without a body"))?;
    let key = || entry.get_document("o2").map_err(|_| unreadable("an update without an identifier"));
    Ok(match entry.get_str("op").unwrap_or_default() {
        "i" => vec![Entry::Insert { namespace, document: object }],
        "u" => vec![Entry::Update { namespace, id: key()?, change: object }],
        "d" => vec![Entry::Delete { namespace, id: object }],
        "c" => of_command(namespace, object)?,
        _ => Vec::new(),
    })
}

/// The changes of a command, whose namespace is `database.$cmd`.
fn of_command<'a>(namespace: &'a str, object: &'a Document) -> Result<Vec<Entry<'a>>, Unreadable> {
    let database = database_of(namespace);
    if let Ok(inner) = object.get_array("applyOps") {
        let mut all = Vec::new();
        for operation in inner.iter().filter_map(Bson::as_document) {
            all.extend(entries(operation)?);
        }
        return Ok(all);
    }
    if let Ok(collection) = object.get_str("drop") {
        return Ok(vec![Entry::Drop { database, collection }]);
    }
    if object.contains_key("dropDatabase") {
        return Ok(vec![Entry::DropAll { database }]);
    }
    match (object.get_str("renameCollection"), object.get_str("to")) {
        (Ok(from), Ok(to)) => Ok(vec![Entry::Rename { from, to }]),
        _ => Ok(Vec::new()),
    }
}

fn database_of(namespace: &str) -> &str {
    namespace.split('.').next().unwrap_or_default()
}

impl<'a> Entry<'a> {
    /// Database and collection; of whole collections, what they are told by.
    pub(super) fn namespace(&self) -> &'a str {
        match self {
            Entry::Insert { namespace, .. } | Entry::Update { namespace, .. } | Entry::Delete { namespace, .. } => {
                namespace
            }
            Entry::Drop { database, .. } | Entry::DropAll { database } => database,
            Entry::Rename { to, .. } => to,
        }
    }

    pub(super) fn database(&self) -> &'a str {
        database_of(self.namespace())
    }

    /// The document's identifier.
    pub(super) fn id(&self) -> Result<Bson, Unreadable> {
        let document = match self {
            Entry::Insert { document, .. } => document,
            Entry::Update { id, .. } | Entry::Delete { id, .. } => id,
            Entry::Drop { .. } | Entry::DropAll { .. } | Entry::Rename { .. } => return Ok(Bson::Null),
        };
        document
            .get("_id")
            .cloned()
            .ok_or_else(|| Unreadable(format!("a document without _id in {}", self.namespace())))
    }

    /// What the document is afterwards.
    pub(super) fn apply(&self, before: Option<Document>) -> Result<Option<Document>, Unreadable> {
        match self {
            Entry::Insert { document, .. } => Ok(Some((*document).clone())),
            Entry::Delete { .. } | Entry::Drop { .. } | Entry::DropAll { .. } | Entry::Rename { .. } => Ok(None),
            Entry::Update { change, id, .. } => {
                let Ok(version) = change.get_i32("$v") else {
                    return match change.keys().any(|name| name.starts_with('$')) {
                        true => older(change, before).map(Some),
                        false => Ok(Some((*change).clone())),
                    };
                };
                // A document that was never heard of: of what it is, only what changed is known.
                let mut document = before.unwrap_or_else(|| (*id).clone());
                if version == 1 {
                    return older(change, Some(document)).map(Some);
                }
                let diff =
                    change.get_document("diff").map_err(|_| Unreadable(format!("an update of version {version}")))?;
                patch(&mut document, diff)?;
                Ok(Some(document))
            }
        }
    }
}

/// Applies a difference to a document.
fn patch(document: &mut Document, diff: &Document) -> Result<(), Unreadable> {
    for (name, value) in diff {
        match (name.as_str(), value) {
            ("d", Bson::Document(fields)) => fields.keys().for_each(|field| drop(document.remove(field))),
            ("u" | "i", Bson::Document(fields)) => {
                fields.iter().for_each(|(field, value)| drop(document.insert(field.clone(), value.clone())));
            }
            (part, Bson::Document(inner)) if part.starts_with('s') => {
                let field = &part[1..];
                match document.get_mut(field) {
                    Some(Bson::Document(nested)) => patch(nested, inner)?,
                    Some(Bson::Array(array)) => patch_array(array, inner)?,
                    _ => return Err(Unreadable(format!("a change within `{field}`, which is not there"))),
                }
            }
            (part, _) => return Err(Unreadable(format!("a difference with `{part}`"))),
        }
    }
    Ok(())
}

/// Applies a difference to an array: `{ a: true, l: length, u0: value, s1: difference }`.
fn patch_array(array: &mut Vec<Bson>, diff: &Document) -> Result<(), Unreadable> {
    for (name, value) in diff {
        if name == "a" {
            continue;
        }
        if name == "l" {
            let length =
                value.as_i32().map(i64::from).or(value.as_i64()).and_then(|length| usize::try_from(length).ok());
            let length = length.ok_or_else(|| Unreadable("an array without a length".to_owned()))?;
            array.resize(length, Bson::Null);
            continue;
        }
        let unreadable = || Unreadable(format!("a difference of an array with `{name}`"));
        let index: usize = name.get(1..).and_then(|index| index.parse().ok()).ok_or_else(unreadable)?;
        if index >= array.len() {
            array.resize(index + 1, Bson::Null);
        }
        match (name.as_bytes()[0], value) {
            (b'u', value) => array[index] = value.clone(),
            (b's', Bson::Document(inner)) => match &mut array[index] {
                Bson::Document(nested) => patch(nested, inner)?,
                Bson::Array(nested) => patch_array(nested, inner)?,
                _ => return Err(unreadable()),
            },
            _ => return Err(unreadable()),
        }
    }
    Ok(())
}

/// `{ $set, $unset }` with dotted paths.
fn older(change: &Document, before: Option<Document>) -> Result<Document, Unreadable> {
    let mut document = before.unwrap_or_default();
    for (operator, fields) in change.iter().filter(|(name, _)| *name != "$v") {
        let Bson::Document(fields) = fields else { return Err(Unreadable(format!("an update with `{operator}`"))) };
        for (path, value) in fields {
            let value = match operator.as_str() {
                "$set" => Some(value.clone()),
                "$unset" => None,
                _ => return Err(Unreadable(format!("an update with `{operator}`"))),
            };
            set(&mut document, path, value);
        }
    }
    Ok(document)
}

fn set(document: &mut Document, path: &str, value: Option<Bson>) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let Some(rest) = rest else {
        match value {
            Some(value) => drop(document.insert(first, value)),
            None => drop(document.remove(first)),
        }
        return;
    };
    match document.get_mut(first) {
        Some(Bson::Document(nested)) => set(nested, rest, value),
        Some(Bson::Array(array)) => set_in_array(array, rest, value),
        _ => {
            let mut nested = Document::new();
            set(&mut nested, rest, value);
            document.insert(first, nested);
        }
    }
}

fn set_in_array(array: &mut Vec<Bson>, path: &str, value: Option<Bson>) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let Ok(index) = first.parse::<usize>() else { return };
    if index >= array.len() {
        array.resize(index + 1, Bson::Null);
    }
    match (&mut array[index], rest) {
        (Bson::Document(nested), Some(rest)) => set(nested, rest, value),
        (Bson::Array(nested), Some(rest)) => set_in_array(nested, rest, value),
        (element, _) => *element = value.unwrap_or(Bson::Null),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    fn after(before: Document, change: Document) -> Result<Document, Unreadable> {
        let id = doc! { "_id": 1 };
        Entry::Update { namespace: "a.b", id: &id, change: &change }.apply(Some(before)).map(Option::unwrap)
    }

    #[test]
    fn differences_make_of_a_document_what_the_server_made_of_it() {
        let before = doc! { "_id": 1, "n": 1, "gone": 0, "in": { "a": 1 }, "list": [1, { "x": 1 }, 3] };
        let diff = doc! { "$v": 2, "diff": {
            "d": { "gone": false }, "u": { "n": 2 }, "i": { "new": "x" }, "sin": { "u": { "a": 2 } },
            "slist": { "a": true, "l": 2, "u0": 9, "s1": { "i": { "y": 2 } } },
        } };
        let expected = doc! { "_id": 1, "n": 2, "in": { "a": 2 }, "list": [9, { "x": 1, "y": 2 }], "new": "x" };
        assert_eq!(after(before.clone(), diff).unwrap(), expected);
        let appended = doc! { "$v": 2, "diff": { "slist": { "a": true, "u3": 4 } } };
        assert_eq!(after(before.clone(), appended).unwrap().get_array("list").unwrap().len(), 4);
        let old = doc! { "$v": 1, "$set": { "in.a": 5, "list.1.x": 7 }, "$unset": { "gone": true } };
        let expected = doc! { "_id": 1, "n": 1, "in": { "a": 5 }, "list": [1, { "x": 7 }, 3] };
        assert_eq!(after(before.clone(), old).unwrap(), expected);
        assert_eq!(after(before.clone(), doc! { "_id": 1, "all": "new" }).unwrap(), doc! { "_id": 1, "all": "new" });
        assert!(after(before.clone(), doc! { "$v": 2, "diff": { "snone": {} } }).is_err());
        assert!(after(before, doc! { "$v": 2, "diff": { "z": 1 } }).is_err());
    }

    #[test]
    fn a_transaction_has_its_changes_inside() {
        let insert = doc! { "op": "i", "ns": "app.a", "o": { "_id": 1 } };
        let delete = doc! { "op": "d", "ns": "app.b", "o": { "_id": 2 } };
        let whole = doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [insert, delete] } };
        let entries = entries(&whole).unwrap();
        let namespaces: Vec<&str> = entries.iter().map(Entry::namespace).collect();
        assert_eq!(namespaces, ["app.a", "app.b"]);
        assert_eq!(entries[1].id().unwrap(), Bson::Int32(2));
        assert!(super::entries(&doc! { "op": "n", "ns": "", "o": {} }).unwrap().is_empty());
    }

    #[test]
    fn whole_collections_end_and_become_others() {
        let told = |object: Document| {
            let entry = doc! { "op": "c", "ns": "app.$cmd", "o": object };
            super::entries(&entry).unwrap().iter().map(|entry| format!("{entry:?}")).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(told(doc! { "drop": "a" }), r#"Drop { database: "app", collection: "a" }"#);
        assert_eq!(told(doc! { "dropDatabase": 1 }), r#"DropAll { database: "app" }"#);
        let rename = doc! { "renameCollection": "app.tmp.x", "to": "app.a", "stayTemp": false };
        assert_eq!(told(rename), r#"Rename { from: "app.tmp.x", to: "app.a" }"#);
        assert_eq!(told(doc! { "create": "a" }), "");
    }
}
