//! Merge on the run's own collections. The main type is [`Direct`]; the strategies themselves are in `strategy::merge`.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mongodb::Collection;
use mongodb::bson::{Bson, Document, doc};

use super::super::Invocation;
use super::adapter::{Index, ReadError, RunDatabase, WorkloadAdapter, read_all};
use super::append::{Texts, without_messages};
use super::create_or_get::{lock_index, unique_index};
use crate::history::{Action, Message, Observed, Role, Value};
use crate::strategy::append::{document_stamp, message_stamp};
use crate::strategy::merge::{Call, KEY, MESSAGES, Strategy, UserChats, identity, new_chat};
use crate::strategy::{Description, Failure, MemoryLocks, document_id};

/// Merge by one strategy.
pub(super) struct Direct {
    strategy: Strategy,
    chats: UserChats,
}

impl Direct {
    /// On the run's collections.
    pub(super) fn new(strategy: Strategy, run_database: &RunDatabase) -> Self {
        let chats = UserChats {
            chats: run_database.collection("user_chats"),
            locks: run_database.collection("message_locks"),
            memory: MemoryLocks::default(),
            comment: run_database.comment(),
        };
        Direct { strategy, chats }
    }
}

impl WorkloadAdapter for Direct {
    fn description(&self) -> Description {
        self.strategy.description()
    }

    fn collections(&self) -> Vec<Collection<Document>> {
        vec![self.chats.chats.clone(), self.chats.locks.clone()]
    }

    fn indexes(&self, unique: bool) -> Vec<Index> {
        let mut indexes = Vec::new();
        if unique {
            indexes.push(unique_index(&self.chats.chats, KEY, false));
        }
        if matches!(self.strategy, Strategy::LockCollection | Strategy::LockExpires) {
            indexes.push(lock_index(&self.chats.locks));
        }
        indexes
    }

    fn lookup(&self) -> Document {
        doc! { KEY: "chat-1" }
    }

    fn seed<'a>(&'a self, keys: &'a [Arc<str>]) -> BoxFuture<'a, Result<(), mongodb::error::Error>> {
        async move {
            for keys in keys.chunks(1000) {
                let chats = keys.iter().map(|key| {
                    let mut chat = new_chat(None);
                    chat.insert(KEY, &**key);
                    chat
                });
                self.chats.chats.insert_many(chats).comment(self.chats.comment.clone()).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn execute(self: Arc<Self>, operation: Invocation) -> BoxFuture<'static, Result<Value, Failure>> {
        async move {
            match operation.action {
                Action::Deliver(delivery) => {
                    let content = delivery.into();
                    let call = Call { chat: &operation.key, op: operation.id, content: &content };
                    self.chats.deliver(self.strategy, call).await.map(Value::Delivered)
                }
                Action::Open => self.chats.open(&operation.key, operation.id).await.map(Value::Document),
                Action::Read => self.chats.read(&operation.key).await.map(Value::Messages),
                other => Err(Failure::foreign(other.name(), "merge")),
            }
        }
        .boxed()
    }

    fn observe(&self) -> BoxFuture<'_, Result<Vec<Observed>, ReadError>> {
        async move {
            let mut texts = Texts::default();
            read_all(&self.chats.chats, |document| observed(document, &mut texts)).await
        }
        .boxed()
    }
}

/// A chat as checkers see it.
fn observed(document: &Document, texts: &mut Texts) -> Result<Observed, String> {
    let stored: Option<Arc<str>> = document.get_str(KEY).ok().map(Arc::from);
    let list = document.get_array(MESSAGES).map(|messages| messages.as_slice()).unwrap_or_default();
    Ok(Observed {
        id: document_id(document).ok_or("a document has no _id")?,
        key: stored.clone().unwrap_or_else(|| Arc::from("")),
        stored_key: stored,
        created_by: document_stamp(document),
        missing: Vec::new(),
        messages: list.iter().map(|message| message_of(message, texts)).collect(),
        last_message: None,
        thread: None,
        fields: without_messages(document)?,
    })
}

fn message_of(message: &Bson, texts: &mut Texts) -> Message {
    let empty = Document::new();
    let message = message.as_document().unwrap_or(&empty);
    Message {
        op: message_stamp(message),
        role: Role::User,
        text: texts.keep(message.get_str("url").unwrap_or_default()),
        sender: None,
        n: None,
        sequence: None,
        identity: identity(message).map(|identity| texts.keep(&identity)),
    }
}
