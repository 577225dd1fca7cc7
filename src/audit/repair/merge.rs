//! Merging duplicates: each is removed exactly as it was read, then its content is taken into the oldest.
//!
//! Removal comes first because it is what stops writers: from then on the content is in the backup and nowhere else, and
//! cannot change. Taking it in is repeatable: whether it happened can be seen in the array itself.

use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};

use super::change::{Since, array, larger, merged_order, picked, since, united};
use super::guard::{rearranged, same_beginning, same_document};
use super::journal::Merged;
use super::journal::{After, MergeState};
use super::work::{Repair, still_changing};
use crate::audit::canon::Texts;
use crate::audit::error::{Result, Step};
use crate::audit::inspect::classes;
use crate::audit::key::things;
use crate::report::ActionKind;

impl Repair<'_> {
    /// Takes all documents into the first, and adds them to what was merged.
    pub(super) async fn merge(&mut self, documents: &[Bson], merged: &mut Merged) -> Result<()> {
        let [keeper, duplicates @ ..] = documents else { return Ok(()) };
        for duplicate in duplicates {
            if self.is_restless(duplicate) {
                self.left(still_changing(duplicate, &be_merged(keeper)));
                continue;
            }
            self.pace.turn().await;
            if self.remove(duplicate, keeper).await? {
                merged.insert(duplicate.to_string(), (duplicate.clone(), keeper.clone()));
            }
        }
        Ok(())
    }

    /// Removes a duplicate and takes its content in. False if it was left.
    async fn remove(&mut self, duplicate: &Bson, keeper: &Bson) -> Result<bool> {
        let mut tries = self.tries();
        while tries.next() {
            let (Some(kept), Some(read)) = (self.read_judged(keeper).await?, self.read_judged(duplicate).await?) else {
                return Ok(false);
            };
            if !self.stand_for_the_same(&kept, &read).await? {
                self.left(format!("document {duplicate} has another key now than when it was planned for"));
                return Ok(false);
            }
            if self
                .profile
                .array
                .as_ref()
                .is_some_and(|spec| array(&kept, &spec.field).is_none() || array(&read, &spec.field).is_none())
            {
                self.left(format!("documents {keeper} and {duplicate}: the array is no array in one of them"));
                return Ok(false);
            }
            if too_large(&[&kept, &read]) {
                self.left(format!("documents {keeper} and {duplicate} together are too large for one"));
                return Ok(false);
            }
            // The entry is the backup of the duplicate until it is removed: one write between reading and removing.
            self.journal.put_merge(&read, keeper, MergeState::Removing).await?;
            let removed = self.collection().delete_one(same_document(&read)).await;
            let removed = removed.writing(self.database.name(), "remove a duplicate")?;
            if removed.deleted_count == 1 {
                self.count(ActionKind::Remove, 1);
                self.removed(&read, keeper).await?;
                return self.take_in(&read, keeper, false).await;
            }
        }
        self.journal.drop_merge(duplicate).await?;
        self.kept_changing(duplicate, &be_merged(keeper));
        Ok(false)
    }

    /// Notes that a duplicate is removed. Its backup is what it was before the repair first touched it.
    pub(super) async fn removed(&mut self, duplicate: &Document, keeper: &Bson) -> Result<()> {
        self.journal.touch(&self.profile.collection, duplicate, After::Removed, self.array_field()).await?;
        self.journal.put_merge(duplicate, keeper, MergeState::Removed).await
    }

    /// Takes a removed duplicate's content into the kept document; `resumed` if that may have happened before.
    pub(super) async fn take_in(&mut self, duplicate: &Document, keeper: &Bson, mut resumed: bool) -> Result<bool> {
        let name = self.profile.collection.clone();
        let mut tries = self.tries();
        while tries.next() {
            let Some(kept) = self.read(keeper).await? else {
                self.unfinished.push(format!(
                    "document {keeper} is gone: what was to be merged into it is in `{}` only; restore brings it back",
                    self.journal.name()
                ));
                return Ok(false);
            };
            if std::mem::take(&mut resumed) && self.is_taken_in(&kept, duplicate).await? {
                self.journal.put_merge(duplicate, keeper, MergeState::Done).await?;
                return Ok(true);
            }
            let (set, condition, changed) = self.change(&kept, duplicate);
            if !changed.is_empty() {
                let known = self.journal.touch(&name, &kept, After::Changed(changed), self.array_field()).await?;
                let filter = doc! { "_id": keeper, "$expr": condition };
                let updated = self.collection().update_one(filter, vec![doc! { "$set": set }]).await;
                if updated.writing(self.database.name(), "take a duplicate's content in")?.matched_count == 0 {
                    self.journal.untouch(&name, keeper, known).await?;
                    continue;
                }
            }
            self.count(ActionKind::Merge, 1);
            self.journal.put_merge(duplicate, keeper, MergeState::Done).await?;
            return Ok(true);
        }
        self.unfinished.push(format!(
            "document {keeper} kept changing: a duplicate that is to be merged into it is in `{}` only; run the repair \
             again to finish it",
            self.journal.name()
        ));
        Ok(false)
    }

    /// What to set, on what condition, and what the fields will be.
    fn change(&self, kept: &Document, duplicate: &Document) -> (Document, Bson, Document) {
        let (mut set, mut condition, mut changed) = (Document::new(), Bson::Boolean(true), Document::new());
        if let Some(spec) = &self.profile.array
            && let (Some(own), Some(others)) = (array(kept, &spec.field), array(duplicate, &spec.field))
            && !others.is_empty()
        {
            let order = merged_order(own, others, spec);
            set.insert(&spec.field, rearranged(&spec.field, own.len(), &order, others));
            condition = same_beginning(&spec.field, own);
            changed.insert(&spec.field, picked(own, others, &order));
        }
        // The server works these out itself, so that a service that writes them all the time is not in the way.
        for field in &self.profile.merge.newest {
            if let Some(theirs) = duplicate.get(field) {
                let value = kept.get(field).map_or(theirs, |ours| larger(ours, theirs));
                if kept.get(field) != Some(value) {
                    set.insert(field, doc! { "$max": [format!("${field}"), { "$literal": theirs }] });
                    changed.insert(field, value);
                }
            }
        }
        for field in &self.profile.merge.union {
            if let (Some(ours), Some(theirs)) = (array(kept, field), array(duplicate, field)) {
                let value = united(ours, theirs);
                if value != ours {
                    let own = doc! { "$ifNull": [format!("${field}"), []] };
                    let new = doc! { "$filter": {
                        "input": { "$literal": theirs.to_vec() }, "cond": { "$not": { "$in": ["$$this", own.clone()] } },
                    } };
                    set.insert(field, doc! { "$concatArrays": [own, new] });
                    changed.insert(field, value);
                }
            }
        }
        (set, condition, changed)
    }

    /// Whether the kept document has the duplicate's content already, after a kill in between.
    async fn is_taken_in(&self, kept: &Document, duplicate: &Document) -> Result<bool> {
        let Some(spec) = &self.profile.array else { return Ok(false) };
        let (Some(now), Some(others)) = (array(kept, &spec.field), array(duplicate, &spec.field)) else {
            return Ok(false);
        };
        if others.is_empty() {
            return Ok(false); // What is left to do can be done twice.
        }
        let id = kept.get("_id").cloned().unwrap_or(Bson::Null);
        let written = self.journal.touched(&self.profile.collection, &id).await?;
        let written = match &written {
            Some(touched) => match &touched.after {
                Some(After::Changed(changed)) => {
                    changed.get_array(&spec.field).ok().map(|after| (&touched.before, after))
                }
                _ => None,
            },
            None => None,
        };
        let all_there = others.iter().all(|other| now.contains(other));
        Ok(match written {
            // What was last written may be of an earlier merge: it must hold this one's elements too.
            Some((before, after)) if others.iter().all(|other| after.contains(other)) => {
                match since(array(before, &spec.field).unwrap_or_default(), after, now) {
                    Since::Changed(_) => true,
                    Since::Unchanged => false,
                    Since::Edited => all_there,
                }
            }
            _ => false,
        })
    }

    /// The document as it is, if the key is unique among such.
    async fn read_judged(&self, id: &Bson) -> Result<Option<Document>> {
        let filter = self.profile.key.as_ref().map_or_else(|| doc! { "_id": id }, |key| key.among(doc! { "_id": id }));
        self.collection().find_one(filter).await.reading(self.database.name(), "read a document")
    }

    /// Whether two documents have all their keys in common.
    async fn stand_for_the_same(&self, left: &Document, right: &Document) -> Result<bool> {
        let Some(key) = &self.profile.key else { return Ok(false) };
        let (Ok(left), Ok(right)) = (RawDocumentBuf::try_from(left), RawDocumentBuf::try_from(right)) else {
            return Ok(false);
        };
        let both: [&RawDocument; 2] = [&left, &right];
        let classes = classes(&self.collection(), key, both.into_iter()).await?;
        let texts = classes.as_ref().map_or(Texts::Exact, Texts::Classes);
        let keys = |document| things(key, document, texts).into_iter().map(|thing| thing.bytes).collect::<Vec<_>>();
        let [left, right] = both.map(keys);
        Ok(!left.is_empty() && left == right)
    }
}

fn be_merged(keeper: &Bson) -> String {
    format!("be merged into {keeper}")
}

/// Whether documents together would not fit into one, or into the command that makes them one.
pub(super) fn too_large(documents: &[&Document]) -> bool {
    const LIMIT: usize = 15 * 1024 * 1024;
    let size = |document: &&Document| RawDocumentBuf::try_from(*document).map_or(LIMIT, |raw| raw.as_bytes().len());
    documents.iter().map(size).sum::<usize>() > LIMIT
}
