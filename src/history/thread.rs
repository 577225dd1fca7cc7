//! Threads of the thread workload: what is asked of them, what they answer, what they are in the end.
//!
//! A thread is found by its kind and the exact set of its participants. Its logical key in a run is its *family*: the
//! part before the last `.` that the names of all its participants have in common. Whatever a run adds to a thread is of
//! its family, so a thread keeps its family while its set of participants grows.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Id, OpId};

/// Kind of a thread. It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ThreadKind {
    /// Exactly two participants.
    Direct,
    /// Two participants or more.
    Group,
}

impl ThreadKind {
    /// The word in keys and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            ThreadKind::Direct => "direct",
            ThreadKind::Group => "group",
        }
    }

    /// The kind of this name.
    pub fn parse(word: &str) -> Option<Self> {
        [ThreadKind::Direct, ThreadKind::Group].into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether a thread of this kind may have so many participants.
    pub fn allows(self, participants: usize) -> bool {
        match self {
            ThreadKind::Direct => participants == 2,
            ThreadKind::Group => participants >= 2,
        }
    }
}

impl fmt::Display for ThreadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The canonical key of a set of participants: the kind, then the names sorted, each once: `group:ann,bob,eve`.
pub fn thread_key<'a>(kind: ThreadKind, participants: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = participants.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    format!("{kind}:{}", names.join(","))
}

/// The family that a participant belongs to: its name up to the last `.`.
pub fn family_of(participant: &str) -> &str {
    participant.rsplit_once('.').map_or(participant, |(family, _)| family)
}

/// A conversation that is looked for or started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Conversation {
    /// Its kind.
    pub kind: ThreadKind,
    /// Who asks. A participant whether named or not.
    pub caller: Arc<str>,
    /// The participants, in the order in which the caller named them.
    pub participants: Vec<Arc<str>>,
}

impl Conversation {
    /// The participants with the caller, sorted, each once.
    pub fn members(&self) -> Vec<&str> {
        let mut members: Vec<&str> = self.participants.iter().chain([&self.caller]).map(AsRef::as_ref).collect();
        members.sort_unstable();
        members.dedup();
        members
    }

    /// The canonical key.
    pub fn key(&self) -> String {
        thread_key(self.kind, self.members())
    }
}

/// New participants for the family's given thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Expansion {
    /// Who asks.
    pub caller: Arc<str>,
    /// Who is to join.
    pub participants: Vec<Arc<str>>,
    /// Whether a welcome message is sent with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub message: bool,
}

/// What an operation on threads was answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ThreadAnswer {
    /// The thread; absent when the answer named none.
    pub id: Option<Id>,
    /// Whether this operation says that it created the thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<bool>,
    /// A duplicate-key error (E11000) was met and handled on the way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate_key: bool,
    /// The participants that the answer showed, as it showed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Arc<str>>>,
    /// Those whom an expansion says that it added itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Vec<Arc<str>>>,
}

impl ThreadAnswer {
    /// The outcome's name in latency tables.
    pub(super) fn label(&self) -> &'static str {
        match (self.duplicate_key, self.created, &self.added) {
            (true, _, _) => "duplicate-key-handled",
            (_, Some(true), _) => "created",
            (_, Some(false), _) => "existing",
            (_, None, Some(added)) if added.is_empty() => "nothing-added",
            (_, None, Some(_)) => "added",
            (_, None, None) => "ok",
        }
    }
}

/// What a final document says as a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ThreadState {
    /// Its kind.
    pub kind: ThreadKind,
    /// Its participants, as stored.
    pub members: Vec<Member>,
    /// Who was its admin when it was created; absent when it does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Arc<str>>,
    /// Its admins.
    #[serde(default)]
    pub admins: Vec<Arc<str>>,
    /// The operations that changed it, in the order in which it took them; absent when it keeps no such list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<OpId>>,
    /// The number of participants that its title shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title_count: Option<u64>,
    /// Its changes that nobody has read yet, where it counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<i64>,
    /// Its changes that somebody has read, where it counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<i64>,
    /// How many messages it says that it has, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_count: Option<u64>,
    /// Its messages were not read one by one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub messages_hidden: bool,
    /// It does not tell who created it: what carries no stamp may have been made by any operation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub creator_hidden: bool,
}

impl ThreadState {
    /// The canonical key of its participants.
    pub fn key(&self) -> String {
        thread_key(self.kind, self.members.iter().map(|member| &*member.user))
    }

    /// The thread as a service shows it that keeps no stamps.
    #[cfg(test)]
    pub(crate) fn without_stamps(mut self, created: bool) -> Self {
        self.creator_hidden = created;
        for member in &mut self.members {
            member.adder_hidden = member.added_by.take().is_some();
        }
        self
    }

    /// Its participants, sorted, each once.
    pub fn set(&self) -> Vec<&str> {
        let mut users: Vec<&str> = self.members.iter().map(|member| &*member.user).collect();
        users.sort_unstable();
        users.dedup();
        users
    }
}

/// A participant of a thread in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Member {
    /// Its name.
    pub user: Arc<str>,
    /// The stamp of the operation that added it; absent when the thread was there before the run's operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_by: Option<OpId>,
    /// The thread does not tell who added it: any operation that asked for it may have.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adder_hidden: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_conversation_forgets_order_and_repetition_and_knows_the_caller() {
        let conversation = |caller: &str, named: &[&str]| Conversation {
            kind: ThreadKind::Group,
            caller: caller.into(),
            participants: named.iter().map(|name| Arc::from(*name)).collect(),
        };
        for (caller, named) in [("a", &["b", "c"][..]), ("b", &["c", "a"]), ("c", &["c", "b", "a", "a"])] {
            assert_eq!(conversation(caller, named).key(), "group:a,b,c");
        }
        assert_eq!(family_of("r-7.p3w.d"), "r-7.p3w");
        assert_eq!(family_of("ann"), "ann");
    }
}
