//! What a scenario can say of merge.

use super::{Facts, OperationFacts, READ_MESSAGES, WRITE};

pub(super) const FACTS: Facts = Facts {
    name: "merge",
    operations: &[
        OperationFacts {
            name: "deliver",
            outcomes: &["applied", "chat_seen", "error", "refused"],
            needed: &["applied"],
            ..WRITE
        },
        OperationFacts { name: "open", ..WRITE },
        READ_MESSAGES,
    ],
    variables: &[
        "chat.id",
        "content.merge_id",
        "content.batch_id",
        "content.batch_index",
        "content.image_id",
        "content.video_id",
        "content.url",
        "content.path",
        "content.via",
    ],
    has_messages: true,
};
