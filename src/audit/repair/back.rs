//! Putting back what was removed to be merged, where the server refuses what the kept document would become: nothing is
//! lost, and it stays a duplicate. The plan asks validators beforehand; what only an index refuses, or a validator that came
//! meanwhile, shows when it is written.

use mongodb::bson::{Bson, Document, doc};

use super::bulk;
use super::decide::id_of;
use super::journal::{Journal, MergeState, TwinEntry, key};
use super::merge::TakeIn;
use super::refer::name;
use super::work::Repair;
use crate::audit::error::Result;

impl Repair<'_> {
    /// Puts duplicates back. Those for which there is no way back are in the backup only.
    pub(super) async fn duplicates_back(&mut self, one: &TakeIn, why: &str) -> Result<()> {
        let collection = self.profile.collection.clone();
        let back = self.back(&collection, &one.duplicates).await?;
        let (back, lost): (Vec<&Document>, Vec<&Document>) =
            one.duplicates.iter().partition(|duplicate| back.contains(&id_of(duplicate)));
        let entries: Vec<(&Document, &Bson)> = back.iter().map(|duplicate| (*duplicate, &one.keeper)).collect();
        self.journal.put_merges(&entries, MergeState::Removing).await?;
        let ids: Vec<Bson> = back.into_iter().map(id_of).collect();
        self.journal.not_removed(&collection, &ids).await?;
        for id in ids {
            let sentence = format!("document {id} is not merged into {}: {why}", one.keeper);
            self.record.back(None, &id);
            self.unmerged.insert(name(&id));
            self.refused += 1;
            self.left(sentence.clone());
            self.put_back.insert(name(&id), sentence);
        }
        if !lost.is_empty() {
            self.unfinished.push(self.only_in_backup(&one.keeper, why));
        }
        Ok(())
    }

    /// Puts referring documents back. Tells whether all of them are there.
    pub(super) async fn twins_back(&mut self, collection: &str, twins: &[TwinEntry], why: &str) -> Result<bool> {
        let documents: Vec<Document> = twins.iter().map(|entry| entry.twin.clone()).collect();
        let ids = self.back(collection, &documents).await?;
        let back: Vec<TwinEntry> = twins.iter().filter(|entry| ids.contains(&id_of(&entry.twin))).cloned().collect();
        self.journal.put_twins(&back, MergeState::Removing).await?;
        self.journal.not_removed(collection, &ids).await?;
        for entry in &back {
            let id = id_of(&entry.twin);
            self.record.back(Some(collection), &id);
            self.left(format!("document {id} of `{collection}` is not united with {}: {why}", entry.beside));
        }
        Ok(back.len() == twins.len())
    }

    /// Inserts documents that were removed. Returns the ids of those that are there.
    async fn back(&self, collection: &str, documents: &[Document]) -> Result<Vec<Bson>> {
        bulk::insert_again(&self.database, self.lease, collection, documents).await?;
        let ids: Vec<Bson> = documents.iter().map(id_of).collect();
        let there = self.documents(collection, &ids).await?;
        Ok(ids.into_iter().filter(|id| there.contains_key(&name(id))).collect())
    }
}

impl Journal {
    /// Takes back that documents are removed; what was changed of them before stays noted.
    pub(super) async fn not_removed(&self, collection: &str, ids: &[Bson]) -> Result<()> {
        let statement = |id: &Bson| {
            let entry = doc! { "_id": key("after", collection, id), "removed": true };
            let changed = doc! { "$ifNull": ["$earlier", { "$literal": {} }] };
            doc! { "q": entry, "u": [{ "$set": { "changed": changed } }, { "$unset": ["removed", "earlier"] }] }
        };
        let statements: Vec<Document> = ids.iter().map(statement).collect();
        let database = self.collection.client().database(self.database_name());
        bulk::update(&database, None, self.name(), &statements).await.map(drop)
    }
}
