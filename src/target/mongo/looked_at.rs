//! What an aggregation of the user's looks at: how many documents, and whether what it names is there at all. An aggregation
//! over nothing gives nothing, which must not be taken for an answer.

use mongodb::bson::{Bson, Document, doc};
use mongodb::{Collection, Database};
use serde::{Deserialize, Serialize};

/// Documents counted at most.
const MOST: u64 = 1_000_000;

/// What an aggregation looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LookedAt {
    /// Documents after a first `$match`, where further stages follow it; else those of the collection.
    pub documents: u64,
    /// What the aggregation names and is not there, in words; then it looked at nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// Counts what the aggregation looks at; with what it joins that is there and empty: if it gives something all the same, it has looked
/// at what it needs.
pub(super) async fn looked_at(
    database: &Database,
    collection: &str,
    pipeline: &[Document],
) -> mongodb::error::Result<(LookedAt, Vec<String>)> {
    let documents: Collection<Document> = database.collection(collection);
    let count = |filter: Document| documents.count_documents(filter).limit(MOST).into_future();
    let all = count(Document::new()).await?;
    if all == 0 {
        let missing =
            vec![format!("the collection `{collection}` of the database `{}` holds nothing", database.name())];
        return Ok((LookedAt { documents: 0, missing }, Vec::new()));
    }
    let (mut found, mut empty) = (LookedAt { documents: all, missing: Vec::new() }, Vec::new());
    for field in pipeline.first().map(fields_of_stage).unwrap_or_default() {
        let there = doc! { field.as_str(): { "$exists": true } };
        if documents.find_one(there).projection(doc! { "_id": 1 }).await?.is_none() {
            found.missing.push(format!("no document of `{collection}` has the field `{field}`"));
        }
    }
    for other in pipeline.iter().filter_map(joined) {
        if database.collection::<Document>(other).find_one(doc! {}).projection(doc! { "_id": 1 }).await?.is_none() {
            let why = format!("the collection `{other}`, which the aggregation joins, holds nothing");
            // One that is not there may be misspelt.
            let is_there = !database.list_collection_names().filter(doc! { "name": other }).await?.is_empty();
            if is_there { empty.push(why) } else { found.missing.push(why) }
        }
    }
    if let Some(filter) = scope(pipeline) {
        found.documents = count(filter.clone()).await?;
        if found.documents == 0 && found.missing.is_empty() {
            found.missing.push(format!("no document of `{collection}` matches the first stage"));
        }
    }
    Ok((found, empty))
}

/// The first `$match`, where what follows it goes on to compute; where it is all there is, it is what must not be found.
fn scope(pipeline: &[Document]) -> Option<&Document> {
    const ONLY_SHOWS: [&str; 6] = ["$count", "$limit", "$project", "$sort", "$set", "$addFields"];
    let (first, rest) = pipeline.split_first()?;
    let filter = first.get_document("$match").ok()?;
    rest.iter().flat_map(Document::keys).any(|stage| !ONLY_SHOWS.contains(&stage.as_str())).then_some(filter)
}

/// The collection that a stage joins.
fn joined(stage: &Document) -> Option<&str> {
    let (name, with) = stage.iter().next()?;
    match (name.as_str(), with) {
        ("$unionWith", Bson::String(collection)) => Some(collection),
        ("$unionWith", Bson::Document(with)) => with.get_str("coll").ok(),
        ("$lookup" | "$graphLookup", Bson::Document(with)) => with.get_str("from").ok(),
        _ => None,
    }
}

/// The fields that a first stage chooses, groups or joins by: without them it looks at nothing, or takes all for one.
fn fields_of_stage(stage: &Document) -> Vec<String> {
    let mut fields = Vec::new();
    match stage.iter().next() {
        Some((name, Bson::Document(filter))) if name == "$match" => filtered(filter, &mut fields),
        Some((name, Bson::Document(group))) if name == "$group" => {
            group.get("_id").into_iter().for_each(|by| references(by, &mut fields));
        }
        Some((name, Bson::Document(unwind))) if name == "$unwind" => {
            unwind.get("path").into_iter().for_each(|path| references(path, &mut fields));
        }
        Some((name, path @ Bson::String(_))) if name == "$unwind" || name == "$sortByCount" => {
            references(path, &mut fields)
        }
        Some((name, Bson::Document(lookup))) if name == "$lookup" => {
            fields.extend(lookup.get_str("localField").ok().map(str::to_owned));
        }
        _ => {}
    }
    fields.sort();
    fields.dedup();
    fields
}

/// Fields that a filter names. One that asks whether a field is there, or may match where it is not, is left out.
fn filtered(filter: &Document, fields: &mut Vec<String>) {
    for (name, condition) in filter {
        match (name.as_str(), condition) {
            ("$expr", expression) => references(expression, fields),
            ("$and" | "$or" | "$nor", Bson::Array(filters)) => {
                filters.iter().filter_map(Bson::as_document).for_each(|filter| filtered(filter, fields));
            }
            (name, _) if name.starts_with('$') => {}
            (_, Bson::Document(condition)) if condition.contains_key("$exists") => {}
            (name, _) => fields.push(name.to_owned()),
        }
    }
}

/// Fields that an expression reads: `"$field"`, but neither variables nor what it merely writes out.
fn references(expression: &Bson, fields: &mut Vec<String>) {
    match expression {
        Bson::String(text) => {
            if let Some(field) = text.strip_prefix('$').filter(|field| !field.starts_with('$') && !field.is_empty()) {
                fields.push(field.to_owned());
            }
        }
        Bson::Array(items) => items.iter().for_each(|item| references(item, fields)),
        Bson::Document(document) => document
            .iter()
            // A default may stand for a field that is not there.
            .filter(|(name, _)| !matches!(name.as_str(), "$literal" | "$ifNull"))
            .for_each(|(_, value)| references(value, fields)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_that_a_first_stage_needs_are_known() {
        let cases = [
            (doc! { "$group": { "_id": "$seat", "n": { "$sum": 1 }, "who": { "$first": "$nick" } } }, vec!["seat"]),
            (doc! { "$group": { "_id": { "a": "$x.y", "b": "$z" } } }, vec!["x.y", "z"]),
            (doc! { "$group": { "_id": null, "n": { "$sum": "$n" } } }, vec![]),
            (doc! { "$unwind": "$messages" }, vec!["messages"]),
            (doc! { "$unwind": { "path": "$messages" } }, vec!["messages"]),
            (doc! { "$match": { "chat": null, "run": "r" } }, vec!["chat", "run"]),
            (doc! { "$match": { "error": { "$exists": true } } }, vec![]),
            (doc! { "$match": { "$or": [{ "a": 1 }, { "b": { "$gt": 2 } }] } }, vec!["a", "b"]),
            (doc! { "$match": { "$expr": { "$gt": [{ "$size": "$messages" }, 1] } } }, vec!["messages"]),
            (doc! { "$match": { "$expr": { "$gt": [{ "$size": { "$ifNull": ["$list", []] } }, 1] } } }, vec![]),
            (doc! { "$match": { "$expr": { "$eq": ["$$NOW", "$at"] } } }, vec!["at"]),
            (
                doc! { "$lookup": { "from": "sent", "localField": "_id", "foreignField": "order", "as": "s" } },
                vec!["_id"],
            ),
            (doc! { "$count": "n" }, vec![]),
        ];
        for (stage, expected) in cases {
            assert_eq!(fields_of_stage(&stage), expected, "{stage}");
        }
    }

    #[test]
    fn a_match_is_the_scope_of_what_follows_and_not_of_itself() {
        let filter = doc! { "$match": { "run": "r" } };
        let group = doc! { "$group": { "_id": "$seat" } };
        assert_eq!(scope(&[filter.clone(), group.clone()]), Some(&doc! { "run": "r" }));
        assert_eq!(scope(&[filter.clone(), doc! { "$count": "n" }]), None);
        assert_eq!(scope(std::slice::from_ref(&filter)), None);
        assert_eq!(scope(&[group, filter]), None);
    }

    #[test]
    fn joined_collections_are_known() {
        assert_eq!(joined(&doc! { "$lookup": { "from": "sent", "as": "s" } }), Some("sent"));
        assert_eq!(joined(&doc! { "$unionWith": "old" }), Some("old"));
        assert_eq!(joined(&doc! { "$unionWith": { "coll": "old", "pipeline": [] } }), Some("old"));
        assert_eq!(joined(&doc! { "$match": {} }), None);
    }
}
