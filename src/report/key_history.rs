//! All that was done to a key on which something went wrong, and what is stored under it in the end.

use serde::{Deserialize, Serialize};

use crate::history::{OpId, Operation};

/// One key on which an invariant is violated.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeyHistory {
    /// The logical key.
    pub key: String,
    /// Its operations, in the order of their invocation; of very many, those around the violation.
    pub operations: Vec<Operation>,
    /// Operations that are not listed.
    #[serde(default, skip_serializing_if = "is_none")]
    pub left_out: u64,
    /// What was sent over HTTP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<SentRequest>,
    /// The lists that are stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<StoredList>,
    /// What was acknowledged and is in none of the lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingElement>,
}

/// The HTTP request of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SentRequest {
    /// The operation.
    pub op: OpId,
    /// Method, path and body.
    pub request: String,
}

/// A stored list, as it was read in the end.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StoredList {
    /// The document that holds it.
    pub name: String,
    /// Elements before those that are listed.
    #[serde(default, skip_serializing_if = "is_none")]
    pub before: u64,
    /// Its elements, in their order.
    pub elements: Vec<StoredElement>,
    /// Elements after those that are listed.
    #[serde(default, skip_serializing_if = "is_none")]
    pub after: u64,
}

/// One element of a stored list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StoredElement {
    /// Its text.
    pub text: String,
    /// The operation that wrote it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<OpId>,
    /// It is there more often than it may be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}

/// What an acknowledged operation wrote and nobody can find.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MissingElement {
    /// Its text.
    pub text: String,
    /// The operation that wrote it.
    pub op: OpId,
    /// Operations that were in flight with it and whose own elements are stored, those that ended after it first: what it
    /// wrote may have been overwritten by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_flight: Vec<OpId>,
}

fn is_none(number: &u64) -> bool {
    *number == 0
}

impl KeyHistory {
    /// The operation with this number.
    pub fn operation(&self, op: OpId) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.id == op)
    }

    /// What an operation sent over HTTP.
    pub fn request(&self, op: OpId) -> Option<&str> {
        self.requests.iter().find(|sent| sent.op == op).map(|sent| sent.request.as_str())
    }

    /// Operations that may have overwritten what is missing of these, and are none of them.
    pub fn overwriting(&self, of: &[&Operation]) -> Vec<&Operation> {
        let mut found: Vec<&Operation> = Vec::new();
        let missing = of.iter().flat_map(|operation| self.missing_of(operation.id));
        for operation in missing.flat_map(|missing| &missing.in_flight).filter_map(|op| self.operation(*op)) {
            if !of.iter().any(|other| other.id == operation.id) && !found.iter().any(|other| other.id == operation.id) {
                found.push(operation);
            }
        }
        found
    }

    /// What is missing of an operation.
    pub fn missing_of(&self, op: OpId) -> impl Iterator<Item = &MissingElement> {
        self.missing.iter().filter(move |missing| missing.op == op)
    }
}
