//! What a caller is told, as the judge takes it in: [`answer`].

use std::collections::BTreeMap;

use crate::history::{CauseKind, Outcome as History};
use crate::scenario::Capture;
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

/// Where an answer leads, called as it is where it is captured, is part of what its caller is
/// told: many a form, and many a route that makes something, says no more.
fn with_location(body: Value, location: Option<&str>) -> Value {
    let Some(location) = location else { return body };
    let mut fields = match body {
        Value::Map(fields) => fields,
        Value::Null => BTreeMap::new(),
        // A page that says once more where it leads.
        other => BTreeMap::from([("body".to_owned(), other)]),
    };
    fields.insert(Capture::LOCATION.to_owned(), Value::Text(location.to_owned()));
    Value::Map(fields)
}

/// An answer: as it came over HTTP, or in the words of the history.
pub(super) fn answer(completion: &Completion) -> Answer {
    if let Some(raw) = &completion.answer {
        return Answer { status: raw.status, body: with_location(Value::of_body(&raw.body), raw.location.as_deref()) };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_answer_leads_is_part_of_it() {
        let told = |body: &[u8], location| with_location(Value::of_body(body), location);
        let json = |text: &[u8]| Value::of_body(text);
        assert_eq!(told(b"", None), Value::Null);
        assert_eq!(told(b"", Some("/orders/A1")), json(br#"{"header:location":"/orders/A1"}"#));
        assert_eq!(told(br#"{"id":1}"#, Some("/o/1")), json(br#"{"id":1,"header:location":"/o/1"}"#));
        assert_eq!(told(b"Found", Some("/o")), json(br#"{"body":"Found","header:location":"/o"}"#));
    }
}
