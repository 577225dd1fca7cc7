//! Collects violations while a checker runs: counts all, keeps the few best witnesses.
//!
//! The main type is [`Findings`]. It also holds the wording that explanations share.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use crate::history::{Id, Nanos, Observed, Operation};
use crate::verdict::{Invariant, InvariantResult, WITNESS_DOCUMENTS, Witness};

use super::facts::answered_at;

/// The violations that a checker found.
#[derive(Debug)]
pub(super) struct Findings {
    invariant: Invariant,
    /// How many things were checked.
    pub(super) checked: u64,
    violations: u64,
    /// Figures of the invariant.
    counts: BTreeMap<String, u64>,
    /// The best witnesses, the smallest and earliest first, equal ones in the order found.
    kept: Vec<(Rank, Witness)>,
}

/// Order of witnesses: fewer operations first, then the earlier proof.
type Rank = (usize, Nanos);

impl Findings {
    /// Nothing checked and nothing found yet.
    pub(super) fn new(invariant: Invariant) -> Self {
        Findings { invariant, checked: 0, violations: 0, counts: BTreeMap::new(), kept: Vec::new() }
    }

    /// Counts a violation, and keeps its witness if it is among the best. `explain` is called only then.
    pub(super) fn add<'a>(
        &mut self,
        key: &str,
        operations: &[&'a Operation],
        documents: &[&'a Observed],
        explain: impl FnOnce() -> String,
    ) {
        self.violations += 1;
        let proof = operations.iter().map(|operation| answered_at(operation)).max();
        let rank = (operations.len(), proof.unwrap_or_default());
        let full = self.kept.len() >= InvariantResult::MAX_WITNESSES;
        if full && self.kept.last().is_some_and(|(worst, _)| *worst <= rank) {
            return;
        }
        let at = self.kept.partition_point(|(other, _)| *other <= rank);
        self.kept.insert(at, (rank, witness(key, operations, documents, explain())));
        self.kept.truncate(InvariantResult::MAX_WITNESSES);
    }

    /// The result.
    pub(super) fn into_result(self) -> InvariantResult {
        let witnesses = self.kept.into_iter().map(|(_, witness)| witness).collect();
        let result = InvariantResult::new(self.invariant, self.checked, self.violations, witnesses);
        InvariantResult { counts: self.counts, ..result }
    }

    /// Adds to a figure of the invariant.
    pub(super) fn figure(&mut self, name: &str, more: u64) {
        *self.counts.entry(name.to_owned()).or_default() += more;
    }
}

/// A witness: the operations once each, in the order of their invocation.
fn witness(key: &str, operations: &[&Operation], documents: &[&Observed], explanation: String) -> Witness {
    let mut operations: Vec<&Operation> = operations.to_vec();
    operations.sort_by_key(|operation| (operation.invoked, operation.id));
    operations.dedup_by_key(|operation| operation.id);
    Witness {
        key: key.to_owned(),
        operations: operations.into_iter().cloned().collect(),
        documents: documents.iter().take(WITNESS_DOCUMENTS).map(|document| document.fields.clone()).collect(),
        explanation,
    }
}

/// A moment, as people read it: `1.204 ms` since the start of the run.
pub(super) fn ms(moment: Nanos) -> String {
    let micros = moment / 1000;
    format!("{}.{:03} ms", micros / 1000, micros % 1000)
}

/// An identifier, short enough for a sentence: its last six characters, which is where ObjectIds of one moment differ.
pub(super) fn short(id: &Id) -> String {
    const TAIL: usize = 6;
    let text = id.to_string();
    match text.char_indices().rev().nth(TAIL - 1) {
        Some((at, _)) if text.chars().count() > TAIL + 2 => format!("…{}", &text[at..]),
        _ => text,
    }
}

/// Two identifiers, short if that keeps them apart.
pub(super) fn short_pair(one: &Id, other: &Id) -> (String, String) {
    match (short(one), short(other)) {
        (left, right) if left == right && one != other => (one.to_string(), other.to_string()),
        pair => pair,
    }
}

/// `1 document`, `2 documents`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The words of a list: `a`, `a and b`, `a, b and c`.
pub(super) fn list<T: Borrow<str>>(words: &[T]) -> String {
    match words {
        [] => String::new(),
        [only] => only.borrow().to_owned(),
        [init @ .., last] => {
            let init: Vec<&str> = init.iter().map(Borrow::borrow).collect();
            format!("{} and {}", init.join(", "), last.borrow())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_identifiers_read_well() {
        assert_eq!(ms(1_204_999), "1.204 ms");
        assert_eq!(ms(0), "0.000 ms");
        let id = |text: &str| Id::parse(text);
        let (long, other) = (id("65a1b2c3d4e5f60718293a4b"), id("75a1b2c3d4e5f60718293a4b"));
        assert_eq!(short(&long), "…293a4b");
        assert_eq!(short(&id("chat-äöü")), "chat-äöü");
        assert_eq!(short(&id("chat-äöü-7")), "…-äöü-7");
        assert_eq!(short_pair(&long, &other), (long.to_string(), other.to_string()));
        assert_eq!(short_pair(&long, &long).0, "…293a4b");
    }

    #[test]
    fn lists_read_well() {
        for (words, text) in [(&[][..], ""), (&["a"], "a"), (&["a", "b"], "a and b"), (&["a", "b", "c"], "a, b and c")]
        {
            assert_eq!(list(words), text);
        }
        assert_eq!((count(1, "field"), count(2, "field")), ("1 field".to_owned(), "2 fields".to_owned()));
    }
}
