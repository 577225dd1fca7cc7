//! Changing many documents at once, each only if it is still as it was read: journal, lease, command, and what came of it.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};

use super::bulk;
use super::change::{Since, array, since};
use super::decide::id_of;
use super::guard::same_document;
use super::journal::After;
use super::refer::name;
use super::touch::Touch;
use super::work::Repair;
use crate::audit::error::{Result, Step};

/// One change of a document.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    /// As it was read.
    pub(super) before: Document,
    /// The fields that change, with their new values.
    pub(super) changed: Document,
    /// The expression that must be true of the document.
    pub(super) condition: Bson,
    /// What is set, as expressions.
    pub(super) set: Document,
    /// Duplicates whose content it takes in.
    pub(super) taking: Vec<Bson>,
}

impl Edit {
    pub(super) fn id(&self) -> Bson {
        id_of(&self.before)
    }

    /// The document as it is to be.
    pub(super) fn result(&self) -> Document {
        let mut result = self.before.clone();
        result.extend(self.changed.clone());
        result
    }
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// It is there.
    Done,
    /// The document was not as it had been read.
    NotDone,
    /// Others changed every field since that could tell.
    Unknown,
    /// The server refused it.
    Refused(i32),
}

impl Repair<'_> {
    /// Writes changes of one collection.
    pub(super) async fn write(&mut self, collection: &str, edits: &[Edit]) -> Result<Vec<Written>> {
        if edits.is_empty() {
            return Ok(Vec::new());
        }
        let touch = |edit| {
            let Edit { before, changed, taking, .. }: &Edit = edit;
            Touch { now: before, after: After::Changed(changed.clone()), taking }
        };
        let touches: Vec<Touch<'_>> = edits.iter().map(touch).collect();
        let field = (collection == self.profile.collection).then(|| self.array_field()).flatten();
        self.journal.touch_all(collection, &touches, field).await?;
        let statement = |edit: &Edit| {
            doc! { "q": { "_id": edit.id(), "$expr": &edit.condition }, "u": [{ "$set": &edit.set }] }
        };
        let statements: Vec<Document> = edits.iter().map(statement).collect();
        let reply = bulk::update(&self.database, Some(self.lease), collection, &statements).await?;
        let mut written = vec![Written::Done; edits.len()];
        for (position, code, _) in &reply.refused {
            written[*position] = Written::Refused(*code);
        }
        if reply.matched < (edits.len() - reply.refused.len()) as u64 {
            let ids: Vec<Bson> = edits.iter().map(Edit::id).collect();
            let now = self.documents(collection, &ids).await?;
            for (edit, written) in edits.iter().zip(&mut written).filter(|(_, written)| **written == Written::Done) {
                *written = match now.get(&name(&edit.id())) {
                    Some(now) => evidence(&edit.before, &edit.changed, now, field),
                    None => Written::NotDone,
                };
            }
        }
        Ok(written)
    }

    /// Removes documents that are still as they were read. Tells for each whether it is gone.
    pub(super) async fn remove_exact(&mut self, collection: &str, documents: &[&Document]) -> Result<Vec<bool>> {
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        let statements: Vec<Document> =
            documents.iter().map(|document| doc! { "q": same_document(document), "limit": 1 }).collect();
        let reply = bulk::delete(&self.database, self.lease, collection, &statements).await?;
        if reply.matched == documents.len() as u64 {
            return Ok(vec![true; documents.len()]);
        }
        let ids: Vec<Bson> = documents.iter().filter_map(|document| document.get("_id").cloned()).collect();
        let now = self.documents(collection, &ids).await?;
        Ok(ids.iter().map(|id| !now.contains_key(&name(id))).collect())
    }

    /// Documents as they are, by the names of their ids.
    pub(super) async fn documents(&self, collection: &str, ids: &[Bson]) -> Result<BTreeMap<String, Document>> {
        documents(&self.database, collection, ids).await
    }
}

/// Documents as they are, by the names of their ids.
pub(super) async fn documents(
    database: &mongodb::Database,
    collection: &str,
    ids: &[Bson],
) -> Result<BTreeMap<String, Document>> {
    let mut found = BTreeMap::new();
    let step = format!("read `{collection}`");
    for ids in ids.chunks(1_000) {
        let filter = doc! { "_id": { "$in": ids } };
        let read = database.collection::<Document>(collection).find(filter).await;
        let mut read = read.reading(database.name(), &step)?;
        while let Some(document) = read.try_next().await.reading(database.name(), &step)? {
            found.insert(document.get("_id").map(name).unwrap_or_default(), document);
        }
    }
    Ok(found)
}

/// Whether a change took effect, seen by the document: all its fields change together, so that one that still tells is
/// enough. Arrays tell best, because others only append to them.
pub(super) fn evidence(read: &Document, changed: &Document, now: &Document, field: Option<&str>) -> Written {
    let of_array = field.filter(|field| changed.contains_key(field)).and_then(|field| {
        let after = changed.get_array(field).ok()?;
        match since(array(read, field)?, after, array(now, field)?) {
            Since::Changed(_) => Some(Written::Done),
            Since::Unchanged => Some(Written::NotDone),
            Since::Edited => None,
        }
    });
    if let Some(written) = of_array {
        return written;
    }
    let others = || changed.iter().filter(|(name, _)| Some(name.as_str()) != field);
    if others().any(|(name, after)| now.get(name) == Some(after) && read.get(name) != Some(after)) {
        Written::Done
    } else if others().any(|(name, _)| now.get(name) == read.get(name)) {
        Written::NotDone
    } else {
        Written::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_tells_whether_a_change_took_effect() {
        let read = doc! { "m": ["a"], "sum": 5, "at": 1 };
        let changed = doc! { "m": ["a", "b"], "sum": 12, "at": 3 };
        for (now, expected) in [
            (doc! { "m": ["a", "b", "c"], "sum": 5, "at": 9 }, Written::Done),
            (doc! { "m": ["a", "c"], "sum": 12, "at": 3 }, Written::NotDone),
            (doc! { "m": ["x"], "sum": 12, "at": 9 }, Written::Done),
            (doc! { "m": ["x"], "sum": 5, "at": 9 }, Written::NotDone),
            (doc! { "m": ["x"], "sum": 13, "at": 9 }, Written::Unknown),
        ] {
            assert_eq!(evidence(&read, &changed, &now, Some("m")), expected, "{now}");
        }
    }
}
