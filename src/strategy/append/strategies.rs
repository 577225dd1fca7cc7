//! The strategies of append: what users are told of each, and how each brings a session into being.

use super::super::creation::{Creation, insert, upsert};
use super::super::{Named, bug, correct};
use super::KEY;

/// A way to append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Find; insert the session with the messages if there is none, else push them.
    FindThenSave,
    /// `find-then-save` in which a duplicate-key error is answered by pushing.
    SaveRetry,
    /// Read the list, add to it, write the whole list.
    WholeArray,
    /// `whole-array` under a version that is compared, and tried again when it has changed; a session that is not there
    /// is inserted with the messages in it.
    WholeArrayVersioned,
    /// The version is compared, but a conflict is answered as a success.
    VersionIgnored,
    /// One upsert that pushes both messages.
    UpsertPush,
    /// `upsert-push` with `$set` instead of `$setOnInsert`.
    UpsertSet,
    /// Two pushes.
    PushSeparately,
    /// The sequence number is the length that a read found, plus one.
    LengthAsSequence,
    /// The sequence number is worked out inside the update.
    SequenceInUpdate,
    /// Pushed again when the reply is lost.
    PushRetry,
    /// Pushed again when the reply is lost, unless the operation's messages are there already.
    PushRetryGuarded,
    /// A push whose `matchedCount` nobody looks at, and no upsert.
    UnmatchedPush,
    /// Only the last messages are kept.
    CappedPush,
    /// A text that is there already is taken for a repetition.
    SkipRepeats,
    /// Sorted by the sender's clock.
    SortByClock,
    /// The path is part of the upsert's filter.
    PathInFilter,
    /// The derived `lastOp` is written by a second update.
    LastMessageLater,
}

/// Every strategy with what users are told of it.
pub const STRATEGIES: [Named<Strategy>; 18] = [
    (
        Strategy::FindThenSave,
        bug(
            "find-then-save",
            "check-then-act: two callers find no session; the loser's insert fails, its messages are lost",
        ),
    ),
    (Strategy::SaveRetry, correct("save-retry")),
    (Strategy::WholeArray, bug("whole-array", "read, modify, write: the second write drops what the first had added")),
    (Strategy::WholeArrayVersioned, correct("whole-array-versioned")),
    (
        Strategy::VersionIgnored,
        bug("version-ignored", "a version conflict is answered as a success: the loser's messages are lost"),
    ),
    (Strategy::UpsertPush, correct("upsert-push")),
    (
        Strategy::UpsertSet,
        bug("upsert-set", "$set instead of $setOnInsert: later messages overwrite what the creator wrote"),
    ),
    (
        Strategy::PushSeparately,
        bug("push-separately", "two pushes: other messages come between a message and its answer"),
    ),
    (
        Strategy::LengthAsSequence,
        bug("length-as-sequence", "sequence number from a read: two callers take the same number"),
    ),
    (Strategy::SequenceInUpdate, correct("sequence-in-update")),
    (
        Strategy::PushRetry,
        bug("push-retry", "pushed again without an operation id when the reply is lost (here: every eighth reply)"),
    ),
    (Strategy::PushRetryGuarded, correct("push-retry-guarded")),
    (
        Strategy::UnmatchedPush,
        bug("unmatched-push", "a push that matched no session is answered as a success: the messages are lost"),
    ),
    (Strategy::CappedPush, bug("capped-push", "$slice drops the oldest of the messages that were acknowledged")),
    (
        Strategy::SkipRepeats,
        bug("skip-repeats", "the same text twice is taken for a repetition: the second is acknowledged and lost"),
    ),
    (
        Strategy::SortByClock,
        bug("sort-by-clock", "sorted by the senders' clocks: messages change places between two reads"),
    ),
    (
        Strategy::PathInFilter,
        bug(
            "path-in-filter",
            "an extra predicate in the upsert's filter: the other path finds no session and creates one",
        ),
    ),
    (
        Strategy::LastMessageLater,
        bug("last-message-later", "the last message is noted by a second update: an older one may come last"),
    ),
];

super::super::named_strategies!("append");

impl Strategy {
    /// How it brings a session into being.
    fn creations(self) -> Vec<Creation> {
        const OPERATION: &str = "append";
        match self {
            Strategy::FindThenSave => vec![insert(OPERATION, KEY, false)],
            Strategy::SaveRetry => vec![insert(OPERATION, KEY, true)],
            Strategy::PathInFilter => vec![upsert(OPERATION, &[KEY, "path"], false)],
            Strategy::UnmatchedPush => Vec::new(),
            _ => vec![upsert(OPERATION, &[KEY], true)],
        }
    }
}
