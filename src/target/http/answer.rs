//! From an HTTP answer to an outcome. The main function is [`outcome`].
//!
//! Failed is what the scenario's table says certainly had no effect. A status that says yes with a body that does not
//! is unknown: the effect may have happened. Whatever is in no list is unknown.

use std::sync::Arc;

use serde_json::Value as Json;

use super::messages;
use super::request::Redactor;
use crate::history::{
    Action, Appended, Cause, Delivered, Element, Id, OpId, Outcome, Returned, Seen, ThreadAnswer, Value,
};
use crate::scenario::{JsonPath, MessageSpec, OperationSpec};

/// Longest excerpt of a body in a cause.
const LONGEST_EXCERPT: usize = 240;
/// MongoDB's code of a write conflict.
const WRITE_CONFLICT: i32 = 112;

/// An answer, as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) cookies: Vec<String>,
    pub(super) body: Vec<u8>,
}

/// No answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The request was not sent: it certainly had no effect.
    NotSent(String),
    /// It was sent, at least in part.
    Lost(String),
}

/// The outcome of an operation, from what came back.
pub(super) fn outcome(
    spec: &OperationSpec,
    messages: Option<&MessageSpec>,
    action: &Action,
    answer: &Result<Answer, NoAnswer>,
    redactor: &Redactor,
) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(NoAnswer::NotSent(why)) => return Outcome::Failed(Cause::new(redactor.clear(why))),
        Err(NoAnswer::Lost(why)) => return Outcome::Unknown(Cause::new(redactor.clear(why))),
    };
    let says = |list: &[u16]| list.contains(&answer.status);
    if let Some(absent) = absent(action).filter(|_| answer.status == 404) {
        return Outcome::Ok(absent);
    }
    if says(&spec.status.ok) || says(&spec.status.created) {
        return match value(spec, messages, action, answer) {
            Ok(value) => Outcome::Ok(value),
            Err(why) => Outcome::Unknown(cause(answer, &why, redactor)),
        };
    }
    if says(&spec.status.failed) {
        Outcome::Failed(cause(answer, "", redactor))
    } else {
        Outcome::Unknown(cause(answer, "", redactor))
    }
}

/// What an answer that says yes tells, or why it does not tell.
fn value(
    spec: &OperationSpec,
    messages: Option<&MessageSpec>,
    action: &Action,
    answer: &Answer,
) -> Result<Value, String> {
    if spec.outcome.is_empty() {
        let created = spec.status.created.contains(&answer.status).then_some(true);
        return Ok(written(action, Returned { created, ..Returned::default() }, None));
    }
    let json: Json = serde_json::from_slice(&answer.body).map_err(|_| {
        let kind = if answer.content_type.is_empty() { "without a type" } else { answer.content_type.as_str() };
        format!("the body is not JSON ({kind})")
    })?;
    let path = |name: &str| spec.outcome.get(name);
    let first = |name: &str| path(name).and_then(|path| path.first(&json));
    if let (Some(path), Some(error)) = (path("error"), first("error"))
        && *error != Json::Bool(false)
    {
        return Err(format!("the body has an error at {path}"));
    }
    let id = first("id").and_then(id_of);
    match action {
        Action::Get => return Ok(Value::Found(id)),
        Action::Read => return read(spec, messages, id, &json),
        Action::Deliver(_) => return delivered(spec, &json),
        Action::CheckExisting(_) | Action::ReadThread if id.is_none() => return Ok(Value::Found(None)),
        _ => {}
    }
    if let (Some(path), None) = (path("id"), &id) {
        return Err(format!("the body has no identifier at {path}"));
    }
    let flag = |name: &str| first(name).and_then(Json::as_bool);
    let by_status = || match (spec.status.created.is_empty(), spec.status.created.contains(&answer.status)) {
        (true, _) => None,
        (false, created) => Some(created),
    };
    let created = flag("created").or_else(|| flag("existing").map(|existing| !existing)).or_else(by_status);
    let created_by = first("created_by").and_then(stamp_of);
    if is_of_thread(action) {
        let names = |name: &str| path(name).map(|path| names(path, &json)).transpose();
        let (members, added) = (names("members")?, names("added")?);
        let created = created.filter(|_| matches!(action, Action::StartConversation(_)));
        return Ok(Value::Thread(Box::new(ThreadAnswer { id, created, duplicate_key: false, members, added })));
    }
    let position = first("position").and_then(Json::as_u64).and_then(|position| u32::try_from(position).ok());
    Ok(written(action, Returned { id, created, duplicate_key: false, created_by, missing: Vec::new() }, position))
}

/// What a read says by 404: there is nothing.
fn absent(action: &Action) -> Option<Value> {
    match action {
        Action::Get | Action::CheckExisting(_) | Action::ReadThread => Some(Value::Found(None)),
        Action::Read => Some(Value::Messages(Seen::new(None, Vec::new()))),
        _ => None,
    }
}

fn written(action: &Action, session: Returned, position: Option<u32>) -> Value {
    match action {
        Action::Append(_) => Value::Appended(Appended { session, position }),
        _ => Value::Document(session),
    }
}

/// The messages that an answer shows: all that the path selects, or the list that it selects.
fn read(spec: &OperationSpec, messages: Option<&MessageSpec>, id: Option<Id>, json: &Json) -> Result<Value, String> {
    let (Some(path), Some(messages)) = (spec.outcome.get("messages"), messages) else {
        return Err("the scenario does not say where the messages are".to_owned());
    };
    let selected = path.all(json);
    let list: Vec<&Json> = match selected.as_slice() {
        [Json::Array(list)] => list.iter().collect(),
        [] if !path.to_string().contains(['*', '?']) => return Err(format!("the body has no messages at {path}")),
        _ => selected,
    };
    let elements: Result<Vec<Element>, String> = list.into_iter().map(|one| messages::element(messages, one)).collect();
    Ok(Value::Messages(Seen::new(id, elements?)))
}

fn delivered(spec: &OperationSpec, json: &Json) -> Result<Value, String> {
    let flag = |name: &str| spec.outcome.get(name).and_then(|path| path.first(json)).and_then(Json::as_bool);
    let applied =
        flag("applied").ok_or_else(|| "the body does not tell whether the content was there already".to_owned())?;
    Ok(Value::Delivered(Delivered { applied, chat_seen: flag("chat_seen") }))
}

fn is_of_thread(action: &Action) -> bool {
    matches!(
        action,
        Action::CheckExisting(_)
            | Action::StartConversation(_)
            | Action::ExpandThread(_)
            | Action::ResignAdmin { .. }
            | Action::ReadThread
    )
}

/// The names that a path selects, or those of the list that it selects.
fn names(path: &JsonPath, json: &Json) -> Result<Vec<Arc<str>>, String> {
    let selected = path.all(json);
    let list: Vec<&Json> = match selected.as_slice() {
        [Json::Array(list)] => list.iter().collect(),
        _ => selected,
    };
    let name = |one: &Json| {
        one.as_str().map(Arc::from).ok_or_else(|| format!("the body has something else than names at {path}"))
    };
    list.into_iter().map(name).collect()
}

/// An identifier: a text, a number, or MongoDB's extended JSON.
pub(super) fn id_of(value: &Json) -> Option<Id> {
    match value {
        Json::String(text) if !text.is_empty() => Some(Id::parse(text)),
        Json::Number(number) => Some(Id::parse(&number.to_string())),
        Json::Object(object) => object.get("$oid").and_then(Json::as_str).map(Id::parse),
        _ => None,
    }
}

/// An operation's number, as it was sent.
pub(super) fn stamp_of(value: &Json) -> Option<OpId> {
    match value {
        Json::Number(number) => number.as_u64().map(OpId),
        Json::String(text) => text.parse().ok().map(OpId),
        Json::Object(object) => object.get("$numberLong").and_then(stamp_of),
        _ => None,
    }
}

/// The documents that a path selects, for `[observe.http]`.
pub(super) fn documents(path: &JsonPath, json: &Json) -> Vec<Json> {
    path.all(json).into_iter().filter(|found| !found.is_null()).cloned().collect()
}

fn cause(answer: &Answer, why: &str, redactor: &Redactor) -> Cause {
    let body = String::from_utf8_lossy(&answer.body);
    let code = database_code(&body).unwrap_or_else(|| i32::from(answer.status));
    let why = if why.is_empty() { String::new() } else { format!(", but {why}") };
    let message = format!("HTTP {}{why}: {}", answer.status, excerpt(&body));
    Cause::with_code(code, redactor.clear(message.trim_end_matches(": ")))
}

/// MongoDB's code in a body that passes its error on.
fn database_code(body: &str) -> Option<i32> {
    if body.contains("E11000") {
        return Some(Cause::DUPLICATE_KEY);
    }
    let json: Json = serde_json::from_str(body).ok()?;
    let codes = [Cause::DUPLICATE_KEY, WRITE_CONFLICT];
    codes.into_iter().find(|code| has_code(&json, *code))
}

fn has_code(json: &Json, code: i32) -> bool {
    match json {
        Json::Object(object) => {
            object.get("code").and_then(Json::as_i64) == Some(i64::from(code))
                || object.values().any(|value| has_code(value, code))
        }
        Json::Array(items) => items.iter().any(|item| has_code(item, code)),
        _ => false,
    }
}

/// The beginning of a body on one line.
pub(super) fn excerpt(body: &str) -> String {
    let line = body.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_EXCERPT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests;
