//! Keys that a collation compares: the server itself says which texts are one.
//!
//! Its rules (letters that are two, accents, ignored signs, numbers within texts) are those of a library in a version that
//! only the server knows, so nothing of them is worked out here. Candidates come from one `$group` with the collation, which
//! may take too many documents together and never too few; then the texts of the candidates are put into classes by another.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Bson, Document, RawDocument, doc};
use rustc_hash::{FxHashMap, FxHashSet};

use super::AuditOptions;
use super::groups::Candidate;
use crate::audit::KeySpec;
use crate::audit::canon::{entries, texts_of};
use crate::audit::error::{AuditError, Result, Step};

/// Numbers the texts in the keys of documents, equal ones alike; `None` if there is no collation.
pub(in crate::audit) async fn classes<'a>(
    collection: &Collection<Document>,
    key: &KeySpec,
    documents: impl Iterator<Item = &'a RawDocument>,
) -> Result<Option<FxHashMap<String, u32>>> {
    let Some(collation) = key.collation() else { return Ok(None) };
    let mut texts = FxHashSet::default();
    for document in documents {
        for entry in entries(key.field.all(), document).unwrap_or_default() {
            entry.values.into_iter().for_each(|value| texts_of(value, &mut texts));
        }
    }
    let texts: Vec<String> = texts.into_iter().collect();
    classes_of(collection, &texts, &collation).await.map(Some)
}

/// Numbers texts, those alike that are one to the collation. There must be a document in the collection.
pub(in crate::audit) async fn classes_of(
    collection: &Collection<Document>,
    texts: &[String],
    collation: &Document,
) -> Result<FxHashMap<String, u32>> {
    let pipeline = [
        doc! { "$limit": 1 },
        doc! { "$project": { "_id": 0, "text": { "$literal": texts.to_vec() } } },
        doc! { "$unwind": { "path": "$text", "includeArrayIndex": "number" } },
        doc! { "$group": { "_id": "$text", "numbers": { "$push": "$number" } } },
    ];
    let step = "compare keys by their collation";
    let database = &collection.namespace().db;
    let cursor = collection.aggregate(pipeline).collation(collation_of(collation)?).await.reading(database, step)?;
    let groups: Vec<Document> = cursor.try_collect().await.reading(database, step)?;
    let mut classes = FxHashMap::default();
    for (class, group) in (0_u32..).zip(&groups) {
        for number in group.get_array("numbers").into_iter().flatten().filter_map(Bson::as_i64) {
            if let Some(text) = usize::try_from(number).ok().and_then(|number| texts.get(number)) {
                classes.insert(text.clone(), class);
            }
        }
    }
    Ok(classes)
}

/// Documents whose keys may be one to the collation. Every document is in one candidate at most.
pub(super) async fn candidates(
    collection: &Collection<Document>,
    key: &KeySpec,
    collation: &Document,
    options: &AuditOptions,
) -> Result<Vec<Candidate>> {
    let step = format!("group `{}` by the key", collection.name());
    let database = &collection.namespace().db;
    let mut cursor = collection
        .aggregate(pipeline(key))
        .collation(collation_of(collation)?)
        .allow_disk_use(true)
        .max_time(options.max_time)
        .comment("onlyone audit")
        .await
        .reading(database, &step)?;
    let mut united = United::default();
    while let Some(group) = cursor.try_next().await.reading(database, &step)? {
        united.add(group.get_array("ids").map(Vec::as_slice).unwrap_or_default());
    }
    Ok(united.candidates())
}

/// Groups documents by each combination of the values at the key's fields. Arrays are taken apart as far as they can be,
/// which is further than an index goes. Documents outside `where` are among them: the key's collation would compare the
/// filter too, and leave out what the collection's own lets in. Reading the candidates again leaves them out.
fn pipeline(key: &KeySpec) -> Vec<Document> {
    let fields = key.field.all();
    let name = |number: usize| format!("k{number}");
    let mut values = doc! {};
    let mut unwind = Vec::new();
    let (mut there, mut grouped) = (Vec::new(), doc! {});
    for (number, field) in fields.iter().enumerate() {
        let (name, path) = (name(number), format!("$k{number}"));
        values.insert(&name, format!("${field}"));
        let stage = doc! { "$unwind": { "path": &path, "preserveNullAndEmptyArrays": true } };
        unwind.extend(std::iter::repeat_n(stage, field.split('.').count() + 1));
        let value = doc! { "$ifNull": [&path, null] };
        there.push(doc! { "$ne": [value.clone(), null] });
        grouped.insert(name, value);
    }
    let mut stages = vec![doc! { "$project": values }];
    stages.extend(unwind);
    stages.extend([
        doc! { "$match": { "$expr": { "$or": there } } },
        doc! { "$group": { "_id": grouped, "ids": { "$push": "$_id" } } },
        doc! { "$match": { "ids.1": { "$exists": true } } },
    ]);
    stages
}

fn collation_of(collation: &Document) -> Result<mongodb::options::Collation> {
    mongodb::bson::deserialize_from_document(collation.clone())
        .map_err(|error| AuditError::Usage(format!("key.collation: {error}")))
}

/// Groups that have documents in common, made one.
#[derive(Default)]
struct United {
    /// The group that a document is in, by the text of its id.
    group_of: FxHashMap<String, usize>,
    /// Documents by group.
    groups: BTreeMap<usize, Vec<Bson>>,
}

impl United {
    fn add(&mut self, ids: &[Bson]) {
        let fresh = self.groups.last_key_value().map_or(0, |(last, _)| last + 1);
        let mut all: Vec<Bson> = Vec::new();
        for id in ids {
            let name = format!("{id:?}");
            match self.group_of.get(&name).copied() {
                Some(group) if group == fresh => {}
                Some(group) => {
                    for moved in self.groups.remove(&group).unwrap_or_default() {
                        self.group_of.insert(format!("{moved:?}"), fresh);
                        all.push(moved);
                    }
                }
                None => {
                    self.group_of.insert(name, fresh);
                    all.push(id.clone());
                }
            }
        }
        self.groups.insert(fresh, all);
    }

    fn candidates(self) -> Vec<Candidate> {
        let several = self.groups.into_values().filter(|ids| ids.len() > 1);
        several.map(|ids| Candidate { hash: None, ids }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_with_a_document_in_common_become_one() {
        let mut united = United::default();
        let ids = |ids: &[i32]| ids.iter().map(|id| Bson::Int32(*id)).collect::<Vec<_>>();
        for group in [&[1, 2][..], &[3, 3], &[4, 5], &[6, 2, 4]] {
            united.add(&ids(group));
        }
        let mut found: Vec<Vec<i32>> = united
            .candidates()
            .into_iter()
            .map(|candidate| candidate.ids.iter().filter_map(Bson::as_i32).collect())
            .collect();
        found.iter_mut().for_each(|ids| ids.sort_unstable());
        assert_eq!(found, [[1, 2, 4, 5, 6]]);
    }
}
