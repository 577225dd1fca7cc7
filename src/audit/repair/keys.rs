//! Keys that are about to be set, and for which a unique index that is there has no room: it may take more texts for one
//! than the profile does, or look at more documents.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::decide::id_of;
use super::refer::{name, values};
use crate::audit::Profile;
use crate::audit::error::{AuditError, Result, Step};
use crate::audit::inspect::classes_of;

/// A document and the key that it is to get.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    pub(super) id: Bson,
    pub(super) key: String,
}

impl Setting {
    /// Why it stays as it is.
    pub(super) fn sentence(&self) -> String {
        format!("document {}: another document has its key {:?}", self.id, self.key)
    }
}

/// Keys looked up by one query.
const AT_ONCE: usize = 500;

/// The names of the documents whose keys cannot be set. `gone` are documents that will have been merged by then.
pub(super) async fn without_room(
    database: &Database,
    profile: &Profile,
    indexes: &[Document],
    settings: &[Setting],
    gone: &BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    let mut blocked = BTreeSet::new();
    let Some(key) = profile.key.as_ref().filter(|_| !settings.is_empty()) else { return Ok(blocked) };
    let field = key.field.first();
    let of_the_key = |index: &&Document| {
        index.get_bool("unique").unwrap_or(false)
            && index.get_document("key").is_ok_and(|fields| fields.keys().eq([field]))
            && !index.contains_key("buildUUID")
    };
    for index in indexes.iter().filter(of_the_key) {
        let within = within(database, profile, index, settings).await?;
        let settings: Vec<&Setting> = settings.iter().filter(|one| within.contains(&name(&one.id))).collect();
        let mut holders = holders(database, profile, index, &settings).await?;
        holders.retain(|(id, _)| !gone.contains(id));
        let texts = settings.iter().map(|one| one.key.clone()).chain(holders.iter().map(|(_, text)| text.clone()));
        let texts: BTreeSet<String> = texts.collect();
        let class: BTreeMap<String, u32> = match collation(index) {
            None => texts.into_iter().zip(0..).collect(),
            Some(collation) => {
                let collection = database.collection(&profile.collection);
                classes_of(&collection, &texts.into_iter().collect::<Vec<_>>(), collation).await?.into_iter().collect()
            }
        };
        blocked.extend(blocked_by(&settings, &holders, &class));
    }
    Ok(blocked)
}

fn collation(index: &Document) -> Option<&Document> {
    let collation = index.get_document("collation").ok();
    collation.filter(|collation| collation.get_str("locale").is_ok_and(|locale| locale != "simple"))
}

/// The names of those documents that the index looks at, or will when they have a key.
async fn within(
    database: &Database,
    profile: &Profile,
    index: &Document,
    settings: &[Setting],
) -> Result<BTreeSet<String>> {
    let all = || settings.iter().map(|one| name(&one.id)).collect();
    let Ok(filter) = index.get_document("partialFilterExpression") else { return Ok(all()) };
    if filter.to_string().contains(&format!("{:?}", profile.key.as_ref().map_or("", |key| key.field.first()))) {
        return Ok(all());
    }
    let mut within = BTreeSet::new();
    for settings in settings.chunks(AT_ONCE) {
        let ids: Vec<&Bson> = settings.iter().map(|one| &one.id).collect();
        let found = read(database, profile, doc! { "$and": [{ "_id": { "$in": ids } }, filter] }, None).await?;
        within.extend(found.iter().map(|document| name(&id_of(document))));
    }
    Ok(within)
}

/// The documents that have one of these keys to the index: the name of the id, and the key.
async fn holders(
    database: &Database,
    profile: &Profile,
    index: &Document,
    settings: &[&Setting],
) -> Result<Vec<(String, String)>> {
    let Some(field) = profile.key.as_ref().map(|key| key.field.first()) else { return Ok(Vec::new()) };
    let filter = index.get_document("partialFilterExpression").cloned().unwrap_or_default();
    let mut holders = Vec::new();
    for settings in settings.chunks(AT_ONCE) {
        let keys: Vec<&str> = settings.iter().map(|one| one.key.as_str()).collect();
        let query = doc! { "$and": [{ field: { "$in": keys } }, &filter] };
        for document in read(database, profile, query, collation(index)).await? {
            let id = name(&id_of(&document));
            let texts = values(&document, field).into_iter().filter_map(Bson::as_str);
            holders.extend(texts.map(|text| (id.clone(), text.to_owned())));
        }
    }
    Ok(holders)
}

async fn read(
    database: &Database,
    profile: &Profile,
    query: Document,
    collation: Option<&Document>,
) -> Result<Vec<Document>> {
    let step = format!("look for keys in `{}`", profile.collection);
    let field = profile.key.as_ref().map_or("_id", |key| key.field.first());
    let documents = database.collection::<Document>(&profile.collection);
    let mut find = documents.find(query).projection(doc! { field: 1 });
    if let Some(collation) = collation {
        let collation = mongodb::bson::deserialize_from_document(collation.clone());
        find = find
            .collation(collation.map_err(|error| AuditError::Usage(format!("the collation of an index: {error}")))?);
    }
    let found = find.await.reading(database.name(), &step)?;
    found.try_collect().await.reading(database.name(), &step)
}

/// The documents that do not get their keys, however often it is tried: each gets its own when no other has it any more.
fn blocked_by(settings: &[&Setting], holders: &[(String, String)], class: &BTreeMap<String, u32>) -> BTreeSet<String> {
    let mut held: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    // The other way round: a plan has as many settings as there are documents without a key.
    let mut holds: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for (id, text) in holders {
        if let Some(class) = class.get(text) {
            held.entry(*class).or_default().insert(id);
            holds.entry(id).or_default().insert(*class);
        }
    }
    let names: Vec<String> = settings.iter().map(|one| name(&one.id)).collect();
    let mut pending: Vec<(&str, u32)> =
        names.iter().zip(settings).filter_map(|(id, one)| Some((id.as_str(), *class.get(&one.key)?))).collect();
    loop {
        let before = pending.len();
        pending.retain(|(id, class)| {
            let free = held.get(class).is_none_or(|ids| ids.iter().all(|other| other == id));
            if free {
                for left in holds.insert(*id, BTreeSet::from([*class])).unwrap_or_default() {
                    held.entry(left).or_default().remove(id);
                }
                held.entry(*class).or_default().insert(*id);
            }
            !free
        });
        if pending.len() == before {
            return pending.into_iter().map(|(id, _)| id.to_owned()).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_set_when_no_other_document_has_it_any_more() {
        // Each: the id, the key that it has, and the key that it is to get.
        for (documents, blocked) in [
            (vec![(1, "a", "b"), (2, "b", "c")], vec![]),
            (vec![(1, "a", "b"), (2, "b", "a")], vec![1, 2]),
            (vec![(1, "", "b"), (2, "b", "")], vec![1]),
            (vec![(1, "", "b"), (2, "", "b")], vec![2]),
            (vec![(1, "b", "B")], vec![]),
            (vec![(1, "", "B"), (2, "b", "")], vec![1]),
        ] {
            let (mut holders, mut settings) = (Vec::new(), Vec::new());
            for (id, has, gets) in documents {
                let id = Bson::Int32(id);
                if !has.is_empty() {
                    holders.push((name(&id), has.to_owned()));
                }
                if !gets.is_empty() {
                    settings.push(Setting { id, key: gets.to_owned() });
                }
            }
            let class = [("a", 0), ("b", 1), ("B", 1), ("c", 2)].map(|(text, class)| (text.to_owned(), class)).into();
            let found = blocked_by(&settings.iter().collect::<Vec<_>>(), &holders, &class);
            let blocked: BTreeSet<String> = blocked.into_iter().map(|id| name(&Bson::Int32(id))).collect();
            assert_eq!(found, blocked, "{settings:?}");
        }
    }
}
