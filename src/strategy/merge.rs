//! Ways to push a delivered image or video to a chat once, however often it is delivered (Fastify services, S4).
//!
//! A chat is `{chatId, createdAt, createdByOp, messages, updatedAt}`; a message is `{opId, type, mergeId, batchId,
//! batchIndex, imageId, videoId, isMerged, url, path, via}`, each identifier only where the content has one. A content is
//! known by `mergeId` if it is merged, else by `batchId` and `batchIndex`, else by `imageId`; a video by `videoId`.

mod documents;
mod strategies;

use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Bson, Document, doc};

use documents::{identifier, in_batch, in_chat, message, not, number_in, pushing, renamed, there};
pub use documents::{identity, new_chat};
pub(in crate::strategy) use strategies::SET;
pub use strategies::{NAMES, STRATEGIES, Strategy};

use super::lock::{CollectionLock, MemoryLocks};
use super::session::{Failure, Session, by};
use super::{append, document_id, stamp};
use crate::history::{CodePath, ContentKind, Delivered, Delivery, OpId, ReadResult, Returned, Via};

/// Field of the key.
pub const KEY: &str = "chatId";
/// Field of the list.
pub const MESSAGES: &str = "messages";

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The chat.
    pub chat: &'a str,
    /// The stamp.
    pub op: OpId,
    /// What is delivered.
    pub content: &'a Content,
}

/// What is delivered, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// By which of its keys it is known.
    pub kind: ContentKind,
    /// `mergeId` of a merged image.
    pub merge_id: Option<String>,
    /// `batchId` and `batchIndex` of what comes from a batch.
    pub batch: Option<(String, u32)>,
    /// `imageId` of an image.
    pub image_id: Option<String>,
    /// `videoId` of a video.
    pub video_id: Option<String>,
    /// What this delivery carries.
    pub url: String,
    /// The code path.
    pub path: CodePath,
    /// How the service learned of it.
    pub via: Via,
}

impl From<Delivery> for Content {
    fn from(delivery: Delivery) -> Self {
        Content {
            kind: delivery.kind(),
            merge_id: delivery.merge_id(),
            batch: delivery.batch(),
            image_id: delivery.image_id(),
            video_id: delivery.video_id(),
            url: delivery.payload(),
            path: delivery.path,
            via: delivery.via,
        }
    }
}

/// Why a delivery to a chat that is not there fails.
pub const MISSING: &str = "the chat is missing";

/// The chats of one run.
#[derive(Debug, Clone)]
pub struct UserChats {
    /// Where they are.
    pub chats: Collection<Document>,
    /// Where lock documents are: `messageLocks`.
    pub locks: Collection<Document>,
    /// Locks of this process.
    pub memory: MemoryLocks,
    /// Comment on every command.
    pub comment: Bson,
}

/// Messages that `dedupe-window` looks at.
const WINDOW: i32 = 4;
/// How often a push is tried while the chat appears or the content comes and goes between two commands.
const TRIES: u32 = 10;

impl UserChats {
    /// How long a lock document is good for.
    const LOCK_TTL: Duration = Duration::from_secs(60);
    /// How long it is good for in `lock-expires`, and how long the work under it takes.
    const SHORT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(60));

    /// Pushes the call's content once, by this strategy.
    pub async fn deliver(&self, strategy: Strategy, call: Call<'_>) -> Result<Delivered, Failure> {
        let mut io = Session::new(&self.chats, &self.comment);
        let io = &mut io;
        let content = call.content;
        match strategy {
            Strategy::FindThenPush => find_then_push(io, call, there(content), Duration::ZERO).await,
            Strategy::WrongPath => {
                let condition = doc! { identifier(content).0: { "$ne": identifier(content).1 } };
                conditional(io, call, condition, message(call)).await
            }
            Strategy::WrongKey => {
                let by_batch = content.batch.as_ref().map(|(batch, index)| in_batch(batch, *index));
                let by_batch = by_batch.unwrap_or_else(|| there(content));
                conditional(io, call, not(by_batch), message(call)).await
            }
            Strategy::ElemMatchNe => {
                let (field, value) = identifier(content);
                let condition = doc! { MESSAGES: { "$elemMatch": { field: { "$ne": value } } } };
                conditional(io, call, condition, message(call)).await
            }
            Strategy::TypeDrift => type_drift(io, call).await,
            Strategy::NullId => {
                let id = content.merge_id.clone().map_or(Bson::Null, Bson::String);
                conditional(io, call, doc! { "messages.mergeId": { "$ne": id } }, message(call)).await
            }
            Strategy::ConditionalPush => conditional_push(io, call).await,
            Strategy::ConditionalPushUpsert => upsert(io, call).await,
            Strategy::UpsertSwallowed => match upsert(io, call).await {
                Err(failure) if failure.is_duplicate_key_on(KEY) => Ok(Delivered { applied: false, chat_seen: None }),
                result => result,
            },
            Strategy::MissingIsMerged => conditional(io, call, not(there(content)), message(call)).await,
            Strategy::RetryNewId => {
                let first = conditional(io, call, not(there(content)), message(call)).await?;
                if first.applied { Ok(first) } else { push(io, call, renamed(call)).await }
            }
            Strategy::LoserClaims => {
                let answer = conditional_push(io, call).await?;
                Ok(Delivered { applied: true, ..answer })
            }
            Strategy::DedupeWindow => {
                let _held = self.memory.lock(&lock_key(call)).await;
                in_window(io, call).await
            }
            Strategy::DoublePush => {
                let first = conditional_push(io, call).await?;
                match content.path {
                    CodePath::GalleryAdded if first.applied => push(io, call, message(call)).await,
                    _ => Ok(first),
                }
            }
            Strategy::LockInMemory => {
                let _held = self.memory.lock(&lock_key(call)).await;
                find_then_push(io, call, there(content), Duration::ZERO).await
            }
            Strategy::LockCollection => self.under_lock(io, call, Self::LOCK_TTL, Duration::ZERO).await,
            Strategy::LockExpires => self.under_lock(io, call, Self::SHORT.0, Self::SHORT.1).await,
        }
    }

    /// Creates the chat if it is missing.
    pub async fn open(&self, chat: &str, op: OpId) -> Result<Returned, Failure> {
        let mut io = Session::new(&self.chats, &self.comment);
        let update = doc! { "$setOnInsert": new_chat(Some(op)) };
        let projection = doc! { "createdByOp": 1 };
        let (found, duplicate_key) = match io.upsert_part(by(KEY, chat), update.clone(), projection.clone()).await {
            Err(failure) if failure.is_duplicate_key_on(KEY) => {
                (io.upsert_part(by(KEY, chat), update, projection).await?, true)
            }
            result => (result?, false),
        };
        let created_by = append::document_stamp(&found);
        let created = Some(created_by == Some(op));
        Ok(Returned { id: document_id(&found), created, duplicate_key, created_by, ..Returned::default() })
    }

    /// All messages of a chat.
    pub async fn read(&self, chat: &str) -> Result<ReadResult, Failure> {
        let mut io = Session::new(&self.chats, &self.comment);
        Ok(match io.find_part(by(KEY, chat), doc! { "messages.opId": 1 }).await? {
            Some(document) => ReadResult::new(document_id(&document), append::elements(&document)),
            None => ReadResult::new(None, Vec::new()),
        })
    }

    async fn under_lock(
        &self,
        io: &mut Session<'_>,
        call: Call<'_>,
        ttl: Duration,
        work: Duration,
    ) -> Result<Delivered, Failure> {
        let lock = CollectionLock { locks: &self.locks, comment: &self.comment, ttl };
        let (key, holder) = (lock_key(call), stamp(call.op));
        lock.acquire(&key, holder).await?;
        let result = find_then_push(io, call, there(call.content), work).await;
        lock.release(&key, holder).await?;
        result
    }
}

/// Key of a content's lock, as in `msg:<chat>:merge:<mergeId>`.
fn lock_key(call: Call<'_>) -> String {
    format!("msg:{}:{}", call.chat, identity(&message(call)).unwrap_or_default())
}

/// `work` is what lies between the two: an image that is fetched, a service that is asked.
async fn find_then_push(
    io: &mut Session<'_>,
    call: Call<'_>,
    there: Document,
    work: Duration,
) -> Result<Delivered, Failure> {
    if io.find_part(in_chat(call, there), doc! { "_id": 1 }).await?.is_some() {
        return Ok(Delivered { applied: false, chat_seen: Some(true) });
    }
    if !work.is_zero() {
        tokio::time::sleep(work).await;
    }
    push(io, call, message(call)).await
}

/// Pushes whatever is there.
async fn push(io: &mut Session<'_>, call: Call<'_>, message: Document) -> Result<Delivered, Failure> {
    match io.update_one(by(KEY, call.chat), pushing(message)).await? {
        0 => Err(io.give_up(MISSING)),
        _ => Ok(Delivered { applied: true, chat_seen: None }),
    }
}

/// Pushes under a condition, and takes an update that matched nothing for a repetition.
async fn conditional(
    io: &mut Session<'_>,
    call: Call<'_>,
    condition: Document,
    message: Document,
) -> Result<Delivered, Failure> {
    let matched = io.update_one(in_chat(call, condition), pushing(message)).await?;
    Ok(Delivered { applied: matched > 0, chat_seen: None })
}

/// Pushes under the right condition. An update that matched nothing is ambiguous: a read settles it.
async fn conditional_push(io: &mut Session<'_>, call: Call<'_>) -> Result<Delivered, Failure> {
    for _ in 0..TRIES {
        if conditional(io, call, not(there(call.content)), message(call)).await?.applied {
            return Ok(Delivered { applied: true, chat_seen: None });
        }
        if io.find_part(in_chat(call, there(call.content)), doc! { "_id": 1 }).await?.is_some() {
            return Ok(Delivered { applied: false, chat_seen: Some(true) });
        }
        if io.find_part(by(KEY, call.chat), doc! { "_id": 1 }).await?.is_none() {
            return Err(io.give_up(MISSING));
        }
        // The chat appeared in between: now the update will match.
    }
    Err(io.give_up("the chat came and went"))
}

async fn upsert(io: &mut Session<'_>, call: Call<'_>) -> Result<Delivered, Failure> {
    let mut fields = new_chat(Some(call.op));
    fields.remove(MESSAGES);
    fields.remove("updatedAt");
    let mut update = pushing(message(call));
    update.insert("$setOnInsert", fields);
    io.upsert_part(in_chat(call, not(there(call.content))), update, doc! { "_id": 1 }).await?;
    Ok(Delivered { applied: true, chat_seen: None })
}

async fn type_drift(io: &mut Session<'_>, call: Call<'_>) -> Result<Delivered, Failure> {
    let (field, value) = identifier(call.content);
    let drifted = match call.content.via {
        Via::Webhook => Bson::String(value.clone()),
        Via::Polling => number_in(&value).map_or_else(|| Bson::String(value.clone()), Bson::Int64),
    };
    let mut stored = message(call);
    stored.insert(field, drifted.clone());
    let condition = doc! { format!("{MESSAGES}.{field}"): { "$ne": drifted } };
    conditional(io, call, condition, stored).await
}

async fn in_window(io: &mut Session<'_>, call: Call<'_>) -> Result<Delivered, Failure> {
    let last = doc! { MESSAGES: { "$slice": -WINDOW } };
    let Some(found) = io.find_part(by(KEY, call.chat), last).await? else {
        return Err(io.give_up(MISSING));
    };
    let (field, value) = identifier(call.content);
    let messages = found.get_array(MESSAGES).map(|messages| messages.as_slice()).unwrap_or_default();
    let known = |message: &Bson| {
        let stored = message.as_document().and_then(|message| message.get_str(field).ok());
        stored == Some(value.as_str())
    };
    match messages.iter().any(known) {
        true => Ok(Delivered { applied: false, chat_seen: Some(true) }),
        false => push(io, call, message(call)).await,
    }
}
