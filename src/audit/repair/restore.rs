//! Undoing a repair, document by document. What others changed since stays: only the repair's own changes are undone.

use mongodb::bson::{Bson, Document, doc};
use mongodb::{Collection, Database};

use super::apply::durable;
use super::change::{Since, array, since};
use super::guard::same_document;
use super::journal::{After, Journal, PREFIX, Touched};
use crate::audit::error::{AuditError, Result, Step, code};

/// What came of undoing a repair.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Documents put back as they were, or with what was appended since.
    pub restored: u64,
    /// Documents that were as before already.
    pub untouched: u64,
    /// Whether the index that the repair created was dropped.
    pub index_dropped: bool,
    /// What was changed since in a way that cannot be told from the repair's change, a sentence each.
    pub left: Vec<String>,
}

/// The backups in the database that can be restored, the oldest first.
pub async fn backups(database: &Database) -> Result<Vec<String>, AuditError> {
    let journals = Journal::all(database, None, &["applying", "applied"]).await?;
    Ok(journals.iter().map(|journal| journal.name().to_owned()).collect())
}

/// Undoes the repair of this id or backup collection.
pub async fn restore(database: &Database, id: &str) -> Result<Restored, AuditError> {
    let database = &durable(database);
    let name = if id.starts_with(PREFIX) { id.to_owned() } else { format!("{PREFIX}{id}") };
    let journal = Journal::named(database, &name);
    let Some(header) = journal.header().await? else {
        let known = backups(database).await?;
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        return Err(AuditError::Backup(format!("`{}` has no backup `{name}` ({known})", database.name())));
    };
    let mut restored = Restored::default();
    if let (Some(index), Ok(collection)) = (journal.index().await?, header.get_str("collection")) {
        restored.index_dropped = drop_index(database, collection, &index).await?;
    }
    // Removed documents come back before what was taken from them leaves the others.
    let keys = journal.touched_keys().await?;
    for removed in [true, false] {
        for (collection, id) in &keys {
            match journal.touched(collection, id).await? {
                Some(touched) if (touched.after == Some(After::Removed)) == removed => {
                    undo(database, &touched, id, &mut restored).await?;
                }
                _ => {}
            }
        }
    }
    if restored.left.is_empty() {
        journal.set_state("restored").await?;
    }
    Ok(restored)
}

async fn drop_index(database: &Database, collection: &str, index: &str) -> Result<bool> {
    const NOT_FOUND: [i32; 2] = [26, 27];
    match database.run_command(doc! { "dropIndexes": collection, "index": index }).await {
        Ok(_) => Ok(true),
        Err(error) if code(&error).is_some_and(|code| NOT_FOUND.contains(&code)) => Ok(false),
        Err(error) => Err(error).writing(database.name(), &format!("drop the index `{index}`")),
    }
}

async fn undo(database: &Database, touched: &Touched, id: &Bson, restored: &mut Restored) -> Result<()> {
    let collection = database.collection::<Document>(&touched.collection);
    for _ in 0..100 {
        let now = collection.find_one(doc! { "_id": id }).await.reading(database.name(), "read a document")?;
        let wanted = match (&now, &touched.after) {
            (Some(now), _) if *now == touched.before => Ok(None),
            (_, None) => Ok(None),
            (None, Some(After::Removed)) => Ok(Some(touched.before.clone())),
            (Some(_), Some(After::Removed)) => Err("was removed, and there is another one of its id now"),
            (None, Some(After::Changed(_))) => Err("is gone since"),
            (Some(now), Some(After::Changed(changed))) => undone(&touched.before, changed, now).map(Some),
        };
        match wanted {
            Ok(None) => {
                restored.untouched += 1;
                return Ok(());
            }
            Ok(Some(wanted)) => {
                if put_back(&collection, now.as_ref(), &wanted).await.writing(database.name(), "put a document back")? {
                    restored.restored += 1;
                    return Ok(());
                }
            }
            Err(reason) => {
                restored.left.push(format!("document {id} of `{}` {reason}", touched.collection));
                return Ok(());
            }
        }
    }
    restored.left.push(format!("document {id} of `{}` kept changing", touched.collection));
    Ok(())
}

/// Writes it if nothing changed since it was read.
async fn put_back(
    collection: &Collection<Document>,
    now: Option<&Document>,
    wanted: &Document,
) -> mongodb::error::Result<bool> {
    match now {
        None => match collection.insert_one(wanted).await {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == Some(11000) && error.to_string().contains("_id_") => Ok(false),
            Err(error) => Err(error),
        },
        Some(now) if now == wanted => Ok(true),
        Some(now) => {
            let replaced = collection.replace_one(same_document(now), wanted).await?;
            Ok(replaced.matched_count == 1)
        }
    }
}

/// The document with each field that still is as the repair wrote it put back.
fn undone(before: &Document, changed: &Document, now: &Document) -> Result<Document, &'static str> {
    let mut values = now.clone();
    for (field, written) in changed {
        let found = now.get(field);
        let wanted = match (found, written, before.get(field)) {
            (found, _, before) if found == before => continue,
            (Some(found), written, wanted) if found == written => wanted.cloned(),
            (Some(Bson::Array(_)), Bson::Array(written), _) => {
                let (Some(were), Some(now)) = (array(before, field), array(now, field)) else {
                    return Err("has other fields since");
                };
                match since(were, written, now) {
                    Since::Changed(appended) => Some(Bson::Array([were, appended].concat())),
                    Since::Unchanged => continue,
                    Since::Edited => return Err("was edited since"),
                }
            }
            // The service gave the field a value of its own since: it stays.
            _ => continue,
        };
        match wanted {
            Some(wanted) => values.insert(field, wanted),
            None => values.remove(field),
        };
    }
    Ok(in_order_of(before, values))
}

/// The fields in the order that they had before, then those that are new.
fn in_order_of(before: &Document, mut values: Document) -> Document {
    let mut ordered = Document::new();
    for field in before.keys() {
        if let Some(value) = values.remove(field) {
            ordered.insert(field, value);
        }
    }
    ordered.extend(values);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_repairs_own_changes_are_undone() {
        let before = doc! { "_id": 1, "p": ["a"], "m": [1, 2] };
        let changed = doc! { "k": "a", "m": [1, 7, 2] };
        for (now, expected) in [
            (doc! { "_id": 1, "p": ["a"], "m": [1, 7, 2], "k": "a" }, Ok(before.clone())),
            (
                doc! { "_id": 1, "p": ["a"], "m": [1, 7, 2, 9], "k": "a" },
                Ok(doc! { "_id": 1, "p": ["a"], "m": [1, 2, 9] }),
            ),
            (
                doc! { "_id": 1, "p": ["z"], "m": [1, 7, 2], "k": "z", "n": 1 },
                Ok(doc! { "_id": 1, "p": ["z"], "m": [1, 2], "k": "z", "n": 1 }),
            ),
            (doc! { "_id": 1, "p": ["a"], "m": [7, 2], "k": "a" }, Err("was edited since")),
            (before.clone(), Ok(before.clone())),
        ] {
            assert_eq!(undone(&before, &changed, &now), expected, "{now}");
        }
    }
}
