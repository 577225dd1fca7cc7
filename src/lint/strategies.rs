//! What is known of a strategy before its run: how it brings a document into being, against the indexes that are there.

use super::{IndexFact, LintFinding, Upsert, upsert};
use crate::strategy::{Creation, How};

/// What a strategy leaves open on these indexes of the collection that holds its key.
pub fn before_run(creations: &[Creation], indexes: &[IndexFact]) -> Vec<LintFinding> {
    creations.iter().filter_map(|creation| finding(creation, indexes)).collect()
}

fn finding(creation: &Creation, indexes: &[IndexFact]) -> Option<LintFinding> {
    let (rule, explanation) = match creation.how {
        How::Upsert { pinned, others } => {
            let shape = Upsert {
                pinned: pinned.iter().copied().collect(),
                other_conditions: !others.is_empty(),
                ..Upsert::default()
            };
            let weakness = upsert(&shape, indexes)?;
            // Without the index there is nothing to handle.
            if creation.handles_duplicate_key && weakness != super::Weakness::NoUniqueIndex {
                return None;
            }
            let fields: Vec<&str> = pinned.iter().chain(others).copied().collect();
            (weakness.rule(), weakness.explain(&format!("it upserts by {{ {} }}", fields.join(", "))))
        }
        How::Insert { key } => {
            let guarded = indexes.iter().any(|index| index.unique && super::fields(index).iter().eq([&key]));
            match (guarded, creation.handles_duplicate_key) {
                (true, true) => return None,
                (true, false) => (
                    "insert-not-handled",
                    "it inserts, and does not handle the duplicate-key error of whoever comes second: E11000 reaches \
                     the caller. Catch it and read."
                        .to_owned(),
                ),
                (false, _) => (
                    "insert-without-unique-index",
                    format!(
                        "it inserts, and no unique index on {key} keeps a second document of the same key out. Create one."
                    ),
                ),
            }
        }
    };
    Some(LintFinding { rule: rule.to_owned(), operation: creation.operation.to_owned(), explanation })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::WorkloadKind;
    use crate::strategy::creations;

    fn index(key: &str) -> IndexFact {
        IndexFact {
            name: key.to_owned(),
            key: format!("{key}: 1"),
            unique: true,
            sparse: false,
            ..IndexFact::default()
        }
    }

    fn rules(kind: WorkloadKind, strategy: &str, unique: bool) -> Vec<String> {
        let key = match kind {
            WorkloadKind::CreateOrGet | WorkloadKind::Thread => "participantsKey",
            WorkloadKind::Append => "sessionId",
            _ => "chatId",
        };
        let mut indexes = vec![index("_id")];
        if unique {
            indexes.push(index(key));
        }
        let findings = before_run(&creations(kind, strategy), &indexes);
        findings.into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn strategies_are_held_against_the_indexes() {
        use WorkloadKind::{Append, CreateOrGet, Merge, Thread};
        let cases: &[(WorkloadKind, &str, bool, &[&str])] = &[
            (CreateOrGet, "upsert", true, &[]),
            (CreateOrGet, "upsert-retry", true, &[]),
            (CreateOrGet, "upsert-retry", false, &["upsert-without-unique-index"]),
            (CreateOrGet, "upsert-fresh-id", true, &["upsert-not-retried"]),
            (CreateOrGet, "find-then-insert", true, &["insert-not-handled"]),
            (CreateOrGet, "find-then-insert", false, &["insert-without-unique-index"]),
            (CreateOrGet, "insert-first", true, &[]),
            (CreateOrGet, "lock-collection", true, &[]),
            (Append, "upsert-push", true, &[]),
            (Append, "upsert-push", false, &["upsert-without-unique-index"]),
            (Append, "path-in-filter", true, &["upsert-not-retried"]),
            (Append, "find-then-save", true, &["insert-not-handled"]),
            (Append, "save-retry", true, &[]),
            (Append, "unmatched-push", false, &[]),
            (Merge, "conditional-push", true, &[]),
            (Merge, "conditional-push-upsert", true, &["upsert-not-retried"]),
            (Merge, "upsert-swallowed", true, &[]),
            (Merge, "conditional-push", false, &["upsert-without-unique-index"]),
            (Thread, "keyed-upsert", true, &[]),
            (Thread, "find-then-insert", true, &["insert-not-handled"]),
            (Thread, "loser-silent", true, &[]),
        ];
        for (kind, strategy, unique, expected) in cases {
            assert_eq!(rules(*kind, strategy, *unique), *expected, "{} {strategy} {unique}", kind.as_str());
        }
    }

    #[test]
    fn without_the_index_every_strategy_that_creates_is_named() {
        for kind in [WorkloadKind::CreateOrGet, WorkloadKind::Append, WorkloadKind::Merge, WorkloadKind::Thread] {
            for strategy in crate::strategy::names(kind) {
                let silent = rules(kind, strategy, false).is_empty();
                // An `_id` in the filter is a unique index of its own, and what never creates leaves nothing open.
                let expected = matches!(*strategy, "unmatched-push" | "upsert-fresh-id");
                assert!(!silent || expected, "{} {strategy}", kind.as_str());
            }
        }
    }
}
