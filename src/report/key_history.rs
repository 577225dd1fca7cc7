//! All that was done to a key on which something went wrong, and what is stored under it in the end.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::history::{OpId, Operation};
use crate::verdict::Witness;

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

/// What an operation was to leave and nobody can find: it was acknowledged, or lost a race that nobody ran again for it.
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
    /// It was not acknowledged: the database refused it, and nobody tried again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

fn is_none(number: &u64) -> bool {
    *number == 0
}

/// The operations of the proof, and those that may have overwritten what is missing of them; at most so many.
pub(super) fn lanes<'a>(witness: &'a Witness, history: Option<&'a KeyHistory>, most: usize) -> Vec<&'a Operation> {
    let mut lanes: Vec<&Operation> = witness.operations.iter().take(most).collect();
    let overwriting = history.map(|history| history.overwriting(&lanes)).unwrap_or_default();
    lanes.extend(overwriting.into_iter().take(most - lanes.len()));
    lanes
}

impl StoredList {
    /// The part of its elements that is seen at once: it begins a little before the first that the proof is about.
    pub(super) fn window(&self, lanes: &[OpId], most: usize) -> Range<usize> {
        let is_of_interest =
            |element: &StoredElement| element.repeated || element.op.is_some_and(|op| lanes.contains(&op));
        let length = self.elements.len();
        let first = self.elements.iter().position(is_of_interest).unwrap_or(0);
        let from = first.saturating_sub(most / 4).min(length.saturating_sub(most));
        from..(from + most).min(length)
    }
}

impl KeyHistory {
    /// The operation with this number.
    fn operation(&self, op: OpId) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.id == op)
    }

    /// What an operation sent over HTTP.
    pub fn request(&self, op: OpId) -> Option<&str> {
        self.requests.iter().find(|sent| sent.op == op).map(|sent| sent.request.as_str())
    }

    /// Operations that may have overwritten what is missing of these, and are none of them.
    fn overwriting(&self, of: &[&Operation]) -> Vec<&Operation> {
        let mut found: Vec<&Operation> = Vec::new();
        let missing = of.iter().flat_map(|operation| self.missing_of(operation.id));
        for operation in missing.flat_map(|missing| &missing.in_flight).filter_map(|op| self.operation(*op)) {
            if !of.iter().any(|other| other.id == operation.id) && !found.iter().any(|other| other.id == operation.id) {
                found.push(operation);
            }
        }
        found
    }

    /// Whether something of these was there once, so that it may have been overwritten.
    pub(super) fn may_be_overwritten(&self, of: &[Operation]) -> bool {
        self.missing.iter().any(|missing| !missing.refused && of.iter().any(|operation| operation.id == missing.op))
    }

    /// What is missing of an operation.
    fn missing_of(&self, op: OpId) -> impl Iterator<Item = &MissingElement> {
        self.missing.iter().filter(move |missing| missing.op == op)
    }
}
