//! What a scenario can say of create-or-get.

use super::{Facts, OperationFacts, WRITE};

pub(super) const FACTS: Facts = Facts {
    name: "create-or-get",
    operations: &[
        OperationFacts { name: "create-or-get", ..WRITE },
        OperationFacts { name: "get", is_optional: true, reads: true, method: "GET", needed: &["id"], ..WRITE },
    ],
    variables: &["pair.a", "pair.b", "pair.key"],
    has_messages: false,
};
