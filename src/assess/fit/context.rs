//! What the scenario is held against, and what single operations say. Main type: [`Context`].

use rustc_hash::FxHashMap;

use crate::history::{
    Action, Delivered, Effects, History, Id, KeyPart, Observation, Observed, OpId, Operation, Outcome, Sightings,
    Value, Vanished,
};
use crate::scenario::Scenario;

/// What was seen.
pub(super) struct Context<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) sightings: &'a Sightings,
    /// Operations of both phases, ordered by number.
    pub(super) operations: &'a [Operation],
    pub(super) documents: &'a [Observed],
    /// What was there before.
    vanished: &'a [Vanished],
    /// What else was read.
    pub(super) effects: Option<&'a Effects>,
    /// The final state was read.
    pub(super) observed: bool,
    /// The serial control, which is at hand in every part of a run, is counted here.
    pub(super) counts_control: bool,
    by_key: FxHashMap<&'a str, OfKey<'a>>,
}

/// What was seen of a key.
#[derive(Default)]
pub(super) struct OfKey<'a> {
    pub(super) operations: Vec<&'a Operation>,
    pub(super) documents: Vec<&'a Observed>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        scenario: &'a Scenario,
        history: &'a History,
        observation: Option<&'a Observation>,
        sightings: &'a Sightings,
    ) -> Self {
        let documents = observation.map_or(&[][..], |observation| &observation.documents);
        let vanished = observation.map_or(&[][..], |observation| &observation.vanished);
        let mut by_key: FxHashMap<&str, OfKey<'_>> = FxHashMap::default();
        for operation in &history.operations {
            by_key.entry(&operation.key).or_default().operations.push(operation);
        }
        for document in documents {
            by_key.entry(&document.key).or_default().documents.push(document);
        }
        let observed = observation.is_some();
        let effects = observation.map(|observation| &*observation.effects);
        let counts_control = history.part.is_none_or(KeyPart::is_first);
        let operations = &history.operations;
        Context { scenario, sightings, operations, documents, vanished, effects, observed, counts_control, by_key }
    }

    /// The keys in the order of their first operation.
    pub(super) fn keys(&self) -> Vec<&OfKey<'a>> {
        let mut keys: Vec<&OfKey<'a>> = self.by_key.values().collect();
        keys.sort_by_key(|key| key.operations.first().map_or(OpId(u64::MAX), |operation| operation.id));
        keys
    }

    pub(super) fn of_key(&self, key: &str) -> Option<&OfKey<'a>> {
        self.by_key.get(key)
    }

    /// Whether something was there under the key, and has vanished since.
    pub(super) fn has_vanished(&self, key: &str) -> bool {
        self.vanished.iter().any(|vanished| *vanished.key == *key)
    }

    /// The documents of a key.
    pub(super) fn documents_of(&self, key: &str) -> &[&'a Observed] {
        self.by_key.get(key).map_or(&[], |key| &key.documents)
    }

    pub(super) fn operation(&self, id: OpId) -> Option<&'a Operation> {
        let at = self.operations.binary_search_by_key(&id, |operation| operation.id).ok()?;
        self.operations.get(at)
    }

    /// Whether a stamp can be that of something on this key: an operation of the run on it, or one before the run.
    pub(super) fn is_stamp_on(&self, stamp: OpId, key: &str) -> bool {
        /// Operations before the run have numbers from here on.
        const BEFORE: u64 = 1 << 50;
        stamp.0 >= BEFORE || self.operation(stamp).is_some_and(|operation| *operation.key == *key)
    }
}

/// What an operation is known to have been told, also when the answer came late.
pub(super) fn value(operation: &Operation) -> Option<&Value> {
    match (&operation.outcome, &operation.late) {
        (Outcome::Ok(value), _) => Some(value),
        (Outcome::Unknown(_), Some(late)) => match &late.outcome {
            Outcome::Ok(value) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// The identifier that an answer carried.
pub(super) fn answered_id(operation: &Operation) -> Option<&Id> {
    value(operation)?.id()
}

/// Whether the answer says that the key has a document.
pub(super) fn says_there_is_one(operation: &Operation) -> bool {
    match value(operation) {
        Some(Value::Document(_) | Value::Appended(_) | Value::Thread(_)) => {
            !matches!(operation.action, Action::Custom(_))
        }
        Some(Value::Found(id)) => id.is_some(),
        Some(Value::Messages(seen)) => seen.id.is_some() || seen.length > 0,
        Some(Value::Delivered(Delivered { applied, .. })) => *applied,
        None => false,
    }
}

/// Whether one operation had been answered before the other was sent.
pub(super) fn precedes(one: &Operation, other: &Operation) -> bool {
    one.is_ok() && one.completed < other.invoked
}

/// What a creation is about, within its key: of threads, the conversation.
pub(super) fn subject(operation: &Operation) -> String {
    match &operation.action {
        Action::StartConversation(conversation) | Action::CheckExisting(conversation) => conversation.key(),
        _ => String::new(),
    }
}
