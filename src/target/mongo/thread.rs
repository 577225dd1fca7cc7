//! Threads on the run's own collections. The main type is [`Direct`]; the strategies themselves are in
//! `strategy::thread`.
//!
//! Families that need one have a thread before their first operation: whoever comes first inserts it, the others wait.
//! It is a condition of the experiment, not an operation, and carries no stamp.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use mongodb::bson::{Bson, Document, doc};
use mongodb::{Collection, IndexModel};
use rustc_hash::FxHashMap;
use tokio::sync::OnceCell;

use super::super::Invocation;
use super::adapter::{Index, ReadError, RunDatabase, WorkloadAdapter, read_all};
use super::create_or_get::unique_index;
use crate::history::{
    Action, Expansion, Id, Member, Message, Observed, OpId, Role, ThreadAnswer, ThreadKind, ThreadState, Value,
    family_of, thread_key,
};
use crate::strategy::thread::{Found, KEY, READ, Strategy, Threads, UNREAD, member_names, new_thread, stamp_in};
use crate::strategy::{Description, Failure, Reason, Session, document_id, value_id};
use crate::workload::thread::{BASE, Class, participant};

/// Threads by one strategy.
pub(super) struct Direct {
    strategy: Strategy,
    threads: Threads,
    given: std::sync::Mutex<FxHashMap<Arc<str>, Arc<OnceCell<()>>>>,
}

impl Direct {
    /// On the run's collections.
    pub(super) fn new(strategy: Strategy, run_database: &RunDatabase) -> Self {
        let threads = Threads {
            threads: run_database.collection("chat_threads"),
            messages: run_database.collection("chat_messages"),
            comment: run_database.comment(),
        };
        Direct { strategy, threads, given: std::sync::Mutex::default() }
    }

    /// Sees that the family's given thread is there, if it has one; its identifier.
    async fn given(&self, family: &Arc<str>) -> Result<Bson, Failure> {
        let id = Bson::String(format!("given-{family}"));
        if !Class::of_family(family).is_some_and(Class::has_given_thread) {
            return Ok(id);
        }
        let cell = {
            let mut given = self.given.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Arc::clone(given.entry(Arc::clone(family)).or_default())
        };
        cell.get_or_try_init(|| self.give(family, &id)).await?;
        Ok(id)
    }

    async fn give(&self, family: &str, id: &Bson) -> Result<(), Failure> {
        let members = BASE.map(|letter| participant(family, letter));
        let members: Vec<&str> = members.iter().map(AsRef::as_ref).collect();
        let key = thread_key(ThreadKind::Group, members.iter().copied());
        let mut thread = new_thread(ThreadKind::Group, &key, members[0], &members, None);
        thread.insert("_id", id);
        // Whoever fails here has done nothing of its own yet. One that was inserted without an answer is there.
        match Session::new(&self.threads.threads, &self.threads.comment).insert_one(&thread).await {
            Err(failure) if !failure.is_duplicate_key_on("_id") => Err(Failure { in_write: false, ..failure }),
            _ => Ok(()),
        }
    }

    async fn answer(&self, operation: Invocation) -> Result<Value, Failure> {
        let given = self.given(&operation.key).await?;
        let op = operation.id;
        match operation.action {
            Action::CheckExisting(conversation) => {
                let named: Vec<&str> = conversation.participants.iter().map(AsRef::as_ref).collect();
                let found = self.threads.check(conversation.kind, &conversation.caller, &named).await?;
                Ok(found.map_or(Value::Found(None), |thread| Value::Thread(Box::new(shown(&thread)))))
            }
            Action::StartConversation(conversation) => {
                let named: Vec<&str> = conversation.participants.iter().map(AsRef::as_ref).collect();
                let started =
                    self.threads.start(self.strategy, op, conversation.kind, &conversation.caller, &named).await?;
                let Found { document, created, duplicate_key } = started;
                Ok(Value::Thread(Box::new(ThreadAnswer { created: Some(created), duplicate_key, ..shown(&document) })))
            }
            Action::ExpandThread(expansion) => self.expand(op, &expansion, &given).await,
            Action::ResignAdmin { caller } => {
                let thread = self.threads.resign(op, &caller, &given).await?;
                Ok(Value::Thread(Box::new(shown(&thread))))
            }
            Action::ReadThread => {
                let found = self.threads.mark_read(self.strategy, &given).await?;
                Ok(found.map_or(Value::Found(None), |thread| Value::Thread(Box::new(shown(&thread)))))
            }
            other => Err(Failure::foreign(other.name(), "thread")),
        }
    }

    /// The messages of each thread, in the order of their identifiers. Those of a thread that is gone belong to none.
    async fn messages(&self) -> Result<BTreeMap<Id, Vec<Message>>, ReadError> {
        let mut cursor = self.threads.messages.find(doc! {}).sort(doc! { "_id": 1 }).batch_size(1000).await?;
        let mut threads: BTreeMap<Id, Vec<Message>> = BTreeMap::new();
        while let Some(document) = cursor.try_next().await? {
            let Some(thread) = document.get("thread").map(value_id) else { continue };
            threads.entry(thread).or_default().push(message(&document));
        }
        Ok(threads)
    }

    async fn expand(&self, op: OpId, expansion: &Expansion, thread: &Bson) -> Result<Value, Failure> {
        let new: Vec<&str> = expansion.participants.iter().map(AsRef::as_ref).collect();
        let expanded = self.threads.expand(self.strategy, op, &expansion.caller, thread, &new).await?;
        if expansion.message {
            let sent = self.threads.send(op, thread, &expansion.caller, "welcome").await;
            sent.map_err(Failure::after_write)?;
        }
        let added = expanded.added.iter().map(|user| Arc::from(user.as_str())).collect();
        Ok(Value::Thread(Box::new(ThreadAnswer { added: Some(added), ..shown(&expanded.document) })))
    }
}

/// What an answer shows of a thread.
fn shown(document: &Document) -> ThreadAnswer {
    let members = member_names(document).into_iter().map(Arc::from).collect();
    ThreadAnswer { id: document_id(document), members: Some(members), ..ThreadAnswer::default() }
}

impl WorkloadAdapter for Direct {
    fn description(&self) -> Description {
        self.strategy.description()
    }

    fn collections(&self) -> Vec<Collection<Document>> {
        vec![self.threads.threads.clone(), self.threads.messages.clone()]
    }

    fn indexes(&self, unique: bool) -> Vec<Index> {
        let messages = &self.threads.messages;
        let by_thread = IndexModel::builder().keys(doc! { "thread": 1 }).build();
        let mut indexes =
            vec![Index { collection: messages.clone(), model: by_thread, name: "the index of messages by thread" }];
        if unique {
            indexes.push(unique_index(&self.threads.threads, KEY, true));
        }
        indexes
    }

    fn lookup(&self) -> Document {
        doc! { KEY: "group:a,b" }
    }

    fn seed<'a>(&'a self, keys: &'a [Arc<str>]) -> BoxFuture<'a, Result<(), mongodb::error::Error>> {
        async move {
            for family in keys {
                self.given(family).await.map_err(|failure| match failure.reason {
                    Reason::Driver(error) => *error,
                    Reason::GaveUp(why) | Reason::Conflict(why) => mongodb::error::Error::custom(why),
                })?;
            }
            Ok(())
        }
        .boxed()
    }

    fn execute(self: Arc<Self>, operation: Invocation) -> BoxFuture<'static, Result<Value, Failure>> {
        async move { self.answer(operation).await }.boxed()
    }

    fn observe(&self) -> BoxFuture<'_, Result<Vec<Observed>, ReadError>> {
        async move {
            let mut messages = self.messages().await?;
            let mut threads = read_all(&self.threads.threads, observed).await?;
            for thread in &mut threads {
                thread.messages = messages.remove(&thread.id).unwrap_or_default();
            }
            Ok(threads)
        }
        .boxed()
    }
}

/// A message as checkers see it. Who is named in a thread is a participant, not a client of the harness.
fn message(document: &Document) -> Message {
    Message {
        op: stamp_in(document, "opId"),
        role: Role::User,
        text: Arc::from(document.get_str("text").unwrap_or_default()),
        sender: None,
        n: None,
        sequence: None,
        identity: None,
    }
}

/// A thread as checkers see it.
pub(in crate::target) fn observed(document: &Document) -> Result<Observed, String> {
    let kind = document.get_str("type").ok().and_then(ThreadKind::parse).ok_or("a thread has no known type")?;
    let stored: Option<Arc<str>> = document.get_str(KEY).ok().map(Arc::from);
    let names = member_names(document);
    let someone = names.first().copied().or_else(|| document.get_str("createdBy").ok()).unwrap_or_default();
    let texts = |field: &str| -> Vec<Arc<str>> {
        let values = document.get_array(field).map(Vec::as_slice).unwrap_or_default();
        values.iter().filter_map(Bson::as_str).map(Arc::from).collect()
    };
    let thread = ThreadState {
        kind,
        members: members(document),
        owner: document.get_str("createdBy").ok().map(Arc::from),
        admins: texts("admins"),
        changes: document.get_array("changes").ok().map(|changes| changes.iter().filter_map(op_in).collect()),
        title_count: title_count(document),
        unread: document.get_i64(UNREAD).ok(),
        read: document.get_i64(READ).ok(),
        message_count: None,
        messages_hidden: false,
        creator_hidden: false,
    };
    let missing = [KEY, "members", "admins", "title", "createdBy", "createdByOp", "createdAt"]
        .into_iter()
        .filter(|field| !document.contains_key(field));
    Ok(Observed {
        id: document_id(document).ok_or("a thread has no _id")?,
        key: Arc::from(family_of(someone)),
        stored_key: stored,
        created_by: stamp_in(document, "createdByOp"),
        missing: missing.map(Arc::from).collect(),
        messages: Vec::new(),
        last_message: None,
        thread: Some(Box::new(thread)),
        fields: serde_json::to_value(document).map_err(|error| format!("a thread cannot be shown: {error}"))?,
    })
}

fn members(document: &Document) -> Vec<Member> {
    let members = document.get_array("members").map(Vec::as_slice).unwrap_or_default();
    let members = members.iter().filter_map(Bson::as_document);
    members
        .filter_map(|member| {
            Some(Member {
                user: Arc::from(member.get_str("user").ok()?),
                added_by: stamp_in(member, "addedByOp"),
                adder_hidden: false,
            })
        })
        .collect()
}

fn op_in(stamp: &Bson) -> Option<OpId> {
    stamp.as_i64().and_then(|stamp| u64::try_from(stamp).ok()).map(OpId)
}

fn title_count(document: &Document) -> Option<u64> {
    document.get_str("title").ok()?.split_whitespace().next()?.parse().ok()
}
