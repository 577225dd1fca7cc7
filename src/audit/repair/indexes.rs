//! The indexes that a repair creates: the unique one that keeps the key, and those that make references fast to find.

use mongodb::bson::doc;
use serde_json::json;

use super::refer::Referring;
use super::work::Repair;
use crate::audit::error::{DUPLICATE_KEY, Result, Step, code};
use crate::report::ActionKind;
use crate::strategy::server_answer;

/// Another index has the same fields and options, or the same name.
const INDEX_CONFLICTS: [i32; 2] = [85, 86];

/// The name of the index of a reference's field.
pub(super) fn reference_index(field: &str) -> String {
    format!("{field}_1")
}

impl Repair<'_> {
    /// Creates the unique index.
    pub(super) async fn create_index(&mut self, name: &str) -> Result<()> {
        let Some(key) = &self.profile.key else { return Ok(()) };
        self.open().await?;
        let collection = &self.profile.collection;
        self.journal.put_index(collection, name).await?;
        self.lease.check().await?;
        let mut index = key.index();
        index.insert("name", name);
        let command = doc! { "createIndexes": collection, "indexes": [index] };
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

    /// Creates the indexes that references lack, where that is wanted, and once. One that cannot be created makes the repair slow and
    /// nothing else.
    pub(super) async fn create_reference_indexes(&mut self, referring: &mut [Referring<'_>]) -> Result<()> {
        if !self.options.reference_indexes || std::mem::replace(&mut self.references_indexed, true) {
            return Ok(());
        }
        for referring in referring {
            for field in std::mem::take(&mut referring.unindexed) {
                let (collection, name) = (referring.collection, reference_index(field));
                self.journal.put_index(collection, &name).await?;
                self.lease.check().await?;
                let index = doc! { "key": { field: 1 }, "name": &name };
                match self.database.run_command(doc! { "createIndexes": collection, "indexes": [index] }).await {
                    Ok(_) => {
                        let detail = json!({ "collection": collection, "index": name });
                        self.record.add(ActionKind::CreateIndex, 1, detail);
                    }
                    Err(error) => {
                        let words = server_answer(&error).map_or("", |(_, words)| words);
                        let sentence = format!("the index `{name}` of `{collection}` cannot be created: {words}");
                        self.notes.push(sentence);
                        referring.unindexed.push(field);
                    }
                }
            }
        }
        Ok(())
    }
}
