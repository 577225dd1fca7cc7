//! Threads: looking one up, starting a conversation, expanding a thread, and reading.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use serde::{Deserialize, Serialize};

use super::auth::Caller;
use super::body::{Body, Stamp, name};
use super::json::Shown;
use super::page::{Page, Paged};
use super::refusal::Refusal;
use super::state::Service;
use crate::history::{OpId, ThreadKind};
use crate::strategy::thread::{KEY, NOT_AN_ADMIN, SAME_SET, member_names, stamp_in};
use crate::strategy::{Failure, Reason, delayed};

/// The form of every answer that succeeds.
#[derive(Serialize)]
pub(super) struct Success<T> {
    status: &'static str,
    data: T,
}

type Answer<T> = Result<Json<Success<T>>, Refusal>;

fn success<T>(data: T) -> Answer<T> {
    Ok(Json(Success { status: "success", data }))
}

/// A thread in an answer.
#[derive(Serialize)]
pub(super) struct Thread {
    id: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    title: Option<String>,
    participants: Vec<String>,
    admins: Vec<String>,
    #[serde(rename = "createdByOp")]
    created_by: Option<OpId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_count: Option<u64>,
}

impl Thread {
    fn new(document: &Document) -> Self {
        let text = |field: &str| document.get_str(field).ok().map(str::to_owned);
        let admins = document.get_array("admins").map(Vec::as_slice).unwrap_or_default();
        Thread {
            id: document.get("_id").map(id_text).unwrap_or_default(),
            kind: text("type"),
            title: text("title"),
            participants: member_names(document).into_iter().map(str::to_owned).collect(),
            admins: admins.iter().filter_map(Bson::as_str).map(str::to_owned).collect(),
            created_by: stamp_in(document, "createdByOp"),
            message_count: None,
        }
    }
}

fn id_text(id: &Bson) -> String {
    match id {
        Bson::ObjectId(id) => id.to_hex(),
        Bson::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn id_of(text: &str) -> Result<Bson, Refusal> {
    let id = ObjectId::parse_str(text).map_err(|_| Refusal::bad_request(format!("`{text}` is not the id of a thread")));
    Ok(Bson::ObjectId(id?))
}

/// Names of participants, checked.
fn names<'a>(field: &str, list: &'a [String]) -> Result<Vec<&'a str>, Refusal> {
    list.iter()
        .map(|text| match name(field, text)? {
            text if text.contains(',') => {
                Err(Refusal::bad_request(format!("a name in `{field}` must not contain `,`, which joins `{KEY}`")))
            }
            text => Ok(text),
        })
        .collect()
}

/// The kind, if a thread of it may have these participants together with the caller.
fn kind_of(kind: &str, caller: &str, participants: &[&str]) -> Result<ThreadKind, Refusal> {
    let kind =
        ThreadKind::parse(kind).ok_or_else(|| Refusal::bad_request("`thread_type` must be `direct` or `group`"))?;
    let mut everybody: Vec<&str> = participants.iter().copied().chain([caller]).collect();
    everybody.sort_unstable();
    everybody.dedup();
    if kind.allows(everybody.len()) {
        return Ok(kind);
    }
    let rule = match kind {
        ThreadKind::Direct => "exactly two participants",
        ThreadKind::Group => "two participants or more",
    };
    Err(Refusal::bad_request(format!("a {kind} thread has {rule}, with the caller; these are {}", everybody.len())))
}

/// `POST /api/chat/check-existing-thread`.
#[derive(Deserialize)]
pub(super) struct Check {
    participants: Vec<String>,
    thread_type: String,
}

/// What was found.
#[derive(Serialize)]
pub(super) struct Checked {
    exists: bool,
    thread: Option<Thread>,
}

pub(super) async fn check(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Body(body): Body<Check>,
) -> Answer<Checked> {
    let participants = names("participants", &body.participants)?;
    let kind = kind_of(&body.thread_type, &caller.0, &participants)?;
    let checking = service.threads.check(kind, &caller.0, &participants);
    let thread = match delayed(service.settings.delay, checking).await? {
        Some(document) => Some(counted(&service, &document).await?),
        None => None,
    };
    success(Checked { exists: thread.is_some(), thread })
}

/// A thread with the number of its messages.
async fn counted(service: &Service, document: &Document) -> Result<Thread, Refusal> {
    let messages = doc! { "thread": document.get("_id").cloned() };
    let count = service.threads.messages.count_documents(messages).await?;
    Ok(Thread { message_count: Some(count), ..Thread::new(document) })
}

/// `POST /api/chat/start-conversation`.
#[derive(Deserialize)]
pub(super) struct Start {
    participants: Vec<String>,
    message_content: String,
    thread_type: String,
}

/// The thread, new or not, and the message sent to it.
#[derive(Serialize)]
pub(super) struct Started {
    thread: Thread,
    message: Shown,
    is_existing_thread: bool,
}

pub(super) async fn start(
    State(service): State<Arc<Service>>,
    caller: Caller,
    stamp: Stamp,
    Body(body): Body<Start>,
) -> Answer<Started> {
    let participants = names("participants", &body.participants)?;
    let kind = kind_of(&body.thread_type, &caller.0, &participants)?;
    let text = content(&body.message_content)?;
    let strategy = service.settings.strategies.thread;
    let (found, message) = delayed(service.settings.delay, async {
        let found = service.threads.open(strategy, stamp.0, kind, &caller.0, &participants).await?;
        let thread = found.document.get("_id").cloned().unwrap_or(Bson::Null);
        let message = service.threads.send(stamp.0, &thread, &caller.0, text).await?;
        Ok::<_, Failure>((found, message))
    })
    .await?;
    let thread = Thread::new(&found.document);
    success(Started { thread, message: Shown(message), is_existing_thread: !found.created })
}

fn content(text: &str) -> Result<&str, Refusal> {
    const LONGEST: usize = 65_536;
    match text.len() {
        1..=LONGEST => Ok(text),
        _ => Err(Refusal::bad_request(format!("`message_content` must have 1 to {LONGEST} bytes"))),
    }
}

/// `POST /api/chat/threads/{id}/expand`.
#[derive(Deserialize)]
pub(super) struct Expand {
    new_participants: Vec<String>,
    #[serde(default)]
    message_content: Option<String>,
}

/// Who was added by this request, and what became of the thread.
#[derive(Serialize)]
pub(super) struct Expanded {
    added_participants: Vec<String>,
    new_title: Option<String>,
    thread: Thread,
}

pub(super) async fn expand(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
    stamp: Stamp,
    Body(body): Body<Expand>,
) -> Answer<Expanded> {
    let id = id_of(&id)?;
    let new = names("new_participants", &body.new_participants)?;
    if new.is_empty() {
        return Err(Refusal::bad_request("`new_participants` must name somebody"));
    }
    let text = body.message_content.as_deref().map(content).transpose()?;
    let strategy = service.settings.strategies.thread;
    let expanded = delayed(service.settings.delay, async {
        let expanded = service.threads.expand(strategy, stamp.0, &caller.0, &id, &new).await?;
        if let Some(text) = text {
            service.threads.send(stamp.0, &id, &caller.0, text).await?;
        }
        Ok(expanded)
    })
    .await;
    match expanded {
        Ok(expanded) => {
            let thread = Thread::new(&expanded.document);
            success(Expanded { added_participants: expanded.added, new_title: thread.title.clone(), thread })
        }
        Err(failure) => Err(refused(&service, &id, Change::Expand, failure).await),
    }
}

/// `POST /api/chat/threads/{id}/resign`: the caller is an admin no longer.
pub(super) async fn resign(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
    stamp: Stamp,
) -> Answer<One> {
    let id = id_of(&id)?;
    let resigned = delayed(service.settings.delay, service.threads.resign(stamp.0, &caller.0, &id)).await;
    match resigned {
        Ok(document) => success(One { thread: Thread::new(&document) }),
        Err(failure) => Err(refused(&service, &id, Change::Resign, failure).await),
    }
}

/// What was to be done to a thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Expand,
    Resign,
}

/// What a change of a thread that was refused is answered with.
async fn refused(service: &Service, id: &Bson, change: Change, failure: Failure) -> Refusal {
    match &failure.reason {
        Reason::GaveUp(reason) if reason == SAME_SET => Refusal::conflict(reason),
        Reason::GaveUp(reason) if reason == NOT_AN_ADMIN => match service.threads.read(id).await {
            Ok(None) => Refusal::not_found("there is no such thread"),
            Ok(Some(thread)) if change == Change::Expand && is_direct(&thread) => {
                Refusal::bad_request("a direct thread has exactly two participants, and never becomes a group")
            }
            Ok(Some(_)) => Refusal::forbidden(reason),
            Err(failure) => failure.into(),
        },
        _ => failure.into(),
    }
}

fn is_direct(thread: &Document) -> bool {
    thread.get_str("type").is_ok_and(|kind| kind == ThreadKind::Direct.as_str())
}

/// One thread.
#[derive(Serialize)]
pub(super) struct One {
    thread: Thread,
}

/// `GET /api/chat/threads/{id}`.
pub(super) async fn one(State(service): State<Arc<Service>>, _caller: Caller, Path(id): Path<String>) -> Answer<One> {
    let found = service.threads.read(&id_of(&id)?).await?;
    let document = found.ok_or_else(|| Refusal::not_found("there is no such thread"))?;
    success(One { thread: counted(&service, &document).await? })
}

/// All messages of a thread.
#[derive(Serialize)]
pub(super) struct Messages {
    messages: Vec<Shown>,
    next: Option<String>,
}

/// `GET /api/chat/threads/{id}/messages`.
pub(super) async fn messages(
    State(service): State<Arc<Service>>,
    _caller: Caller,
    Path(id): Path<String>,
    page: Page,
) -> Answer<Messages> {
    let id = id_of(&id)?;
    service.threads.read(&id).await?.ok_or_else(|| Refusal::not_found("there is no such thread"))?;
    let Paged { documents, next } = page.read(&service.threads.messages, doc! { "thread": id }).await?;
    success(Messages { messages: documents, next })
}

/// Threads as they are stored.
#[derive(Serialize)]
pub(super) struct Listed {
    threads: Vec<Shown>,
    next: Option<String>,
}

/// `GET /api/chat/threads`: all of a key or with a participant, or all there are, page by page.
pub(super) async fn list(State(service): State<Arc<Service>>, _caller: Caller, page: Page) -> Answer<Listed> {
    let mut filter = doc! {};
    if let Some(key) = page.parameter(KEY) {
        filter.insert(KEY, key);
    }
    if let Some(user) = page.parameter("participant") {
        filter.insert("members.user", user);
    }
    let Paged { documents, next } = page.read(&service.threads.threads, filter).await?;
    success(Listed { threads: documents, next })
}
