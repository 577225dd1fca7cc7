//! What a repair that was cut short left half done: documents whose content is in its backup and nowhere else.

use std::collections::BTreeMap;

use mongodb::Database;
use mongodb::bson::Bson;

use super::decide::id_of;
use super::edit::documents;
use super::journal::Journal;
use crate::audit::error::Result;
use crate::report::plural;

/// A sentence for each backup that holds the only copy of documents of this collection or of what refers to it.
pub(in crate::audit) async fn unfinished(database: &Database, collection: &str) -> Result<Vec<String>> {
    let mut sentences = Vec::new();
    for journal in Journal::all(database, Some(collection), &["applying"]).await? {
        let mut removed: BTreeMap<String, Vec<Bson>> = BTreeMap::new();
        for merge in journal.open_merges().await? {
            removed.entry(collection.to_owned()).or_default().push(id_of(&merge.duplicate));
        }
        for twin in journal.open_twins().await? {
            removed.entry(twin.collection).or_default().push(id_of(&twin.twin));
        }
        for (collection, ids) in removed {
            let held = ids.len() - documents(database, &collection, &ids).await?.len();
            if held > 0 {
                let are = if held == 1 { "is" } else { "are" };
                sentences.push(format!(
                    "{} of `{collection}` {are} in `{}` only, because a repair has not come to its end: `repair --apply` \
                     finishes it, `repair restore` undoes it",
                    plural(held as u64, "document"),
                    journal.name()
                ));
            }
        }
    }
    Ok(sentences)
}
