//! Writing the journal for many documents at once, before they are changed.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};

use super::bulk;
use super::change::{Since, array, since};
use super::decide::id_of;
use super::journal::{After, Journal, Touched, key, slot};
use super::merging::size;
use super::refer::name;
use crate::audit::error::{AuditError, DUPLICATE_KEY, Result, Step};

/// What is about to become of a document.
#[derive(Debug, Clone)]
pub(super) struct Touch<'a> {
    pub(super) now: &'a Document,
    pub(super) after: After,
    /// Duplicates whose content the change takes in.
    pub(super) taking: &'a [Bson],
}

impl Journal {
    /// Writes entries, unless a successor wrote them.
    pub(super) async fn put_all(&self, entries: Vec<Document>) -> Result<()> {
        let update = |mut entry: Document| {
            entry.insert("token", self.token);
            (id_of(&entry), entry.into())
        };
        self.update_all(entries.into_iter().map(update).collect()).await
    }

    /// The statement that updates an entry, unless a successor wrote it.
    pub(super) fn statement(id: Bson, update: Bson, token: i64) -> Document {
        doc! { "q": { "_id": id, "token": { "$not": { "$gt": token } } }, "u": update, "upsert": true }
    }

    /// Updates entries by their ids, unless a successor wrote them: the token of the lease is part of each condition.
    pub(super) async fn update_all(&self, updates: Vec<(Bson, Bson)>) -> Result<()> {
        let statement = |(id, update): (Bson, Bson)| Journal::statement(id, update, self.token);
        let statements: Vec<Document> = updates.into_iter().map(statement).collect();
        let database = self.collection.client().database(&self.database);
        let reply = bulk::update(&database, None, self.name(), &statements).await?;
        match reply.refused.into_iter().next() {
            None => Ok(()),
            Some((_, DUPLICATE_KEY, _)) => Err(AuditError::LeaseLost),
            Some((_, code, message)) => Err(AuditError::Refused { step: "write the backup".to_owned(), code, message }),
        }
    }

    /// Notes what is about to become of documents. What a repair wrote itself never gets into their backup; what others
    /// wrote since does.
    pub(super) async fn touch_all(&self, collection: &str, touches: &[Touch<'_>], array: Option<&str>) -> Result<()> {
        let ids: Vec<Bson> = touches.iter().filter_map(|touch| touch.now.get("_id").cloned()).collect();
        let known = self.touched_all(collection, &ids).await?;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for touch in touches {
            let id = id_of(touch.now);
            let known = known.get(&name(&id));
            before.push(entry_before(collection, &id, backup(known, touch.now, array)));
            let (entry, read) = entries_after(collection, known, touch);
            // What was read is there before the entry that says where it is.
            before.extend(read);
            after.push(entry);
        }
        self.put_all(before).await?;
        self.put_all(after).await
    }

    /// What is known of documents of one collection, by the names of their ids.
    pub(super) async fn touched_all(&self, collection: &str, ids: &[Bson]) -> Result<BTreeMap<String, Touched>> {
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        let mut read = BTreeMap::new();
        for ids in ids.chunks(500) {
            let keys =
                ids.iter().flat_map(|id| [key("before", collection, id), key("after", collection, id)]).collect();
            let mut apart = Vec::new();
            for (is, id, entry) in self.by_keys(keys).await? {
                if let (Some(slot), Some(id)) =
                    (slot(&entry), entry.get_document("_id").ok().and_then(|key| key.get("id")))
                {
                    apart.push(read_key(collection, id, slot));
                }
                match is.as_str() {
                    "before" => before.insert(id, entry),
                    _ => after.insert(id, entry),
                };
            }
            if !apart.is_empty() {
                read.extend(self.by_keys(apart).await?.into_iter().map(|(_, id, entry)| (id, entry)));
            }
        }
        let touched = |(id, entry): (String, Document)| {
            let touched = Touched::of(collection, &entry, after.get(&id), read.get(&id));
            (id, touched)
        };
        Ok(before.into_iter().map(touched).collect())
    }

    /// Entries: what each is, the name of the id of its document, and the entry.
    async fn by_keys(&self, keys: Vec<Document>) -> Result<Vec<(String, String, Document)>> {
        let step = "read the backup";
        let mut found = self.collection.find(doc! { "_id": { "$in": keys } }).await.reading(&self.database, step)?;
        let mut entries = Vec::new();
        while let Some(entry) = found.try_next().await.reading(&self.database, step)? {
            let Ok(key) = entry.get_document("_id") else { continue };
            let is = key.get_str("is").unwrap_or_default().to_owned();
            entries.push((is, key.get("id").map(name).unwrap_or_default(), entry));
        }
        Ok(entries)
    }
}

/// Bytes up to which an entry holds what was read as well: with more it would not fit into a document.
const TOGETHER: usize = 8 * 1024 * 1024;

fn read_key(collection: &str, id: &Bson, slot: i32) -> Document {
    doc! { "is": "read", "collection": collection, "id": id, "slot": slot }
}

/// The backup of a document.
pub(super) fn entry_before(collection: &str, id: &Bson, document: Document) -> Document {
    doc! { "_id": key("before", collection, id), "document": document }
}

/// What is about to become of a document; and, where both would be too large for one entry, the fields as they were read.
/// These are in one of two entries by turns, so that a repair that is killed between the two finds what belongs together.
pub(super) fn entries_after(
    collection: &str,
    known: Option<&Touched>,
    touch: &Touch<'_>,
) -> (Document, Option<Document>) {
    let id = id_of(touch.now);
    let mut entry = doc! { "_id": key("after", collection, &id) };
    let mut apart = None;
    match &touch.after {
        After::Removed => {
            entry.insert("removed", true);
            // A repair that was killed notes it twice: what was changed before the removal stays noted.
            let earlier = known.and_then(|known| match &known.after {
                Some(After::Changed(changed)) => Some(changed),
                _ => known.earlier.as_ref(),
            });
            entry.extend(earlier.map(|earlier| ("earlier".to_owned(), earlier.clone().into())));
        }
        After::Changed(changed) => {
            let read: Document =
                changed.keys().filter_map(|field| Some((field.clone(), touch.now.get(field)?.clone()))).collect();
            let mut all = match known.and_then(|known| known.after.as_ref()) {
                Some(After::Changed(earlier)) => earlier.clone(),
                _ => Document::new(),
            };
            all.extend(changed.clone());
            entry.insert("changed", all);
            entry.insert("last", changed.keys().cloned().collect::<Vec<String>>());
            entry.insert("taking", touch.taking.to_vec());
            if size(&entry) + size(&read) <= TOGETHER {
                entry.insert("read", read);
            } else {
                let slot = known.and_then(|known| known.slot).map_or(0, |slot| 1 - slot);
                entry.insert("read_in", slot);
                apart = Some(doc! { "_id": read_key(collection, &id, slot), "read": read });
            }
        }
    }
    (entry, apart)
}

/// The backup of a document: as it is now, but for what the repair wrote.
fn backup(known: Option<&Touched>, now: &Document, field: Option<&str>) -> Document {
    let Some(Touched { before, after: Some(after), .. }) = known else { return now.clone() };
    let After::Changed(changed) = after else { return before.clone() };
    let mut backup = now.clone();
    for (name, written) in changed {
        let value = if Some(name.as_str()) == field {
            with_appended(before, written, now, name)
        } else if now.get(name) == Some(written) {
            before.get(name).cloned()
        } else {
            now.get(name).cloned()
        };
        match value {
            Some(value) => backup.insert(name, value),
            None => backup.remove(name),
        };
    }
    super::undo::in_order_of(before, backup)
}

/// The array of the backup with what others appended since.
fn with_appended(before: &Document, written: &Bson, now: &Document, field: &str) -> Option<Bson> {
    let (Some(were), Some(now), Bson::Array(written)) = (array(before, field), array(now, field), written) else {
        return before.get(field).cloned();
    };
    let appended: Vec<Bson> = match since(were, written, now) {
        Since::Changed(appended) => appended.to_vec(),
        // What was noted last never took effect, because the repair was killed: of an earlier change or of others is
        // whatever it does not hold.
        Since::Unchanged | Since::Edited => {
            now.iter().filter(|element| !written.contains(element) && !were.contains(element)).cloned().collect()
        }
    };
    if appended.is_empty() {
        return before.get(field).cloned();
    }
    Some([were, &appended].concat().into())
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
            let touched = Touched {
                collection: "c".into(),
                before: doc! { "m": array(before) },
                after: Some(After::Changed(doc! { "m": array(written) })),
                ..Touched::default()
            };
            let grown = backup(Some(&touched), &doc! { "m": array(now) }, Some("m"));
            assert_eq!(grown, doc! { "m": array(expected) }, "{before} {written} {now}");
        }
    }

    #[test]
    fn what_is_too_large_for_one_entry_is_in_two_and_what_belongs_together_is_found() {
        let large = |letter: &str| letter.repeat(5 * 1024 * 1024);
        let before = doc! { "document": { "_id": 1 } };
        let mut known: Option<Touched> = None;
        for (read, written, slot) in [("a", "b", 0), ("b", "c", 1), ("c", "d", 0)] {
            let now = doc! { "_id": 1, "m": large(read), "n": 1 };
            let changed = doc! { "m": large(written) };
            let touch = Touch { now: &now, after: After::Changed(changed.clone()), taking: &[] };
            let (after, apart) = entries_after("c", known.as_ref(), &touch);
            let apart = apart.unwrap();
            assert_eq!(apart.get_document("_id").unwrap(), &read_key("c", &1.into(), slot));
            let touched = Touched::of("c", &before, Some(&after), Some(&apart));
            assert!(touched.last == Some((doc! { "m": large(read) }, changed)));
            known = Some(touched);
        }
    }

    #[test]
    fn an_entry_of_an_older_format_is_read() {
        let entry = doc! { "_id": 1, "changed": { "a": 2, "b": 3 }, "read": { "a": 1 }, "last": { "a": 2 } };
        let touched = Touched::of("c", &doc! {}, Some(&entry), None);
        assert_eq!(touched.last, Some((doc! { "a": 1 }, doc! { "a": 2 })));
    }

    #[test]
    fn a_removal_that_is_noted_twice_keeps_what_was_changed_before_it() {
        let now = doc! { "_id": 1, "a": 2 };
        let touch = Touch { now: &now, after: After::Removed, taking: &[] };
        let id = key("after", "c", &Bson::Int32(1));
        let mut entry = doc! { "_id": &id, "changed": { "a": 2 } };
        for _ in 0..3 {
            let known = Touched::of("c", &doc! { "document": { "_id": 1, "a": 1 } }, Some(&entry), None);
            (entry, _) = entries_after("c", Some(&known), &touch);
            assert_eq!(entry, doc! { "_id": &id, "removed": true, "earlier": { "a": 2 } });
        }
    }

    #[test]
    fn what_others_wrote_is_backed_up_and_what_the_repair_wrote_is_not() {
        let touched = Touched {
            collection: "c".into(),
            before: doc! { "_id": 1, "a": 1, "b": 2 },
            after: Some(After::Changed(doc! { "a": 5, "c": 7, "d": 1 })),
            ..Touched::default()
        };
        let now = doc! { "_id": 1, "d": 2, "b": 3, "c": 7, "a": 5 };
        let found = backup(Some(&touched), &now, None);
        assert_eq!(found, doc! { "_id": 1, "a": 1, "b": 3, "d": 2 });
        assert!(found.keys().eq(["_id", "a", "b", "d"]), "{found}");
    }
}
