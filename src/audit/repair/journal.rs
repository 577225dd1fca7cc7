//! Backup and journal of a repair, in the collection `onlyone_backup_<id>`.
//!
//! For each document touched there is what it was (`before`, the whole document, written before the first change) and
//! what the repair made of it (`after`: the changed fields, or that it was removed). For each merge there is how far it
//! got. A reader needs nothing else to finish or to undo the repair.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::{Collection, Database};

use super::change::{Since, array, since};
use crate::audit::error::{AuditError, Result, Step};

/// What the names of backup collections begin with.
pub(super) const PREFIX: &str = "onlyone_backup_";
const FORMAT_VERSION: i32 = 1;
const HEADER: &str = "repair";
const INDEX: &str = "index";
const REMOVING: &str = "removing";
const DONE: &str = "done";

/// The journal of one repair.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    collection: Collection<Document>,
    database: String,
}

/// How far a merge got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MergeState {
    /// The duplicate is backed up and may be removed already.
    Removing,
    /// It is removed, and its content may be in the kept document already.
    Removed,
    /// All done but documents that refer to it and come late.
    Done,
}

/// A merge in the journal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MergeEntry {
    pub(super) duplicate: Document,
    pub(super) keeper: Bson,
    pub(super) state: MergeState,
}

/// Documents that were merged into others: the id as text, the id, and what it was merged into.
pub(super) type Merged = BTreeMap<String, (Bson, Bson)>;

/// A touched document in the journal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Touched {
    pub(super) collection: String,
    pub(super) before: Document,
    /// What the repair wrote, by field; `None` if it was about to, and did not say what.
    pub(super) after: Option<After>,
}

/// What the repair made of a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum After {
    /// These fields have these values.
    Changed(Document),
    /// It is gone.
    Removed,
}

impl Journal {
    /// The journal of this name, which need not exist yet.
    pub(super) fn named(database: &Database, name: &str) -> Self {
        Journal { collection: database.collection(name), database: database.name().to_owned() }
    }

    /// Name of the collection.
    pub(super) fn name(&self) -> &str {
        self.collection.name()
    }

    /// The journals of repairs of this collection with this state, the oldest first.
    pub(super) async fn all(database: &Database, audited: Option<&str>, states: &[&str]) -> Result<Vec<Journal>> {
        let step = "look for backups";
        let mut names = database.list_collection_names().await.reading(database.name(), step)?;
        names.retain(|name| name.starts_with(PREFIX));
        names.sort_unstable();
        let mut journals = Vec::new();
        for name in names {
            let journal = Journal::named(database, &name);
            let header = journal.header().await?;
            let fits = |header: &Document| {
                audited.is_none_or(|audited| header.get_str("collection").is_ok_and(|found| found == audited))
                    && header.get_str("state").is_ok_and(|state| states.contains(&state))
            };
            if header.as_ref().is_some_and(fits) {
                journals.push(journal);
            }
        }
        Ok(journals)
    }

    /// Begins the journal.
    pub(super) async fn open(&self, audited: &str, profile: &str) -> Result<()> {
        let header = doc! {
            "_id": HEADER, "format_version": FORMAT_VERSION, "tool": "onlyone", "version": env!("CARGO_PKG_VERSION"),
            "collection": audited, "profile": profile, "state": "applying", "begun": DateTime::now(),
        };
        self.put(header).await
    }

    /// The header, if the journal exists.
    pub(super) async fn header(&self) -> Result<Option<Document>> {
        let header = self.get(HEADER.into()).await?;
        if let Some(header) = &header
            && header.get_i32("format_version").is_ok_and(|version| version > FORMAT_VERSION)
        {
            return Err(AuditError::Backup(format!("`{}` was written by a newer onlyone", self.name())));
        }
        Ok(header)
    }

    /// Notes that the repair is `applied` or `restored`.
    pub(super) async fn set_state(&self, state: &str) -> Result<()> {
        let update = doc! { "$set": { "state": state, "ended": DateTime::now() } };
        let updated = self.collection.update_one(doc! { "_id": HEADER }, update).await;
        updated.writing(&self.database, "write the journal").map(drop)
    }

    /// Notes what is about to become of a document. Its first `before` stays; what others appended to the array since
    /// the repair's own last change belongs to it as well. Returns what was known before.
    pub(super) async fn touch(
        &self,
        collection: &str,
        now: &Document,
        after: After,
        array: Option<&str>,
    ) -> Result<Option<Touched>> {
        let id = now.get("_id").cloned().unwrap_or(Bson::Null);
        let known = self.touched(collection, &id).await?;
        let before = match &known {
            // It was never changed: the newer state is the better backup.
            None | Some(Touched { after: None, .. }) => Some(now.clone()),
            Some(Touched { before, after: Some(after), .. }) => with_appended(before.clone(), after, now, array),
        };
        if let Some(before) = before {
            let entry = doc! { "_id": key("before", collection, &id), "document": before };
            self.put(entry).await?;
        }
        let mut entry = doc! { "_id": key("after", collection, &id) };
        match after {
            After::Removed => entry.insert("removed", true),
            After::Changed(changed) => {
                let mut all = match known.as_ref().and_then(|known| known.after.as_ref()) {
                    Some(After::Changed(earlier)) => earlier.clone(),
                    _ => Document::new(),
                };
                all.extend(changed);
                entry.insert("changed", all)
            }
        };
        self.put(entry).await?;
        Ok(known)
    }

    /// The same for many documents without arrays to look after; those that are known already go one by one.
    pub(super) async fn touch_together(&self, collection: &str, changes: &[(&Document, Document)]) -> Result<()> {
        let id = |document: &Document| document.get("_id").cloned().unwrap_or(Bson::Null);
        let keys: Vec<Document> =
            changes.iter().map(|(document, _)| key("before", collection, &id(document))).collect();
        let step = "read the backup";
        let found = self.collection.find(doc! { "_id": { "$in": keys } }).projection(doc! { "_id": 1 }).await;
        let found: Vec<Document> =
            found.reading(&self.database, step)?.try_collect().await.reading(&self.database, step)?;
        let known: Vec<&Bson> = found.iter().filter_map(|entry| entry.get_document("_id").ok()?.get("id")).collect();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (document, changed) in changes {
            let id = id(document);
            if known.contains(&&id) {
                self.touch(collection, document, After::Changed(changed.clone()), None).await?;
            } else {
                before.push(doc! { "_id": key("before", collection, &id), "document": *document });
                after.push(doc! { "_id": key("after", collection, &id), "changed": changed });
            }
        }
        for entries in [before, after].iter().filter(|entries| !entries.is_empty()) {
            let written = self.collection.insert_many(entries).await;
            written.writing(&self.database, "write the backup")?;
        }
        Ok(())
    }

    /// Takes back the last `touch`: the change did not take effect.
    pub(super) async fn untouch(&self, collection: &str, id: &Bson, known: Option<Touched>) -> Result<()> {
        let step = "write the journal";
        let (before, after) = (key("before", collection, id), key("after", collection, id));
        match known {
            Some(Touched { before: document, after: Some(known), .. }) => {
                let mut entry = doc! { "_id": after };
                match known {
                    After::Removed => entry.insert("removed", true),
                    After::Changed(changed) => entry.insert("changed", changed),
                };
                self.put(doc! { "_id": before, "document": document }).await?;
                self.put(entry).await
            }
            None | Some(Touched { after: None, .. }) => {
                // First what says that there is a change, then the backup: a kill in between leaves a backup too many.
                for id in [after, before] {
                    self.collection.delete_one(doc! { "_id": id }).await.writing(&self.database, step)?;
                }
                Ok(())
            }
        }
    }

    /// What is known of a document.
    pub(super) async fn touched(&self, collection: &str, id: &Bson) -> Result<Option<Touched>> {
        let Some(before) = self.get(key("before", collection, id).into()).await? else { return Ok(None) };
        let before = before.get_document("document").cloned().unwrap_or_default();
        let after =
            self.get(key("after", collection, id).into()).await?.map(|entry| match entry.get_document("changed") {
                Ok(changed) => After::Changed(changed.clone()),
                Err(_) => After::Removed,
            });
        Ok(Some(Touched { collection: collection.to_owned(), before, after }))
    }

    /// Keys of all documents touched: collection and id.
    pub(super) async fn touched_keys(&self) -> Result<Vec<(String, Bson)>> {
        let step = "read the backup";
        let found = self.collection.find(doc! { "_id.is": "before" }).projection(doc! { "_id": 1 }).await;
        let entries: Vec<Document> =
            found.reading(&self.database, step)?.try_collect().await.reading(&self.database, step)?;
        let key = |entry: &Document| {
            let key = entry.get_document("_id").ok()?;
            Some((key.get_str("collection").ok()?.to_owned(), key.get("id")?.clone()))
        };
        Ok(entries.iter().filter_map(key).collect())
    }

    /// Notes how far a merge got.
    pub(super) async fn put_merge(&self, duplicate: &Document, keeper: &Bson, state: MergeState) -> Result<()> {
        let id = duplicate.get("_id").cloned().unwrap_or(Bson::Null);
        let state = match state {
            MergeState::Removing => REMOVING,
            MergeState::Removed => "removed",
            MergeState::Done => DONE,
        };
        let entry =
            doc! { "_id": { "is": "merge", "id": id }, "keeper": keeper, "state": state, "duplicate": duplicate };
        self.put(entry).await
    }

    /// Forgets a merge that did not begin.
    pub(super) async fn drop_merge(&self, duplicate: &Bson) -> Result<()> {
        let removed = self.collection.delete_one(doc! { "_id": { "is": "merge", "id": duplicate } }).await;
        removed.writing(&self.database, "write the journal").map(drop)
    }

    /// The merges that are not done, with their duplicates.
    pub(super) async fn open_merges(&self) -> Result<Vec<MergeEntry>> {
        let filter = doc! { "_id.is": "merge", "state": { "$ne": DONE } };
        let entry = |entry: Document| {
            let state = match entry.get_str("state").ok()? {
                REMOVING => MergeState::Removing,
                _ => MergeState::Removed,
            };
            let duplicate = entry.get_document("duplicate").ok()?.clone();
            Some(MergeEntry { duplicate, keeper: entry.get("keeper")?.clone(), state })
        };
        Ok(self.entries(filter, doc! {}).await?.into_iter().filter_map(entry).collect())
    }

    /// The merges that are done but for references that come late: without the duplicates, of which there may be many.
    pub(super) async fn done_merges(&self) -> Result<Merged> {
        let entry = |entry: Document| {
            let id = entry.get_document("_id").ok()?.get("id")?.clone();
            Some((id.to_string(), (id, entry.get("keeper")?.clone())))
        };
        let entries = self.entries(doc! { "_id.is": "merge", "state": DONE }, doc! { "keeper": 1 }).await?;
        Ok(entries.into_iter().filter_map(entry).collect())
    }

    async fn entries(&self, filter: Document, projection: Document) -> Result<Vec<Document>> {
        let step = "read the journal";
        let found = self.collection.find(filter).projection(projection).sort(doc! { "_id": 1 }).await;
        found.reading(&self.database, step)?.try_collect().await.reading(&self.database, step)
    }

    /// Notes, before it is created, the name of the unique index.
    pub(super) async fn put_index(&self, name: &str) -> Result<()> {
        self.put(doc! { "_id": INDEX, "name": name }).await
    }

    /// Name of the index that the repair created or was about to.
    pub(super) async fn index(&self) -> Result<Option<String>> {
        Ok(self.get(INDEX.into()).await?.and_then(|entry| entry.get_str("name").ok().map(str::to_owned)))
    }

    async fn get(&self, id: Bson) -> Result<Option<Document>> {
        self.collection.find_one(doc! { "_id": id }).await.reading(&self.database, "read the backup")
    }

    async fn put(&self, entry: Document) -> Result<()> {
        let id = entry.get("_id").cloned().unwrap_or(Bson::Null);
        let written = self.collection.replace_one(doc! { "_id": id }, entry).upsert(true).await;
        written.writing(&self.database, "write the backup").map(drop)
    }
}

fn key(is: &str, collection: &str, id: &Bson) -> Document {
    doc! { "is": is, "collection": collection, "id": id }
}

/// The `before` with what others appended to the array since; `None` where it stays as it is.
fn with_appended(mut before: Document, after: &After, now: &Document, field: Option<&str>) -> Option<Document> {
    let (field, After::Changed(changed)) = (field?, after) else { return None };
    let written = changed.get_array(field).ok()?;
    let (were, now) = (array(&before, field)?, array(now, field)?);
    let appended: Vec<Bson> = match since(were, written, now) {
        Since::Changed(appended) => appended.to_vec(),
        // What was noted last never took effect, because the repair was killed: of an earlier change or of others is
        // whatever it does not hold.
        Since::Unchanged | Since::Edited => {
            now.iter().filter(|element| !written.contains(element) && !were.contains(element)).cloned().collect()
        }
    };
    if appended.is_empty() {
        return None;
    }
    let elements = [were, &appended].concat();
    before.insert(field, elements);
    Some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backup_grows_by_what_others_appended_and_by_nothing_else() {
        // K: of the kept document, L and M: of duplicates, T and U: appended by others.
        for (before, written, now, expected) in [
            ("K", "KL", "KL", "K"),
            ("K", "KL", "KLT", "KT"),
            ("K", "KL", "KT", "KT"),
            ("K", "KLM", "KL", "K"),
            ("KT", "KLTM", "KLTU", "KTU"),
            ("KT", "LKTM", "LKTU", "KTU"),
            ("KTT", "KT", "KTU", "KTTU"),
            ("KTT", "KT", "KTTU", "KTTU"),
        ] {
            let array = |letters: &str| letters.chars().map(|letter| Bson::String(letter.into())).collect::<Vec<_>>();
            let after = After::Changed(doc! { "m": array(written) });
            let grown = with_appended(doc! { "m": array(before) }, &after, &doc! { "m": array(now) }, Some("m"));
            let grown = grown.unwrap_or_else(|| doc! { "m": array(before) });
            assert_eq!(grown, doc! { "m": array(expected) }, "{before} {written} {now}");
        }
    }
}
