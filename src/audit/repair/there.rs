//! Whether a document that a repair was to remove is there. Its `_id` alone does not tell: a service that gives ids by
//! itself may have made another one under it since, and what was removed is in the backup only.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document};

use super::decide::id_of;
use super::journal::MergeState;
use super::merging::value::identical_documents;
use super::refer::name;

/// Documents as they are, by the names of their ids.
pub(super) type Now = BTreeMap<String, Document>;

/// Whether it was not removed, or is back. Before its removal is noted others may still have changed it.
pub(super) fn is_there(was: &Document, state: MergeState, now: &Now) -> bool {
    now.get(&name(&id_of(was))).is_some_and(|now| state == MergeState::Removing || identical_documents(now, was))
}

/// The sentence for a removed document under whose `_id` there is another one.
pub(super) fn replaced(id: &Bson, collection: &str, backup: &str) -> String {
    format!(
        "document {id} of `{collection}` is not the one that was removed: it was made anew, or put back and changed; what \
         the removed one held is in `{backup}`, and may be nowhere else"
    )
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn another_document_under_the_same_id_is_not_the_one_that_was_removed() {
        let was = doc! { "_id": 2, "k": 1, "tags": ["b"] };
        let other = doc! { "_id": 2, "k": 1 };
        for (state, now, expected) in [
            (MergeState::Removing, Some(&was), true),
            (MergeState::Removing, Some(&other), true),
            (MergeState::Removing, None, false),
            (MergeState::Removed, Some(&was), true),
            (MergeState::Removed, Some(&other), false),
            (MergeState::Removed, None, false),
        ] {
            let found: Now = now.into_iter().map(|now| (name(&id_of(now)), now.clone())).collect();
            assert_eq!(is_there(&was, state, &found), expected, "{state:?} {now:?}");
        }
    }
}
