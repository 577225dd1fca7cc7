//! [`WorkloadKind`]: which operations there are, what a request may name, and what an answer tells. One file each.

mod append;
mod create_or_get;
mod custom;
mod merge;
mod thread;
mod unique;

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

/// What a scenario can say of a workload.
struct Facts {
    /// The word in files and on the terminal.
    name: &'static str,
    /// The operations, of which a custom workload has none of its own.
    operations: &'static [OperationFacts],
    /// Variables of its requests, besides those of every request.
    variables: &'static [&'static str],
    /// Its documents hold messages.
    has_messages: bool,
}

/// One operation.
struct OperationFacts {
    name: &'static str,
    /// A service may leave it out: it is then not sent.
    is_optional: bool,
    /// It only reads.
    reads: bool,
    /// How it is asked for where a scenario does not say.
    method: &'static str,
    /// What can be read from its answer.
    outcomes: &'static [&'static str],
    /// What must be: without that the answer tells nothing.
    needed: &'static [&'static str],
}

/// An operation that writes, and that every service has.
const WRITE: OperationFacts =
    OperationFacts { name: "", is_optional: false, reads: false, method: "POST", outcomes: OF_ANY_ANSWER, needed: &[] };

/// The messages of a document are read.
const READ_MESSAGES: OperationFacts = OperationFacts {
    name: "read",
    reads: true,
    method: "GET",
    outcomes: &["id", "messages", "error", "refused"],
    needed: &["messages"],
    ..WRITE
};

/// What can be read from the answer to an operation of which nothing else is known.
const OF_ANY_ANSWER: &[&str] = &["id", "created", "existing", "created_by", "number", "error", "refused"];

/// Forms of the key that a service may insist on.
const KEY_FORMS: &[&str] = &["key_as.number", "key_as.digits", "key_as.uuid", "key_as.object_id"];

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

    /// The registry.
    const fn facts(self) -> &'static Facts {
        match self {
            WorkloadKind::CreateOrGet => &create_or_get::FACTS,
            WorkloadKind::Append => &append::FACTS,
            WorkloadKind::Merge => &merge::FACTS,
            WorkloadKind::Custom => &custom::FACTS,
            WorkloadKind::Unique => &unique::FACTS,
            WorkloadKind::Thread => &thread::FACTS,
        }
    }

    /// The word in files and on the terminal.
    pub fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// Names of the operations that it sends; thresholds speak of them. Those of a custom workload are the scenario's.
    pub fn operations(self) -> impl Iterator<Item = &'static str> {
        self.facts().operations.iter().map(|operation| operation.name)
    }

    /// Operations that a service cannot leave out.
    pub fn needed_operations(self) -> impl Iterator<Item = &'static str> {
        self.facts().operations.iter().filter(|operation| !operation.is_optional).map(|operation| operation.name)
    }

    fn operation(self, name: &str) -> Option<&'static OperationFacts> {
        self.facts().operations.iter().find(|operation| operation.name == name)
    }

    /// What can be read from the answer to an operation, by its name.
    pub fn outcomes(self, operation: &str) -> &'static [&'static str] {
        self.operation(operation).map_or(OF_ANY_ANSWER, |operation| operation.outcomes)
    }

    /// What must be read from it: without that the answer tells nothing.
    pub fn needed_outcomes(self, operation: &str) -> &'static [&'static str] {
        self.operation(operation).map_or(&[], |operation| operation.needed)
    }

    /// Whether an operation only reads, by its name; of a custom workload's own nothing is known.
    pub fn reads(self, operation: &str) -> bool {
        self.operation(operation).is_some_and(|operation| operation.reads)
    }

    /// How an operation is asked for where a scenario does not say, by its name.
    pub fn usual_method(self, operation: &str) -> &'static str {
        let own = if operation == "get" { "GET" } else { WRITE.method };
        self.operation(operation).map_or(own, |operation| operation.method)
    }

    /// Variables of its requests, besides those of every request.
    pub fn variables(self) -> &'static [&'static str] {
        self.facts().variables
    }

    /// Whether its documents hold messages.
    pub fn has_messages(self) -> bool {
        self.facts().has_messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_is_asked_for_by_get_and_what_an_answer_must_tell_is_among_what_it_can() {
        for kind in WorkloadKind::ALL {
            for name in kind.operations() {
                let by_get = kind.reads(name) && name != "check-existing-thread";
                assert_eq!(kind.usual_method(name), if by_get { "GET" } else { "POST" }, "{name}");
                assert!(kind.needed_outcomes(name).iter().all(|one| kind.outcomes(name).contains(one)), "{name}");
            }
        }
        // Of the user's own, one name tells.
        assert_eq!(["get", "read"].map(|name| WorkloadKind::Custom.usual_method(name)), ["GET", "POST"]);
    }

    #[test]
    fn an_answer_that_would_tell_nothing_is_not_taken_and_what_a_service_may_lack_is_known() {
        use WorkloadKind::{Append, CreateOrGet, Merge, Thread, Unique};
        let cases: [(WorkloadKind, &str, &[&str]); 9] = [
            (CreateOrGet, "create-or-get", &[]),
            (CreateOrGet, "get", &["id"]),
            (Append, "append", &[]),
            (Append, "read", &["messages"]),
            (Merge, "deliver", &["applied"]),
            (Merge, "open", &[]),
            (Merge, "read", &["messages"]),
            (Thread, "expand-thread", &["id"]),
            (Unique, "create", &[]),
        ];
        for (kind, name, needed) in cases {
            assert_eq!(kind.needed_outcomes(name), needed, "{name}");
        }
        let needed = |kind: WorkloadKind| kind.needed_operations().collect::<Vec<_>>();
        assert_eq!((needed(CreateOrGet), needed(Append)), (vec!["create-or-get"], vec!["append"]));
        assert_eq!(needed(Merge), ["deliver", "open", "read"]);
        assert_eq!(needed(Thread), ["start-conversation", "check-existing-thread", "expand-thread"]);
    }
}
