//! What the strategies write and look for: filters, chats, messages.

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::{Call, Content, KEY, MESSAGES};
use crate::history::{ContentKind, OpId};
use crate::strategy::session::by;
use crate::strategy::stamp;

pub(super) fn in_chat(call: Call<'_>, condition: Document) -> Document {
    let mut filter = by(KEY, call.chat);
    filter.extend(condition);
    filter
}

pub(super) fn pushing(message: Document) -> Document {
    doc! { "$push": { MESSAGES: message }, "$set": { "updatedAt": DateTime::now() } }
}

/// The field and value of one identifier that is the content's own.
pub(super) fn identifier(content: &Content) -> (&'static str, String) {
    let or = |id: &Option<String>| id.clone().unwrap_or_default();
    match content.kind {
        ContentKind::Merged => ("mergeId", or(&content.merge_id)),
        ContentKind::Batch | ContentKind::Plain => ("imageId", or(&content.image_id)),
        ContentKind::Video => ("videoId", or(&content.video_id)),
    }
}

/// The number that ends an identifier.
pub(super) fn number_in(id: &str) -> Option<i64> {
    id.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().ok()
}

/// The condition that a message of the content is there, by the precedence of its keys.
pub(super) fn there(content: &Content) -> Document {
    match (content.kind, &content.batch) {
        (ContentKind::Batch, Some((batch, index))) => in_batch(batch, *index),
        _ => {
            let (field, value) = identifier(content);
            doc! { format!("{MESSAGES}.{field}"): value }
        }
    }
}

pub(super) fn in_batch(batch: &str, index: u32) -> Document {
    doc! { MESSAGES: { "$elemMatch": { "batchId": batch, "batchIndex": i64::from(index) } } }
}

/// The opposite of a condition on one field.
pub(super) fn not(condition: Document) -> Document {
    condition
        .into_iter()
        .map(|(field, value)| match value {
            Bson::Document(operator) => (field, Bson::Document(doc! { "$not": operator })),
            value => (field, Bson::Document(doc! { "$ne": value })),
        })
        .collect()
}

/// The fields of a new chat.
pub fn new_chat(op: Option<OpId>) -> Document {
    let mut chat =
        doc! { "createdAt": DateTime::now(), "updatedAt": DateTime::now(), MESSAGES: Bson::Array(Vec::new()) };
    if let Some(op) = op {
        chat.insert("createdByOp", stamp(op));
    }
    chat
}

/// The message of a delivery.
pub(super) fn message(call: Call<'_>) -> Document {
    let content = call.content;
    let merged = content.kind == ContentKind::Merged;
    let mut message = doc! {
        "opId": stamp(call.op),
        "type": if merged { "mergeFace" } else if content.kind == ContentKind::Video { "video" } else { "image" },
        "isMerged": merged,
        "url": &content.url,
        "path": format!("{:?}", content.path),
        "via": format!("{:?}", content.via),
    };
    let ids = [("mergeId", &content.merge_id), ("imageId", &content.image_id), ("videoId", &content.video_id)];
    message.extend(ids.into_iter().filter_map(|(field, id)| Some((field.to_owned(), Bson::String(id.clone()?)))));
    if let Some((batch, index)) = &content.batch {
        message.insert("batchId", batch);
        message.insert("batchIndex", i64::from(*index));
    }
    message
}

/// The message under a new identifier.
pub(super) fn renamed(call: Call<'_>) -> Document {
    let mut renamed = message(call);
    let (field, value) = identifier(call.content);
    renamed.insert(field, format!("{value}-{}", call.op.0));
    renamed
}

/// What a stored message is one delivery of, in canonical form, by the precedence of its keys.
pub fn identity(message: &Document) -> Option<String> {
    if let Ok(id) = message.get_str("videoId") {
        return Some(format!("video:{id}"));
    }
    if let Ok(id) = message.get_str("mergeId") {
        return Some(format!("merge:{id}"));
    }
    if let (Ok(batch), Ok(index)) = (message.get_str("batchId"), message.get_i64("batchIndex")) {
        return Some(format!("batch:{batch}:{index}"));
    }
    message.get_str("imageId").ok().map(|id| format!("image:{id}"))
}
