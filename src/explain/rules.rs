//! What each lint rule means.

use super::Text;

const fn rule(
    name: &'static str,
    meaning: &'static str,
    cause: &'static str,
    fix: &'static str,
) -> (&'static str, Text) {
    (name, Text { meaning, cause, fix })
}

/// Every lint rule.
pub(super) const ALL: &[(&str, Text)] = &[
    rule(
        "check-then-act",
        "A request reads whether something exists and then writes, depending on what it read.",
        "`findOne`, then `insertOne` or `updateOne`: another request can write between the two.",
        "Make the decision inside one command: an upsert on a uniquely indexed key, or a condition in the update's filter.",
    ),
    rule(
        "insert-not-handled",
        "An insert on a unique index whose duplicate-key error is passed on to the caller.",
        "The loser of the race gets E11000, and nothing catches it.",
        "Catch code 11000, read the document that won, and return it.",
    ),
    rule(
        "insert-without-unique-index",
        "Documents are inserted under a key that no unique index covers.",
        "Nothing in the database can refuse a second document.",
        "Create a unique index on the key.",
    ),
    rule(
        "lock-ttl-too-short",
        "A lock expires sooner than the work that it protects takes.",
        "A time to live that was chosen for the usual case.",
        "Renew the lock while working, or give each holder a fencing token that the protected write checks.",
    ),
    rule(
        "read-modify-write",
        "A request reads a document and writes back what it computed from it.",
        "`findOne`, a change in memory, then `$set` of a whole array or document: a write in between is lost.",
        "Use an update operator (`$push`, `$inc`, `$addToSet`), or compare a version in the filter and retry.",
    ),
    rule(
        "upsert-not-retried",
        "An upsert whose duplicate-key error the server does not retry by itself.",
        "The filter is more than equality on exactly the fields of the unique index.",
        "Filter by the key alone, or catch code 11000 and run the same command again.",
    ),
    rule(
        "upsert-without-unique-index",
        "An upsert whose filter no unique index covers.",
        "Two upserts can both find nothing and both insert: an upsert is not atomic by itself.",
        "Create a unique index on the fields of the filter.",
    ),
];
