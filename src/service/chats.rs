//! Direct chats: create or get, and reading.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use serde::{Deserialize, Serialize};

use super::auth::Caller;
use super::body::{Body, Stamp, name};
use super::json::Shown;
use super::page::{Page, Paged};
use super::refusal::Refusal;
use super::state::Service;
use crate::strategy::create_or_get::{Call, KEY};
use crate::strategy::delayed;

/// `POST /api/chats/create-or-get`.
#[derive(Deserialize)]
pub(super) struct CreateOrGet {
    #[serde(rename = "participantId")]
    participant_id: String,
}

/// Answer to it.
#[derive(Serialize)]
pub(super) struct Created {
    chat: Shown,
    created: bool,
}

pub(super) async fn create_or_get(
    State(service): State<Arc<Service>>,
    caller: Caller,
    stamp: Stamp,
    Body(body): Body<CreateOrGet>,
) -> Result<(StatusCode, Json<Created>), Refusal> {
    participant("user", &caller.0)?;
    participant("participantId", &body.participant_id)?;
    if body.participant_id == caller.0 {
        return Err(Refusal::bad_request("`participantId` is the caller: a chat has two participants"));
    }
    let call = Call { participants: [&caller.0, &body.participant_id], op: stamp.0, caller: &caller.0 };
    let strategy = service.settings.strategies.create_or_get;
    let answer = delayed(service.settings.delay, service.chats.answer(strategy, call)).await?;
    let created = answer.returned.created_by == Some(stamp.0);
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(Created { chat: Shown(answer.document), created })))
}

/// `_` joins the key, so that two names that contain it could share a key with two others.
fn participant(field: &str, text: &str) -> Result<(), Refusal> {
    if name(field, text)?.contains('_') {
        return Err(Refusal::bad_request(format!("`{field}` must not contain `_`, which joins `{KEY}`")));
    }
    Ok(())
}

/// One chat.
#[derive(Serialize)]
pub(super) struct One {
    chat: Shown,
}

/// `GET /api/chats/with/{participantId}`: the caller's chat with a participant, without creating it.
pub(super) async fn with(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(other): Path<String>,
) -> Result<Json<One>, Refusal> {
    let strategy = service.settings.strategies.create_or_get;
    let found = delayed(service.settings.delay, service.chats.find(strategy, [&caller.0, &other])).await?;
    shown(found)
}

/// `GET /api/chats/{id}`.
pub(super) async fn by_id(
    State(service): State<Arc<Service>>,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<One>, Refusal> {
    let id = ObjectId::parse_str(&id).map_err(|_| Refusal::bad_request(format!("`{id}` is not the id of a chat")))?;
    one(&service, doc! { "_id": id }).await
}

async fn one(service: &Service, filter: Document) -> Result<Json<One>, Refusal> {
    shown(service.chats.chats.find_one(filter).await?)
}

fn shown(found: Option<Document>) -> Result<Json<One>, Refusal> {
    let chat = found.map(Shown).ok_or_else(|| Refusal::not_found("there is no such chat"))?;
    Ok(Json(One { chat }))
}

/// Answer of `GET /api/chats`.
#[derive(Serialize)]
pub(super) struct Listed {
    chats: Vec<Shown>,
    next: Option<String>,
}

/// `GET /api/chats`: all of a key, or all there are, page by page. A key is met in both orders of its names, so that one
/// that was stored unsorted is found as well.
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    _caller: Caller,
    page: Page,
) -> Result<Json<Listed>, Refusal> {
    let mut filter = Document::new();
    if let Some(key) = page.parameter(KEY) {
        let (a, b) = key
            .split_once('_')
            .ok_or_else(|| Refusal::bad_request("`participantsKey` must be two names joined by `_`"))?;
        filter.insert(KEY, doc! { "$in": [format!("{a}_{b}"), format!("{b}_{a}")] });
    }
    let Paged { documents, next } = page.read(&service.chats.chats, filter).await?;
    Ok(Json(Listed { chats: documents, next }))
}
