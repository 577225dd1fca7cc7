//! Collects violations while a checker runs: counts all, keeps the few best witnesses.
//!
//! The main type is [`Findings`]. It also holds the wording that explanations share.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::{Id, Nanos, Observed, Operation};
use crate::verdict::{Invariant, InvariantResult, WITNESS_DOCUMENTS, Witness};

use super::facts::answered_at;
use super::{Budget, Evidence, KeyEvidence};

/// What a checker found. Findings on some keys and on others of one run can be joined: what follows from all of them, such as that
/// nothing was checked, is said when they are concluded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    invariant: Invariant,
    /// How many things were checked.
    pub(super) checked: u64,
    violations: u64,
    /// Figures of the invariant.
    counts: BTreeMap<String, u64>,
    /// Sums that the conclusion needs and that are no figures.
    sums: BTreeMap<String, u64>,
    /// The largest of something that the conclusion needs.
    most: u64,
    /// What is said of the last key of some kind, and where that stands among all.
    remark: Option<(u64, String)>,
    /// The best witnesses, the smallest and earliest first, equal ones in the order found.
    kept: Vec<Kept>,
    /// The budget ran out.
    exhausted: bool,
    /// What went wrong in judging, and where the key stands on which it did first.
    doubt: Option<(u64, String)>,
}

/// A witness and what it is ordered by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    rank: Rank,
    /// Where its key stands among all keys of the run; known once findings are to be joined.
    place: u64,
    witness: Witness,
}

/// The place of what belongs to several keys.
const AFTER_ALL_KEYS: u64 = u64::MAX;

/// Order of witnesses: fewer operations first, then the earlier proof.
type Rank = (usize, Nanos);

impl Findings {
    /// Nothing checked and nothing found yet.
    pub(super) fn new(invariant: Invariant) -> Self {
        Findings {
            invariant,
            checked: 0,
            violations: 0,
            counts: BTreeMap::new(),
            sums: BTreeMap::new(),
            most: 0,
            remark: None,
            kept: Vec::new(),
            exhausted: false,
            doubt: None,
        }
    }

    /// Counts a violation, and keeps its witness if it is among the best. `explain` is called only then.
    pub(super) fn add<'a>(
        &mut self,
        key: &str,
        operations: &[&'a Operation],
        documents: &[&'a Observed],
        explain: impl FnOnce() -> String,
    ) {
        self.add_at(0, key, operations, documents, explain);
    }

    fn add_at(
        &mut self,
        place: u64,
        key: &str,
        operations: &[&Operation],
        documents: &[&Observed],
        explain: impl FnOnce() -> String,
    ) {
        self.violations += 1;
        let proof = operations.iter().map(|operation| answered_at(operation)).max();
        let rank = (operations.len(), proof.unwrap_or_default());
        let full = self.kept.len() >= InvariantResult::MAX_WITNESSES;
        if full && self.kept.last().is_some_and(|worst| worst.rank <= rank) {
            return;
        }
        let at = self.kept.partition_point(|other| other.rank <= rank);
        let witness = witness(key, operations, documents, explain());
        self.kept.insert(at, Kept { rank, place, witness });
        self.kept.truncate(InvariantResult::MAX_WITNESSES);
    }

    /// The result, if nothing else is to be said.
    pub(super) fn into_result(self) -> InvariantResult {
        self.into_result_with(|result| result)
    }

    /// The result with what is to be said of it; that the budget ran out or that something went wrong goes before.
    pub(super) fn into_result_with(self, say: impl FnOnce(InvariantResult) -> InvariantResult) -> InvariantResult {
        let witnesses = self.kept.into_iter().map(|kept| kept.witness).collect();
        let result = InvariantResult::new(self.invariant, self.checked, self.violations, witnesses);
        let result = InvariantResult { counts: self.counts, ..result };
        if self.exhausted {
            return Budget::exhausted(result);
        }
        match self.doubt {
            Some((_, reason)) => say(result).doubt(reason),
            None => say(result),
        }
    }

    /// These findings, of a checker whose budget ran out.
    pub(super) fn exhausted(self) -> Self {
        Findings { exhausted: true, ..self }
    }

    /// Whether the budget ran out.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Notes that something went wrong in judging a key; the first such thing is told.
    pub(super) fn doubt(&mut self, key: &KeyEvidence<'_>, why: impl FnOnce() -> String) {
        self.doubt.get_or_insert_with(|| (key.place(), why()));
    }

    /// Adds to a sum that the conclusion needs.
    pub(super) fn sum(&mut self, name: &str, more: u64) {
        *self.sums.entry(name.to_owned()).or_default() += more;
    }

    /// The rest of the names of sums that begin so.
    pub(super) fn sums_of<'s>(&'s self, beginning: &'s str) -> impl Iterator<Item = &'s str> {
        self.sums.keys().filter_map(move |name| name.strip_prefix(beginning))
    }

    /// A sum that was added to.
    pub(super) fn summed(&self, name: &str) -> u64 {
        self.sums.get(name).copied().unwrap_or_default()
    }

    /// Notes a number of which the conclusion needs the largest.
    pub(super) fn reach(&mut self, number: u64) {
        self.most = self.most.max(number);
    }

    /// The largest number that was noted.
    pub(super) fn reached(&self) -> u64 {
        self.most
    }

    /// Notes something of a key; of all keys the last one's is told.
    pub(super) fn remark(&mut self, key: &KeyEvidence<'_>, text: impl FnOnce() -> String) {
        self.remark = Some((key.place(), text()));
    }

    /// What was noted last.
    pub(super) fn last_remark(&self) -> Option<&str> {
        self.remark.as_ref().map(|(_, text)| text.as_str())
    }

    /// Keys of which witnesses are kept.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(|kept| kept.witness.key.as_str())
    }

    /// These findings with the place of each witness among all keys of the run, so that they can be joined with others.
    pub(super) fn placed(mut self, evidence: &Evidence<'_>) -> Self {
        for kept in self.kept.iter_mut().filter(|kept| kept.place != AFTER_ALL_KEYS) {
            kept.place = evidence.place_of(&kept.witness.key);
        }
        self
    }

    /// Counts a violation of several keys together, which is found after those of single keys, whatever it is called.
    pub(super) fn add_after_all_keys(
        &mut self,
        name: &str,
        operations: &[&Operation],
        documents: &[&Observed],
        explain: impl FnOnce() -> String,
    ) {
        self.add_at(AFTER_ALL_KEYS, name, operations, documents, explain);
    }

    /// Joins the findings on other keys of the same run.
    pub(super) fn join(&mut self, other: Findings) {
        self.checked += other.checked;
        self.violations += other.violations;
        for (name, more) in other.counts {
            *self.counts.entry(name).or_default() += more;
        }
        for (name, more) in other.sums {
            *self.sums.entry(name).or_default() += more;
        }
        self.most = self.most.max(other.most);
        self.remark = self.remark.take().max(other.remark);
        self.exhausted |= other.exhausted;
        self.doubt = self.doubt.take().into_iter().chain(other.doubt).min();
        self.kept.extend(other.kept);
        // Those of one key come from one part, where they are in the order found.
        self.kept.sort_by_key(|kept| (kept.rank, kept.place));
        self.kept.truncate(InvariantResult::MAX_WITNESSES);
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
