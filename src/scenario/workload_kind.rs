//! [`WorkloadKind`]: which operations there are, and what their answers tell.

use serde::Serialize;

/// Kind of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadKind {
    /// Creates the document of a participant pair, or gets it.
    CreateOrGet,
    /// Appends messages and their answers to sessions.
    Append,
    /// Delivers images and videos to chats, each several times.
    Merge,
    /// Operations of the user's own.
    Custom,
    /// A route that only creates: one is served, the others are refused.
    Unique,
    /// Starts, expands and reads direct and group threads.
    Thread,
}

impl WorkloadKind {
    /// All that exist.
    pub const ALL: [WorkloadKind; 6] = [
        WorkloadKind::CreateOrGet,
        WorkloadKind::Append,
        WorkloadKind::Merge,
        WorkloadKind::Thread,
        WorkloadKind::Custom,
        WorkloadKind::Unique,
    ];

    /// The word in files and on the terminal.
    pub fn as_str(self) -> &'static str {
        match self {
            WorkloadKind::CreateOrGet => "create-or-get",
            WorkloadKind::Append => "append",
            WorkloadKind::Merge => "merge",
            WorkloadKind::Custom => "custom",
            WorkloadKind::Unique => "unique",
            WorkloadKind::Thread => "thread",
        }
    }

    /// Names of the operations that it sends; thresholds speak of them. Those of a custom workload are the scenario's.
    pub fn operations(self) -> &'static [&'static str] {
        match self {
            WorkloadKind::CreateOrGet => &["create-or-get"],
            WorkloadKind::Append => &["append", "read"],
            WorkloadKind::Merge => &["deliver", "open", "read"],
            WorkloadKind::Thread => {
                &["start-conversation", "check-existing-thread", "expand-thread", "resign-admin", "read-thread"]
            }
            WorkloadKind::Custom => &[],
            WorkloadKind::Unique => &["create"],
        }
    }

    /// Operations that a service may leave out: they are then not sent.
    pub fn optional_operations(self) -> &'static [&'static str] {
        match self {
            WorkloadKind::CreateOrGet => &["get"],
            WorkloadKind::Append => &["read"],
            WorkloadKind::Thread => &["resign-admin", "read-thread"],
            WorkloadKind::Merge | WorkloadKind::Custom | WorkloadKind::Unique => &[],
        }
    }

    /// What can be read from the answer to an operation, by its name.
    pub fn outcomes(self, operation: &str) -> &'static [&'static str] {
        match (self, operation) {
            (WorkloadKind::Append, "append") => {
                &["id", "created", "existing", "created_by", "position", "error", "refused"]
            }
            (WorkloadKind::Append | WorkloadKind::Merge, "read") => &["id", "messages", "error", "refused"],
            (WorkloadKind::Merge, "deliver") => &["applied", "chat_seen", "error", "refused"],
            (WorkloadKind::Thread, "start-conversation") => {
                &["id", "created", "existing", "members", "error", "refused"]
            }
            (WorkloadKind::Thread, "expand-thread") => &["id", "members", "added", "error", "refused"],
            (WorkloadKind::Thread, _) => &["id", "members", "error", "refused"],
            _ => &["id", "created", "existing", "created_by", "number", "error", "refused"],
        }
    }

    /// Whether an operation only reads, by its name; of a custom workload's own nothing is known.
    pub fn reads(self, operation: &str) -> bool {
        self != WorkloadKind::Custom && matches!(operation, "get" | "read" | "read-thread" | "check-existing-thread")
    }

    /// What must be read from it: without that the answer tells nothing.
    pub fn needed_outcomes(self, operation: &str) -> &'static [&'static str] {
        match (self, operation) {
            (WorkloadKind::Append | WorkloadKind::Merge, "read") => &["messages"],
            (WorkloadKind::Merge, "deliver") => &["applied"],
            (WorkloadKind::Thread, _) | (WorkloadKind::CreateOrGet, "get") => &["id"],
            _ => &[],
        }
    }

    /// Whether its documents hold messages.
    pub fn has_messages(self) -> bool {
        matches!(self, WorkloadKind::Append | WorkloadKind::Merge)
    }
}
