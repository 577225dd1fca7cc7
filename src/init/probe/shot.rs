//! [`Shot`]: a request that was sent, and what came of it.

use super::super::documents::{Delta, path_of, plain};
use super::super::finding::Reply;
use super::LED_ON;

/// A request that was sent, and what came of it.
pub(super) struct Shot {
    pub(super) reply: Reply,
    pub(super) delta: Delta,
}

impl Shot {
    pub(super) fn is_good(&self) -> bool {
        // A form that was taken mostly leads its sender on to another page; so does one that was not.
        (200..300).contains(&self.reply.status) || (LED_ON.contains(&self.reply.status) && !self.delta.is_empty())
    }

    /// Whether a repetition of what was served is, too.
    pub(super) fn is_good_like(&self, first: &Shot) -> bool {
        self.is_good() || (first.is_good() && self.reply.status == first.reply.status)
    }

    pub(super) fn is_like(&self, other: &Shot) -> bool {
        self.reply.status == other.reply.status && self.delta.counts() == other.delta.counts()
    }

    /// Identifiers of the documents that it made.
    fn made(&self) -> impl Iterator<Item = String> {
        self.delta.inserted.iter().filter_map(|(_, document)| plain(document.get("_id")?))
    }

    /// Where the body names a document that it made.
    pub(super) fn id(&self) -> Option<String> {
        let json = self.reply.json.as_ref()?;
        self.made().find_map(|id| path_of(json, &id))
    }

    /// Where the answer does, as a scenario captures it.
    pub(super) fn names(&self) -> Option<String> {
        self.made().find_map(|id| self.reply.capture_of(&id))
    }

    /// Whether it made, unlike a repetition, what the very first one made. A document that all requests share, such as a
    /// counter, is made by the very first and changed by all others.
    pub(super) fn makes_anew(&self, first: &Shot, again: &Shot) -> bool {
        let made = self.delta.made();
        self.reply.status == first.reply.status
            && self.delta.touched() == first.delta.touched()
            && made.iter().any(|(collection, count)| again.delta.made().get(collection).is_none_or(|old| old < count))
    }
}
