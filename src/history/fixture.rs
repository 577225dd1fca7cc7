//! Operations and documents for tests: one builder of each, of which a test changes what matters to it.

use std::sync::Arc;

use super::{Action, Id, Nanos, Observed, OpId, Operation, Outcome, Phase};

/// An operation of the main phase, by client 0 in round 0, sent at the moment it was meant for.
pub(crate) fn operation(
    id: u64,
    key: impl Into<Arc<str>>,
    action: Action,
    [invoked, completed]: [Nanos; 2],
    outcome: Outcome,
) -> Operation {
    Operation {
        id: OpId(id),
        client: 0,
        round: 0,
        phase: Phase::Main,
        key: key.into(),
        action,
        intended: invoked,
        invoked,
        connected: None,
        completed,
        attempts: 1,
        outcome,
        late: None,
    }
}

/// A document of a key in the final state, which has nothing else.
pub(crate) fn observed(id: Id, key: impl Into<Arc<str>>) -> Observed {
    Observed {
        id,
        key: key.into(),
        stored_key: None,
        created_by: None,
        missing: Vec::new(),
        messages: Vec::new(),
        last_message: None,
        thread: None,
        fields: serde_json::Value::Null,
    }
}
