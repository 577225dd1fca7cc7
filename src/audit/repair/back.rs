//! Putting back what was removed to be merged, where the server refuses what the kept document would become: nothing is
//! lost, and it stays a duplicate. The plan asks validators beforehand; what only an index refuses, or a validator that came
//! meanwhile, shows when it is written.

use std::collections::BTreeSet;

use mongodb::bson::{Bson, Document, doc};

use super::bulk;
use super::decide::id_of;
use super::journal::{Journal, MergeState, TwinEntry, key};
use super::merge::TakeIn;
use super::refer::name;
use super::there::is_there;
use super::work::Repair;
use crate::audit::error::Result;

impl Repair<'_> {
    /// Puts duplicates back. Those for which there is no way back are in the backup only.
    pub(super) async fn duplicates_back(&mut self, one: &TakeIn, why: &str) -> Result<()> {
        let collection = self.profile.collection.clone();
        let Back { there, refused } = self.back(&collection, &one.duplicates).await?;
        let (back, lost): (Vec<&Document>, Vec<&Document>) =
            one.duplicates.iter().partition(|duplicate| there.contains(&id_of(duplicate)));
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
            self.unfinished.push(self.only_in_backup(&one.keeper, &with_refusal(why, refused)));
        }
        Ok(())
    }

    /// Puts referring documents back. Where some of them are not there, the text is why.
    pub(super) async fn twins_back(
        &mut self,
        collection: &str,
        twins: &[TwinEntry],
        why: &str,
    ) -> Result<Option<String>> {
        let documents: Vec<Document> = twins.iter().map(|entry| entry.twin.clone()).collect();
        let Back { there, refused } = self.back(collection, &documents).await?;
        let back: Vec<TwinEntry> = twins.iter().filter(|entry| there.contains(&id_of(&entry.twin))).cloned().collect();
        self.journal.put_twins(&back, MergeState::Removing).await?;
        self.journal.not_removed(collection, &there).await?;
        for entry in &back {
            let id = id_of(&entry.twin);
            self.record.back(Some(collection), &id);
            self.left(format!("document {id} of `{collection}` is not united with {}: {why}", entry.beside));
        }
        Ok((back.len() < twins.len()).then(|| with_refusal(why, refused)))
    }

    /// Inserts documents that were removed.
    async fn back(&self, collection: &str, documents: &[Document]) -> Result<Back> {
        let reply = bulk::insert_again(&self.database, self.lease, collection, documents).await?;
        let ids: Vec<Bson> = documents.iter().map(id_of).collect();
        let found = self.documents(collection, &ids).await?;
        let refused_at: BTreeSet<usize> = reply.refused.iter().map(|(at, ..)| *at).collect();
        // One that was refused, because the service has made another one under its `_id`, is in the backup only.
        let is_back = |at: usize| {
            documents.get(at).is_some_and(|was| match refused_at.contains(&at) {
                true => is_there(was, MergeState::Removed, &found),
                false => found.contains_key(&name(&id_of(was))),
            })
        };
        let missing = reply.refused.iter().find(|(at, ..)| !is_back(*at));
        let refused = missing.map(|(_, code, message)| format!("{message} (code {code})"));
        let there = ids.iter().enumerate().filter(|(at, _)| is_back(*at)).map(|(_, id)| id.clone()).collect();
        Ok(Back { there, refused })
    }
}

/// What came of putting documents back.
struct Back {
    /// The ids of those that are there.
    there: Vec<Bson>,
    /// What the server says of the first that is not.
    refused: Option<String>,
}

/// Why something could not be done, and why it could not be put back as it was.
fn with_refusal(why: &str, refused: Option<String>) -> String {
    match refused {
        Some(refused) => format!("{why}, and it cannot be put back: {refused}"),
        None => format!("{why}, and it was removed again after it had been put back"),
    }
}

impl Journal {
    /// Takes back that documents are removed; what was changed of them before stays noted.
    pub(super) async fn not_removed(&self, collection: &str, ids: &[Bson]) -> Result<()> {
        let update = |id: &Bson| {
            let of = |field: &str| doc! { "$ifNull": [field, { "$literal": {} }] };
            let changed = doc! { "$cond": [{ "$eq": ["$removed", true] }, of("$earlier"), of("$changed")] };
            let update = vec![
                doc! { "$set": { "changed": changed, "token": self.token } },
                doc! { "$unset": ["removed", "earlier"] },
            ];
            (key("after", collection, id).into(), update.into())
        };
        self.update_all(ids.iter().map(update).collect()).await
    }
}
