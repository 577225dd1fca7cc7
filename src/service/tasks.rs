//! Tasks: a merge that is done elsewhere, and announced by webhook and by polling, each as often as it likes.
//!
//! Whoever comes first claims the task, pushes the picture by the strategy of `merge`, and marks the task as done. A task that
//! is not marked when the service starts was cut off in the middle, and is carried out again: what comes of that is up to
//! the strategy.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use serde::{Deserialize, Serialize};

use super::auth::Caller;
use super::body::{Body, Stamp, name};
use super::error::ServiceError;
use super::refusal::Refusal;
use super::state::Service;
use crate::history::{CodePath, ContentKind, OpId, Via};
use crate::strategy::merge::{Call, Content, Strategy, UserChats};
use crate::strategy::{Failure, Session, delayed};

/// `POST /api/user-chats/{chatId}/tasks/{mergeId}/webhook` and `…/polling`: the picture of a task.
#[derive(Deserialize)]
pub(super) struct Announced {
    url: String,
}

/// Answer to it.
#[derive(Serialize)]
pub(super) struct Done {
    /// This announcement carried the task out; otherwise another one did, or does.
    applied: bool,
}

/// Answers an announcement that comes by webhook, or else by polling.
pub(super) async fn announced<const WEBHOOK: bool>(
    State(service): State<Arc<Service>>,
    _caller: Caller,
    Path((chat, merge)): Path<(String, String)>,
    Stamp(op): Stamp,
    Body(Announced { url }): Body<Announced>,
) -> Result<Json<Done>, Refusal> {
    let via = if WEBHOOK { Via::Webhook } else { Via::Polling };
    name("chatId", &chat)?;
    name("mergeId", &merge)?;
    let by = i64::try_from(op.0).map_err(|_| Refusal::bad_request("X-Op-Id is too large"))?;
    let id = format!("{chat}/{merge}");
    let task = Task { id, chat_id: chat, merge_id: merge, url, via, by, done: false };
    Ok(Json(Done { applied: delayed(service.settings.delay, service.tasks.announced(&task)).await? }))
}

/// One task as it is stored, by whoever claimed it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    #[serde(rename = "_id")]
    id: String,
    chat_id: String,
    merge_id: String,
    url: String,
    via: Via,
    /// The operation that claimed it.
    by: i64,
    done: bool,
}

/// The tasks of the service, and the chats that their pictures go to.
#[derive(Debug)]
pub(super) struct Tasks {
    tasks: Collection<Document>,
    chats: UserChats,
    strategy: Strategy,
}

impl Tasks {
    pub(super) fn new(tasks: Collection<Document>, chats: UserChats, strategy: Strategy) -> Self {
        Tasks { tasks, chats, strategy }
    }

    /// Carries the task out, unless another announcement has claimed it; whether it did.
    async fn announced(&self, task: &Task) -> Result<bool, Failure> {
        let mut io = Session::new(&self.tasks, &self.chats.comment);
        let Task { id, chat_id, merge_id, url, by, .. } = task;
        let claim = doc! { "$setOnInsert": {
            "chatId": chat_id, "mergeId": merge_id, "url": url, "via": task.via.as_str(), "by": by, "done": false,
        } };
        let claimed = io.upsert_part(doc! { "_id": id }, claim, doc! { "by": 1, "done": 1 }).await?;
        // Who is sent again finds its own claim, and goes on.
        let is_own = claimed.get_i64("by").is_ok_and(|holder| holder == *by);
        if !is_own || claimed.get_bool("done").unwrap_or(false) {
            return Ok(false);
        }
        self.carry_out(task).await?;
        Ok(true)
    }

    async fn carry_out(&self, task: &Task) -> Result<(), Failure> {
        let op = OpId(task.by.unsigned_abs());
        let content = Content {
            kind: ContentKind::Merged,
            merge_id: Some(task.merge_id.clone()),
            batch: None,
            image_id: None,
            video_id: None,
            url: task.url.clone(),
            path: CodePath::GeneralAppend,
            via: task.via,
        };
        self.chats.open(&task.chat_id, op).await?;
        self.chats.deliver(self.strategy, Call { chat: &task.chat_id, op, content: &content }).await?;
        let mut io = Session::new(&self.tasks, &self.chats.comment);
        io.update_one(doc! { "_id": &task.id }, doc! { "$set": { "done": true } }).await?;
        Ok(())
    }

    /// Carries out what was cut off before the service was started.
    pub(super) async fn recover(&self) -> Result<(), ServiceError> {
        let tasks = self.tasks.clone_with_type::<Task>();
        let cut_off = tasks.find(doc! { "done": false }).comment(self.chats.comment.clone());
        let found = async { cut_off.await?.try_collect::<Vec<Task>>().await };
        for task in found.await.map_err(|error| ServiceError::Recovery(error.to_string()))? {
            self.carry_out(&task).await.map_err(|failure| ServiceError::Recovery(failure.reason.to_string()))?;
        }
        Ok(())
    }
}
