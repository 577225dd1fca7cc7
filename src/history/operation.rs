//! One operation of a history: what was asked, when, and what came of it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Appended, Cause, Conversation, Delivered, Delivery, Expansion, Id, OpId, ReadResult, Said, ThreadAnswer};

/// Nanoseconds since the start of the run, on the monotonic clock.
pub type Nanos = u64;

/// Part of the run that an operation belongs to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// One operation after another: what fails here is a plain defect, not a race.
    Control,
    /// The concurrent run that is judged.
    #[default]
    Main,
}

impl Phase {
    /// Whether this is the phase that is judged; the one a history line need not name.
    pub fn is_main(&self) -> bool {
        *self == Phase::Main
    }
}

/// What an operation asks for. Each workload has its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Creates the document of the key, or gets the one that exists.
    CreateOrGet {
        /// The caller named the pair in the reverse of the canonical order.
        reversed: bool,
    },
    /// Reads the document of the key, without creating it.
    Get,
    /// Appends a user's message and its answer to the key's session, creating the session if there is none.
    Append(Said),
    /// Reads all messages of the key.
    Read,
    /// Creates the chat of the key, which may be missing until then.
    Open,
    /// Delivers an image or a video to the key's chat.
    Deliver(Delivery),
    /// An operation of the user's own, by its name.
    Custom(Arc<str>),
    /// Asks whether a conversation has a thread.
    CheckExisting(Box<Conversation>),
    /// Sends a message to a conversation, whose thread is created if there is none.
    StartConversation(Box<Conversation>),
    /// Adds participants to the family's given thread.
    ExpandThread(Box<Expansion>),
    /// An admin of the family's given thread gives the role up.
    ResignAdmin {
        /// Who asks.
        caller: Arc<str>,
    },
    /// Reads the family's given thread.
    ReadThread,
}

impl Action {
    /// The operation's name in reports.
    pub fn name(&self) -> &str {
        match self {
            Action::Custom(name) => name,
            fixed => fixed.fixed_name(),
        }
    }

    /// The operation's name for a table of figures: nothing is allocated for a fixed one.
    pub fn label(&self) -> Cow<'static, str> {
        match self {
            Action::Custom(name) => Cow::Owned(name.to_string()),
            fixed => Cow::Borrowed(fixed.fixed_name()),
        }
    }

    /// Whether it wants what only so many can have: a key that nobody has serves it.
    pub(crate) fn wants_a_key(&self) -> bool {
        matches!(self, Action::CreateOrGet { .. } | Action::Append(_) | Action::Custom(_))
    }

    fn fixed_name(&self) -> &'static str {
        match self {
            Action::CreateOrGet { .. } => "create-or-get",
            Action::Get => "get",
            Action::Append(_) => "append",
            Action::Read => "read",
            Action::Open => "open",
            Action::Deliver(_) => "deliver",
            Action::Custom(_) => "custom",
            Action::CheckExisting(_) => "check-existing-thread",
            Action::StartConversation(_) => "start-conversation",
            Action::ExpandThread(_) => "expand-thread",
            Action::ResignAdmin { .. } => "resign-admin",
            Action::ReadThread => "read-thread",
        }
    }
}

/// Value of an operation that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// The document that a create-or-get returned.
    Document(Returned),
    /// What a get found; of a thread, that there is none.
    Found(Option<Id>),
    /// What an append was answered with.
    Appended(Appended),
    /// The messages that a read saw.
    Messages(ReadResult),
    /// What a delivery was answered with.
    Delivered(Delivered),
    /// A thread.
    Thread(Box<ThreadAnswer>),
}

impl Value {
    /// The document that it names.
    pub fn id(&self) -> Option<&Id> {
        match self {
            Value::Document(Returned { id, .. }) | Value::Appended(Appended { session: Returned { id, .. }, .. }) => {
                id.as_ref()
            }
            Value::Found(id) => id.as_ref(),
            Value::Messages(seen) => seen.id.as_ref(),
            Value::Thread(answer) => answer.id.as_ref(),
            Value::Delivered(_) => None,
        }
    }

    /// Whether it is what a read is told where nothing is.
    pub(crate) fn found_nothing(&self) -> bool {
        match self {
            Value::Found(found) => found.is_none(),
            Value::Messages(seen) => seen.id.is_none() && seen.length == 0,
            _ => false,
        }
    }
}

/// The document that a create-or-get returned, as far as the answer told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Returned {
    /// The document's identifier; absent when the answer carried none.
    pub id: Option<Id>,
    /// Whether this operation says that it created the document; absent when the interface does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<bool>,
    /// The number that the answer gave, such as that of an invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<Arc<str>>,
    /// A duplicate-key error (E11000) was met and handled on the way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate_key: bool,
    /// The stamp of the creating operation that the returned document carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<OpId>,
    /// The interface names no document in such an answer, as its serial control shows: nothing is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nameless: bool,
    /// Fields written on insert that the returned document lacked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Arc<str>>,
}

/// What is known of an operation's effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It happened, with this value.
    Ok(Value),
    /// It certainly had no effect.
    Failed(Cause),
    /// It may have happened, at any time after its invocation.
    Unknown(Cause),
}

/// Every name that [`Operation::outcome_label`] gives.
pub(crate) const OUTCOME_LABELS: [&str; 16] = [
    "duplicate-key-handled",
    "created",
    "existing",
    "ok",
    "nothing-added",
    "added",
    "found",
    "absent",
    "appended",
    "read",
    "delivered",
    "already-there",
    "refused",
    "duplicate-key-leaked",
    "failed",
    "unknown",
];

/// Rounds from this one on are the very first requests of an exploration, which can be sent only once. The number that a key of such a
/// round has, where one is wanted, counts only so far: it must not be that of another round.
pub const FIRST_USE: u32 = 900_039_000;

/// One operation, from intent to outcome. Times are as the client saw them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Operation {
    /// Number of the operation.
    #[serde(rename = "op")]
    pub id: OpId,
    /// The logical client; a client whose operation is unknown goes on under a new number.
    pub client: u32,
    /// Round of the load; in a closed or open load, the client's own count.
    pub round: u32,
    /// Part of the run.
    #[serde(default, skip_serializing_if = "Phase::is_main")]
    pub phase: Phase,
    /// The logical key, in canonical form.
    pub key: Arc<str>,
    /// What was asked for.
    pub action: Action,
    /// When the load wanted it to start (computed, not read from a clock after waiting).
    #[serde(rename = "intended_ns")]
    pub intended: Nanos,
    /// Immediately before it was handed to the client library.
    #[serde(rename = "invoked_ns")]
    pub invoked: Nanos,
    /// When it held a connection; absent where the target cannot tell.
    #[serde(rename = "connected_ns", default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<Nanos>,
    /// Immediately after the answer; for an unknown outcome, when the client gave up.
    #[serde(rename = "completed_ns")]
    pub completed: Nanos,
    /// How often it was sent.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub attempts: u16,
    /// What is known of its effect.
    pub outcome: Outcome,
    /// An answer that came after the client had given up. It proves what happened, and never shortens the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Box<Late>>,
}

/// An acknowledgement that arrived after the operation had been recorded as unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Late {
    /// When it arrived.
    #[serde(rename = "completed_ns")]
    pub completed: Nanos,
    /// What it said.
    pub outcome: Outcome,
}

fn one() -> u16 {
    1
}

fn is_one(attempts: &u16) -> bool {
    *attempts == 1
}

impl Operation {
    /// End of the interval in which the effect happened: never, for an unknown outcome.
    pub fn returned(&self) -> Nanos {
        match self.outcome {
            Outcome::Unknown(_) => Nanos::MAX,
            Outcome::Ok(_) | Outcome::Failed(_) => self.completed,
        }
    }

    /// Start of the work as far as it is known: a connection held counts, waiting for one does not.
    pub fn started(&self) -> Nanos {
        self.connected.unwrap_or(self.invoked)
    }

    /// When it was let go: its invocation, unless all but its last byte was sent ahead of a release; then the release.
    /// Its effect may have come at any time after the invocation; its latency counts from here.
    pub fn released(&self) -> Nanos {
        if self.invoked < self.intended { self.started().max(self.intended) } else { self.invoked }
    }

    /// Whether the operation is known to have happened.
    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok(_))
    }

    /// Whether it is open if the operation happened.
    pub fn is_unknown(&self) -> bool {
        matches!(self.outcome, Outcome::Unknown(_))
    }

    /// The value of an operation that succeeded.
    pub fn value(&self) -> Option<&Value> {
        match &self.outcome {
            Outcome::Ok(value) => Some(value),
            Outcome::Failed(_) | Outcome::Unknown(_) => None,
        }
    }

    /// The document that a successful create-or-get returned.
    pub fn returned_document(&self) -> Option<&Returned> {
        match self.value() {
            Some(Value::Document(returned)) => Some(returned),
            _ => None,
        }
    }

    /// The outcome's name in latency tables: finer than ok, failed and unknown where the value tells more.
    pub fn outcome_label(&self) -> &'static str {
        match &self.outcome {
            Outcome::Ok(Value::Document(returned)) if returned.duplicate_key => "duplicate-key-handled",
            Outcome::Ok(Value::Document(Returned { created: Some(true), .. })) => "created",
            Outcome::Ok(Value::Document(Returned { created: Some(false), .. })) => "existing",
            Outcome::Ok(Value::Document(_)) => "ok",
            Outcome::Ok(Value::Thread(answer)) => answer.label(),
            Outcome::Ok(Value::Found(Some(_))) => "found",
            Outcome::Ok(Value::Found(None)) => "absent",
            Outcome::Ok(Value::Appended(appended)) if appended.session.duplicate_key => "duplicate-key-handled",
            Outcome::Ok(Value::Appended(_)) => "appended",
            Outcome::Ok(Value::Messages(_)) => "read",
            Outcome::Ok(Value::Delivered(Delivered { applied: true, .. })) => "delivered",
            Outcome::Ok(Value::Delivered(Delivered { applied: false, .. })) => "already-there",
            Outcome::Failed(cause) if cause.is_refusal() => "refused",
            Outcome::Failed(cause) if cause.is_duplicate_key() => "duplicate-key-leaked",
            Outcome::Failed(_) => "failed",
            Outcome::Unknown(_) => "unknown",
        }
    }
}
