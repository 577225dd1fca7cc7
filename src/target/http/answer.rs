//! From an HTTP answer to an outcome. The main function is [`outcome`].
//!
//! Failed is what the scenario's table says certainly had no effect. A status that says yes with a body that does not
//! is unknown: the effect may have happened. Whatever is in no list is unknown. The scenario's own lists come first: a
//! meaning that is built in counts only for a status that they do not name.

use std::sync::Arc;

use serde_json::Value as Json;

use super::messages;
use super::redactor::Redactor;
use super::value::id_of;
use crate::history::{
    Action, Appended, Cause, CauseKind, DatabaseError, Delivered, Element, Id, OpId, Outcome, ReadResult, Returned,
    ThreadAnswer, Transport, Value,
};
use crate::scenario::{JsonPath, MessageSpec, OperationSpec};

/// Longest excerpt of a body in a cause.
const LONGEST_EXCERPT: usize = 240;

/// An answer, as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) cookies: Vec<String>,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

/// A `location` without whose it is: its path, and what follows that.
pub(super) fn own_location(location: &str) -> &str {
    // Another address may stand in the query: whose it is stands before any part of the path.
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match location.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        Some((_, rest)) => rest.find(['/', '?', '#']).map_or("/", |at| &rest[at..]),
        None => location,
    }
}

/// The parts of its path.
pub(super) fn parts(location: &str) -> impl Iterator<Item = &str> {
    let own = own_location(location);
    own[..own.find(['?', '#']).unwrap_or(own.len())].split('/').filter(|part| !part.is_empty())
}

/// No answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Nothing took the request: it certainly had no effect.
    Unreachable(String),
    /// The request was not sent for another reason: it certainly had no effect.
    NotSent(String),
    /// It was sent, at least in part.
    Lost(String),
    /// It was sent, and given up after its time.
    TimedOut(String),
}

impl NoAnswer {
    /// Why, in words.
    pub(super) fn why(&self) -> &str {
        match self {
            NoAnswer::Unreachable(why) | NoAnswer::NotSent(why) | NoAnswer::Lost(why) | NoAnswer::TimedOut(why) => why,
        }
    }

    /// The outcome of an operation that ended so.
    pub(super) fn outcome(&self, redactor: &Redactor) -> Outcome {
        let cause = |what| Cause::transport(what, redactor.clear(self.why()));
        match self {
            NoAnswer::Unreachable(_) => Outcome::Failed(cause(Transport::Unreachable)),
            NoAnswer::NotSent(_) => Outcome::Failed(cause(Transport::NotSent)),
            NoAnswer::Lost(_) => Outcome::Unknown(cause(Transport::Lost)),
            NoAnswer::TimedOut(_) => Outcome::Unknown(cause(Transport::TimedOut)),
        }
    }
}

impl From<String> for NoAnswer {
    /// Why a request could not be made.
    fn from(why: String) -> Self {
        NoAnswer::NotSent(why)
    }
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
        Err(no_answer) => return no_answer.outcome(redactor),
    };
    let says = |list: &[u16]| list.contains(&answer.status);
    let json: Option<Json> = serde_json::from_slice(&answer.body).ok();
    if says(&spec.status.refused) || json.as_ref().is_some_and(|json| shows(spec, "refused", json)) {
        let cause = cause(answer, "", redactor);
        return Outcome::Failed(Cause { kind: CauseKind::Refused { status: answer.status }, ..cause });
    }
    if let Some(absent) = absent(action).filter(|_| says(&spec.status.absent)) {
        return Outcome::Ok(absent);
    }
    if says(&spec.status.ok) || says(&spec.status.created) {
        return match value(spec, messages, action, answer, json.as_ref()) {
            Ok(value) => Outcome::Ok(value),
            Err(doubt) => Outcome::Unknown(doubt.cause(answer, redactor)),
        };
    }
    if says(&spec.status.failed) {
        Outcome::Failed(cause(answer, "", redactor))
    } else {
        Outcome::Unknown(cause(answer, "", redactor))
    }
}

/// Whether a path of the scenario's selects something in a body that means yes.
fn shows(spec: &OperationSpec, name: &str, json: &Json) -> bool {
    let found = spec.outcome.get(name).and_then(|path| path.first(json));
    found.is_some_and(|found| *found != Json::Bool(false) && found.as_array().is_none_or(|list| !list.is_empty()))
}

/// Why an answer whose status says yes tells nothing.
#[derive(Debug)]
enum Doubt {
    /// The body cannot be read as the scenario says.
    Why(String),
    /// The body shows the database's error.
    Leaked(DatabaseError),
    /// The body says yes as well, and names no document.
    Unnamed { path: String, created: Option<bool> },
}

impl From<String> for Doubt {
    fn from(why: String) -> Self {
        Doubt::Why(why)
    }
}

impl Doubt {
    fn cause(self, answer: &Answer, redactor: &Redactor) -> Cause {
        let status = answer.status;
        match self {
            Doubt::Why(why) => cause(answer, &why, redactor),
            Doubt::Leaked(error) => {
                let cause = cause(answer, "the body has an error of the database", redactor);
                Cause { kind: CauseKind::Http { status, database: Some(error) }, ..cause }
            }
            Doubt::Unnamed { path, created } => {
                let cause = cause(answer, &format!("the body has no identifier at {path}"), redactor);
                Cause { kind: CauseKind::Unnamed { status, created }, ..cause }
            }
        }
    }
}

/// What an answer that says yes tells, or why it does not tell.
fn value(
    spec: &OperationSpec,
    messages: Option<&MessageSpec>,
    action: &Action,
    answer: &Answer,
    json: Option<&Json>,
) -> Result<Value, Doubt> {
    if let Some(error) = leaked(answer, json) {
        return Err(Doubt::Leaked(error));
    }
    let first_id = json.and_then(|json| spec.outcome.get("id")?.first(json)).and_then(id_of);
    if answer.status >= 400 && first_id.is_none() && json.is_some_and(says_no) {
        return Err(Doubt::Why("the scenario takes for success what the status and the body deny".to_owned()));
    }
    if spec.outcome.is_empty() {
        let created = spec.status.created.contains(&answer.status).then_some(true);
        return Ok(written(action, Returned { created, nameless: true, ..Returned::default() }, None));
    }
    let by_status = || match (spec.status.created.is_empty(), spec.status.created.contains(&answer.status)) {
        (true, _) => None,
        (false, created) => Some(created),
    };
    if let (Some(path), true) = (spec.outcome.get("id"), answer.body.is_empty() && names_by_body(action)) {
        // Nothing is garbled: the status says yes, and there is nothing else, as with 204 and 303.
        return Err(Doubt::Unnamed { path: path.to_string(), created: by_status() });
    }
    let json = json.ok_or_else(|| why_not_json(answer))?;
    let path = |name: &str| spec.outcome.get(name);
    let first = |name: &str| path(name).and_then(|path| path.first(json));
    if let Some(path) = path("error").filter(|_| shows(spec, "error", json)) {
        return Err(Doubt::Why(format!("the body has an error at {path}")));
    }
    let id = first("id").and_then(id_of);
    match action {
        Action::Get => return Ok(Value::Found(id)),
        Action::Read => return Ok(read(spec, messages, id, json)?),
        Action::Deliver(_) => return Ok(delivered(spec, json)?),
        Action::CheckExisting(_) | Action::ReadThread if id.is_none() => return Ok(Value::Found(None)),
        _ => {}
    }
    let flag = |name: &str| first(name).and_then(Json::as_bool);
    let created = flag("created").or_else(|| flag("existing").map(|existing| !existing)).or_else(by_status);
    if let (Some(path), None) = (path("id"), &id) {
        return Err(match is_of_thread(action) || says_no(json) {
            true => Doubt::Why(format!("the body has no identifier at {path}")),
            false => Doubt::Unnamed { path: path.to_string(), created },
        });
    }
    let created_by = first("created_by").and_then(stamp_of);
    if is_of_thread(action) {
        // A path that leads nowhere says nothing; one that selects the elements of a list may select none.
        let leads = |path: &&JsonPath| path.first(json).is_some() || path.selects_elements();
        let names = |name: &str| path(name).filter(leads).map(|path| names(path, json)).transpose();
        let (members, added) = (names("members")?, names("added")?);
        let created = created.filter(|_| matches!(action, Action::StartConversation(_)));
        return Ok(Value::Thread(Box::new(ThreadAnswer { id, created, duplicate_key: false, members, added })));
    }
    let position = first("position").and_then(Json::as_u64).and_then(|position| u32::try_from(position).ok());
    let number = first("number").and_then(number_of);
    // Where the scenario does not look for a name, that there is none is nobody's fault.
    let nameless = path("id").is_none();
    Ok(written(action, Returned { id, created, created_by, number, nameless, ..Returned::default() }, position))
}

/// Whether an answer without a body may be all that whoever did not create is told.
fn names_by_body(action: &Action) -> bool {
    matches!(action, Action::CreateOrGet { .. } | Action::Append(_) | Action::Custom(_))
}

/// What a read says by 404: there is nothing.
fn absent(action: &Action) -> Option<Value> {
    match action {
        Action::Get | Action::CheckExisting(_) | Action::ReadThread => Some(Value::Found(None)),
        Action::Read => Some(Value::Messages(ReadResult::new(None, Vec::new()))),
        _ => None,
    }
}

/// What a body is that is not one JSON value.
fn why_not_json(answer: &Answer) -> String {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let kind = if answer.content_type.is_empty() { "without a type" } else { answer.content_type.as_str() };
    let is_json = |line: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
    let lines = || answer.body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    if answer.body.starts_with(&GZIP) {
        return "the body is compressed (gzip), which no request asks for: have the service leave it as it is"
            .to_owned();
    }
    match lines().count() > 1 && lines().all(is_json) {
        true => format!("the body is several lines of JSON ({kind}), of which only one value can be read"),
        false => format!("the body is not JSON ({kind})"),
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
    Ok(Value::Messages(ReadResult::new(id, elements?)))
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

/// A number that an answer gives, as text: `17`, `INV-0017`.
fn number_of(value: &Json) -> Option<Arc<str>> {
    match value {
        Json::String(text) => Some(Arc::from(text.as_str())),
        Json::Number(number) => Some(Arc::from(number.to_string())),
        Json::Object(object) => object.get("$numberLong").and_then(number_of),
        _ => None,
    }
}

/// An operation's number, as it was sent.
pub(crate) fn stamp_of(value: &Json) -> Option<OpId> {
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
    let why = if why.is_empty() { String::new() } else { format!(", but {why}") };
    let message = format!("HTTP {}{why}: {}", answer.status, excerpt(&body));
    let kind = CauseKind::Http { status: answer.status, database: DatabaseError::in_text(&body) };
    Cause { kind, message: redactor.clear(message.trim_end_matches(": ")).into() }
}

/// Names of the fields in which a body whose status says yes may report an error all the same.
const ERROR_FIELDS: [&str; 9] = ["errors", "error", "err", "exception", "message", "msg", "detail", "reason", "name"];

/// The database's error in an answer whose status says yes: in the fields that report errors, as GraphQL's `errors`, or in
/// a body that is no JSON. What else a body holds is data.
fn leaked(answer: &Answer, json: Option<&Json>) -> Option<DatabaseError> {
    match json {
        Some(Json::Object(object)) => {
            ERROR_FIELDS.iter().filter_map(|name| object.get(*name)).find_map(|value| match value {
                Json::String(text) => DatabaseError::in_text(text),
                Json::Object(_) | Json::Array(_) => DatabaseError::in_text(&value.to_string()),
                Json::Null | Json::Bool(_) | Json::Number(_) => None,
            })
        }
        Some(_) => None,
        None => DatabaseError::in_text(&String::from_utf8_lossy(&answer.body)),
    }
}

/// Whether a body says no in one of the usual ways, although its status says yes.
fn says_no(json: &Json) -> bool {
    let Json::Object(object) = json else { return true };
    let is_error = |name: &str| object.get(name).is_some_and(|value| !matches!(value, Json::Null | Json::Bool(false)));
    let is_false = |name: &str| object.get(name) == Some(&Json::Bool(false));
    ["errors", "error", "err"].into_iter().any(is_error) || ["success", "ok"].into_iter().any(is_false)
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
