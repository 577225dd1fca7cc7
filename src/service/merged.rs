//! Merged messages: contents delivered to a chat of a user by webhook, by polling and by hand, each to be stored once.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use mongodb::bson::doc;
use serde::{Deserialize, Serialize};

use super::auth::Caller;
use super::body::{Body, Stamp, name};
use super::json::Shown;
use super::page::{Page, Paged};
use super::refusal::Refusal;
use super::state::Service;
use crate::history::{CodePath, ContentKind, Id, OpId, Via};
use crate::strategy::merge::{Call, Content, KEY, MISSING};
use crate::strategy::{Reason, delayed};

/// `POST /api/user-chats/{chatId}/webhook`, `…/polling` and `…/manual-merge`: a content, by the identifiers it has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delivered {
    #[serde(default)]
    merge_id: Option<String>,
    #[serde(default)]
    batch_id: Option<String>,
    #[serde(default)]
    batch_index: Option<u32>,
    #[serde(default)]
    image_id: Option<String>,
    #[serde(default)]
    video_id: Option<String>,
    url: String,
    /// The code path; by default the one that fits the identifiers.
    #[serde(default)]
    path: Option<CodePath>,
}

/// Answer to it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Applied {
    /// The message was pushed; otherwise it was there already, as far as the strategy can tell.
    applied: bool,
    /// Whether the chat was seen after an update had matched nothing: that alone does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_seen: Option<bool>,
}

pub(super) async fn webhook(
    service: State<Arc<Service>>,
    caller: Caller,
    chat: Path<String>,
    stamp: Stamp,
    Body(body): Body<Delivered>,
) -> Result<Json<Applied>, Refusal> {
    deliver(service, caller, chat, stamp, body.content(Via::Webhook)?).await
}

pub(super) async fn polling(
    service: State<Arc<Service>>,
    caller: Caller,
    chat: Path<String>,
    stamp: Stamp,
    Body(body): Body<Delivered>,
) -> Result<Json<Applied>, Refusal> {
    deliver(service, caller, chat, stamp, body.content(Via::Polling)?).await
}

/// Two images merged at the user's wish; the answer comes with the request, as a webhook's content does.
pub(super) async fn manual(
    service: State<Arc<Service>>,
    caller: Caller,
    chat: Path<String>,
    stamp: Stamp,
    Body(body): Body<Delivered>,
) -> Result<Json<Applied>, Refusal> {
    if body.merge_id.is_none() {
        return Err(Refusal::bad_request("a merged image has a `mergeId`"));
    }
    let body = Delivered { path: Some(CodePath::ManualMerge), ..body };
    deliver(service, caller, chat, stamp, body.content(Via::Webhook)?).await
}

async fn deliver(
    State(service): State<Arc<Service>>,
    _caller: Caller,
    Path(chat): Path<String>,
    stamp: Stamp,
    content: Content,
) -> Result<Json<Applied>, Refusal> {
    name("chatId", &chat)?;
    let call = Call { chat: &chat, op: stamp.0, content: &content };
    let strategy = service.settings.strategies.merge;
    match delayed(service.settings.delay, service.user_chats.deliver(strategy, call)).await {
        Ok(delivered) => Ok(Json(Applied { applied: delivered.applied, chat_seen: delivered.chat_seen })),
        Err(failure) => Err(match &failure.reason {
            Reason::GaveUp(reason) if reason == MISSING => Refusal::not_found("there is no such chat"),
            _ => failure.into(),
        }),
    }
}

impl Delivered {
    /// The content, known by `videoId`, else `mergeId`, else `batchId` and `batchIndex`, else `imageId`.
    fn content(self, via: Via) -> Result<Content, Refusal> {
        let ids = [("mergeId", &self.merge_id), ("batchId", &self.batch_id), ("imageId", &self.image_id)];
        for (field, id) in ids.into_iter().chain([("videoId", &self.video_id)]) {
            id.as_deref().map(|id| name(field, id)).transpose()?;
        }
        let batch = match (self.batch_id, self.batch_index) {
            (Some(id), Some(index)) => Some((id, index)),
            (None, None) => None,
            _ => return Err(Refusal::bad_request("`batchId` and `batchIndex` come together")),
        };
        let kind = match (&self.video_id, &self.merge_id, &batch, &self.image_id) {
            (Some(_), None, None, None) => ContentKind::Video,
            (Some(_), ..) => return Err(Refusal::bad_request("a video has a `videoId` and no other identifier")),
            (None, Some(_), ..) => ContentKind::Merged,
            (None, None, Some(_), Some(_)) => ContentKind::Batch,
            (None, None, None, Some(_)) => ContentKind::Plain,
            (None, None, _, None) => {
                return Err(Refusal::bad_request("a content has a `mergeId`, an `imageId` or a `videoId`"));
            }
        };
        let path = self.path.unwrap_or(match kind {
            ContentKind::Video => CodePath::Video,
            ContentKind::Batch => CodePath::Generated,
            ContentKind::Merged | ContentKind::Plain => CodePath::GeneralAppend,
        });
        Ok(Content {
            kind,
            merge_id: self.merge_id,
            batch,
            image_id: self.image_id,
            video_id: self.video_id,
            url: self.url,
            path,
            via,
        })
    }
}

/// Answer of `POST /api/user-chats/{chatId}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Opened {
    #[serde(rename = "_id")]
    id: Option<Id>,
    chat_id: String,
    created: bool,
    created_by_op: Option<OpId>,
}

/// Creates the chat if it is missing.
pub(super) async fn open(
    State(service): State<Arc<Service>>,
    _caller: Caller,
    Path(chat): Path<String>,
    stamp: Stamp,
) -> Result<(StatusCode, Json<Opened>), Refusal> {
    name("chatId", &chat)?;
    let opened = delayed(service.settings.delay, service.user_chats.open(&chat, stamp.0)).await?;
    let created = opened.created == Some(true);
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(Opened { id: opened.id, chat_id: chat, created, created_by_op: opened.created_by })))
}

/// One chat.
#[derive(Serialize)]
pub(super) struct One {
    chat: Shown,
}

/// `GET /api/user-chats/{chatId}`.
pub(super) async fn one(
    State(service): State<Arc<Service>>,
    _caller: Caller,
    Path(chat): Path<String>,
) -> Result<Json<One>, Refusal> {
    let found = service.user_chats.chats.find_one(doc! { KEY: &chat }).await?;
    Ok(Json(One { chat: found.map(Shown).ok_or_else(|| Refusal::not_found("there is no such chat"))? }))
}

/// Answer of `GET /api/user-chats`.
#[derive(Serialize)]
pub(super) struct Listed {
    chats: Vec<Shown>,
    next: Option<String>,
}

/// `GET /api/user-chats`: all of an identifier, or all there are, page by page.
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    _caller: Caller,
    page: Page,
) -> Result<Json<Listed>, Refusal> {
    let filter = page.parameter(KEY).map_or_else(|| doc! {}, |chat| doc! { KEY: chat });
    let Paged { documents, next } = page.read(&service.user_chats.chats, filter).await?;
    Ok(Json(Listed { chats: documents, next }))
}
