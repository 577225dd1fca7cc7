//! The strategies of threads: what users are told of each, and how each brings a thread into being.

use super::super::creation::{Creation, insert, upsert};
use super::super::{Named, bug, correct};
use super::KEY;

/// A way to carry out the operations of the thread workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Start by one upsert on the key; expand by one conditional update of members, key and title together.
    KeyedUpsert,
    /// Find; if there is none, insert.
    FindThenInsert,
    /// The key keeps the order in which the caller named the participants.
    UnsortedKey,
    /// Insert a thread without members, then write them.
    CreateThenFill,
    /// Look who is missing, then push.
    MembersPush,
    /// Add to the set within the update.
    MembersAddToSet,
    /// Read the members, write the whole array back.
    MembersOverwrite,
    /// Write the whole array of members back, only if the thread is still as it was read.
    MembersVersioned,
    /// Add members, then work the key out anew and write it.
    RecomputeKey,
    /// Look whether the caller is an admin, then write.
    AuthoriseThenAct,
    /// Everybody may expand.
    NoAuthorisation,
    /// Look up what is unread, then set it to zero.
    UnreadSetZero,
    /// Take over what is unread within one update.
    UnreadInUpdate,
    /// Find; if there is none, insert; who loses the race returns the thread and forgets the message.
    LoserSilent,
}

/// Every strategy with what users are told of it.
pub const STRATEGIES: [Named<Strategy>; 14] = [
    (Strategy::KeyedUpsert, correct("keyed-upsert")),
    (
        Strategy::FindThenInsert,
        bug("find-then-insert", "check-then-act: two callers find no thread and both insert one"),
    ),
    (
        Strategy::UnsortedKey,
        bug("unsorted-key", "the key depends on the order of the names: one set of participants has several keys"),
    ),
    (
        Strategy::CreateThenFill,
        bug("create-then-fill", "two writes: others are answered with a thread that has no members yet"),
    ),
    (
        Strategy::MembersPush,
        bug("members-push", "check-then-act: two expansions both find somebody missing and both add them"),
    ),
    (Strategy::MembersAddToSet, correct("members-add-to-set")),
    (
        Strategy::MembersOverwrite,
        bug("members-overwrite", "read-modify-write of the members: of two expansions the later loses the earlier's"),
    ),
    (Strategy::MembersVersioned, correct("members-versioned")),
    (
        Strategy::RecomputeKey,
        bug("recompute-key", "members and key in two writes: the key is of another set than the members"),
    ),
    (
        Strategy::AuthoriseThenAct,
        bug("authorise-then-act", "check-then-act: an admin who has resigned in between still changes the thread"),
    ),
    (Strategy::NoAuthorisation, bug("no-authorisation", "anybody may expand a thread")),
    (
        Strategy::UnreadSetZero,
        bug("unread-set-zero", "check-then-act: a change between the reader's look and its $set of 0 is never counted"),
    ),
    (Strategy::UnreadInUpdate, correct("unread-in-update")),
    (
        Strategy::LoserSilent,
        bug("loser-silent", "the loser's duplicate-key error is answered with the thread, and its message is dropped"),
    ),
];

super::super::named_strategies!("thread");

impl Strategy {
    /// How it brings a thread into being.
    fn creations(self) -> Vec<Creation> {
        const OPERATION: &str = "start-conversation";
        vec![match self {
            Strategy::FindThenInsert => insert(OPERATION, KEY, false),
            Strategy::CreateThenFill | Strategy::LoserSilent => insert(OPERATION, KEY, true),
            _ => upsert(OPERATION, &[KEY], true),
        }]
    }
}
