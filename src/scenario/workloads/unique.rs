//! What a scenario can say of a route that only creates.

use super::{Facts, KEY_FORMS, OperationFacts, WRITE};

pub(super) const FACTS: Facts = Facts {
    name: "unique",
    operations: &[OperationFacts { name: "create", ..WRITE }],
    variables: KEY_FORMS,
    has_messages: false,
};
