//! What was read back after the run.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Effects, Id, Message, OpId, ThreadState};

/// The final state of the documents that the run's keys stand for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observation {
    /// Where it was read.
    pub source: Source,
    /// Two reads in a row were equal, with no operation of the run in flight on the server.
    pub quiescent: bool,
    /// Every document of the run, ordered by key, then by identifier.
    pub documents: Vec<Observed>,
    /// Documents that seem to be of a key of the run and are stored under none, ordered by identifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAside>,
    /// What else the user's own rules ask for: values and elements, by key.
    #[serde(default, skip_serializing_if = "Effects::is_empty")]
    pub effects: Arc<Effects>,
}

/// A document that is stored under no key of the run, and seems to be a key's all the same: an operation on that was answered with
/// it, or its own key is that in other letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// Its identifier.
    pub id: Id,
    /// The run's key.
    pub key: Arc<str>,
    /// The fields that hold the key, as the scenario names them.
    pub fields: Vec<String>,
    /// What it has there.
    pub under: String,
    /// What the scenario says is stored of the run's key.
    pub expected: String,
}

/// Where the final state was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// From the database itself.
    Mongo,
    /// Through the service's own interface.
    Http,
    /// From the in-memory target.
    Memory,
    /// Nowhere: only answers were judged.
    #[default]
    None,
}

/// One document of the final state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Its identifier.
    pub id: Id,
    /// The logical key in canonical form, worked out from what the document stands for (its participants), not from the
    /// key that is stored: two spellings of one pair are one key.
    pub key: Arc<str>,
    /// The key as stored; absent when the document has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_key: Option<Arc<str>>,
    /// The stamp of the operation that created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<OpId>,
    /// Fields written on insert that it lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Arc<str>>,
    /// Its messages in their order, where it holds any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// The operation whose message the document names as its last, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message: Option<OpId>,
    /// What it says as a thread, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<Box<ThreadState>>,
    /// The document as it was read, for the witness; without its messages.
    pub fields: serde_json::Value,
}
