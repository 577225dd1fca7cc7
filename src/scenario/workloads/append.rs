//! What a scenario can say of append.

use super::{Facts, OperationFacts, WRITE};

pub(super) const FACTS: Facts = Facts {
    name: "append",
    operations: &[
        OperationFacts {
            name: "append",
            outcomes: &["id", "created", "existing", "created_by", "position", "error", "refused"],
            ..WRITE
        },
        READ,
    ],
    variables: &["session.id", "message.text", "message.path", "message.sender", "message.n"],
    has_messages: true,
};

const READ: OperationFacts = OperationFacts {
    name: "read",
    is_optional: true,
    reads: true,
    outcomes: &["id", "messages", "error", "refused"],
    needed: &["messages"],
};
