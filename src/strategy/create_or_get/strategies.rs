//! The strategies of create-or-get: what users are told of each, and how each brings a chat into being.

use super::super::creation::{Creation, insert, upsert};
use super::super::{LOCK_IN_MEMORY, Named, bug, correct};
use super::KEY;

/// A way to create or get a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Find; if there is none, insert.
    FindThenInsert,
    /// Insert a half-built chat, then fill it with a second write.
    CreateThenFill,
    /// One upsert with `$setOnInsert`.
    Upsert,
    /// One upsert with `$setOnInsert`; a duplicate-key error is answered with the chat that exists.
    UpsertRetry,
    /// Insert; on a duplicate-key error, read.
    InsertFirst,
    /// An upsert with `$set`: later callers overwrite what the creator wrote.
    UpsertSet,
    /// The key keeps the order in which the caller named the participants.
    UnsortedKey,
    /// The upsert's filter carries a fresh `_id` besides the key.
    FreshId,
    /// Find; if there is none, insert; a duplicate-key error is answered as a success.
    ErrorSwallowed,
    /// An upsert that returns the document as it was before: whoever creates is answered with nothing.
    ReturnBefore,
    /// Find; if there is none, reserve the key, and insert if nobody else has reserved it; else be refused.
    StepBack,
    /// An upsert; reads are served by two members in turn, one of which lags behind.
    StaleReads,
    /// Returns an identifier of its own making, although another document was matched.
    LocalId,
    /// Find, then insert, under a lock in this process.
    LockInMemory,
    /// Find, then insert, under a lock document.
    LockCollection,
}

/// Every strategy with what users are told of it.
pub const STRATEGIES: [Named<Strategy>; 15] = [
    (Strategy::FindThenInsert, bug("find-then-insert", "check-then-act: two callers find nothing and both insert")),
    (Strategy::CreateThenFill, bug("create-then-fill", "two writes: others read a half-built document between them")),
    (
        Strategy::Upsert,
        bug(
            "upsert",
            "a duplicate-key error that the server does not retry reaches the caller; without the index both insert",
        ),
    ),
    (Strategy::UpsertRetry, correct("upsert-retry")),
    (Strategy::InsertFirst, correct("insert-first")),
    (
        Strategy::UpsertSet,
        bug("upsert-set", "$set instead of $setOnInsert: later callers overwrite the creator's fields"),
    ),
    (Strategy::UnsortedKey, bug("unsorted-key", "the key depends on the order of the names: one pair has two keys")),
    (
        Strategy::FreshId,
        bug("upsert-fresh-id", "a fresh _id in the upsert's filter: no call ever matches, so that every call inserts"),
    ),
    (
        Strategy::ErrorSwallowed,
        bug("error-swallowed", "a duplicate-key error is answered as a success that names no document"),
    ),
    (
        Strategy::ReturnBefore,
        bug(
            "return-before",
            "the upsert returns the document before the update: whoever creates is answered with null",
        ),
    ),
    (
        Strategy::StepBack,
        bug("step-back", "callers that see each other's reservations all step back: nobody is served"),
    ),
    (
        Strategy::StaleReads,
        bug("stale-reads", "reads go to a member that lags behind: what was created a moment ago is not found"),
    ),
    (Strategy::LocalId, bug("local-id", "returns a locally made identifier that names no document")),
    (Strategy::LockInMemory, LOCK_IN_MEMORY),
    (Strategy::LockCollection, correct("lock-collection")),
];

super::super::named_strategies!("create-or-get");

impl Strategy {
    /// How it brings a chat into being.
    fn creations(self) -> Vec<Creation> {
        const OPERATION: &str = "create-or-get";
        let one = match self {
            Strategy::FindThenInsert | Strategy::LockInMemory | Strategy::StepBack => insert(OPERATION, KEY, false),
            // Whoever holds the lock is alone.
            Strategy::LockCollection | Strategy::CreateThenFill | Strategy::InsertFirst | Strategy::ErrorSwallowed => {
                insert(OPERATION, KEY, true)
            }
            Strategy::Upsert => upsert(OPERATION, &[KEY], false),
            Strategy::FreshId => upsert(OPERATION, &[KEY, "_id"], false),
            Strategy::UpsertRetry
            | Strategy::UpsertSet
            | Strategy::UnsortedKey
            | Strategy::LocalId
            | Strategy::ReturnBefore
            | Strategy::StaleReads => upsert(OPERATION, &[KEY], true),
        };
        vec![one]
    }
}
