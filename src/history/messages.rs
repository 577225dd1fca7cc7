//! Messages: as operations send them, as reads saw them, as the final documents hold them.
//!
//! A message is identified by the operation that wrote it and its part of that operation. [`ReadResult`] is one read: its
//! length and the chained hash of its elements always, the elements themselves only where no other read of the key shows
//! them ([`Compactor`]), so that a history with many reads of long lists stays small.

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Id, OpId, Operation, Outcome, Returned, Value};

/// How a message came in. Both paths write one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MessagePath {
    /// Typed.
    Text,
    /// Spoken.
    Voice,
}

impl MessagePath {
    /// The word in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            MessagePath::Text => "text",
            MessagePath::Voice => "voice",
        }
    }
}

/// What an append sends: a user's message; the service answers it, and stores both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Said {
    /// How it came in.
    pub path: MessagePath,
    /// Who says it. One sender may have several messages on the way at once.
    pub sender: u32,
    /// Count of the sender's messages.
    pub n: u32,
    /// The text.
    pub text: Arc<str>,
    /// Whether the service stores an answer with it.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub answered: bool,
}

fn yes() -> bool {
    true
}

fn is_yes(answered: &bool) -> bool {
    *answered
}

/// The bot's answer to a text. Fixed, so that a checker knows what must be stored.
pub fn answer_to(text: &str) -> String {
    format!("re: {text}")
}

/// Part of an operation that a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// What the user sent: the first, or only, message of an operation.
    User,
    /// The answer: the second message of an operation.
    Bot,
}

/// One message of a list, in four bytes: the writing operation and its part.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Element(u32);

impl Element {
    /// A message that carries no stamp of an operation.
    pub const UNKNOWN: Element = Element(u32::MAX);

    /// The message of this operation and part.
    pub fn new(op: Option<OpId>, role: Role) -> Self {
        let number = op.and_then(|op| u32::try_from(op.0).ok()).filter(|&number| number < u32::MAX / 2);
        number.map_or(Self::UNKNOWN, |number| Element(number * 2 + u32::from(role == Role::Bot)))
    }

    /// The operation that wrote it, as its stamp says.
    pub fn op(self) -> Option<OpId> {
        (self != Self::UNKNOWN).then(|| OpId(u64::from(self.0 / 2)))
    }

    /// Its part of the operation.
    pub fn role(self) -> Role {
        if self.0 % 2 == 1 && self != Self::UNKNOWN { Role::Bot } else { Role::User }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.op(), self.role()) {
            (None, _) => f.write_str("?"),
            (Some(op), Role::User) => write!(f, "{}u", op.0),
            (Some(op), Role::Bot) => write!(f, "{}b", op.0),
        }
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for Element {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = match text.as_bytes().last() {
            Some(b'u') => Role::User,
            Some(b'b') => Role::Bot,
            _ if text == "?" => return Ok(Self::UNKNOWN),
            _ => return Err(format!("`{text}` is no message")),
        };
        let number = text[..text.len() - 1].parse().map_err(|_| format!("`{text}` is no message"))?;
        Ok(Element::new(Some(OpId(number)), role))
    }
}

/// Chains one more element to the hash of a list. The hash of the empty list is 0.
pub fn chain(hash: u64, element: Element) -> u64 {
    // The finalizer of SplitMix64: every bit of the element reaches every bit of the hash.
    let mut mixed = (hash ^ u64::from(element.0)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The messages that one read saw, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReadResult {
    /// The document that holds them; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// How many.
    pub length: u32,
    /// Chained hash of all of them.
    pub hash: u64,
    /// The elements; left out where another read of the key shows them.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "body")]
    #[schemars(with = "Option<String>")]
    pub body: Option<Box<[Element]>>,
}

impl ReadResult {
    /// A read of this list.
    pub fn new(id: Option<Id>, body: Vec<Element>) -> Self {
        let hash = body.iter().fold(0, |hash, element| chain(hash, *element));
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        ReadResult { id, length, hash, body: Some(body.into_boxed_slice()) }
    }
}

/// A list of elements as one string: `12u 12b 13u`.
mod body {
    use super::{Deserialize, Deserializer, Element, Serializer};

    pub(super) fn serialize<S: Serializer>(body: &Option<Box<[Element]>>, serializer: S) -> Result<S::Ok, S::Error> {
        let words: Vec<String> = body.iter().flatten().map(ToString::to_string).collect();
        serializer.serialize_str(&words.join(" "))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<[Element]>>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let elements: Result<Vec<Element>, String> = text.split_whitespace().map(str::parse).collect();
        elements.map(|elements| Some(elements.into_boxed_slice())).map_err(serde::de::Error::custom)
    }
}

/// Drops the bodies of reads that another read of the same key continues.
///
/// What is left is the longest read of each key, and each read that does not agree with it. Fed with operations in the
/// order in which they are recorded, it keeps the same bodies for a run and for its file.
#[derive(Debug, Default)]
pub struct Compactor {
    /// Position of the read whose body is kept as the key's longest.
    longest: FxHashMap<Arc<str>, usize>,
}

impl Compactor {
    /// Takes note of the operation that is about to be pushed to `operations`.
    pub fn push(&mut self, operations: &mut Vec<Operation>, mut operation: Operation) {
        if let Outcome::Ok(Value::Messages(seen)) = &mut operation.outcome
            && seen.body.is_some()
        {
            self.compact(operations, &operation.key, seen);
        }
        operations.push(operation);
    }

    fn compact(&mut self, operations: &mut [Operation], key: &Arc<str>, seen: &mut ReadResult) {
        let next = operations.len();
        let Some(&at) = self.longest.get(key) else {
            self.longest.insert(Arc::clone(key), next);
            return;
        };
        let Some(Outcome::Ok(Value::Messages(kept))) = operations.get_mut(at).map(|kept| &mut kept.outcome) else {
            return;
        };
        let (Some(longest), Some(body)) = (&kept.body, &seen.body) else { return };
        if longest.starts_with(body) {
            seen.body = None;
        } else if body.starts_with(longest) {
            kept.body = None;
            self.longest.insert(Arc::clone(key), next);
        } else if body.len() > longest.len() {
            self.longest.insert(Arc::clone(key), next);
        }
    }
}

/// What an append was answered with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Appended {
    /// The document that holds the session.
    pub session: Returned,
    /// Where the first of its messages stands, counted from 0; absent when the interface does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
}

/// One message of a final document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Message {
    /// The stamp of the operation that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<OpId>,
    /// Its part of the operation.
    pub role: Role,
    /// Its text, or its content in one line.
    pub text: Arc<str>,
    /// Who sent it, as stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<u32>,
    /// Count of the sender's messages, as stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// Sequence number, where the service gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u32>,
    /// What it is one delivery of, in canonical form: `merge:m3`; absent for messages that are not delivered repeatedly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Arc<str>>,
}

impl Message {
    /// The message as reads show it.
    pub fn element(&self) -> Element {
        Element::new(self.op, self.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Action;

    fn list(text: &str) -> Vec<Element> {
        text.split_whitespace().map(|word| word.parse().unwrap()).collect()
    }

    fn read(op: u64, key: &str, body: &str) -> Operation {
        crate::history::fixture::operation(
            op,
            key,
            Action::Read,
            [op, op],
            Outcome::Ok(Value::Messages(ReadResult::new(None, list(body)))),
        )
    }

    #[test]
    fn elements_and_reads_survive_a_file() {
        for text in ["0u", "0b", "17u", "?"] {
            assert_eq!(text.parse::<Element>().unwrap().to_string(), text);
        }
        assert!("17".parse::<Element>().is_err() && "xu".parse::<Element>().is_err() && "".parse::<Element>().is_err());
        let seen = ReadResult::new(None, list("1u 1b ?"));
        let text = serde_json::to_string(&seen).unwrap();
        assert_eq!(serde_json::from_str::<ReadResult>(&text).unwrap(), seen, "{text}");
        let without = ReadResult { body: None, ..seen };
        let text = serde_json::to_string(&without).unwrap();
        assert_eq!(serde_json::from_str::<ReadResult>(&text).unwrap(), without, "{text}");
    }

    #[test]
    fn only_the_longest_and_the_odd_reads_keep_their_bodies() {
        let mut compactor = Compactor::default();
        let mut operations = Vec::new();
        let bodies = ["1u", "1u 1b", "", "2u 1b", "1u 1b 3u 3b", "1u 1b"];
        for (op, body) in (0..).zip(bodies) {
            compactor.push(&mut operations, read(op, "a", body));
        }
        compactor.push(&mut operations, read(9, "b", "1u"));
        let kept: Vec<bool> = operations
            .iter()
            .map(|operation| matches!(operation.value(), Some(Value::Messages(seen)) if seen.body.is_some()))
            .collect();
        assert_eq!(kept, [false, false, false, true, true, false, true]);
    }
}
