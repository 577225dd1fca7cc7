//! [`Page`]: lists of documents in the order of their identifiers, a page at a time.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use super::json::Shown;
use super::refusal::Refusal;

/// Most documents in one answer.
const MOST: i64 = 1000;

/// The part of a list that is asked for: `after`, `limit`, and whatever else the query has.
#[derive(Debug)]
pub(super) struct Page {
    after: Option<ObjectId>,
    limit: i64,
    parameters: BTreeMap<String, String>,
}

/// A part of a list.
#[derive(Debug)]
pub(super) struct Paged {
    pub(super) documents: Vec<Shown>,
    /// What to give as `after` when there may be more.
    pub(super) next: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Query(mut parameters) = Query::<BTreeMap<String, String>>::from_request_parts(parts, state)
            .await
            .map_err(|rejection: QueryRejection| Refusal::bad_request(rejection.body_text()))?;
        let after = parameters.remove("after").map(ObjectId::parse_str).transpose();
        let after = after.map_err(|_| Refusal::bad_request("`after` must be the id of a document of the list"))?;
        let limit = match parameters.remove("limit") {
            None => Some(MOST),
            Some(text) => text.parse().ok().filter(|limit| (1..=MOST).contains(limit)),
        };
        let limit = limit.ok_or_else(|| Refusal::bad_request(format!("`limit` must be from 1 to {MOST}")))?;
        Ok(Page { after, limit, parameters })
    }
}

impl Page {
    /// What the query says of this.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Reads it.
    pub(super) async fn read(&self, collection: &Collection<Document>, mut filter: Document) -> Result<Paged, Refusal> {
        if let Some(after) = self.after {
            filter.insert("_id", doc! { "$gt": after });
        }
        let found = collection.find(filter).sort(doc! { "_id": 1 }).limit(self.limit).await?;
        let documents: Vec<Document> = found.try_collect().await?;
        let full = i64::try_from(documents.len()).is_ok_and(|count| count == self.limit);
        let last = documents.last().filter(|_| full);
        let next = last.and_then(|document| document.get_object_id("_id").ok()).map(|id| id.to_hex());
        Ok(Paged { documents: documents.into_iter().map(Shown).collect(), next })
    }
}
