//! Backup and journal of a repair, in the collection `onlyone_backup_<id>`.
//!
//! For each document touched there is what it was (`before`, the whole document, written before the first change) and
//! what the repair made of it (`after`: the changed fields, or that it was removed). For each merge there is how far it
//! got. A reader needs nothing else to finish or to undo the repair.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::{Collection, Database};

use super::decide::id_of;
use super::digest::Digest;
use super::lease::Lease;
use super::refer::name;
use crate::audit::error::{AuditError, Result, Step};

/// What the names of backup collections begin with.
pub(super) const PREFIX: &str = "onlyone_backup_";
const FORMAT_VERSION: i32 = 5;
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

impl MergeState {
    fn as_str(self) -> &'static str {
        match self {
            MergeState::Removing => REMOVING,
            MergeState::Removed => "removed",
            MergeState::Done => DONE,
        }
    }

    /// Of an entry that is not done.
    fn of(entry: &Document) -> Self {
        if entry.get_str("state").is_ok_and(|state| state == REMOVING) {
            MergeState::Removing
        } else {
            MergeState::Removed
        }
    }
}

/// A merge in the journal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MergeEntry {
    pub(super) duplicate: Document,
    pub(super) keeper: Bson,
    pub(super) state: MergeState,
}

/// A referring document that goes beside another, in the journal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TwinEntry {
    pub(super) collection: String,
    /// The reference by which both would be one.
    pub(super) field: String,
    pub(super) twin: Document,
    /// It, with its references redirected: what the other one takes over.
    pub(super) content: Document,
    /// The one that stays.
    pub(super) beside: Bson,
    pub(super) state: MergeState,
}

/// Documents that were merged into others: the name of the id, the id, and what it was merged into.
pub(super) type Merged = BTreeMap<String, (Bson, Bson)>;

/// A touched document in the journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Touched {
    pub(super) collection: String,
    pub(super) before: Document,
    /// What the repair wrote, by field; `None` if it was about to, and did not say what.
    pub(super) after: Option<After>,
    /// Of a document that is removed: the fields that the repair wrote before, with their values.
    pub(super) earlier: Option<Document>,
    /// Duplicates whose content the last change takes in.
    pub(super) taking: Vec<Bson>,
    /// The fields of the last change as they were read, and as they were to be.
    pub(super) last: Option<(Document, Document)>,
    /// Where the fields that were read are noted, if that is not in the entry itself.
    pub(super) slot: Option<i32>,
}

impl Touched {
    /// From the entries of the journal.
    pub(super) fn of(collection: &str, before: &Document, after: Option<&Document>, read: Option<&Document>) -> Self {
        let before = before.get_document("document").cloned().unwrap_or_default();
        let taking = after.and_then(|entry| entry.get_array("taking").ok()).cloned().unwrap_or_default();
        let slot = after.and_then(slot);
        let read = if slot.is_some() { read } else { after };
        let last = after
            .and_then(|entry| Some((read.and_then(|entry| entry.get_document("read").ok())?.clone(), last_of(entry)?)));
        let earlier = after.and_then(|entry| entry.get_document("earlier").ok()).cloned();
        let after = after.map(|entry| match entry.get_document("changed") {
            Ok(changed) => After::Changed(changed.clone()),
            Err(_) => After::Removed,
        });
        Touched { collection: collection.to_owned(), before, after, earlier, taking, last, slot }
    }
}

/// Which of its two entries has the fields that were read, where one of them has.
pub(super) fn slot(after: &Document) -> Option<i32> {
    after.get_i32("read_in").ok()
}

/// The fields of the last change as they were to be: a list of their names, or, before format 5, the fields.
fn last_of(after: &Document) -> Option<Document> {
    let names = match after.get("last")? {
        Bson::Document(last) => return Some(last.clone()),
        names => names.as_array()?.iter().filter_map(Bson::as_str),
    };
    let changed = after.get_document("changed").ok()?;
    Some(names.filter_map(|name| Some((name.to_owned(), changed.get(name)?.clone()))).collect())
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
            let header = journal.get(HEADER.into()).await?;
            let fits = |header: &Document| {
                audited.is_none_or(|audited| header.get_str("collection").is_ok_and(|found| found == audited))
                    && header.get_str("state").is_ok_and(|state| states.contains(&state))
            };
            // What a newer onlyone did to another collection, or has ended, is in nobody's way.
            if let Some(header) = header.filter(fits) {
                journal.readable(&header)?;
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
        header.as_ref().map_or(Ok(()), |header| self.readable(header))?;
        Ok(header)
    }

    fn readable(&self, header: &Document) -> Result<()> {
        if header.get_i32("format_version").is_ok_and(|version| version > FORMAT_VERSION) {
            return Err(AuditError::Backup(format!("`{}` was written by a newer onlyone", self.name())));
        }
        Ok(())
    }

    /// Goes on with the journal of another: from now on that one cannot end it, if it was only paused.
    pub(super) async fn claim(&self) -> Result<()> {
        self.write_header(Document::new()).await
    }

    /// Notes that entries are of the newest format from now on: an older onlyone, which would misread what the last change of
    /// a document was and take in again what is there, must not go on with them.
    pub(super) async fn renew(&self) -> Result<()> {
        self.write_header(doc! { "format_version": FORMAT_VERSION }).await
    }

    /// Ends the journal of a repair that is undone.
    pub(super) async fn restored(&self, lease: &Lease) -> Result<()> {
        self.end(lease, doc! { "state": "restored" }).await
    }

    /// Ends the journal of a repair that is done: nothing is added to it any more, and its digest says so.
    pub(super) async fn seal(&self, lease: &Lease) -> Result<()> {
        let digest = self.digest().await?;
        self.end(lease, doc! { "state": "applied", "digest": digest }).await
    }

    /// Ends the journal, unless a successor goes on with it.
    async fn end(&self, lease: &Lease, mut fields: Document) -> Result<()> {
        lease.check().await?;
        fields.insert("ended", DateTime::now());
        self.write_header(fields).await
    }

    /// Writes fields of the header, with the own token and unless a successor has written it.
    async fn write_header(&self, mut fields: Document) -> Result<()> {
        fields.insert("token", self.token);
        let own = doc! { "_id": HEADER, "token": { "$not": { "$gt": self.token } } };
        let updated = self.collection.update_one(own, doc! { "$set": fields }).await;
        match updated.writing(&self.database, "write the journal")?.matched_count {
            0 => Err(AuditError::LeaseLost),
            _ => Ok(()),
        }
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
        let entry = |(duplicate, keeper): &(&Document, &Bson)| merge_entry(duplicate, keeper, state);
        self.put_all(merges.iter().map(entry).collect()).await
    }

    /// The merges that are not done, with their duplicates.
    pub(super) async fn open_merges(&self) -> Result<Vec<MergeEntry>> {
        let filter = doc! { "_id.is": "merge", "state": { "$ne": DONE } };
        let entry = |entry: Document| {
            let state = MergeState::of(&entry);
            let duplicate = entry.get_document("duplicate").ok()?.clone();
            Some(MergeEntry { duplicate, keeper: entry.get("keeper")?.clone(), state })
        };
        Ok(self.entries(filter, doc! {}).await?.into_iter().filter_map(entry).collect())
    }

    /// Notes how far it got with referring documents that go beside others.
    pub(super) async fn put_twins(&self, twins: &[TwinEntry], state: MergeState) -> Result<()> {
        self.put_all(twins.iter().map(|twin| twin_entry(twin, state)).collect()).await
    }

    /// The referring documents that go beside others, where that is not done.
    pub(super) async fn open_twins(&self) -> Result<Vec<TwinEntry>> {
        let entry = |entry: Document| {
            Some(TwinEntry {
                collection: entry.get_document("_id").ok()?.get_str("collection").ok()?.to_owned(),
                field: entry.get_str("field").ok()?.to_owned(),
                twin: entry.get_document("twin").ok()?.clone(),
                content: entry.get_document("content").ok()?.clone(),
                beside: entry.get("beside")?.clone(),
                state: MergeState::of(&entry),
            })
        };
        let filter = doc! { "_id.is": "twin", "state": { "$ne": DONE } };
        Ok(self.entries(filter, doc! {}).await?.into_iter().filter_map(entry).collect())
    }

    /// The merges that are done but for references that come late: without the duplicates, of which there may be many.
    pub(super) async fn done_merges(&self) -> Result<Merged> {
        let entry = |entry: Document| {
            let id = entry.get_document("_id").ok()?.get("id")?.clone();
            Some((name(&id), (id, entry.get("keeper")?.clone())))
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

/// A merge as the journal has it.
pub(super) fn merge_entry(duplicate: &Document, keeper: &Bson, state: MergeState) -> Document {
    let id = id_of(duplicate);
    doc! { "_id": { "is": "merge", "id": id }, "keeper": keeper, "state": state.as_str(), "duplicate": duplicate }
}

/// A referring document that goes beside another, as the journal has it.
pub(super) fn twin_entry(one: &TwinEntry, state: MergeState) -> Document {
    doc! {
        "_id": key("twin", &one.collection, &id_of(&one.twin)), "field": &one.field, "beside": &one.beside,
        "state": state.as_str(), "twin": &one.twin, "content": &one.content,
    }
}
