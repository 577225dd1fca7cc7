//! Append on the run's own collection. The main type is [`Direct`]; the strategies themselves are in `strategy::append`.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mongodb::Collection;
use mongodb::bson::{Bson, Document, doc};
use rustc_hash::FxHashSet;

use super::super::Invocation;
use super::adapter::{Index, ReadError, RunDatabase, WorkloadAdapter, read_all};
use super::create_or_get::unique_index;
use crate::history::{Action, Message, Observed, OpId, Value};
use crate::strategy::append::{
    Call, KEY, MESSAGES, Sessions, Strategy, document_stamp, message_role, message_stamp, missing_fields,
};
use crate::strategy::{Description, Failure, document_id};

/// Append by one strategy.
pub(super) struct Direct {
    strategy: Strategy,
    sessions: Sessions,
}

impl Direct {
    /// On the run's collection.
    pub(super) fn new(strategy: Strategy, run_database: &RunDatabase) -> Self {
        Direct {
            strategy,
            sessions: Sessions { sessions: run_database.collection("sessions"), comment: run_database.comment() },
        }
    }
}

impl WorkloadAdapter for Direct {
    fn description(&self) -> Description {
        self.strategy.description()
    }

    fn collections(&self) -> Vec<Collection<Document>> {
        vec![self.sessions.sessions.clone()]
    }

    fn indexes(&self, unique: bool) -> Vec<Index> {
        if unique { vec![unique_index(&self.sessions.sessions, KEY, false)] } else { Vec::new() }
    }

    fn lookup(&self) -> Document {
        doc! { KEY: "session-1" }
    }

    fn execute(self: Arc<Self>, operation: Invocation) -> BoxFuture<'static, Result<Value, Failure>> {
        async move {
            match &operation.action {
                Action::Append(said) => {
                    let call = Call { session: &operation.key, op: operation.id, said };
                    self.sessions.append(self.strategy, call).await.map(Value::Appended)
                }
                Action::Read => self.sessions.read(&operation.key).await.map(Value::Messages),
                other => Err(Failure::foreign(other.name(), "append")),
            }
        }
        .boxed()
    }

    fn observe(&self) -> BoxFuture<'_, Result<Vec<Observed>, ReadError>> {
        async move {
            let mut texts = Texts::default();
            read_all(&self.sessions.sessions, |document| observed(document, &mut texts)).await
        }
        .boxed()
    }
}

/// Texts met so far: equal ones are kept once.
#[derive(Default)]
pub(super) struct Texts(FxHashSet<Arc<str>>);

impl Texts {
    /// The text, kept once.
    pub(super) fn keep(&mut self, text: &str) -> Arc<str> {
        if let Some(kept) = self.0.get(text) {
            return Arc::clone(kept);
        }
        let kept: Arc<str> = Arc::from(text);
        self.0.insert(Arc::clone(&kept));
        kept
    }
}

/// A session as checkers see it.
fn observed(document: &Document, texts: &mut Texts) -> Result<Observed, String> {
    let stored: Option<Arc<str>> = document.get_str(KEY).ok().map(Arc::from);
    let list = document.get_array(MESSAGES).map(|messages| messages.as_slice()).unwrap_or_default();
    let messages = list.iter().map(|message| message_of(message, texts)).collect();
    Ok(Observed {
        id: document_id(document).ok_or("a document has no _id")?,
        key: stored.clone().unwrap_or_else(|| Arc::from("")),
        stored_key: stored,
        created_by: document_stamp(document),
        missing: missing_fields(document),
        messages,
        last_message: document.get_i64("lastOp").ok().and_then(|op| u64::try_from(op).ok()).map(OpId),
        thread: None,
        fields: without_messages(document)?,
    })
}

fn message_of(message: &Bson, texts: &mut Texts) -> Message {
    let empty = Document::new();
    let message = message.as_document().unwrap_or(&empty);
    let number = |field| message.get_i64(field).ok().and_then(|number| u32::try_from(number).ok());
    Message {
        op: message_stamp(message),
        role: message_role(message),
        text: texts.keep(message.get_str("text").unwrap_or_default()),
        sender: number("sender"),
        n: number("n"),
        sequence: message.get_i32("seq").ok().and_then(|number| u32::try_from(number).ok()),
        identity: None,
    }
}

/// The document for a witness: its list is told by its length, because it may be long and is judged elsewhere.
pub(super) fn without_messages(document: &Document) -> Result<serde_json::Value, String> {
    let length = document.get_array(MESSAGES).map(Vec::len).unwrap_or_default();
    let mut rest: Document = document
        .iter()
        .filter(|(field, _)| *field != MESSAGES)
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    rest.insert("messageCount", i64::try_from(length).unwrap_or(i64::MAX));
    serde_json::to_value(rest).map_err(|error| format!("a document cannot be shown: {error}"))
}
