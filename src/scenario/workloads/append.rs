//! What a scenario can say of append.

use super::{Facts, OperationFacts, READ_MESSAGES, WRITE};

pub(super) const FACTS: Facts = Facts {
    name: "append",
    operations: &[
        OperationFacts {
            name: "append",
            outcomes: &["id", "created", "existing", "created_by", "position", "error", "refused"],
            ..WRITE
        },
        OperationFacts { is_optional: true, ..READ_MESSAGES },
    ],
    variables: &["session.id", "message.text", "message.path", "message.sender", "message.n"],
    has_messages: true,
};
