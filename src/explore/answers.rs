//! What a caller is told, as the judge takes it in: [`answer`].

use crate::history::{CauseKind, Outcome as History};
use crate::serial::{Answer, Value};
use crate::target::Completion;

/// What a caller is told of an outcome: not how a strategy came to it.
fn told(mut outcome: serde_json::Value) -> serde_json::Value {
    match &mut outcome {
        serde_json::Value::Object(fields) => {
            fields.remove("duplicate_key");
            fields.values_mut().for_each(|value| *value = told(value.take()));
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| *item = told(item.take())),
        _ => {}
    }
    outcome
}

/// An answer: as it came over HTTP, or in the words of the history.
pub(super) fn answer(completion: &Completion) -> Answer {
    if let Some(raw) = &completion.answer {
        return Answer { status: raw.status, body: Value::of_body(&raw.body) };
    }
    let status = match &completion.outcome {
        History::Ok(_) => 200,
        History::Failed(cause) => match &cause.kind {
            CauseKind::Http { status, .. } | CauseKind::Refused { status } | CauseKind::Unnamed { status, .. } => {
                *status
            }
            CauseKind::Database(_) | CauseKind::Transport(_) => 500,
            // What a strategy refuses by itself, as who may not do it.
            CauseKind::Other => 403,
        },
        History::Unknown(_) => 500,
    };
    let body = serde_json::to_value(&completion.outcome).map_or(Value::Null, |json| Value::of_json(&told(json)));
    Answer { status, body }
}
