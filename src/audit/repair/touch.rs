//! Writing the journal for many documents at once, before they are changed.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};

use super::bulk;
use super::change::{Since, array, since};
use super::decide::id_of;
use super::journal::{After, Journal, Touched, key};
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

    /// Updates entries by their ids, unless a successor wrote them: the token of the lease is part of each condition.
    pub(super) async fn update_all(&self, updates: Vec<(Bson, Bson)>) -> Result<()> {
        let statement = |(id, update): (Bson, Bson)| {
            doc! { "q": { "_id": id, "token": { "$not": { "$gt": self.token } } }, "u": update, "upsert": true }
        };
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
            let document = backup(known, touch.now, array);
            before.push(doc! { "_id": key("before", collection, &id), "document": document });
            after.push(entry_after(key("after", collection, &id), known, touch));
        }
        self.put_all(before).await?;
        self.put_all(after).await
    }

    /// What is known of documents of one collection, by the names of their ids.
    pub(super) async fn touched_all(&self, collection: &str, ids: &[Bson]) -> Result<BTreeMap<String, Touched>> {
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        for ids in ids.chunks(500) {
            let keys: Vec<Document> =
                ids.iter().flat_map(|id| [key("before", collection, id), key("after", collection, id)]).collect();
            let step = "read the backup";
            let mut found =
                self.collection.find(doc! { "_id": { "$in": keys } }).await.reading(&self.database, step)?;
            while let Some(entry) = found.try_next().await.reading(&self.database, step)? {
                let Ok(key) = entry.get_document("_id") else { continue };
                let id = key.get("id").map(name).unwrap_or_default();
                match key.get_str("is") {
                    Ok("before") => before.insert(id, entry),
                    _ => after.insert(id, entry),
                };
            }
        }
        let touched = |(id, entry): (String, Document)| {
            let touched = Touched::of(collection, &entry, after.get(&id));
            (id, touched)
        };
        Ok(before.into_iter().map(touched).collect())
    }
}

fn entry_after(id: Document, known: Option<&Touched>, touch: &Touch<'_>) -> Document {
    let mut entry = doc! { "_id": id };
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
            entry.insert("read", read);
            entry.insert("last", changed.clone());
            entry.insert("taking", touch.taking.to_vec());
        }
    }
    entry
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
    fn a_removal_that_is_noted_twice_keeps_what_was_changed_before_it() {
        let now = doc! { "_id": 1, "a": 2 };
        let touch = Touch { now: &now, after: After::Removed, taking: &[] };
        let id = key("after", "c", &Bson::Int32(1));
        let mut entry = doc! { "_id": &id, "changed": { "a": 2 } };
        for _ in 0..3 {
            let known = Touched::of("c", &doc! { "document": { "_id": 1, "a": 1 } }, Some(&entry));
            entry = entry_after(id.clone(), Some(&known), &touch);
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
