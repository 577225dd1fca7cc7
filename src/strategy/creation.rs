//! How each strategy brings a document into being, as data: what a lint can hold against the indexes before a run.

use super::{append, create_or_get, merge, thread};
use crate::scenario::WorkloadKind;

/// One way in which documents come into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Creation {
    /// The operation that does it.
    pub operation: &'static str,
    /// The command.
    pub how: How,
    /// A duplicate-key error on the key does not reach the caller.
    pub handles_duplicate_key: bool,
}

/// The command that brings a document into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// An insert of a document with this key.
    Insert {
        /// The field.
        key: &'static str,
    },
    /// An upsert.
    Upsert {
        /// Fields that the filter compares with one value.
        pinned: &'static [&'static str],
        /// Fields that it compares in another way.
        others: &'static [&'static str],
    },
}

/// How the strategy of this name creates; nothing if there is no such strategy, or it creates nothing.
pub fn creations(kind: WorkloadKind, strategy: &str) -> Vec<Creation> {
    match kind {
        WorkloadKind::CreateOrGet => strategy.parse().map(of_chat).into_iter().collect(),
        WorkloadKind::Append => strategy.parse().ok().and_then(of_append).into_iter().collect(),
        WorkloadKind::Merge => strategy.parse().map(of_merge).unwrap_or_default(),
        WorkloadKind::Thread => strategy.parse().map(of_thread).into_iter().collect(),
        WorkloadKind::Custom | WorkloadKind::Unique => Vec::new(),
    }
}

const fn insert(operation: &'static str, key: &'static str, handles_duplicate_key: bool) -> Creation {
    Creation { operation, how: How::Insert { key }, handles_duplicate_key }
}

const fn upsert(operation: &'static str, pinned: &'static [&'static str], handles_duplicate_key: bool) -> Creation {
    Creation { operation, how: How::Upsert { pinned, others: &[] }, handles_duplicate_key }
}

fn of_chat(strategy: create_or_get::Strategy) -> Creation {
    use create_or_get::{KEY, Strategy};
    const OPERATION: &str = "create-or-get";
    match strategy {
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
    }
}

fn of_append(strategy: append::Strategy) -> Option<Creation> {
    use append::{KEY, Strategy};
    const OPERATION: &str = "append";
    match strategy {
        Strategy::FindThenSave => Some(insert(OPERATION, KEY, false)),
        Strategy::SaveRetry => Some(insert(OPERATION, KEY, true)),
        Strategy::PathInFilter => Some(upsert(OPERATION, &[KEY, "path"], false)),
        Strategy::UnmatchedPush => None,
        _ => Some(upsert(OPERATION, &[KEY], true)),
    }
}

fn of_merge(strategy: merge::Strategy) -> Vec<Creation> {
    use merge::{KEY, Strategy};
    const OTHERS: &[&str] = &["messages.mergeId"];
    let delivering = |handles_duplicate_key| Creation {
        operation: "deliver",
        how: How::Upsert { pinned: &[KEY], others: OTHERS },
        handles_duplicate_key,
    };
    let mut creations = vec![upsert("open", &[KEY], true)];
    match strategy {
        Strategy::ConditionalPushUpsert => creations.push(delivering(false)),
        Strategy::UpsertSwallowed => creations.push(delivering(true)),
        _ => {}
    }
    creations
}

fn of_thread(strategy: thread::Strategy) -> Creation {
    use thread::{KEY, Strategy};
    const OPERATION: &str = "start-conversation";
    match strategy {
        Strategy::FindThenInsert => insert(OPERATION, KEY, false),
        Strategy::CreateThenFill | Strategy::LoserSilent => insert(OPERATION, KEY, true),
        _ => upsert(OPERATION, &[KEY], true),
    }
}
