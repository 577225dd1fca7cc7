//! The words that a judgement is written in: verdict, invariant, witness.
//!
//! Scenarios state expectations in them, checkers answer in them, reports print them. There is no judging here.

mod exit;
mod expression;
mod invariant;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use exit::ExitStatus;
pub use expression::{Expression, ExpressionMistake};
pub use invariant::{Invariant, UnknownInvariant};

/// What is known of an invariant. Ordered so that the worse wins when verdicts combine by maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Something was checked, and all of it is as it must be.
    Holds,
    /// Nothing, or too little, was checked.
    Inconclusive,
    /// A witness proves the violation.
    Violated,
}

impl Verdict {
    /// The verdict of several: violated, then inconclusive, then holds; of none at all, inconclusive.
    pub fn combine(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
        verdicts.into_iter().max().unwrap_or(Verdict::Inconclusive)
    }

    /// The word in files and on the terminal.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Violated => "violated",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The judgement of one invariant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InvariantResult {
    /// The invariant.
    pub name: Invariant,
    /// What is known of it.
    pub verdict: Verdict,
    /// How many things were checked: keys, documents, answers or messages, as the checker's header says. A result that
    /// holds with nothing checked cannot be built: see [`InvariantResult::new`].
    pub checked: u64,
    /// How many of them are violated.
    pub violations: u64,
    /// Why the verdict is inconclusive, or what a holding verdict does not cover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Figures of this invariant by name, such as how many messages there are and how many of them are duplicates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// Proofs, the smallest and earliest first; at most [`InvariantResult::MAX_WITNESSES`].
    pub witnesses: Vec<Witness>,
}

impl InvariantResult {
    /// Witnesses kept per invariant; violations beyond are counted only.
    pub const MAX_WITNESSES: usize = 5;

    /// The result of a checker that ran to its end: violated if it has a violation, inconclusive if it checked nothing.
    pub fn new(name: Invariant, checked: u64, violations: u64, mut witnesses: Vec<Witness>) -> Self {
        witnesses.truncate(Self::MAX_WITNESSES);
        let verdict = match (violations, checked) {
            (1.., _) => Verdict::Violated,
            (0, 0) => Verdict::Inconclusive,
            (0, 1..) => Verdict::Holds,
        };
        let reason = (verdict == Verdict::Inconclusive).then(|| "nothing was checked".to_owned());
        InvariantResult { name, verdict, checked, violations, reason, counts: BTreeMap::new(), witnesses }
    }

    /// The result of a checker that cannot tell.
    pub fn inconclusive(name: Invariant, reason: impl Into<String>) -> Self {
        InvariantResult {
            name,
            verdict: Verdict::Inconclusive,
            checked: 0,
            violations: 0,
            reason: Some(reason.into()),
            counts: BTreeMap::new(),
            witnesses: Vec::new(),
        }
    }

    /// Turns a verdict that holds into an inconclusive one, for this reason. A violation stays one.
    pub fn weaken(mut self, reason: impl Into<String>) -> Self {
        if self.verdict == Verdict::Holds {
            self.verdict = Verdict::Inconclusive;
            self.reason = Some(reason.into());
        }
        self
    }

    /// What is left of the result after something went wrong in judging: a violation stays one and carries the reason,
    /// anything else is inconclusive for it.
    pub fn doubt(mut self, reason: impl Into<String>) -> Self {
        self.verdict = self.verdict.max(Verdict::Inconclusive);
        self.reason = Some(reason.into());
        self
    }

    /// Has a result that holds say what it does not cover.
    pub fn note(mut self, reason: impl Into<String>) -> Self {
        if self.verdict == Verdict::Holds {
            self.reason = Some(reason.into());
        }
        self
    }
}

/// Documents of one witness at most; its explanation tells how many there are.
pub const WITNESS_DOCUMENTS: usize = 10;

/// The few operations and documents that prove a violation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Witness {
    /// The logical key.
    pub key: String,
    /// The operations, in the order of their invocation: the fewest that prove it.
    pub operations: Vec<crate::history::Operation>,
    /// The documents found.
    pub documents: Vec<serde_json::Value>,
    /// Why this is impossible in a correct system, in one or two sentences.
    pub explanation: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_verdict_wins_and_none_is_inconclusive() {
        use Verdict::{Holds, Inconclusive, Violated};
        assert_eq!(Verdict::combine([Holds, Violated, Inconclusive]), Violated);
        assert_eq!(Verdict::combine([Holds, Inconclusive]), Inconclusive);
        assert_eq!(Verdict::combine([Holds, Holds]), Holds);
        assert_eq!(Verdict::combine([]), Inconclusive);
    }

    #[test]
    fn nothing_checked_never_holds() {
        let result = InvariantResult::new(Invariant::SingleDocument, 0, 0, Vec::new());
        assert_eq!(result.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn weakening_never_hides_a_violation() {
        let result = InvariantResult::new(Invariant::SingleDocument, 3, 1, Vec::new()).weaken("too few");
        assert_eq!(result.verdict, Verdict::Violated);
        let result = InvariantResult::new(Invariant::SingleDocument, 3, 0, Vec::new()).weaken("too few");
        assert_eq!(result.verdict, Verdict::Inconclusive);
    }
}
