//! Whether the validator of a collection lets in what documents are to become. The server is asked, before anything is
//! written: a merge whose result it would refuse must not be begun.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::bulk::pieces;
use super::decide::id_of;
use super::refer::name;
use crate::audit::error::{Result, Step};
use crate::audit::inspect::options;

/// The validator of a collection, where it refuses.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Validator<'a> {
    collection: &'a str,
    rule: Document,
    /// A document that it would refuse already may go on as it is.
    moderate: bool,
}

/// A document as it is, and as it is to be.
pub(super) type Change = (Document, Document);

impl<'a> Validator<'a> {
    /// The validator of the collection, if it has one that refuses anything.
    pub(super) async fn of(database: &Database, collection: &'a str) -> Result<Option<Self>> {
        Ok(Validator::from_options(collection, &options(database, collection).await?))
    }

    fn from_options(collection: &'a str, options: &Document) -> Option<Self> {
        let says = |field: &str, word: &str| options.get_str(field).is_ok_and(|said| said == word);
        let rule = options.get_document("validator").ok()?.clone();
        let refuses = !says("validationAction", "warn") && !says("validationLevel", "off");
        let moderate = says("validationLevel", "moderate");
        (refuses && !rule.is_empty()).then_some(Validator { collection, rule, moderate })
    }

    /// The names of the documents that must not become what they are to be. There must be a document in the collection.
    pub(super) async fn refused(&self, database: &Database, changes: &[Change]) -> Result<BTreeSet<String>> {
        let after: Vec<Document> = changes.iter().map(|(_, after)| after.clone()).collect();
        let mut refused = self.unfit(database, &after).await?;
        if self.moderate && !refused.is_empty() {
            let unfit = changes.iter().filter(|(before, _)| refused.contains(&name(&id_of(before))));
            let before: Vec<Document> = unfit.map(|(before, _)| before.clone()).collect();
            for exempt in self.unfit(database, &before).await? {
                refused.remove(&exempt);
            }
        }
        Ok(refused)
    }

    /// The names of the documents that the rule does not fit.
    async fn unfit(&self, database: &Database, documents: &[Document]) -> Result<BTreeSet<String>> {
        let step = format!("ask the validator of `{}`", self.collection);
        let collection = database.collection::<Document>(self.collection);
        let mut unfit = BTreeSet::new();
        for piece in pieces(documents) {
            let pipeline = [
                doc! { "$limit": 1 },
                doc! { "$project": { "_id": 0, "one": { "$literal": piece.to_vec() } } },
                doc! { "$unwind": "$one" },
                doc! { "$replaceRoot": { "newRoot": "$one" } },
                doc! { "$match": { "$nor": [&self.rule] } },
                doc! { "$project": { "_id": 1 } },
            ];
            let found = collection.aggregate(pipeline).await.reading(database.name(), &step)?;
            let found: Vec<Document> = found.try_collect().await.reading(database.name(), &step)?;
            unfit.extend(found.iter().map(|document| name(&id_of(document))));
        }
        Ok(unfit)
    }

    /// Why a document stays as it is.
    pub(super) fn sentence(&self, id: &Bson) -> String {
        format!("the validator of `{}` refuses what document {id} would become", self.collection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_validator_that_refuses_counts() {
        let rule = doc! { "a": { "$exists": true } };
        for (options, moderate) in [
            (doc! { "validator": &rule }, Some(false)),
            (doc! { "validator": &rule, "validationLevel": "strict", "validationAction": "error" }, Some(false)),
            (doc! { "validator": &rule, "validationLevel": "moderate" }, Some(true)),
            (doc! { "validator": &rule, "validationLevel": "off" }, None),
            (doc! { "validator": &rule, "validationAction": "warn" }, None),
            (doc! { "validator": {} }, None),
            (doc! {}, None),
        ] {
            let found = Validator::from_options("c", &options).map(|validator| validator.moderate);
            assert_eq!(found, moderate, "{options}");
        }
    }
}
