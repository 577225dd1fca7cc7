//! The strategies of merge: what users are told of each, and how each brings a chat into being.

use super::super::creation::{Creation, How, upsert};
use super::super::{LOCK_IN_MEMORY, Named, bug, correct};
use super::KEY;

/// A way to push a delivered content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Find the content; if it is not there, push.
    FindThenPush,
    /// The condition names a path that no document has.
    WrongPath,
    /// Merged images are known by their batch.
    WrongKey,
    /// The condition asks whether any other message is there.
    ElemMatchNe,
    /// The condition compares identifiers of two types.
    TypeDrift,
    /// The condition is always on `mergeId`, which not every content has.
    NullId,
    /// One update that pushes if the content is not there; a read tells a missing chat apart.
    ConditionalPush,
    /// `conditional-push` with `upsert`.
    ConditionalPushUpsert,
    /// `conditional-push` with `upsert`, and the duplicate-key error is taken for a repetition.
    UpsertSwallowed,
    /// An update that matched nothing is taken for a repetition.
    MissingIsMerged,
    /// An update that matched nothing is taken for an error, and tried again under a new identifier.
    RetryNewId,
    /// A repetition is answered as if it had been pushed.
    LoserClaims,
    /// Only the last messages are looked at.
    DedupeWindow,
    /// The code path that adds to the gallery pushes twice.
    DoublePush,
    /// Find, then push, under a lock in this process.
    LockInMemory,
    /// Find, then push, under a lock document.
    LockCollection,
    /// Find, then push, with slow work under a lock document that runs out before it.
    LockExpires,
}

/// Every strategy with what users are told of it.
pub const STRATEGIES: [Named<Strategy>; 17] = [
    (
        Strategy::FindThenPush,
        bug("find-then-push", "check-then-act: two deliveries find no message of the content and both push it"),
    ),
    (Strategy::WrongPath, bug("wrong-path", "`mergeId` instead of `messages.mergeId`: the condition is always true")),
    (
        Strategy::WrongKey,
        bug("wrong-key", "merged images known by their batch, which several of them share: all but one are dropped"),
    ),
    (
        Strategy::ElemMatchNe,
        bug("elem-match-ne", "$elemMatch with $ne: true if any other message is there, false on an empty list"),
    ),
    (Strategy::TypeDrift, bug("type-drift", "one way delivers the identifier as a number, the other as a string")),
    (Strategy::NullId, bug("null-id", "the condition is on a field that not every message has: absent equals absent")),
    (Strategy::ConditionalPush, correct("conditional-push")),
    (
        Strategy::ConditionalPushUpsert,
        bug("conditional-push-upsert", "an upsert that finds the content there inserts: E11000, or a second chat"),
    ),
    (
        Strategy::UpsertSwallowed,
        bug("upsert-swallowed", "two contents create a missing chat; the loser's E11000 is taken for a repetition"),
    ),
    (
        Strategy::MissingIsMerged,
        bug("missing-is-merged", "\"matched nothing\" is taken for a repetition, although the chat is missing"),
    ),
    (
        Strategy::RetryNewId,
        bug("retry-new-id", "\"matched nothing\" is taken for an error and tried again under a new identifier"),
    ),
    (Strategy::LoserClaims, bug("loser-claims", "a repetition is answered as if its own payload had been stored")),
    (
        Strategy::DedupeWindow,
        bug("dedupe-window", "only the last four messages are looked at: a late repetition is pushed again"),
    ),
    (Strategy::DoublePush, bug("double-push", "the code path that adds to the gallery pushes twice")),
    (Strategy::LockInMemory, LOCK_IN_MEMORY),
    (Strategy::LockCollection, correct("lock-collection")),
    (
        Strategy::LockExpires,
        bug("lock-expires", "a lock good for 20 ms around work of 60 ms: it is taken over, and both are at work"),
    ),
];

super::super::named_strategies!("merge");

impl Strategy {
    /// How it brings a chat into being.
    fn creations(self) -> Vec<Creation> {
        const OTHERS: &[&str] = &["messages.mergeId"];
        let delivering = |handles_duplicate_key| Creation {
            operation: "deliver",
            how: How::Upsert { pinned: &[KEY], others: OTHERS },
            handles_duplicate_key,
        };
        let mut creations = vec![upsert("open", &[KEY], true)];
        match self {
            Strategy::ConditionalPushUpsert => creations.push(delivering(false)),
            Strategy::UpsertSwallowed => creations.push(delivering(true)),
            _ => {}
        }
        creations
    }
}
