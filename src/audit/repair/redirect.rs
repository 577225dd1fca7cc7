//! Documents that refer to a removed duplicate are pointed at the one that was kept.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};

use super::journal::After;
use super::journal::Merged;
use super::work::Repair;
use crate::audit::Reference;
use crate::audit::error::{Result, Step, code};
use crate::report::ActionKind;

/// Documents of one step.
const AT_ONCE: usize = 500;

const DUPLICATE_KEY: i32 = 11000;

impl Repair<'_> {
    /// Redirects everything that refers to merged documents, through all references of the profile.
    pub(super) async fn redirect(&mut self, merged: &Merged) -> Result<()> {
        if merged.is_empty() {
            return Ok(());
        }
        let profile = self.profile;
        let duplicates: Vec<&Bson> = merged.values().map(|(duplicate, _)| duplicate).collect();
        for reference in &profile.references {
            let filter = doc! { &reference.field: { "$in": &duplicates } };
            let mut after = Bson::MinKey;
            let mut pieces = 1;
            let mut number = 0;
            while number < pieces {
                let found = self.referring(reference, &filter, &after).await?;
                let Some(last) = found.last().and_then(|document| document.get("_id")) else { break };
                // A service that goes on referring to them is not chased: the next sweep finds what came meanwhile.
                if number == 0 && found.len() == AT_ONCE {
                    let collection = self.database.collection::<Document>(&reference.collection);
                    let count = collection.count_documents(filter.clone()).await;
                    pieces = count.reading(self.database.name(), "count references")?.div_ceil(AT_ONCE as u64);
                }
                // By id, so that one that cannot be redirected does not come again and again.
                after = last.clone();
                self.redirect_all(reference, &found, merged).await?;
                number += 1;
            }
        }
        Ok(())
    }

    /// The next of the documents that refer to the merged ones.
    async fn referring(&self, reference: &Reference, filter: &Document, after: &Bson) -> Result<Vec<Document>> {
        let mut filter = filter.clone();
        filter.insert("_id", doc! { "$gt": after });
        let collection = self.database.collection::<Document>(&reference.collection);
        let found =
            collection.find(filter).sort(doc! { "_id": 1 }).limit(i64::try_from(AT_ONCE).unwrap_or(i64::MAX)).await;
        let step = format!("read `{}`", reference.collection);
        found.reading(self.database.name(), &step)?.try_collect().await.reading(self.database.name(), &step)
    }

    /// Whether anything refers to one of the merged documents.
    pub(super) async fn are_referred_to(&self, merged: &Merged) -> Result<bool> {
        if merged.is_empty() {
            return Ok(false);
        }
        let duplicates: Vec<&Bson> = merged.values().map(|(duplicate, _)| duplicate).collect();
        for reference in &self.profile.references {
            let collection = self.database.collection::<Document>(&reference.collection);
            let filter = doc! { &reference.field: { "$in": &duplicates } };
            let found = collection.find_one(filter).projection(doc! { "_id": 1 }).await;
            if found.reading(self.database.name(), &format!("read `{}`", reference.collection))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Redirects documents of one collection: those of one duplicate together where nothing speaks against it.
    async fn redirect_all(&mut self, reference: &Reference, documents: &[Document], merged: &Merged) -> Result<()> {
        let mut of: BTreeMap<String, Vec<&Document>> = BTreeMap::new();
        for document in documents {
            if let Some(duplicate) = value_at(document, &reference.field) {
                of.entry(duplicate.to_string()).or_default().push(document);
            }
        }
        for (name, documents) in of {
            let Some((duplicate, keeper)) = merged.get(&name) else { continue };
            let together = reference.unique_with.is_empty() && self.options.rate.is_none();
            if !together || !self.redirect_together(reference, &documents, duplicate, keeper).await? {
                for document in documents {
                    self.redirect_one(reference, document, duplicate, keeper).await?;
                }
            }
        }
        Ok(())
    }

    /// Redirects many by one command. False where a unique index is in the way.
    async fn redirect_together(
        &mut self,
        reference: &Reference,
        documents: &[&Document],
        duplicate: &Bson,
        keeper: &Bson,
    ) -> Result<bool> {
        let step = format!("redirect documents of `{}`", reference.collection);
        let collection = self.database.collection::<Document>(&reference.collection);
        let changes: Vec<(&Document, Document)> =
            documents.iter().map(|&document| (document, redirected(document, &reference.field, keeper))).collect();
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

/// The value at a dotted path through documents.
pub(super) fn value_at<'a>(document: &'a Document, path: &str) -> Option<&'a Bson> {
    match path.split_once('.') {
        None => document.get(path),
        Some((first, rest)) => value_at(document.get_document(first).ok()?, rest),
    }
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
