//! Conversations: the typed and the spoken input of a session, and reading. Both code paths write one document.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use mongodb::bson::doc;
use serde::{Deserialize, Serialize};

use super::auth::Caller;
use super::body::{Body, Stamp, name};
use super::json::Shown;
use super::page::{Page, Paged};
use super::refusal::Refusal;
use super::state::Service;
use crate::history::{Id, MessagePath, Said, answer_to};
use crate::strategy::append::{Call, KEY};
use crate::strategy::delayed;

/// `POST /api/conversations/{sessionId}/text` and `…/voice`: a message, or what was understood of it.
#[derive(Deserialize)]
pub(super) struct Input {
    text: Arc<str>,
    /// Number of the sender and of its message, kept with the message.
    #[serde(default)]
    sender: u32,
    #[serde(default)]
    n: u32,
}

/// Answer to it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Replied {
    session_id: String,
    conversation_id: Option<Id>,
    /// Whether this request created the conversation; absent where the strategy does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
    /// The bot's answer.
    reply: String,
    /// Place of the message in the conversation, counted from 0; absent where the strategy does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
}

/// Longest message in bytes.
const LONGEST: usize = 65_536;

pub(super) async fn text(
    service: State<Arc<Service>>,
    caller: Caller,
    session: Path<String>,
    stamp: Stamp,
    input: Body<Input>,
) -> Result<Json<Replied>, Refusal> {
    append(service, caller, session, stamp, input, MessagePath::Text).await
}

pub(super) async fn voice(
    service: State<Arc<Service>>,
    caller: Caller,
    session: Path<String>,
    stamp: Stamp,
    input: Body<Input>,
) -> Result<Json<Replied>, Refusal> {
    append(service, caller, session, stamp, input, MessagePath::Voice).await
}

async fn append(
    State(service): State<Arc<Service>>,
    _caller: Caller,
    Path(session): Path<String>,
    stamp: Stamp,
    Body(input): Body<Input>,
    path: MessagePath,
) -> Result<Json<Replied>, Refusal> {
    name("sessionId", &session)?;
    if input.text.is_empty() || input.text.len() > LONGEST {
        return Err(Refusal::bad_request(format!("`text` must have 1 to {LONGEST} bytes")));
    }
    let said = Said { path, sender: input.sender, n: input.n, text: input.text, answered: true };
    let call = Call { session: &session, op: stamp.0, said: &said };
    let strategy = service.settings.strategies.append;
    let appended = delayed(service.settings.delay, service.sessions.append(strategy, call)).await?;
    Ok(Json(Replied {
        session_id: session,
        conversation_id: appended.session.id,
        created: appended.session.created,
        reply: answer_to(&said.text),
        position: appended.position,
    }))
}

/// One conversation.
#[derive(Serialize)]
pub(super) struct One {
    conversation: Shown,
}

/// `GET /api/conversations/{sessionId}`.
pub(super) async fn one(
    State(service): State<Arc<Service>>,
    _caller: Caller,
    Path(session): Path<String>,
) -> Result<Json<One>, Refusal> {
    let found = service.sessions.sessions.find_one(doc! { KEY: &session }).await?;
    let conversation = found.map(Shown).ok_or_else(|| Refusal::not_found("there is no such conversation"))?;
    Ok(Json(One { conversation }))
}

/// Answer of `GET /api/conversations`.
#[derive(Serialize)]
pub(super) struct Listed {
    conversations: Vec<Shown>,
    next: Option<String>,
}

/// `GET /api/conversations`: all of a session, or all there are, page by page.
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    _caller: Caller,
    page: Page,
) -> Result<Json<Listed>, Refusal> {
    let mut filter = doc! {};
    if let Some(session) = page.parameter(KEY) {
        filter.insert(KEY, session);
    }
    let Paged { documents, next } = page.read(&service.sessions.sessions, filter).await?;
    Ok(Json(Listed { conversations: documents, next }))
}
