//! What a scenario can say of a custom workload, whose operations are the user's own.

use super::{Facts, KEY_FORMS};

pub(super) const FACTS: Facts = Facts { name: "custom", operations: &[], variables: KEY_FORMS, has_messages: false };
