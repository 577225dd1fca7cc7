//! Changing many documents at once, each only if it is still as it was read: journal, lease, command, and what came of it.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};

use super::bulk;
use super::change::{Since, array, by_elements, since};
use super::decide::id_of;
use super::guard::same_document;
use super::journal::After;
use super::limits;
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

    /// As a command takes it.
    pub(super) fn statement(&self) -> Document {
        doc! { "q": { "_id": self.id(), "$expr": &self.condition }, "u": [{ "$set": &self.set }] }
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
    /// It was not sent, because the server would not take it: a sentence.
    TooLarge(String),
}

impl Written {
    /// Why it cannot be made, if that is so.
    pub(super) fn refusal(&self) -> Option<String> {
        match self {
            Written::Refused(code) => Some(format!("the server refuses what it would become (code {code})")),
            Written::TooLarge(why) => Some(why.clone()),
            Written::Done | Written::NotDone | Written::Unknown => None,
        }
    }
}

impl Repair<'_> {
    /// Writes changes of one collection, but for those that the server would not take.
    pub(super) async fn write(&mut self, collection: &str, edits: &[Edit]) -> Result<Vec<Written>> {
        let too_large: Vec<Option<String>> = edits.iter().map(|edit| limits::of_edit(collection, edit)).collect();
        let fitting: Vec<&Edit> =
            edits.iter().zip(&too_large).filter(|(_, too_large)| too_large.is_none()).map(|(edit, _)| edit).collect();
        let mut written = self.write_fitting(collection, &fitting).await?.into_iter();
        let of = |too_large: Option<String>| too_large.map(Written::TooLarge).or_else(|| written.next());
        Ok(too_large.into_iter().filter_map(of).collect())
    }

    async fn write_fitting(&mut self, collection: &str, edits: &[&Edit]) -> Result<Vec<Written>> {
        if edits.is_empty() {
            return Ok(Vec::new());
        }
        self.open().await?;
        let touch = |edit| {
            let Edit { before, changed, taking, .. }: &Edit = edit;
            Touch { now: before, after: After::Changed(changed.clone()), taking }
        };
        let touches: Vec<Touch<'_>> = edits.iter().map(|edit| touch(edit)).collect();
        let field = (collection == self.profile.collection).then(|| self.array_field()).flatten();
        self.journal.touch_all(collection, &touches, field).await?;
        let statements: Vec<Document> = edits.iter().map(|edit| edit.statement()).collect();
        let reply = bulk::update(&self.database, Some(self.lease), collection, &statements).await?;
        let mut written = vec![Written::Done; edits.len()];
        for (position, code, _) in &reply.refused {
            written[*position] = Written::Refused(*code);
        }
        if reply.matched < (edits.len() - reply.refused.len()) as u64 {
            let ids: Vec<Bson> = edits.iter().map(|edit| edit.id()).collect();
            // Where none matched, nothing was written, whatever the documents look like by now.
            let now = match reply.matched {
                0 => BTreeMap::new(),
                _ => self.documents(collection, &ids).await?,
            };
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
        let (before, after, now) = (array(read, field)?, changed.get_array(field).ok()?, array(now, field)?);
        match since(before, after, now) {
            Since::Changed(_) => Some(ArraySays::Surely(Written::Done)),
            Since::Unchanged => Some(ArraySays::Surely(Written::NotDone)),
            // Others put elements elsewhere than at its end, or took some away.
            Since::Edited => by_elements(before, after, now).map(ArraySays::Elements),
        }
    });
    let others = || changed.iter().filter(|(name, _)| Some(name.as_str()) != field);
    let done = || others().any(|(name, after)| now.get(name) == Some(after) && read.get(name) != Some(after));
    match of_array {
        Some(ArraySays::Surely(written)) => written,
        Some(ArraySays::Elements(true)) => Written::Done,
        // They may have been taken away again: where there are other fields, one of these must say so as well. A sum that is
        // taken for not added would be added twice.
        Some(ArraySays::Elements(false)) if others().next().is_none() => Written::NotDone,
        _ if done() => Written::Done,
        _ if others().any(|(name, _)| now.get(name) == read.get(name)) => Written::NotDone,
        _ => Written::Unknown,
    }
}

/// What an array tells of a change.
enum ArraySays {
    /// By its beginning.
    Surely(Written),
    /// By the elements that are added or taken away: whether they are.
    Elements(bool),
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
            (doc! { "m": 5, "sum": 12, "at": 9 }, Written::Done),
            (doc! { "m": 5, "sum": 5, "at": 9 }, Written::NotDone),
            (doc! { "m": 5, "sum": 13, "at": 9 }, Written::Unknown),
            (doc! { "m": ["x"], "sum": 12, "at": 9 }, Written::Done),
            (doc! { "m": ["x"], "sum": 13, "at": 9 }, Written::Unknown),
            (doc! { "m": ["x"], "sum": 5, "at": 9 }, Written::NotDone),
            (doc! { "m": ["x", "a"], "sum": 5, "at": 1 }, Written::NotDone),
            (doc! { "m": ["x", "a", "b"], "sum": 13, "at": 9 }, Written::Done),
        ] {
            assert_eq!(evidence(&read, &changed, &now, Some("m")), expected, "{now}");
        }
        let (only_read, only_changed) = (doc! { "m": ["a"] }, doc! { "m": ["a", "b"] });
        assert_eq!(evidence(&only_read, &only_changed, &doc! { "m": ["x"] }, Some("m")), Written::NotDone);
    }
}
