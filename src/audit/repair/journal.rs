//! Backup and journal of a repair, in the collection `onlyone_backup_<id>`.
//!
//! For each document touched there is what it was (`before`, the whole document, written before the first change) and
//! what the repair made of it (`after`: the changed fields, or that it was removed). For each merge there is how far it
//! got. A reader needs nothing else to finish or to undo the repair.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::{Collection, Database};

use super::digest::Digest;
use crate::audit::error::{AuditError, Result, Step};

/// What the names of backup collections begin with.
pub(super) const PREFIX: &str = "onlyone_backup_";
const FORMAT_VERSION: i32 = 3;
const HEADER: &str = "repair";
const INDEX: &str = "index";
const REMOVING: &str = "removing";
const DONE: &str = "done";

/// The journal of one repair.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    pub(super) collection: Collection<Document>,
    pub(super) database: String,
    /// The token of the lease under which it is written: an entry with a higher one is not overwritten.
    pub(super) token: i64,
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
    /// Duplicates whose content the last change takes in.
    pub(super) taking: Vec<Bson>,
    /// The fields of the last change as they were read, and as they were to be.
    pub(super) last: Option<(Document, Document)>,
}

impl Touched {
    /// From the entries of the journal.
    pub(super) fn of(collection: &str, before: &Document, after: Option<&Document>) -> Self {
        let before = before.get_document("document").cloned().unwrap_or_default();
        let taking = after.and_then(|entry| entry.get_array("taking").ok()).cloned().unwrap_or_default();
        let last = after.and_then(|entry| {
            Some((entry.get_document("read").ok()?.clone(), entry.get_document("last").ok()?.clone()))
        });
        let after = after.map(|entry| match entry.get_document("changed") {
            Ok(changed) => After::Changed(changed.clone()),
            Err(_) => After::Removed,
        });
        Touched { collection: collection.to_owned(), before, after, taking, last }
    }
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
        Journal { collection: database.collection(name), database: database.name().to_owned(), token: 0 }
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

    /// Ends the journal of a repair that is done: nothing is added to it any more, and its digest says so.
    pub(super) async fn seal(&self) -> Result<()> {
        let digest = self.digest().await?;
        let update = doc! { "$set": { "state": "applied", "ended": DateTime::now(), "digest": digest } };
        let updated = self.collection.update_one(doc! { "_id": HEADER }, update).await;
        updated.writing(&self.database, "write the journal").map(drop)
    }

    /// The digest of the backup: of every document as it was.
    pub(super) async fn digest(&self) -> Result<String> {
        let step = "read the backup";
        let found = self.collection.find(doc! { "_id.is": "before" }).await;
        let mut found = found.reading(&self.database, step)?;
        let mut digest = Digest::default();
        while let Some(entry) = found.try_next().await.reading(&self.database, step)? {
            let collection = entry.get_document("_id").ok().and_then(|key| key.get_str("collection").ok());
            if let (Some(collection), Ok(document)) = (collection, entry.get_document("document")) {
                digest.add(collection, document);
            }
        }
        Ok(digest.text())
    }

    /// Keys of all documents touched: collection and id.
    pub(super) async fn touched_keys(&self) -> Result<Vec<(String, Bson)>> {
        let step = "read the backup";
        let found = self.collection.find(doc! { "_id.is": "before" }).projection(doc! { "_id": 1 });
        let found = found.sort(doc! { "_id": 1 }).await;
        let entries: Vec<Document> =
            found.reading(&self.database, step)?.try_collect().await.reading(&self.database, step)?;
        let key = |entry: &Document| {
            let key = entry.get_document("_id").ok()?;
            Some((key.get_str("collection").ok()?.to_owned(), key.get("id")?.clone()))
        };
        Ok(entries.iter().filter_map(key).collect())
    }

    /// Notes how far merges got: each is a duplicate, and what it is merged into.
    pub(super) async fn put_merges(&self, merges: &[(&Document, &Bson)], state: MergeState) -> Result<()> {
        let state = match state {
            MergeState::Removing => REMOVING,
            MergeState::Removed => "removed",
            MergeState::Done => DONE,
        };
        let entry = |(duplicate, keeper): &(&Document, &Bson)| {
            let id = duplicate.get("_id").cloned().unwrap_or(Bson::Null);
            doc! { "_id": { "is": "merge", "id": id }, "keeper": *keeper, "state": state, "duplicate": *duplicate }
        };
        self.put_all(merges.iter().map(entry).collect()).await
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

    /// Notes an index before it is created.
    pub(super) async fn put_index(&self, collection: &str, name: &str) -> Result<()> {
        self.put(doc! { "_id": { "is": INDEX, "collection": collection, "name": name } }).await
    }

    /// The indexes that the repair created or was about to: collection and name. `audited` is the collection of the one
    /// that was noted before there could be several.
    pub(super) async fn indexes(&self, audited: &str) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        if let Some(entry) = self.get(INDEX.into()).await? {
            found.extend(entry.get_str("name").ok().map(|name| (audited.to_owned(), name.to_owned())));
        }
        for entry in self.entries(doc! { "_id.is": INDEX }, doc! { "_id": 1 }).await? {
            let key = entry.get_document("_id").ok();
            let text = |field: &str| key.and_then(|key| key.get_str(field).ok()).map(str::to_owned);
            found.extend(text("collection").zip(text("name")));
        }
        Ok(found)
    }

    async fn get(&self, id: Bson) -> Result<Option<Document>> {
        self.collection.find_one(doc! { "_id": id }).await.reading(&self.database, "read the backup")
    }

    async fn put(&self, entry: Document) -> Result<()> {
        self.put_all(vec![entry]).await
    }
}

pub(super) fn key(is: &str, collection: &str, id: &Bson) -> Document {
    doc! { "is": is, "collection": collection, "id": id }
}
