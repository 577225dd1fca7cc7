//! What a repair does to one document: set its key, clean its array. And the index that keeps it so.

use mongodb::bson::{Bson, RawDocumentBuf, doc};
use serde_json::{Value, json};

use super::guard::{From, rearranged, same_beginning, same_field};
use super::journal::After;
use super::merging::size;
use super::redirect::set_path;
use super::work::{Repair, still_changing};
use crate::audit::dedupe::repeated;
use crate::audit::error::{Result, Step, code};
use crate::audit::inspect::shown;
use crate::audit::key::{KeyState, state};
use crate::report::ActionKind;
use crate::strategy::server_answer;

const DUPLICATE_KEY: i32 = 11000;

/// Another index has the same fields and options, or the same name.
const INDEX_CONFLICTS: [i32; 2] = [85, 86];

impl Repair<'_> {
    /// Gives a document the key that its participants give.
    pub(super) async fn set_key(&mut self, id: &Bson) -> Result<()> {
        let (Some(key), name) = (&self.profile.key, &self.profile.collection) else { return Ok(()) };
        if key.participants.is_none() {
            return Ok(());
        }
        if self.is_restless(id) {
            self.left(still_changing(id, "get its key"));
            return Ok(());
        }
        self.pace.turn().await;
        let mut tries = self.tries();
        while tries.next() {
            let Some(document) = self.read(id).await? else { return Ok(()) };
            let Ok(raw) = RawDocumentBuf::try_from(&document) else { return Ok(()) };
            let derived = match state(key, &raw) {
                KeyState::Right(_) | KeyState::Missing(None) => return Ok(()),
                KeyState::Missing(Some(derived)) | KeyState::Wrong(derived, _) => derived,
            };
            let field = key.field.first();
            let root = field.split('.').next().unwrap_or(field);
            let mut changed = document.clone();
            set_path(&mut changed, field, derived.text.as_str().into());
            let changed = doc! { root: changed.get(root).cloned().unwrap_or(Bson::Null) };
            let fields = std::iter::once(root).chain(key.participants.iter().chain(&key.prefix).map(String::as_str));
            let same: Vec<Bson> = fields
                .map(|field| field.split('.').next().unwrap_or(field))
                .map(|field| same_field(field, document.get(field)))
                .collect();
            self.journal.touch(name, &document, After::Changed(changed), self.array_field()).await?;
            self.lease.check().await?;
            let filter = doc! { "_id": id, "$expr": { "$and": same } };
            match self.collection().update_one(filter, doc! { "$set": { field: &derived.text } }).await {
                Ok(updated) if updated.matched_count == 1 => {
                    self.record.add(ActionKind::SetKey, 1, json!({ "document": shown(id), "key": derived.text }));
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) if code(&error) == Some(DUPLICATE_KEY) => {
                    let key = derived.text;
                    self.left(format!("document {id}: another document has its key `{key}`"));
                    return Ok(());
                }
                Err(error) => return Err(error).writing(self.database.name(), "set a key"),
            }
        }
        self.kept_changing(id, "get its key");
        Ok(())
    }

    /// Removes the repeated elements of a document's array; the first of each stays.
    pub(super) async fn deduplicate(&mut self, id: &Bson) -> Result<()> {
        let (Some(spec), name) = (&self.profile.array, &self.profile.collection) else { return Ok(()) };
        if self.is_restless(id) {
            self.left(still_changing(id, "have its array cleaned"));
            return Ok(());
        }
        self.pace.turn().await;
        let mut tries = self.tries();
        while tries.next() {
            let Some(document) = self.read(id).await? else { return Ok(()) };
            let Ok(raw) = RawDocumentBuf::try_from(&document) else { return Ok(()) };
            let (Ok(raw), Ok(elements)) = (raw.get_array(spec.field.as_str()), document.get_array(&spec.field)) else {
                return Ok(());
            };
            let again = repeated(spec, raw).repeated;
            if again.is_empty() {
                return Ok(());
            }
            if size(&document) > 15 * 1024 * 1024 {
                self.left(format!("document {id} is too large to be compared with what was read"));
                return Ok(());
            }
            let kept: Vec<usize> = (0..elements.len()).filter(|at| again.binary_search(at).is_err()).collect();
            let after: Vec<Bson> = kept.iter().map(|&at| elements[at].clone()).collect();
            let order: Vec<From> = kept.into_iter().map(From::Own).collect();
            let changed = doc! { &spec.field: after };
            self.journal.touch(name, &document, After::Changed(changed), self.array_field()).await?;
            self.lease.check().await?;
            let filter = doc! { "_id": id, "$expr": same_beginning(&spec.field, elements) };
            let set = doc! { "$set": { &spec.field: rearranged(&spec.field, elements.len(), &order, &[]) } };
            let updated = self.collection().update_one(filter, vec![set]).await;
            if updated.writing(self.database.name(), "remove repeated elements")?.matched_count == 1 {
                let (all, gone) = (elements.len(), again.len());
                let detail = deduplicated(id, all as u64, gone as u64);
                self.record.add(ActionKind::Deduplicate, gone as u64, detail);
                return Ok(());
            }
        }
        self.kept_changing(id, "have its array cleaned");
        Ok(())
    }

    /// Creates the unique index.
    pub(super) async fn create_index(&mut self, name: &str) -> Result<()> {
        let Some(key) = &self.profile.key else { return Ok(()) };
        self.journal.put_index(name).await?;
        self.lease.check().await?;
        let mut index = key.index();
        index.insert("name", name);
        let command = doc! { "createIndexes": &self.profile.collection, "indexes": [index] };
        match self.database.run_command(command).await {
            Ok(_) => self.record.add(ActionKind::CreateIndex, 1, json!({ "index": name })),
            Err(error) if code(&error) == Some(DUPLICATE_KEY) => {
                self.left(format!("the unique index `{name}` cannot be built: there are duplicates"));
            }
            Err(error) if code(&error).is_some_and(|code| INDEX_CONFLICTS.contains(&code)) => {
                let words = server_answer(&error).map_or("", |(_, words)| words);
                self.left(format!("the unique index `{name}` cannot be created beside the one that is there: {words}"));
            }
            Err(error) => return Err(error).writing(self.database.name(), &format!("create the index `{name}`")),
        }
        Ok(())
    }
}

/// The detail of a cleaned array.
pub(super) fn deduplicated(id: &Bson, elements: u64, removed: u64) -> Value {
    json!({ "document": shown(id), "elements": elements, "removed": removed, "kept": elements - removed })
}
