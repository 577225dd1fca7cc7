//! What the strategies write and read: sessions and messages.

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::{Call, INSERT_FIELDS, KEY, MESSAGES};
use crate::history::{Appended, Element, OpId, Returned, Role, answer_to};
use crate::strategy::{create_or_get, stamp};

/// The messages of a document in their order.
pub fn elements(document: &Document) -> Vec<Element> {
    let messages = document.get_array(MESSAGES).map(|messages| messages.as_slice()).unwrap_or_default();
    messages.iter().map(|message| message.as_document().map_or(Element::UNKNOWN, element)).collect()
}

pub(super) fn element(message: &Document) -> Element {
    Element::new(message_stamp(message), message_role(message))
}

/// The stamp that a message carries.
pub fn message_stamp(message: &Document) -> Option<OpId> {
    message.get_i64("opId").ok().and_then(|stamp| u64::try_from(stamp).ok()).map(OpId)
}

/// The part of its operation that a message is.
pub fn message_role(message: &Document) -> Role {
    if message.get_str("role").is_ok_and(|role| role == "bot") { Role::Bot } else { Role::User }
}

/// A push of messages to a session that exists.
pub(super) fn push(messages: Vec<Document>) -> Document {
    let op = messages.first().and_then(|message| message.get("opId").cloned());
    doc! { "$push": { MESSAGES: { "$each": messages } }, "$set": { "lastOp": op } }
}

/// The user's message and its answer.
pub(super) fn pair(call: Call<'_>) -> [Document; 2] {
    let message = |role: &str, text: &str| {
        doc! {
            "opId": stamp(call.op),
            "role": role,
            "text": text,
            "sender": i64::from(call.said.sender),
            "n": i64::from(call.said.n),
            "path": call.said.path.as_str(),
            "at": DateTime::now(),
        }
    };
    [message("user", &call.said.text), message("bot", &answer_to(&call.said.text))]
}

/// The fields that are written on insert.
pub(super) fn new_session(call: Call<'_>) -> Document {
    doc! { KEY: call.session, "language": "en", "createdAt": DateTime::now(), "createdByOp": stamp(call.op) }
}

/// All of a session but its messages, and how many these are.
pub(super) fn head() -> Document {
    let mut projection: Document = INSERT_FIELDS.iter().map(|field| ((*field).to_owned(), Bson::Int32(1))).collect();
    projection.insert("count", doc! { "$size": { "$ifNull": ["$messages", Bson::Array(Vec::new())] } });
    projection
}

pub(super) fn length(head: &Document) -> Option<i32> {
    head.get_i32("count").ok()
}

/// What the caller learns; the position is known if the messages went to the end in the same step.
pub(super) fn appended(head: &Document, op: OpId, at_end: bool) -> Appended {
    let position = length(head).filter(|_| at_end).and_then(|length| u32::try_from(length - 2).ok());
    Appended { session: returned(head, op), position }
}

pub(super) fn returned(head: &Document, op: OpId) -> Returned {
    create_or_get::returned(head, op, missing_fields(head))
}

/// Fields of a complete session that this one lacks.
pub fn missing_fields(document: &Document) -> Vec<std::sync::Arc<str>> {
    create_or_get::lacking(document, &INSERT_FIELDS)
}
