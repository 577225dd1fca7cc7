//! Rules on how documents come into being, held against the indexes: for the commands that `explore` sees, and for what is
//! known of a strategy before a run, and of an observed collection after it.
//!
//! The main functions are [`upsert`] and [`of_key`]. They neither ask a server nor read commands. *Soundness*: a finding is
//! a pattern that allows a defect, not a proof of one.

mod observed;
mod strategies;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use observed::{KeyFacts, ObservedKey, StoredKey, of_key};
pub use strategies::before_run;

/// One index, as the rules need to know it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IndexFact {
    /// Its name.
    pub name: String,
    /// Its key, as in `participantsKey: 1`.
    pub key: String,
    /// Whether it is unique.
    pub unique: bool,
    /// Whether it is sparse.
    pub sparse: bool,
    /// The filter of a partial index, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// So many seconds after the time in its field the server removes a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after_s: Option<u64>,
}

impl IndexFact {
    /// The field that it begins with.
    pub fn first_field(&self) -> Option<&str> {
        self.key.split_once(':').map(|(field, _)| field.trim())
    }

    /// Whether values of these fields determine what the index holds.
    pub fn is_covered_by(&self, pinned: &BTreeSet<&str>) -> bool {
        fields(self).is_subset(pinned)
    }
}

/// What commands or strategies say by themselves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LintFinding {
    /// `check-then-act`, `upsert-without-unique-index`, `upsert-not-retried`, `read-modify-write`; before a run also
    /// `insert-without-unique-index` and `insert-not-handled`.
    pub rule: String,
    /// The operation whose commands say it.
    pub operation: String,
    /// What is wrong and what to do.
    pub explanation: String,
}

impl std::fmt::Display for LintFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.rule, self.operation, self.explanation)
    }
}

/// What the rule needs to know of an upsert.
#[derive(Debug, Clone, Default)]
pub struct Upsert<'a> {
    /// Fields that its filter compares with one value.
    pub pinned: BTreeSet<&'a str>,
    /// Its filter has other conditions.
    pub other_conditions: bool,
    /// It changes all documents that match.
    pub multi: bool,
    /// It is in a transaction.
    pub in_transaction: bool,
}

/// What an upsert leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// No unique index covers its filter: two at once both insert.
    NoUniqueIndex,
    /// The server does not retry the one that lost, for this reason: E11000 reaches the service.
    NotRetried(&'static str),
}

impl Weakness {
    /// The name of the rule.
    pub fn rule(self) -> &'static str {
        match self {
            Weakness::NoUniqueIndex => "upsert-without-unique-index",
            Weakness::NotRetried(_) => "upsert-not-retried",
        }
    }

    /// What is wrong and what to do, of an upsert that is named so.
    pub fn explain(self, upsert: &str) -> String {
        match self {
            Weakness::NoUniqueIndex => format!(
                "{upsert}, and no unique index covers that: two of them inside the server at once find nothing and both \
                 insert. Create a unique index on the fields that identify the document."
            ),
            Weakness::NotRetried(reason) => format!(
                "{upsert}: when two insert at once the server does not retry the one that lost, because {reason}, so that \
                 E11000 reaches the service. Catch it and read or try again."
            ),
        }
    }
}

/// Holds an upsert against the indexes of its collection.
pub fn upsert(upsert: &Upsert<'_>, indexes: &[IndexFact]) -> Option<Weakness> {
    let pinned = &upsert.pinned;
    let by_id = pinned.contains("_id");
    let unique = || indexes.iter().filter(|index| index.unique);
    if !by_id && !unique().any(|index| index.is_covered_by(pinned)) {
        return Some(Weakness::NoUniqueIndex);
    }
    let exact = by_id && pinned.len() == 1 || unique().any(|index| fields(index) == *pinned);
    if upsert.multi {
        Some(Weakness::NotRetried("it changes several documents"))
    } else if upsert.in_transaction {
        Some(Weakness::NotRetried("it is in a transaction"))
    } else if upsert.other_conditions {
        Some(Weakness::NotRetried("its filter is not made of equalities alone"))
    } else if !exact {
        Some(Weakness::NotRetried("the fields of its filter are not those of the index"))
    } else {
        None
    }
}

/// Fields of an index.
fn fields(index: &IndexFact) -> BTreeSet<&str> {
    index.key.split(", ").filter_map(|part| part.split_once(':')).map(|(field, _)| field.trim()).collect()
}
