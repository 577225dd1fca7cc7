//! Whether an index keeps the key unique. The judging is a function of what the server lists.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::{Collection, Database};

use crate::audit::KeySpec;
use crate::audit::error::{Result, Step};
use crate::lint::IndexFact;

/// What the indexes are worth.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::audit) struct IndexCheck {
    /// All indexes.
    pub(in crate::audit) facts: Vec<IndexFact>,
    /// The index that keeps the key unique.
    pub(in crate::audit) protecting: Option<String>,
    /// Indexes of the key that do not, and why.
    pub(in crate::audit) weak: Vec<(String, Vec<&'static str>)>,
}

const HIDDEN: &str = "hidden: lookups do not use it";
const BUILDING: &str = "still building";

impl IndexCheck {
    /// What keeps a repair from creating the index: one that would be right, but for what a repair does not change.
    pub(in crate::audit) fn in_the_way(&self) -> Option<String> {
        let only = |problem| self.weak.iter().find(|(_, problems)| *problems == [problem]).map(|(name, _)| name);
        if let Some(name) = only(HIDDEN) {
            return Some(format!(
                "the index `{name}` would do, but it is hidden: unhide it (`collMod` with `index: {{ name: \"{name}\", \
                 hidden: false }}`), or drop it and repair again"
            ));
        }
        let name = only(BUILDING)?;
        Some(format!("the index `{name}` is still building: repair again when it is built"))
    }
}

/// Reads the indexes, those still building included.
pub(in crate::audit) async fn list(collection: &Collection<Document>) -> Result<Vec<Document>> {
    let namespace = collection.namespace();
    let command = doc! { "listIndexes": &namespace.coll, "includeBuildUUIDs": true };
    let database = collection.client().database(&namespace.db);
    let listed = match database.run_cursor_command(command).await {
        Ok(cursor) => cursor.try_collect().await,
        Err(error) => Err(error),
    };
    listed.reading(&namespace.db, &format!("list the indexes of `{}`", namespace.coll))
}

/// On a sharded cluster, the shards that lack an index which others have; `None` where there are no shards.
pub(super) async fn shards(database: &Database, collection: &Collection<Document>) -> Result<Option<Vec<Document>>> {
    let hello = database.run_command(doc! { "hello": 1 }).await.reading(database.name(), "greet the server")?;
    if !hello.get_str("msg").is_ok_and(|message| message == "isdbgrid") {
        return Ok(None);
    }
    let step = "read the indexes of each shard";
    let cursor = collection.aggregate([doc! { "$indexStats": {} }]).await.reading(database.name(), step)?;
    cursor.try_collect().await.reading(database.name(), step).map(Some)
}

/// Judges the indexes.
pub(in crate::audit) fn judge(key: &KeySpec, listed: &[Document], per_shard: Option<&[Document]>) -> IndexCheck {
    let mut check = IndexCheck::default();
    let incomplete = per_shard.map(not_on_every_shard).unwrap_or_default();
    for entry in listed {
        let building = entry.contains_key("buildUUID");
        let index = if building { entry.get_document("spec").unwrap_or(entry) } else { entry };
        let (Ok(name), Ok(fields)) = (index.get_str("name"), index.get_document("key")) else { continue };
        let flag = |name: &str| index.get_bool(name).unwrap_or(false);
        check.facts.push(IndexFact {
            name: name.to_owned(),
            key: fields.iter().map(|(field, value)| format!("{field}: {value}")).collect::<Vec<_>>().join(", "),
            unique: flag("unique"),
            sparse: flag("sparse"),
        });
        if fields.keys().next() != Some(&key.field) {
            continue;
        }
        let partial = index.get_document("partialFilterExpression").ok();
        let covers_all_keys = partial.is_none_or(|filter| only_leaves_out_the_missing(&key.field, filter));
        let leaves_out_missing = flag("sparse") || partial.is_some();
        let simple = |collation: &Document| collation.get_str("locale").is_ok_and(|locale| locale == "simple");
        let simple = index.get_document("collation").map_or(true, simple);
        let problems: Vec<&'static str> = [
            (fields.len() > 1, "compound: only the combination is unique"),
            (
                !matches!(fields.get(&key.field), Some(Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_))),
                "hashed or text",
            ),
            (!flag("unique"), "not unique"),
            (key.sparse && !leaves_out_missing, "not sparse: documents without the key collide"),
            (!covers_all_keys, "partial: documents outside the filter are not unique"),
            (!simple, "collation: keys that the service tells apart may be one to it"),
            (flag("hidden"), HIDDEN),
            (building, BUILDING),
            (incomplete.contains(name), "not on every shard"),
        ]
        .into_iter()
        .filter_map(|(is, problem)| is.then_some(problem))
        .collect();
        if problems.is_empty() {
            check.protecting.get_or_insert_with(|| name.to_owned());
        } else {
            check.weak.push((name.to_owned(), problems));
        }
    }
    check
}

/// A filter that leaves out no key that is there: `{key: {$exists: true}}` or `{key: {$type: "string"}}`.
fn only_leaves_out_the_missing(field: &str, filter: &Document) -> bool {
    filter.len() == 1
        && filter.get_document(field).is_ok_and(|condition| {
            *condition == doc! { "$exists": true }
                || *condition == doc! { "$type": "string" }
                || *condition == doc! { "$type": 2 }
        })
}

/// Names of indexes that some shard has and another lacks.
fn not_on_every_shard(statistics: &[Document]) -> BTreeSet<String> {
    let mut shards_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in statistics {
        if let (Ok(name), Ok(shard)) = (entry.get_str("name"), entry.get_str("shard")) {
            shards_of.entry(name).or_default().insert(shard);
        }
    }
    let all: BTreeSet<&str> = shards_of.values().flatten().copied().collect();
    shards_of.into_iter().filter(|(_, shards)| *shards != all).map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Profile;

    #[test]
    fn only_an_index_that_keeps_every_key_unique_protects() {
        let key = Profile::load("chats").unwrap().key.unwrap();
        let index = |extra: Document| {
            let mut index = doc! { "name": "i", "key": { "participantsKey": 1 }, "unique": true, "sparse": true };
            index.extend(extra);
            index
        };
        let filter = |condition: Document| doc! { "sparse": false, "partialFilterExpression": condition };
        for (index, expected) in [
            (index(doc! {}), ""),
            (index(doc! { "key": { "participantsKey": -1.0 } }), ""),
            (index(doc! { "unique": false }), "not unique"),
            (index(doc! { "sparse": false }), "not sparse"),
            (index(filter(doc! { "participantsKey": { "$exists": true } })), ""),
            (index(filter(doc! { "participantsKey": { "$type": "string" } })), ""),
            (index(filter(doc! { "archived": false })), "partial"),
            (index(doc! { "collation": { "locale": "en" } }), "collation"),
            (index(doc! { "collation": { "locale": "simple" } }), ""),
            (index(doc! { "hidden": true }), "hidden"),
            (index(doc! { "key": { "participantsKey": 1, "type": 1 } }), "compound"),
            (index(doc! { "key": { "participantsKey": "hashed" } }), "hashed"),
            (doc! { "buildUUID": "u", "spec": index(doc! {}) }, "still building"),
        ] {
            let check = judge(&key, &[doc! { "name": "_id_", "key": { "_id": 1 } }, index.clone()], None);
            assert_eq!(check.protecting.is_some(), expected.is_empty(), "{index}");
            assert!(check.weak.iter().all(|(_, why)| why.iter().any(|why| why.starts_with(expected))), "{check:?}");
            assert_eq!(check.facts.len(), 2);
        }
        let other =
            judge(&key, &[doc! { "name": "o", "key": { "type": 1, "participantsKey": 1 }, "unique": true }], None);
        assert!(other.protecting.is_none() && other.weak.is_empty());
    }

    #[test]
    fn an_index_that_one_shard_lacks_does_not_protect() {
        let key = Profile::load("chats").unwrap().key.unwrap();
        let listed = [doc! { "name": "i", "key": { "participantsKey": 1 }, "unique": true, "sparse": true }];
        let on = |name: &str, shard: &str| doc! { "name": name, "shard": shard };
        let all = [on("_id_", "a"), on("_id_", "b"), on("i", "a"), on("i", "b")];
        assert!(judge(&key, &listed, Some(&all)).protecting.is_some());
        let check = judge(&key, &listed, Some(&all[..3]));
        assert_eq!(check.weak, [("i".to_owned(), vec!["not on every shard"])]);
    }
}
