//! What a scenario can say of threads.

use super::{Facts, OperationFacts, WRITE};

pub(super) const FACTS: Facts = Facts {
    name: "thread",
    operations: &[
        OperationFacts {
            name: "start-conversation",
            outcomes: &["id", "created", "existing", "members", "error", "refused"],
            ..ANSWERED
        },
        // The participants to look for go into a body.
        OperationFacts { name: "check-existing-thread", reads: true, ..ANSWERED },
        OperationFacts { name: "expand-thread", outcomes: &["id", "members", "added", "error", "refused"], ..ANSWERED },
        OperationFacts { name: "resign-admin", is_optional: true, ..ANSWERED },
        OperationFacts { name: "read-thread", is_optional: true, reads: true, method: "GET", ..ANSWERED },
    ],
    variables: &["thread.id", "thread.type", "thread.participants", "message.text"],
    has_messages: false,
};

/// Every answer names a thread.
const ANSWERED: OperationFacts =
    OperationFacts { outcomes: &["id", "members", "error", "refused"], needed: &["id"], ..WRITE };
