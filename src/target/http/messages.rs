//! Messages as a service shows them, in answers and in documents. Nothing is guessed: a message that names no operation
//! is an error, because it would pass for one that nobody wrote.

use std::sync::Arc;

use mongodb::bson::Document;
use serde_json::Value as Json;

use super::answer::stamp_of;
use crate::history::{Element, Message, OpId, Role};
use crate::scenario::MessageSpec;
use crate::strategy::merge::identity;

/// The message as reads show it, or what is wrong with it.
pub(super) fn element(spec: &MessageSpec, message: &Json) -> Result<Element, String> {
    Ok(Element::new(Some(op(spec, message)?), role(spec, message)))
}

/// The message of a final document. Of a delivered content also what it is known by.
pub(super) fn message(spec: &MessageSpec, message: &Json, delivered: bool) -> Result<Message, String> {
    let number =
        |field: &str| at(message, field).and_then(stamp_of).and_then(|OpId(number)| u32::try_from(number).ok());
    let text = message.as_str().or_else(|| at(message, &spec.text).and_then(Json::as_str));
    // A service may give its answers a sender of their own.
    let senders = !delivered && role(spec, message) == Role::User;
    let text = text.ok_or_else(|| format!("a message has no text in `{}`", spec.text))?;
    let identity = match delivered {
        true => Some(Arc::from(identity_of(message)?)),
        false => None,
    };
    Ok(Message {
        op: Some(op(spec, message)?),
        role: role(spec, message),
        text: Arc::from(text),
        sender: number(&spec.sender).filter(|_| senders),
        n: number(&spec.n).filter(|_| senders),
        sequence: None,
        identity,
    })
}

fn role(spec: &MessageSpec, message: &Json) -> Role {
    let bot = spec.answers && at(message, &spec.role).and_then(Json::as_str) == Some(&*spec.bot);
    if bot { Role::Bot } else { Role::User }
}

/// What a message has at a dotted field; a name that has a dot in it is found as it is written.
fn at<'a>(message: &'a Json, field: &str) -> Option<&'a Json> {
    message.get(field).or_else(|| field.split('.').try_fold(message, |value, name| value.get(name)))
}

/// The operation that a message names: a number, or a text that is one or ends on `#` and one.
fn op(spec: &MessageSpec, message: &Json) -> Result<OpId, String> {
    let named = if message.is_string() { Some(message) } else { at(message, &spec.op) };
    let in_text = || named?.as_str()?.rsplit_once('#')?.1.trim().parse().ok().map(OpId);
    named.and_then(stamp_of).or_else(in_text).ok_or_else(|| {
        format!(
            "a message names no operation in `{}`: see `target.http.messages.op`; without one it could not be told from a \
             message that nobody sent",
            spec.op
        )
    })
}

fn identity_of(message: &Json) -> Result<String, String> {
    let fields = ["videoId", "mergeId", "batchId", "imageId"];
    let mut known = Document::new();
    for field in fields {
        if let Some(id) = message.get(field).and_then(Json::as_str) {
            known.insert(field, id);
        }
    }
    if let Some(index) = message.get("batchIndex").and_then(Json::as_i64) {
        known.insert("batchIndex", index);
    }
    identity(&known).ok_or_else(|| format!("a message has none of {}", fields.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> MessageSpec {
        let word = str::to_owned;
        let (op, role, bot) = (word("opId"), word("role"), word("bot"));
        MessageSpec {
            op,
            role,
            bot,
            text: word("text"),
            sender: word("sender"),
            n: word("n"),
            answers: true,
            repeats: false,
        }
    }

    #[test]
    fn a_message_names_its_operation_or_is_an_error() {
        let cases = [
            (json!({ "opId": 7, "role": "user" }), "7u"),
            (json!({ "opId": "7", "role": "bot" }), "7b"),
            (json!({ "opId": { "$numberLong": "7" } }), "7u"),
            (json!({ "opId": "hello #12", "role": "bot" }), "12b"),
            (json!({ "opId": "hello #12 you" }), "names no operation"),
            (json!({ "opId": null }), "names no operation"),
            (json!({ "opId": -1 }), "names no operation"),
            (json!("hello"), "names no operation"),
            (json!("hello #4"), "4u"),
            (json!({ "opId": "7", "role": { "name": "bot" } }), "7u"),
        ];
        for (message, expected) in cases {
            let found = element(&spec(), &message).map_or_else(|error| error, |element| element.to_string());
            assert!(found.contains(expected), "{message}: {found}");
        }
    }

    #[test]
    fn fields_may_be_nested_and_messages_plain() {
        let word = str::to_owned;
        let nested = MessageSpec { op: word("meta.op"), role: word("from.kind"), text: word("body.text"), ..spec() };
        let found = message(
            &nested,
            &json!({ "meta": { "op": 3 }, "from": { "kind": "bot" }, "body": { "text": "x" } }),
            false,
        );
        let found = found.unwrap();
        assert_eq!((found.op, found.role, &*found.text), (Some(OpId(3)), Role::Bot, "x"));
        let plain = message(&spec(), &json!("hello #4"), false).unwrap();
        assert_eq!((plain.op, &*plain.text), (Some(OpId(4)), "hello #4"));
        let own_sender = json!({ "opId": 1, "role": "bot", "text": "x", "sender": 99 });
        assert_eq!(message(&spec(), &own_sender, false).unwrap().sender, None);
        let unanswered = MessageSpec { answers: false, ..spec() };
        assert_eq!(role(&unanswered, &json!({ "role": "bot" })), Role::User);
    }

    #[test]
    fn a_delivered_content_is_known_by_the_first_of_its_identifiers() {
        let cases = [
            (json!({ "mergeId": "m1", "imageId": "i1" }), Some("merge:m1")),
            (json!({ "batchId": "b", "batchIndex": 3, "imageId": "i1" }), Some("batch:b:3")),
            (json!({ "imageId": "i1", "mergeId": null }), Some("image:i1")),
            (json!({ "id": "i1" }), None),
        ];
        for (mut content, expected) in cases {
            content["opId"] = json!(1);
            content["text"] = json!("url");
            let found = message(&spec(), &content, true);
            assert_eq!(found.ok().and_then(|message| message.identity).as_deref(), expected, "{content}");
        }
    }

    #[test]
    fn a_message_without_text_is_an_error() {
        assert!(message(&spec(), &json!({ "opId": 1 }), false).unwrap_err().contains("no text in `text`"));
    }
}
