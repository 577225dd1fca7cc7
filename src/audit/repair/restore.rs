//! Undoing a repair, document by document. What others changed since stays: only the repair's own changes are undone.

use std::collections::BTreeMap;

use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::apply::durable;
use super::decide::id_of;
use super::digest::Digest;
use super::edit::documents;
use super::journal::{After, Journal, PREFIX, Touched};
use super::lease::Lease;
use super::merging::value::{identical, identical_documents};
use super::put_back::{pieces, undo};
use super::refer::name;
use super::undo::undone;
use crate::audit::WorkProgress;
use crate::audit::error::{AuditError, Result, Step, code};

/// What came of undoing a repair.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Documents put back as they were, or with what was appended since.
    pub restored: u64,
    /// Documents that were as before already.
    pub untouched: u64,
    /// Whether an index that the repair created was dropped.
    pub index_dropped: bool,
    /// What was changed since in a way that cannot be told from the repair's change, a sentence each.
    pub left: Vec<String>,
    /// Documents that were read again afterwards and are what the backup holds.
    pub proved: u64,
    /// What others changed since the repair and stays, a sentence each.
    pub changed: Vec<String>,
    /// The digest of the backup, where it has one, and of the documents as they are now.
    pub digests: (Option<String>, String),
}

/// The backups in the database that can be restored, the oldest first.
pub async fn backups(database: &Database) -> Result<Vec<String>, AuditError> {
    let journals = Journal::all(database, None, &["applying", "applied"]).await?;
    Ok(journals.iter().map(|journal| journal.name().to_owned()).collect())
}

/// Undoes the repair of this id or backup collection.
pub async fn restore(database: &Database, id: &str) -> Result<Restored, AuditError> {
    restore_watched(database, id, &WorkProgress::default()).await
}

/// Undoes the repair of this id or backup collection, and tells how far it got.
pub async fn restore_watched(database: &Database, id: &str, progress: &WorkProgress) -> Result<Restored, AuditError> {
    let database = &durable(database);
    let name = if id.starts_with(PREFIX) { id.to_owned() } else { format!("{PREFIX}{id}") };
    let journal = Journal::named(database, &name);
    let Some(header) = journal.header().await? else {
        let known = backups(database).await?;
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        return Err(AuditError::Backup(format!("`{}` has no backup `{name}` ({known})", database.name())));
    };
    let sealed = header.get_str("digest").ok().map(str::to_owned);
    if let Some(digest) = &sealed
        && *digest != journal.digest().await?
    {
        return Err(AuditError::Backup(format!(
            "the backup `{name}` is not what it was when the repair ended: its digest differs; nothing was restored"
        )));
    }
    let lease = Lease::acquire(database, &format!("the restoring of `{name}`")).await?;
    let journal = Journal { token: lease.token(), ..journal };
    let restored = restore_alone(database, &journal, &header, &lease, progress).await;
    let released = match restored {
        Err(AuditError::LeaseLost) => Ok(()),
        _ => lease.release().await,
    };
    let mut restored = restored?;
    released?;
    restored.digests.0 = sealed;
    Ok(restored)
}

async fn restore_alone(
    database: &Database,
    journal: &Journal,
    header: &Document,
    lease: &Lease,
    progress: &WorkProgress,
) -> Result<Restored> {
    journal.claim().await?;
    let mut restored = Restored::default();
    let audited = header.get_str("collection").unwrap_or_default().to_owned();
    for (collection, index) in journal.indexes(&audited).await? {
        lease.check().await?;
        restored.index_dropped |= drop_index(database, &collection, &index).await?;
    }
    let mut all = touched(database, journal, &audited, &mut restored.left).await?;
    // Removed documents come back before what was taken from them leaves the others. Where a unique index has room only
    // once another document is undone, they come later.
    all.sort_by(|left, right| {
        let order = |touched: &Touched| touched.after != Some(After::Removed);
        (order(left), &left.collection).cmp(&(order(right), &right.collection))
    });
    progress.begin("documents put back".to_owned(), Some(all.len() as u64));
    let mut pending: Vec<&Touched> = all.iter().collect();
    loop {
        let mut waiting = Vec::new();
        let before = pending.len();
        for piece in pieces(&pending) {
            let still = undo(database, lease, piece, &mut restored).await?;
            progress.more(piece.len() - still.len());
            waiting.extend(still);
        }
        if waiting.is_empty() {
            break;
        }
        if waiting.len() == before {
            for touched in waiting {
                let id = id_of(&touched.before);
                restored
                    .left
                    .push(format!("document {id} of `{}`: a unique index has another one", touched.collection));
            }
            break;
        }
        pending = waiting;
    }
    progress.begin("documents read again".to_owned(), Some(all.len() as u64));
    prove(database, &all, progress, &mut restored).await?;
    if restored.left.is_empty() {
        journal.restored(lease).await?;
    }
    Ok(restored)
}

/// Every document that the repair touched: those too that it removed and was killed before it could note that.
async fn touched(
    database: &Database,
    journal: &Journal,
    audited: &str,
    left: &mut Vec<String>,
) -> Result<Vec<Touched>> {
    let mut all = Vec::new();
    let keys = journal.touched_keys().await?;
    for keys in keys.chunk_by(|(left, _), (right, _)| left == right) {
        let Some((collection, _)) = keys.first() else { continue };
        let ids: Vec<Bson> = keys.iter().map(|(_, id)| id.clone()).collect();
        for ids in ids.chunks(500) {
            all.extend(journal.touched_all(collection, ids).await?.into_values());
        }
    }
    let merges = journal.open_merges().await?.into_iter().map(|entry| (audited.to_owned(), entry.duplicate));
    let twins = journal.open_twins().await?.into_iter().map(|entry| (entry.collection, entry.twin));
    let mut open: BTreeMap<String, Vec<Document>> = BTreeMap::new();
    merges.chain(twins).for_each(|(collection, document)| open.entry(collection).or_default().push(document));
    for (collection, removed) in open {
        let ids: Vec<Bson> = removed.iter().map(id_of).collect();
        let there = documents(database, &collection, &ids).await?;
        let known: BTreeMap<String, usize> = all
            .iter()
            .enumerate()
            .filter(|(_, touched)| touched.collection == collection)
            .map(|(at, touched)| (name(&id_of(&touched.before)), at))
            .collect();
        for was in removed {
            let id = name(&id_of(&was));
            match known.get(&id).and_then(|at| all.get_mut(*at)) {
                _ if there.contains_key(&id) => {}
                Some(touched) => left.extend(removal_noted(touched, was)),
                None => {
                    let (collection, after) = (collection.clone(), Some(After::Removed));
                    all.push(Touched { collection, before: was, after, ..Touched::default() });
                }
            }
        }
    }
    Ok(all)
}

/// Notes that a document that was touched before is removed, where the repair was killed before it could. What is put back is
/// the document as it was removed, without what the repair had changed. A sentence where that cannot be told apart.
fn removal_noted(touched: &mut Touched, was: Document) -> Option<String> {
    let Some(After::Changed(earlier)) = touched.after.replace(After::Removed) else {
        // It was noted before, or its backup was written for this removal and is what was removed.
        return None;
    };
    let undone = undone(&touched.before, &earlier, &was);
    let told = undone.as_ref().err().map(|reason| {
        format!("document {} of `{}` {reason}: it is as the repair removed it", id_of(&was), touched.collection)
    });
    touched.before = undone.unwrap_or(was);
    touched.earlier = Some(earlier);
    told
}

/// Reads every document again and compares it with the backup.
async fn prove(database: &Database, all: &[Touched], progress: &WorkProgress, restored: &mut Restored) -> Result<()> {
    let mut digest = Digest::default();
    let mut sorted: Vec<&Touched> = all.iter().collect();
    sorted.sort_by(|left, right| left.collection.cmp(&right.collection));
    for of_one in sorted.chunk_by(|left, right| left.collection == right.collection) {
        for piece in of_one.chunks(500) {
            let ids: Vec<Bson> = piece.iter().map(|touched| id_of(&touched.before)).collect();
            let now = documents(database, &piece[0].collection, &ids).await?;
            for touched in piece {
                let found = now.get(&name(&id_of(&touched.before)));
                if let Some(found) = found {
                    digest.add(&touched.collection, found);
                }
                match found {
                    Some(found) if identical_documents(found, &touched.before) => restored.proved += 1,
                    found => restored.changed.push(difference(touched, found)),
                }
            }
            progress.more(piece.len());
        }
    }
    restored.digests.1 = digest.text();
    Ok(())
}

/// What a document has otherwise than the backup.
fn difference(touched: &Touched, now: Option<&Document>) -> String {
    let (id, collection) = (id_of(&touched.before), &touched.collection);
    let Some(now) = now else { return format!("document {id} of `{collection}` is gone") };
    let mut fields: Vec<&str> = touched
        .before
        .keys()
        .chain(now.keys())
        .map(String::as_str)
        .filter(|field| match (now.get(field), touched.before.get(field)) {
            (Some(now), Some(before)) => !identical(now, before),
            (now, before) => now.is_some() || before.is_some(),
        })
        .collect();
    fields.sort_unstable();
    fields.dedup();
    if fields.is_empty() {
        return format!("document {id} of `{collection}` has its fields in another order");
    }
    format!(
        "document {id} of `{collection}` has other values in {}: they were written since and stay",
        fields.join(", ")
    )
}

async fn drop_index(database: &Database, collection: &str, index: &str) -> Result<bool> {
    const NOT_FOUND: [i32; 2] = [26, 27];
    match database.run_command(doc! { "dropIndexes": collection, "index": index }).await {
        Ok(_) => Ok(true),
        Err(error) if code(&error).is_some_and(|code| NOT_FOUND.contains(&code)) => Ok(false),
        Err(error) => Err(error).writing(database.name(), &format!("drop the index `{index}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_fields_that_differ_in_any_byte_or_the_order() {
        let before = doc! { "_id": 1, "n": f64::NAN, "d": { "a": 1, "b": 2 } };
        let touched = Touched { collection: "c".into(), before: before.clone(), ..Touched::default() };
        for (now, expected) in [
            (doc! { "_id": 1, "d": { "a": 1, "b": 2 }, "n": f64::NAN }, "its fields in another order"),
            (doc! { "_id": 1, "n": f64::NAN, "d": { "b": 2, "a": 1 } }, "other values in d:"),
            (doc! { "_id": 1, "n": 1, "x": 1, "d": { "a": 1, "b": 2 } }, "other values in n, x:"),
        ] {
            assert!(!identical_documents(&now, &before), "{now}");
            let found = difference(&touched, Some(&now));
            assert!(found.contains(expected), "{found}");
        }
        assert!(identical_documents(&before, &before), "a NaN is one with itself");
    }
}
