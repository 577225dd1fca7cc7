//! Documents that refer to a removed duplicate are pointed at the one that was kept.

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};

use super::apply::Repair;
use super::journal::After;
use crate::audit::Reference;
use crate::audit::error::{Result, Step, code};
use crate::report::ActionKind;

/// Documents of one step.
const AT_ONCE: usize = 500;

const DUPLICATE_KEY: i32 = 11000;

impl Repair<'_> {
    /// Redirects everything that refers to the duplicate, through all references of the profile.
    pub(super) async fn redirect(&mut self, duplicate: &Bson, keeper: &Bson) -> Result<()> {
        let profile = self.profile;
        for reference in &profile.references {
            let collection = self.database.collection::<Document>(&reference.collection);
            let step = format!("read `{}`", reference.collection);
            let mut after = Bson::MinKey;
            // By id, so that one that cannot be redirected does not come again and again.
            loop {
                let filter = doc! { &reference.field: duplicate, "_id": { "$gt": &after } };
                let found = collection
                    .find(filter)
                    .sort(doc! { "_id": 1 })
                    .limit(i64::try_from(AT_ONCE).unwrap_or(i64::MAX))
                    .await;
                let found = found.reading(self.database.name(), &step)?;
                let found: Vec<Document> = found.try_collect().await.reading(self.database.name(), &step)?;
                let Some(last) = found.last().and_then(|document| document.get("_id")) else { break };
                after = last.clone();
                let together = reference.unique_with.is_empty() && self.options.rate.is_none();
                if !together || !self.redirect_together(reference, &found, duplicate, keeper).await? {
                    for document in &found {
                        self.redirect_one(reference, document, duplicate, keeper).await?;
                    }
                }
                // A service that goes on referring to it is not chased: the next sweep finds what came meanwhile.
                if found.len() < AT_ONCE {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether anything refers to the document.
    pub(super) async fn is_referred_to(&self, id: &Bson) -> Result<bool> {
        for reference in &self.profile.references {
            let collection = self.database.collection::<Document>(&reference.collection);
            let found = collection.find_one(doc! { &reference.field: id }).projection(doc! { "_id": 1 }).await;
            if found.reading(self.database.name(), &format!("read `{}`", reference.collection))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Redirects many by one command. False where a unique index is in the way.
    async fn redirect_together(
        &mut self,
        reference: &Reference,
        documents: &[Document],
        duplicate: &Bson,
        keeper: &Bson,
    ) -> Result<bool> {
        let step = format!("redirect documents of `{}`", reference.collection);
        let collection = self.database.collection::<Document>(&reference.collection);
        let changes: Vec<(&Document, Document)> =
            documents.iter().map(|document| (document, redirected(document, &reference.field, keeper))).collect();
        self.journal.touch_together(&reference.collection, &changes).await?;
        let ids: Vec<&Bson> = documents.iter().filter_map(|document| document.get("_id")).collect();
        let still = doc! { "_id": { "$in": ids }, &reference.field: duplicate };
        match collection.update_many(still, doc! { "$set": { &reference.field: keeper } }).await {
            Ok(updated) => {
                self.count(ActionKind::Redirect, updated.modified_count);
                Ok(true)
            }
            Err(error) if code(&error) == Some(DUPLICATE_KEY) => Ok(false),
            Err(error) => Err(error).writing(self.database.name(), &step),
        }
    }

    async fn redirect_one(
        &mut self,
        reference: &Reference,
        document: &Document,
        duplicate: &Bson,
        keeper: &Bson,
    ) -> Result<()> {
        self.pace.turn().await;
        let collection = self.database.collection::<Document>(&reference.collection);
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        let step = format!("redirect a document of `{}`", reference.collection);
        let still = doc! { "_id": &id, &reference.field: duplicate };
        if !reference.unique_with.is_empty() {
            let mut twin = doc! { &reference.field: keeper };
            for field in &reference.unique_with {
                twin.insert(field, document.get(field).cloned().unwrap_or(Bson::Null));
            }
            if collection.find_one(twin).await.reading(self.database.name(), &step)?.is_some() {
                self.journal.touch(&reference.collection, document, After::Removed, None).await?;
                let removed = collection.delete_one(still).await.writing(self.database.name(), &step)?;
                self.count(ActionKind::Remove, removed.deleted_count);
                return Ok(());
            }
        }
        let changed = redirected(document, &reference.field, keeper);
        let known = self.journal.touch(&reference.collection, document, After::Changed(changed), None).await?;
        match collection.update_one(still, doc! { "$set": { &reference.field: keeper } }).await {
            Ok(updated) => {
                self.count(ActionKind::Redirect, updated.modified_count);
                Ok(())
            }
            Err(error) if code(&error) == Some(DUPLICATE_KEY) => {
                self.journal.untouch(&reference.collection, &id, known).await?;
                self.left(format!(
                    "document {id} of `{}` cannot be redirected: a unique index has its twin; name the fields in `unique_with`",
                    reference.collection
                ));
                Ok(())
            }
            Err(error) => Err(error).writing(self.database.name(), &step),
        }
    }
}

/// The field that a redirection changes, with its new value.
fn redirected(document: &Document, field: &str, keeper: &Bson) -> Document {
    let root = field.split('.').next().unwrap_or(field);
    let mut changed = document.clone();
    set_path(&mut changed, field, keeper.clone());
    doc! { root: changed.get(root).cloned().unwrap_or(Bson::Null) }
}

/// Sets a dotted path whose outer documents exist.
pub(super) fn set_path(document: &mut Document, path: &str, value: Bson) {
    match path.split_once('.') {
        None => {
            document.insert(path, value);
        }
        Some((first, rest)) => {
            let mut inner = document.get_document(first).cloned().unwrap_or_default();
            set_path(&mut inner, rest, value);
            document.insert(first, inner);
        }
    }
}
