//! What was seen of a service besides the outcomes of operations: answers as they came, and how far the documents have
//! what the scenario says of them. It tells whether the scenario describes the service at all.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{History, KeyPart, OpId};

/// What was seen of a service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sightings {
    /// The first answers of each operation, as they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Exchange>,
    /// What of `[observe]` the documents have.
    #[serde(default, flatten)]
    pub documents: DocumentSightings,
}

/// One request's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Name of the operation; `observe` for a request of `[observe.http]`.
    pub operation: Arc<str>,
    /// The operation, where it is one of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<OpId>,
    /// The status.
    pub status: u16,
    /// The body, without secrets; its beginning where it is long.
    pub body: String,
    /// The body was too long to be kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// What of `[observe]` the documents have.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DocumentSightings {
    /// Fields that the scenario names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldSighting>,
    /// Documents in the collection whose key no operation named, apart from those that are told of by themselves and those that the
    /// run's own requests made for operations which never came.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub others: u64,
    /// Some of those, and of documents of other collections that mention the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// What one of the run's keys was expected to be stored as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_key: Option<String>,
}

/// A field of the scenario's, held against the documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSighting {
    /// The setting that names it: `observe.mongo.stamp`.
    pub setting: String,
    /// Its path.
    pub path: String,
    /// Documents that were looked at.
    pub looked_at: u64,
    /// Those that have it, of the kind that is expected.
    pub found: u64,
}

/// A document that is none of the run's, as far as the scenario tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its collection.
    pub collection: String,
    /// The document.
    pub fields: serde_json::Value,
}

impl Sightings {
    /// Without the answers to operations that are looked at in another part.
    pub(crate) fn of_part(&self, part: KeyPart, history: &History) -> Sightings {
        let is_here = |answer: &&Exchange| {
            let at = answer.op.map(|op| history.operations.binary_search_by_key(&op, |operation| operation.id));
            match at {
                None => part.is_first(),
                Some(Ok(at)) => history.operations[at].phase.is_main() || part.is_first(),
                Some(Err(_)) => false,
            }
        };
        let answers = self.answers.iter().filter(is_here).cloned().collect();
        Sightings { answers, documents: self.documents.clone() }
    }
}

impl DocumentSightings {
    /// Counts one document that was looked at for this field.
    pub fn count(&mut self, setting: &str, path: &str, found: bool) {
        let known = self.fields.iter().position(|field| field.setting == setting && field.path == path);
        let at = known.unwrap_or_else(|| {
            let (setting, path) = (setting.to_owned(), path.to_owned());
            self.fields.push(FieldSighting { setting, path, looked_at: 0, found: 0 });
            self.fields.len() - 1
        });
        self.fields[at].looked_at += 1;
        self.fields[at].found += u64::from(found);
    }
}
