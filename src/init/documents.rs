//! What a request left in the database: two states compared, and where a value is found in a document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

/// Documents by database and collection (`db.collection`), then by identifier.
pub type State = BTreeMap<String, BTreeMap<String, Json>>;

/// What changed between two states.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delta {
    /// New documents, with their collections.
    pub inserted: Vec<(String, Json)>,
    /// Collections of documents that changed.
    pub changed: Vec<String>,
    /// Those documents: their collections and identifiers.
    pub changed_documents: BTreeSet<(String, String)>,
    /// Collections of documents that are gone.
    pub removed: Vec<String>,
    /// Lists of documents that changed to which something was added at the end.
    pub grown: Vec<Growth>,
}

/// A list that grew.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// The collection of its document.
    pub collection: String,
    /// The document, as it is now.
    pub document: Json,
    /// The field that holds the list, dotted.
    pub list: String,
    /// What was added.
    pub added: Vec<Json>,
}

/// Every list of a document that is now longer, and begins as it was.
fn growths(collection: &str, old: &Json, new: &Json) -> Vec<Growth> {
    fn walk(old: &Json, new: &Json, path: &mut Vec<String>, found: &mut Vec<(String, Vec<Json>)>) {
        match (old, new) {
            (Json::Object(before), Json::Object(after)) => {
                for (name, value) in after {
                    path.push(name.clone());
                    walk(before.get(name).unwrap_or(&Json::Null), value, path, found);
                    path.pop();
                }
            }
            (Json::Array(before), Json::Array(after)) if after.len() > before.len() && after.starts_with(before) => {
                found.push((path.join("."), after[before.len()..].to_vec()));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(old, new, &mut Vec::new(), &mut found);
    let growth = |(list, added)| Growth { collection: collection.to_owned(), document: new.clone(), list, added };
    found.into_iter().map(growth).collect()
}

impl Delta {
    /// From one state to a later one.
    pub fn between(before: &State, after: &State) -> Self {
        let mut delta = Delta::default();
        let none = BTreeMap::new();
        for (collection, documents) in after {
            let old = before.get(collection).unwrap_or(&none);
            for (id, document) in documents {
                match old.get(id) {
                    None => delta.inserted.push((collection.clone(), document.clone())),
                    Some(same) if same == document => {}
                    Some(other) => {
                        delta.changed.push(collection.clone());
                        delta.changed_documents.insert((collection.clone(), id.clone()));
                        delta.grown.extend(growths(collection, other, document));
                    }
                }
            }
        }
        for (collection, documents) in before {
            let new = after.get(collection).unwrap_or(&none);
            delta.removed.extend(documents.keys().filter(|id| !new.contains_key(*id)).map(|_| collection.clone()));
        }
        delta
    }

    /// With these values in the names of collections replaced: a service may call one after what it is sent.
    pub(super) fn renamed(&mut self, values: &[(String, String)]) {
        let namespaces = self.inserted.iter_mut().map(|(namespace, _)| namespace);
        let namespaces = namespaces.chain(&mut self.changed).chain(&mut self.removed);
        for namespace in namespaces.chain(self.grown.iter_mut().map(|growth| &mut growth.collection)) {
            for (value, other) in
                values.iter().flat_map(|(value, other)| as_names(value).into_iter().zip(as_names(other)))
            {
                if !value.is_empty() {
                    *namespace = namespace.replace(&value, &other);
                }
            }
        }
    }

    /// How many documents of which collections: two requests of the same effect have the same.
    pub(super) fn counts(&self) -> BTreeMap<(&str, u8), usize> {
        let inserted = self.inserted.iter().map(|(collection, _)| (collection.as_str(), 0));
        let changed = self.changed.iter().map(|collection| (collection.as_str(), 1));
        let removed = self.removed.iter().map(|collection| (collection.as_str(), 2));
        let mut counts = BTreeMap::new();
        for one in inserted.chain(changed).chain(removed) {
            *counts.entry(one).or_default() += 1;
        }
        counts
    }

    /// How many documents of which collections are new.
    pub(super) fn made(&self) -> BTreeMap<&str, usize> {
        count(self.inserted.iter().map(|(collection, _)| collection))
    }

    /// How many documents of which collections are new, or changed.
    pub(super) fn touched(&self) -> BTreeMap<&str, usize> {
        count(self.inserted.iter().map(|(collection, _)| collection).chain(&self.changed))
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.inserted.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// How a value is written in a name, as it is first.
pub(super) fn as_names(value: &str) -> [String; 5] {
    let lower = value.to_lowercase();
    let words: Vec<&str> =
        lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    [value.to_owned(), words.join("_"), words.join("-"), words.concat(), lower.clone()]
}

fn count<'a>(collections: impl Iterator<Item = &'a String>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    collections.for_each(|collection| *counts.entry(collection.as_str()).or_default() += 1);
    counts
}

/// Every leaf of a document or an answer with its path: names, and numbers of items.
pub(super) fn leaves(json: &Json) -> Vec<(Vec<String>, &Json)> {
    fn walk<'a>(json: &'a Json, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, &'a Json)>) {
        let children: Vec<(String, &Json)> = match json {
            // MongoDB's own types are leaves.
            Json::Object(fields) if !fields.keys().next().is_some_and(|name| name.starts_with('$')) => {
                fields.iter().map(|(name, value)| (name.clone(), value)).collect()
            }
            Json::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
            _ => return found.push((path.clone(), json)),
        };
        for (name, child) in children {
            path.push(name);
            walk(child, path, found);
            path.pop();
        }
    }
    let mut found = Vec::new();
    walk(json, &mut Vec::new(), &mut found);
    found
}

/// A leaf as text: identifiers without their type.
pub(super) fn plain(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Object(fields) if fields.len() == 1 => {
            let inner = fields.get("$oid").or_else(|| fields.get("$numberLong"))?;
            inner.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

/// A path as JSONPath.
pub(super) fn json_path(path: &[String]) -> String {
    let part = |name: &String| {
        let word = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        match name.chars().next() {
            Some(first) if first.is_ascii_digit() && name.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("[{name}]")
            }
            Some(first) if word && !first.is_ascii_digit() => format!(".{name}"),
            _ => format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")),
        }
    };
    format!("${}", path.iter().map(part).collect::<String>())
}

/// Where an answer has a value, as JSONPath.
pub(super) fn path_of(json: &Json, value: &str) -> Option<String> {
    let mut found = leaves(json).into_iter().filter(|(_, leaf)| plain(leaf).as_deref() == Some(value));
    found.next().map(|(path, _)| json_path(&path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn states_are_compared_document_by_document() {
        let state = |documents: &[(&str, i32)]| {
            let of = documents.iter().map(|(id, value)| ((*id).to_owned(), json!({ "_id": id, "v": value })));
            State::from([("d.c".to_owned(), of.collect())])
        };
        let delta = Delta::between(&state(&[("a", 1), ("b", 1), ("x", 1)]), &state(&[("a", 1), ("b", 2), ("c", 1)]));
        let counts = [(("d.c", 0), 1), (("d.c", 1), 1), (("d.c", 2), 1)];
        assert_eq!(delta.counts(), counts.into());
        assert!(Delta::between(&state(&[("a", 1)]), &state(&[("a", 1)])).is_empty());
        assert_eq!(Delta::between(&State::new(), &state(&[("a", 1)])).inserted.len(), 1);
    }

    #[test]
    fn a_collection_that_is_called_after_a_value_is_the_same_for_every_value() {
        let made_in = |name: &str| Delta { inserted: vec![(format!("d.{name}"), json!({}))], ..Delta::default() };
        for (name, value) in [
            ("tenant_Probe 7-x", "Probe 7-x"),
            ("tenant_probe_7_x", "Probe 7-x"),
            ("probe-7-x.settings", "Probe 7-x"),
            ("probe7x", "Probe 7-x"),
        ] {
            let mut delta = made_in(name);
            delta.renamed(&[(value.to_owned(), "Acme & Co".to_owned())]);
            assert!(delta.inserted[0].0.to_lowercase().contains("acme"), "{name}: {delta:?}");
        }
        let mut delta = made_in("tenants");
        delta.renamed(&[("…".to_owned(), "acme".to_owned())]);
        assert_eq!(delta, made_in("tenants"));
    }

    #[test]
    fn values_are_found_with_their_paths() {
        let json = json!({ "data": [{ "_id": { "$oid": "65" }, "a-b": 7 }] });
        assert_eq!(path_of(&json, "65").as_deref(), Some("$.data[0]._id"));
        assert_eq!(path_of(&json, "7").as_deref(), Some("$.data[0]['a-b']"));
        assert_eq!(path_of(&json, "8"), None);
    }
}
