//! What a repair that was cut short left half done: documents whose content is in its backup and nowhere else.

use std::collections::BTreeMap;

use mongodb::Database;
use mongodb::bson::{Bson, Document};

use super::decide::id_of;
use super::edit::documents;
use super::journal::{Journal, MergeState};
use super::refer::name;
use super::there::{is_there, replaced};
use crate::audit::error::Result;
use crate::report::plural;

/// A sentence for each backup that holds the only copy of documents of this collection or of what refers to it.
pub(in crate::audit) async fn unfinished(database: &Database, collection: &str) -> Result<Vec<String>> {
    let mut sentences = Vec::new();
    for journal in Journal::all(database, Some(collection), &["applying"]).await? {
        let mut removed: BTreeMap<String, Vec<(Document, MergeState)>> = BTreeMap::new();
        for merge in journal.open_merges().await? {
            removed.entry(collection.to_owned()).or_default().push((merge.duplicate, merge.state));
        }
        for twin in journal.open_twins().await? {
            removed.entry(twin.collection).or_default().push((twin.twin, twin.state));
        }
        for (collection, mut removed) in removed {
            let ids: Vec<Bson> = removed.iter().map(|(was, _)| id_of(was)).collect();
            let now = documents(database, &collection, &ids).await?;
            removed.retain(|(was, state)| !is_there(was, *state, &now));
            let (others, gone): (Vec<_>, Vec<_>) =
                removed.into_iter().partition(|(was, _)| now.contains_key(&name(&id_of(was))));
            sentences.extend(others.iter().map(|(was, _)| replaced(&id_of(was), &collection, journal.name())));
            let held = gone.len();
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
