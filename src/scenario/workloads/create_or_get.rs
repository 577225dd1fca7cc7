//! What a scenario can say of create-or-get.

use super::{Facts, OF_ANY_ANSWER, OperationFacts, WRITE};

pub(super) const FACTS: Facts = Facts {
    name: "create-or-get",
    operations: &[
        OperationFacts { name: "create-or-get", ..WRITE },
        OperationFacts { name: "get", is_optional: true, reads: true, outcomes: OF_ANY_ANSWER, needed: &["id"] },
    ],
    variables: &["pair.a", "pair.b", "pair.key"],
    has_messages: false,
};
