//! Ways to create the chat of two participants or get the one that exists (Express and Mongoose services, S1).
//!
//! A chat is `{participantsKey, participants, createdBy, createdByOp, createdAt, status}`, its key the sorted participants
//! joined by `_`. `createdByOp` stamps the operation that inserted it.

mod strategies;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};

pub(in crate::strategy) use strategies::SET;
pub use strategies::{NAMES, STRATEGIES, Strategy};

use super::lock::{CollectionLock, MemoryLocks};
use super::session::{Failure, Session, by};
use super::{document_id, stamp};
use crate::history::{Id, OpId, Returned};

/// Field of the canonical key.
pub const KEY: &str = "participantsKey";
/// Field of the stamp.
pub const STAMP: &str = "createdByOp";
/// Fields that every complete chat has.
pub const INSERT_FIELDS: [&str; 6] = [KEY, "participants", "createdBy", STAMP, "createdAt", "status"];

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The two participants, in the order in which the caller named them.
    pub participants: [&'a str; 2],
    /// The stamp.
    pub op: OpId,
    /// Who asks.
    pub caller: &'a str,
}

/// What a call is answered with.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What a caller learns from the chat.
    pub returned: Returned,
    /// The chat.
    pub document: Document,
}

/// The chats of one run.
#[derive(Debug, Clone)]
pub struct Chats {
    /// Where they are.
    pub chats: Collection<Document>,
    /// Where lock documents are.
    pub locks: Collection<Document>,
    /// Locks of this process.
    pub memory: MemoryLocks,
    /// Comment on every command.
    pub comment: Bson,
}

/// The canonical key of two participants, whatever their order.
pub fn canonical_key(participants: [&str; 2]) -> String {
    let [a, b] = participants;
    if a <= b { format!("{a}_{b}") } else { format!("{b}_{a}") }
}

impl Chats {
    /// How long a lock document is good for.
    const LOCK_TTL: Duration = Duration::from_secs(60);

    /// Creates the chat of the call's participants or gets it, by this strategy.
    pub async fn create_or_get(&self, strategy: Strategy, call: Call<'_>) -> Result<Returned, Failure> {
        self.answer(strategy, call).await.map(|answer| answer.returned)
    }

    /// Creates the chat of the call's participants or gets it, and answers with the chat itself.
    pub async fn answer(&self, strategy: Strategy, call: Call<'_>) -> Result<Answer, Failure> {
        let mut session = Session::new(&self.chats, &self.comment);
        let key = canonical_key(call.participants);
        // Every operation's future has room for the largest way: the large ones are kept apart, on the heap.
        match strategy {
            Strategy::FindThenInsert => Box::pin(find_then_insert(&mut session, &key, call)).await,
            Strategy::CreateThenFill => Box::pin(create_then_fill(&mut session, &key, call)).await,
            Strategy::Upsert => upsert(&mut session, &key, call).await,
            Strategy::UpsertRetry | Strategy::StaleReads => {
                let result = upsert(&mut session, &key, call).await;
                or_existing(&mut session, &key, call, result).await
            }
            Strategy::InsertFirst => {
                let result = insert(&mut session, &key, call).await;
                or_existing(&mut session, &key, call, result).await
            }
            Strategy::UpsertSet => Box::pin(upsert_set(&mut session, &key, call)).await,
            Strategy::UnsortedKey => {
                let [a, b] = call.participants;
                let key = format!("{a}_{b}");
                let result = upsert(&mut session, &key, call).await;
                or_existing(&mut session, &key, call, result).await
            }
            Strategy::FreshId => Box::pin(upsert_fresh_id(&mut session, &key, call)).await,
            Strategy::ErrorSwallowed => match Box::pin(find_then_insert(&mut session, &key, call)).await {
                Err(failure) if failure.is_duplicate_key_on(KEY) => Ok(nothing()),
                result => result,
            },
            Strategy::ReturnBefore => Box::pin(return_before(&mut session, &key, call)).await,
            Strategy::StepBack => Box::pin(self.step_back(&mut session, &key, call)).await,
            Strategy::LocalId => Box::pin(local_id(&mut session, &key, call)).await,
            Strategy::LockInMemory => {
                let _held = self.memory.lock(&key).await;
                Box::pin(find_then_insert(&mut session, &key, call)).await
            }
            Strategy::LockCollection => Box::pin(self.under_lock(&mut session, &key, call)).await,
        }
    }

    /// The chat of a pair, without creating it.
    pub async fn get(&self, strategy: Strategy, participants: [&str; 2]) -> Result<Option<Id>, Failure> {
        Ok(self.find(strategy, participants).await?.as_ref().and_then(document_id))
    }

    /// The chat itself.
    pub async fn find(&self, strategy: Strategy, participants: [&str; 2]) -> Result<Option<Document>, Failure> {
        let found = Session::new(&self.chats, &self.comment).find_one(by(KEY, &canonical_key(participants))).await?;
        // Every other read goes to the member that lags.
        let lags = strategy == Strategy::StaleReads && READS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        Ok(found.filter(|chat| !lags || is_older_than(chat, LAG)))
    }

    async fn step_back(&self, session: &mut Session<'_>, key: &str, call: Call<'_>) -> Result<Answer, Failure> {
        if let Some(found) = session.find_one(by(KEY, key)).await? {
            return Ok(answer(found, call.op));
        }
        let mut reservations = Session::new(&self.locks, &self.comment);
        reservations.insert_one(&doc! { "_id": ObjectId::new(), KEY: key }).await?;
        match reservations.count(by(KEY, key)).await? {
            ..2 => insert(session, key, call).await,
            _ => Err(Failure::conflict("another caller creates this chat")),
        }
    }

    async fn under_lock(&self, session: &mut Session<'_>, key: &str, call: Call<'_>) -> Result<Answer, Failure> {
        let lock = CollectionLock { locks: &self.locks, comment: &self.comment, ttl: Self::LOCK_TTL };
        let holder = stamp(call.op);
        lock.acquire(key, holder).await?;
        let result = find_then_insert(session, key, call).await;
        lock.release(key, holder).await?;
        result
    }
}

async fn find_then_insert(session: &mut Session<'_>, key: &str, call: Call<'_>) -> Result<Answer, Failure> {
    match session.find_one(by(KEY, key)).await? {
        Some(found) => Ok(answer(found, call.op)),
        None => insert(session, key, call).await,
    }
}

async fn create_then_fill(session: &mut Session<'_>, key: &str, call: Call<'_>) -> Result<Answer, Failure> {
    let half = doc! { "_id": ObjectId::new(), KEY: key, STAMP: stamp(call.op) };
    let inserted = match session.find_one(by(KEY, key)).await? {
        Some(found) => return Ok(answer(found, call.op)),
        None => session.insert_one(&half).await.map(|()| half.clone()),
    };
    if let Err(failure) = inserted {
        return or_existing(session, key, call, Err(failure)).await;
    }
    let mut whole = fields(call);
    whole.remove(STAMP);
    session.update_one(doc! { "_id": half.get_object_id("_id").ok() }, doc! { "$set": whole.clone() }).await?;
    whole.extend(half);
    Ok(answer(whole, call.op))
}

async fn insert(session: &mut Session<'_>, key: &str, call: Call<'_>) -> Result<Answer, Failure> {
    let mut document = chat(key, call);
    document.insert("_id", ObjectId::new());
    session.insert_one(&document).await?;
    Ok(answer(document, call.op))
}

async fn upsert(session: &mut Session<'_>, key: &str, call: Call<'_>) -> Result<Answer, Failure> {
    let document = session.upsert(by(KEY, key), set_on_insert(call)).await?;
    Ok(answer(document, call.op))
}

async fn upsert_set(session: &mut Session<'_>, key: &str, call: Call<'_>) -> Result<Answer, Failure> {
    let fields = fields(call);
    let result = session.upsert(by(KEY, key), doc! { "$set": fields }).await;
    let result = result.map(|document| answer(document, call.op));
    or_existing(session, key, call, result).await
}

async fn upsert_fresh_id(session: &mut Session<'_>, key: &str, call: Call<'_>) -> Result<Answer, Failure> {
    let mut filter = by(KEY, key);
    filter.insert("_id", ObjectId::new());
    let document = session.upsert(filter, set_on_insert(call)).await?;
    Ok(answer(document, call.op))
}

/// Reads so far, of all services in this process: which of two members serves the next one follows.
static READS: AtomicU64 = AtomicU64::new(0);
/// How far a member lags behind.
const LAG: Duration = Duration::from_millis(300);

/// Whether a chat was created so long ago.
fn is_older_than(chat: &Document, age: Duration) -> bool {
    let created = chat.get_datetime("createdAt").map_or(i64::MIN, |created| created.timestamp_millis());
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    DateTime::now().timestamp_millis().saturating_sub(created) > age
}

async fn return_before(session: &mut Session<'_>, key: &str, call: Call<'_>) -> Result<Answer, Failure> {
    match session.upsert_returning_before(by(KEY, key), set_on_insert(call)).await {
        Ok(Some(found)) => Ok(answer(found, call.op)),
        Ok(None) => Ok(Answer { returned: Returned::default(), document: Document::new() }),
        Err(failure) => or_existing(session, key, call, Err(failure)).await,
    }
}

/// A success that tells nothing.
fn nothing() -> Answer {
    let returned = Returned { created: Some(false), duplicate_key: true, ..Returned::default() };
    Answer { returned, document: Document::new() }
}

async fn local_id(session: &mut Session<'_>, key: &str, call: Call<'_>) -> Result<Answer, Failure> {
    let own = ObjectId::new();
    let mut fields = fields(call);
    fields.insert("_id", own);
    let result = session.upsert(by(KEY, key), doc! { "$setOnInsert": fields }).await;
    let result = result.map(|document| answer(document, call.op));
    let mut found = or_existing(session, key, call, result).await?;
    found.document.insert("_id", own);
    found.returned.id = Some(Id::from(own.bytes()));
    found.returned.created = None;
    Ok(found)
}

/// Answers a duplicate-key error on the chat's key with the chat that exists; any other error is passed on.
async fn or_existing(
    session: &mut Session<'_>,
    key: &str,
    call: Call<'_>,
    result: Result<Answer, Failure>,
) -> Result<Answer, Failure> {
    match result {
        Err(failure) if failure.is_duplicate_key_on(KEY) => Box::pin(existing(session, key, call)).await,
        other => other,
    }
}

/// The chat that took the key.
async fn existing(session: &mut Session<'_>, key: &str, call: Call<'_>) -> Result<Answer, Failure> {
    match session.find_one(by(KEY, key)).await? {
        Some(found) => {
            let mut existing = answer(found, call.op);
            existing.returned.duplicate_key = true;
            Ok(existing)
        }
        None => Err(session.give_up("the key was taken, and then no chat had it")),
    }
}

/// The filter's equality sets the key.
fn set_on_insert(call: Call<'_>) -> Document {
    doc! { "$setOnInsert": fields(call) }
}

/// A complete chat without its `_id`.
fn chat(key: &str, call: Call<'_>) -> Document {
    let mut chat = doc! { KEY: key };
    chat.extend(fields(call));
    chat
}

/// A chat without its `_id` and its key.
fn fields(call: Call<'_>) -> Document {
    let [a, b] = call.participants;
    let sorted = if a <= b { [a, b] } else { [b, a] };
    doc! {
        "participants": sorted.to_vec(),
        "createdBy": call.caller,
        STAMP: stamp(call.op),
        "createdAt": DateTime::now(),
        "status": "active",
    }
}

fn answer(document: Document, op: OpId) -> Answer {
    Answer { returned: returned(&document, op, missing_fields(&document)), document }
}

/// What the caller learns from a document that lacks these fields.
pub(super) fn returned(document: &Document, op: OpId, missing: Vec<std::sync::Arc<str>>) -> Returned {
    let created_by = document_stamp(document);
    Returned {
        id: document_id(document),
        created: Some(created_by == Some(op)),
        created_by,
        nameless: false,
        missing,
        ..Returned::default()
    }
}

/// The stamp that a chat carries.
pub fn document_stamp(document: &Document) -> Option<OpId> {
    document.get_i64(STAMP).ok().and_then(|stamp| u64::try_from(stamp).ok()).map(OpId)
}

/// Fields of a complete chat that this one lacks.
pub fn missing_fields(document: &Document) -> Vec<std::sync::Arc<str>> {
    lacking(document, &INSERT_FIELDS)
}

/// Those of the fields that a document lacks.
pub(super) fn lacking(document: &Document, fields: &[&str]) -> Vec<std::sync::Arc<str>> {
    let lacking = fields.iter().filter(|field| !document.contains_key(**field));
    lacking.map(|field| std::sync::Arc::from(*field)).collect()
}
