//! The key of a document: as an index sees it, or what its participants give and in which way the stored one differs.

use std::borrow::Cow;

use mongodb::bson::{RawBsonRef, RawDocument};
use serde_json::Value as Json;

use super::KeySpec;
use super::canon::{Entry, Texts, Unindexable, entries, push};
use super::raw::{at, decoded, is_blank, shown};

/// The key that a document should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Derived {
    /// The key's text.
    pub(super) text: String,
    /// Its parts in order. Two documents are duplicates if these are equal; equal texts of different parts only collide.
    pub(super) parts: Vec<String>,
    /// The canonical bytes of a key that is no text and taken as it is stored: then these decide.
    pub(super) stored: Option<Vec<u8>>,
    /// Fields of a key that is taken as stored which have no value, though the profile does not say that this is one. A unique index
    /// takes such documents for the same; what they stand for is not known.
    pub(super) blank: Vec<String>,
}

impl Derived {
    /// A key that is a text, or is read as one.
    fn of_text(text: String) -> Self {
        Derived { parts: vec![text.clone()], text, stored: None, blank: Vec::new() }
    }

    /// What is equal for documents that have one text, also if it stands for different things.
    pub(super) fn comparable(&self) -> &[u8] {
        self.stored.as_deref().unwrap_or(self.text.as_bytes())
    }
}

/// What a document says about a key that is made of participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyState {
    /// The stored key is the right one, or nothing can be said against it.
    Right(Derived),
    /// There is none; with what it should be, where the participants tell.
    Missing(Option<Derived>),
    /// The stored key is not what the participants give.
    Wrong(Derived, Difference),
}

/// In which way a stored key differs from what the participants give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Difference {
    /// Participants in another order.
    Order,
    /// Differs in case, or in space around a part.
    Case,
    /// Not text, or not the type that it should be.
    Type,
    /// Other participants.
    Participants,
    /// The right key of its participants, and of another set of participants as well: the separator is part of a name.
    Collision,
}

impl Difference {
    /// The word in reports.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Difference::Order => "order",
            Difference::Case => "case",
            Difference::Type => "type",
            Difference::Participants => "participants",
            Difference::Collision => "delimiter-collision",
        }
    }
}

/// Whether a document has a key that is taken as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It has.
    There,
    /// Null, an empty array, or missing where the index is not sparse: a unique index lets in one such document.
    Null,
    /// It has none, and the index leaves it out.
    Missing,
}

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored<'a> {
    /// What the index would hold of the document.
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) presence: Presence,
}

/// One key that a document has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Thing {
    /// Equal for documents that stand for the same.
    pub(super) bytes: Vec<u8>,
    pub(super) key: Derived,
}

/// The stored key as the index sees it.
pub(super) fn stored<'a>(spec: &'a KeySpec, document: &'a RawDocument) -> Result<Stored<'a>, Unindexable> {
    let mut entries = entries(spec.field.all(), document)?;
    if spec.sparse {
        entries.retain(|entry| !entry.missing);
    }
    let blank = |value: &RawBsonRef<'_>| match value {
        RawBsonRef::Null | RawBsonRef::Undefined => true,
        RawBsonRef::String(text) => spec.required && text.is_empty(),
        _ => false,
    };
    let presence = match entries.iter().all(|entry| entry.values.iter().all(blank)) {
        false => Presence::There,
        true if entries.is_empty() => Presence::Missing,
        true => Presence::Null,
    };
    Ok(Stored { entries, presence })
}

/// The keys that a document has: several where an array is in the way. Empty if it has none.
pub(super) fn things(spec: &KeySpec, document: &RawDocument, texts: Texts<'_>) -> Vec<Thing> {
    if spec.participants.is_some() {
        let (KeyState::Right(key) | KeyState::Missing(Some(key)) | KeyState::Wrong(key, _)) = state(spec, document)
        else {
            return Vec::new();
        };
        let mut bytes = Vec::new();
        match &key.stored {
            Some(stored) => bytes.clone_from(stored),
            None => key.parts.iter().for_each(|part| push(RawBsonRef::String(part), Texts::Exact, &mut bytes)),
        }
        return vec![Thing { bytes, key }];
    }
    let Ok(Stored { entries, presence: Presence::There }) = stored(spec, document) else { return Vec::new() };
    let thing = |entry: &Entry<'_>| {
        let key = Derived { blank: blank_in(spec, entry), ..Derived::of_text(text_of(spec, entry)) };
        Thing { bytes: entry.bytes(texts), key }
    };
    let mut things: Vec<Thing> = entries.iter().map(thing).collect();
    things.sort_unstable_by(|left, right| left.bytes.cmp(&right.bytes));
    things.dedup_by(|left, right| left.bytes == right.bytes);
    things
}

/// The fields of a key that have no value and for which that is none.
fn blank_in(spec: &KeySpec, entry: &Entry<'_>) -> Vec<String> {
    let is_blank = |value: &RawBsonRef<'_>| match value {
        RawBsonRef::Null | RawBsonRef::Undefined => true,
        RawBsonRef::String(text) => text.is_empty(),
        _ => false,
    };
    let fields = spec.field.all().iter().zip(&entry.values);
    let blank = fields.filter(|(field, value)| is_blank(value) && !spec.blank.contains(field));
    blank.map(|(field, _)| field.clone()).collect()
}

/// A key to read: a text as it is, any other value as JSON, several as an object.
fn text_of(spec: &KeySpec, entry: &Entry<'_>) -> String {
    let json = |value: &RawBsonRef<'_>| shown(&decoded(*value));
    match entry.values.as_slice() {
        [RawBsonRef::String(text)] => (*text).to_owned(),
        [value] => json(value).to_string(),
        values => {
            let fields = spec.field.all().iter().cloned().zip(values.iter().map(json));
            Json::Object(fields.collect()).to_string()
        }
    }
}

/// Compares a document's stored key with what its participants give.
pub(super) fn state(spec: &KeySpec, document: &RawDocument) -> KeyState {
    let stored = at(document, spec.field.first());
    let derived = spec.participants.as_ref().and_then(|participants| derive(spec, participants, document));
    match (stored, derived) {
        (stored, derived) if is_blank(stored) => KeyState::Missing(derived),
        (Some(RawBsonRef::String(text)), Some(derived)) if text == derived.text => KeyState::Right(derived),
        (Some(stored), Some(derived)) => {
            let difference = difference(spec, stored, &derived);
            KeyState::Wrong(derived, difference)
        }
        (stored, None) => KeyState::Right(taken_as_stored(stored)),
        (None, Some(derived)) => KeyState::Missing(Some(derived)),
    }
}

fn derive(spec: &KeySpec, participants: &str, document: &RawDocument) -> Option<Derived> {
    let array = document.get_array(participants).ok()?;
    let mut members = Vec::with_capacity(2);
    for element in array {
        let element = element.ok()?;
        let value = match &spec.member {
            Some(member) => at(element.as_document()?, member)?,
            None => element,
        };
        members.push(participant(value)?);
    }
    if members.is_empty() {
        return None;
    }
    members.sort_unstable();
    if spec.distinct {
        members.dedup();
    }
    let mut parts = Vec::with_capacity(spec.prefix.len() + members.len());
    for field in &spec.prefix {
        parts.push(participant(at(document, field)?)?.into_owned());
    }
    parts.extend(members.into_iter().map(Cow::into_owned));
    Some(Derived { text: parts.join(&spec.separator), parts, stored: None, blank: Vec::new() })
}

/// A participant as text. An ObjectId and its hexadecimal text are the same participant.
fn participant(value: RawBsonRef<'_>) -> Option<Cow<'_, str>> {
    match value {
        RawBsonRef::String("") => None,
        RawBsonRef::String(text) => Some(Cow::Borrowed(text)),
        RawBsonRef::ObjectId(id) => Some(Cow::Owned(id.to_hex())),
        RawBsonRef::Int32(number) => Some(Cow::Owned(number.to_string())),
        RawBsonRef::Int64(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// A stored key of a document without usable participants: text as it is, anything else as the index sees it.
fn taken_as_stored(stored: Option<RawBsonRef<'_>>) -> Derived {
    match stored {
        Some(RawBsonRef::String(text)) => Derived::of_text(text.to_owned()),
        Some(other) => {
            let mut bytes = Vec::new();
            push(other, Texts::Exact, &mut bytes);
            let text = shown(&decoded(other)).to_string();
            Derived { stored: Some(bytes), ..Derived::of_text(text) }
        }
        None => Derived::of_text(String::new()),
    }
}

fn difference(spec: &KeySpec, stored: RawBsonRef<'_>, derived: &Derived) -> Difference {
    let RawBsonRef::String(stored) = stored else {
        return Difference::Type;
    };
    let sorted = |text: &str| {
        let mut parts: Vec<String> = text.split(spec.separator.as_str()).map(|part| part.trim().to_owned()).collect();
        parts.sort_unstable();
        parts
    };
    if !spec.separator.is_empty() && sorted(stored) == sorted(&derived.text) && stored.len() == derived.text.len() {
        Difference::Order
    } else if sorted(&stored.to_lowercase()) == sorted(&derived.text.to_lowercase()) {
        Difference::Case
    } else {
        Difference::Participants
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{RawDocumentBuf, doc, oid::ObjectId};

    use super::*;
    use crate::audit::Profile;

    fn spec(extra: &str) -> KeySpec {
        let text = format!("name='x'\ncollection='c'\n[key]\nfield='k'\nparticipants='p'\n{extra}");
        Profile::parse(&text, "test").unwrap().key.unwrap()
    }

    fn state_of(spec: &KeySpec, document: mongodb::bson::Document) -> (&'static str, String) {
        match state(spec, &RawDocumentBuf::try_from(&document).unwrap()) {
            KeyState::Right(derived) => ("right", derived.text),
            KeyState::Missing(derived) => ("missing", derived.map_or("?".into(), |derived| derived.text)),
            KeyState::Wrong(derived, difference) => (difference.as_str(), derived.text),
        }
    }

    #[test]
    fn a_key_is_compared_with_what_the_participants_give() {
        let plain = spec("");
        let id = ObjectId::parse_str("65a1b2c3d4e5f60718293a4b").unwrap();
        for (document, expected, text) in [
            (doc! { "k": "a_b", "p": ["b", "a"] }, "right", "a_b"),
            (doc! { "k": "b_a", "p": ["b", "a"] }, "order", "a_b"),
            (doc! { "k": "A_b", "p": ["b", "a"] }, "case", "a_b"),
            (doc! { "k": "b_A", "p": ["b", "a"] }, "case", "a_b"),
            (doc! { "k": "a_b ", "p": ["b", "a"] }, "case", "a_b"),
            (doc! { "k": "a_c", "p": ["b", "a"] }, "participants", "a_b"),
            (doc! { "k": 7, "p": ["b", "a"] }, "type", "a_b"),
            (doc! { "k": ["a_b"], "p": ["b", "a"] }, "type", "a_b"),
            (doc! { "p": ["b", "a"] }, "missing", "a_b"),
            (doc! { "k": null, "p": ["b", "a"] }, "missing", "a_b"),
            (doc! { "k": "", "p": ["b", "a"] }, "missing", "a_b"),
            (doc! { "p": [] }, "missing", "?"),
            (doc! { "p": ["a", null] }, "missing", "?"),
            (doc! { "k": "anything", "p": "a" }, "right", "anything"),
            (doc! { "k": "65a1b2c3d4e5f60718293a4b_z", "p": ["z", id] }, "right", "65a1b2c3d4e5f60718293a4b_z"),
            (doc! { "k": "10_9", "p": [9, 10_i64] }, "right", "10_9"),
            (doc! { "k": "a_a", "p": ["a", "a"] }, "right", "a_a"),
        ] {
            assert_eq!(state_of(&plain, document.clone()), (expected, text.to_owned()), "{document}");
        }
    }

    #[test]
    fn prefix_member_and_distinct_shape_the_key() {
        let spec = spec("prefix = ['type']\nmember = 'user.id'\ndistinct = true\nseparator = ':'");
        let members = |ids: &[&str]| ids.iter().map(|id| doc! { "user": { "id": *id } }).collect::<Vec<_>>();
        let document = doc! { "type": "direct", "p": members(&["b", "a", "b"]) };
        assert_eq!(state_of(&spec, document), ("missing", "direct:a:b".to_owned()));
        assert_eq!(state_of(&spec, doc! { "p": members(&["a", "b"]) }), ("missing", "?".to_owned()));
    }

    #[test]
    fn equal_texts_of_different_participants_have_different_parts() {
        let spec = spec("");
        let parts = |people: [&str; 2]| match state(
            &spec,
            &RawDocumentBuf::try_from(&doc! { "p": people.to_vec() }).unwrap(),
        ) {
            KeyState::Missing(Some(derived)) => derived,
            other => panic!("{other:?}"),
        };
        let (left, right) = (parts(["a_b", "c"]), parts(["a", "b_c"]));
        assert_eq!(left.text, right.text);
        assert_ne!(left.parts, right.parts);
    }
}
