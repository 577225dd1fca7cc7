//! Ways to start a thread, to look it up and to expand it (S3: `chat_threads`, `chat_messages`).
//!
//! A thread is `{participantsKey, type, members: [{user, addedByOp}], admins, title, changes, createdBy, createdByOp,
//! createdAt}`. Its key is the kind and the sorted participants; expanding it changes the key. `changes` lists the
//! operations that changed the thread, in the order in which it took them. The main type is [`Threads`], whose methods
//! take plain arguments. How a thread is created is in `start`, how it grows in `expand`.

mod expand;
mod start;
mod strategies;

use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};

pub(in crate::strategy) use strategies::SET;
pub use strategies::{NAMES, STRATEGIES, Strategy};

use super::session::{Failure, Session};
use super::stamp;
use crate::history::{OpId, ThreadKind, thread_key};

/// Field of the canonical key.
pub const KEY: &str = "participantsKey";

/// Field of the number of changes that nobody has read yet.
pub const UNREAD: &str = "unread";
/// Field of the number of changes that were read.
pub const READ: &str = "read";

/// Why somebody is refused who is no admin of a thread, or not of a group, or of none that there is.
pub const NOT_AN_ADMIN: &str = "refused: only an admin of the thread may change it";
/// Why an expansion is refused that would make a second thread of the same participants.
pub const SAME_SET: &str = "refused: another thread has these participants";

/// The threads and messages of one run.
#[derive(Debug, Clone)]
pub struct Threads {
    /// Where the threads are.
    pub threads: Collection<Document>,
    /// Where their messages are.
    pub messages: Collection<Document>,
    /// Comment on every command.
    pub comment: Bson,
}

/// A thread as it was found or left.
#[derive(Debug, Clone)]
pub struct Found {
    /// The document.
    pub document: Document,
    /// Whether this operation created it.
    pub created: bool,
    /// A duplicate-key error was met and handled on the way.
    pub duplicate_key: bool,
}

impl Threads {
    /// The thread of exactly these participants, without creating it. The caller is one of them, named or not.
    pub async fn check(
        &self,
        kind: ThreadKind,
        caller: &str,
        participants: &[&str],
    ) -> Result<Option<Document>, Failure> {
        let key = thread_key(kind, participants.iter().copied().chain([caller]));
        self.session().find_one(doc! { KEY: key }).await
    }

    /// The thread with this identifier.
    pub async fn read(&self, thread: &Bson) -> Result<Option<Document>, Failure> {
        self.session().find_one(doc! { "_id": thread }).await
    }

    /// Sends a message to a thread; the message.
    pub async fn send(&self, op: OpId, thread: &Bson, sender: &str, text: &str) -> Result<Document, Failure> {
        let message = doc! { "_id": ObjectId::new(), "thread": thread, "opId": stamp(op), "sender": sender, "text": text, "at": DateTime::now() };
        Session::new(&self.messages, &self.comment).insert_one(&message).await?;
        Ok(message)
    }

    /// The thread with this identifier, whose changes are read with it where the strategy keeps count of them.
    pub async fn mark_read(&self, strategy: Strategy, thread: &Bson) -> Result<Option<Document>, Failure> {
        let filter = doc! { "_id": thread };
        match strategy {
            Strategy::UnreadInUpdate => {
                let sum = doc! { "$add": [format!("${READ}"), format!("${UNREAD}")] };
                self.session().modify(filter, vec![doc! { "$set": { READ: sum, UNREAD: 0_i64 } }]).await
            }
            Strategy::UnreadSetZero => {
                let mut session = self.session();
                let Some(found) = session.find_one(filter.clone()).await? else { return Ok(None) };
                let unread = found.get_i64(UNREAD).unwrap_or_default();
                session.modify(filter, doc! { "$set": { UNREAD: 0_i64 }, "$inc": { READ: unread } }).await
            }
            _ => self.read(thread).await,
        }
    }

    /// Takes the caller off the admins of a thread. Every strategy does it in one conditional update.
    pub async fn resign(&self, op: OpId, caller: &str, thread: &Bson) -> Result<Document, Failure> {
        let filter = doc! { "_id": thread, "admins": caller };
        let update =
            doc! { "$pull": { "admins": caller }, "$push": { "changes": stamp(op) }, "$inc": { UNREAD: 1_i64 } };
        self.session().modify(filter, update).await?.ok_or_else(not_an_admin)
    }

    fn session(&self) -> Session<'_> {
        Session::new(&self.threads, &self.comment)
    }
}

/// A complete new thread, without its `_id`. `op` is absent in a thread that the harness gives.
pub fn new_thread(kind: ThreadKind, key: &str, owner: &str, members: &[&str], op: Option<OpId>) -> Document {
    let stamp = op.map_or(Bson::Null, |op| Bson::Int64(stamp(op)));
    let members: Vec<Document> =
        members.iter().map(|user| doc! { "user": *user, "addedByOp": stamp.clone() }).collect();
    doc! {
        KEY: key,
        "type": kind.as_str(),
        "title": title(members.len()),
        "members": members,
        "admins": [owner],
        "changes": [],
        UNREAD: 0_i64,
        READ: 0_i64,
        "createdBy": owner,
        "createdByOp": stamp,
        "createdAt": DateTime::now(),
    }
}

/// The title shows how many participate.
fn title(members: usize) -> String {
    format!("{members} participants")
}

/// The names of a thread's members, as stored.
pub fn member_names(document: &Document) -> Vec<&str> {
    let members = document.get_array("members").map(Vec::as_slice).unwrap_or_default();
    members.iter().filter_map(|member| member.as_document()?.get_str("user").ok()).collect()
}

/// The operation that a field of a document names.
pub fn stamp_in(document: &Document, field: &str) -> Option<OpId> {
    document.get_i64(field).ok().and_then(|stamp| u64::try_from(stamp).ok()).map(OpId)
}

fn not_an_admin() -> Failure {
    Failure::refused(NOT_AN_ADMIN)
}

fn is_admin(document: &Document, user: &str) -> bool {
    document.get_array("admins").is_ok_and(|admins| admins.iter().any(|admin| admin.as_str() == Some(user)))
}
