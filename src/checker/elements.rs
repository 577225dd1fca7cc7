//! Elements: what an acknowledged operation must have left in its key, such as a tag in a list, a vote, a row of another
//! collection.
//!
//! - Property, by rule, of each text that operations leave. *Lost*: it is there as often as operations that leave it were
//!   acknowledged. *Duplicate*: it is not there more often than operations may have left it. *Phantom*: some operation of
//!   the key may have left it at all. Of a set, once is enough and once is all, however many operations leave it. *Order*:
//!   where one operation was answered before another was sent, its element stands first.
//! - Assumptions: elements are not removed; the final state was read after every answer; what an operation leaves follows
//!   from its request. An element of another form than operations leave is the service's own, and only counted.
//! - Soundness: a claim rests on answers and on elements that were read. An unknown operation may have left its element,
//!   once, or not; a refused one may not. In a history that lacks operations nothing is called a phantom or a duplicate.
//!   Where all lists that are too short end at one length, nothing is lost for certain: it may be one page of what there is,
//!   or all that is to be kept. Serially these are those of the first operations, or of the last.
//! - Completeness: exact. If no element that an operation leaves is found on any key, nothing is concluded: then the scenario
//!   is more likely to be wrong.
//! - Cost: one pass over operations and elements, one look-up per element.
//!
//! Checked: acknowledged operations for *lost*, elements found for the others. Violations: texts; for *order*, elements.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::history::{ElementCount, Elements, KeyElements, OpId, Operation, Outcome};
use crate::verdict::{Invariant, InvariantResult, Verdict};

use super::facts::{answered_at, told};
use super::findings::{Findings, count, ms};
use super::{Budget, Checker, Evidence, KeyEvidence, elsewhere, final_state};

/// Most operations that a witness shows.
const MOST_SHOWN: usize = 4;

/// What is judged of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementRule {
    /// [`Invariant::NoLostElements`].
    Lost,
    /// [`Invariant::NoDuplicateElements`].
    Duplicate,
    /// [`Invariant::NoPhantomElements`].
    Phantom,
    /// [`Invariant::ElementOrder`].
    Order,
}

/// Elements that were found, those of which operations are known, and whether anybody was answered well.
const FOUND: &str = "found";
const KNOWN: &str = "known";
const ANSWERED: &str = "answered";
/// Of keys on which something is missing: how many there are, how long their lists are in all, and the squares of these.
const SHORT: [&str; 3] = ["short", "short_length", "short_squares"];
/// Of keys of the serial control: so many acknowledged operations, and so many elements found.
const SERIALLY: &str = "serially ";
/// Lists of one length that are taken for pages where the serial control does not tell: so long, on so many keys.
const PAGE: u64 = 3;
const KEYS_OF_PAGES: u64 = 4;

/// Judges one rule of elements.
#[derive(Debug, Clone, Copy)]
pub struct OfElements(pub ElementRule);

impl Checker for OfElements {
    fn invariant(&self) -> Invariant {
        match self.0 {
            ElementRule::Lost => Invariant::NoLostElements,
            ElementRule::Duplicate => Invariant::NoDuplicateElements,
            ElementRule::Phantom => Invariant::NoPhantomElements,
            ElementRule::Order => Invariant::ElementOrder,
        }
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let mut findings = Findings::new(self.invariant());
        let Some(elements) = evidence.effects().and_then(|effects| effects.elements.as_ref()) else {
            return findings;
        };
        let none = KeyElements::default();
        let (mut found, mut known) = (0, 0);
        for key in evidence.keys().filter(|key| key.operations().len() > 0) {
            let of_key = elements.keys.get(key.key).unwrap_or(&none);
            let lists = of_key.length();
            if !budget.take(1 + key.operations().len() as u64 + lists) {
                return findings.exhausted();
            }
            let left = Left::of(&key, of_key);
            found += lists;
            known +=
                left.by_text.values().map(|text| u64::from(text.operations() > 0) * u64::from(text.found)).sum::<u64>();
            let judged = Judged { key: key.key, elements, of_key, left: &left, partial: evidence.partial() };
            match self.0 {
                ElementRule::Lost => {
                    match evidence.vanished().filter(|_| left.is_short(elements.count)) {
                        Some(seen) => findings.doubt(&key, || elsewhere::vanished(seen)),
                        None => judged.lost(&mut findings),
                    }
                    findings.reach(lists);
                    if left.is_short(elements.count) {
                        SHORT.iter().zip([1, lists, lists * lists]).for_each(|(name, more)| findings.sum(name, more));
                    }
                }
                ElementRule::Duplicate => judged.duplicate(&mut findings),
                ElementRule::Phantom => judged.phantom(&mut findings),
                ElementRule::Order => judged.order(&mut findings),
            }
        }
        if self.0 == ElementRule::Lost && evidence.is_first_part() {
            serially(evidence, elements, &mut findings);
        }
        findings.sum(FOUND, found);
        findings.sum(KNOWN, known);
        let is_ok = |operation: &Operation| matches!(told(operation), Outcome::Ok(_));
        findings.sum(ANSWERED, u64::from(known == 0 && evidence.operations().any(is_ok)));
        findings
    }

    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        if evidence.effects().is_none_or(|effects| effects.elements.is_none()) {
            return final_state::missing(self.invariant());
        }
        let found = findings.summed(FOUND);
        if findings.summed(KNOWN) == 0 && findings.summed(ANSWERED) > 0 {
            let why = match found {
                0 => "no element was found on any key: see where they are looked for (`in`, and the key's field)"
                    .to_owned(),
                _ => format!(
                    "{} were found, and no operation of their key leaves any of them: see `is`",
                    count(usize::try_from(found).unwrap_or(usize::MAX), "element")
                ),
            };
            return InvariantResult::inconclusive(self.invariant(), why);
        }
        let ends_at = (self.0 == ElementRule::Lost).then(|| page(&findings)).flatten();
        let result = final_state::weaken_effects(evidence, findings.into_result());
        match ends_at.filter(|_| result.verdict == Verdict::Violated) {
            None => result,
            Some(length) => InvariantResult::inconclusive(
                self.invariant(),
                format!(
                    "no key has more than {length} elements, and every key that should has exactly {length}: is it one page of a list, \
                     or are no more kept? Read all of them (`observe.mongo`, or a larger page), or have fewer operations on a key"
                ),
            ),
        }
    }
}

/// Notes of each key of the serial control how many operations were acknowledged, and how many elements were found: those of the
/// first of them or of the last, as on a page or where no more are kept. Others are lost.
fn serially(evidence: &Evidence<'_>, elements: &Elements, findings: &mut Findings) {
    let mut acknowledged: FxHashMap<&str, FxHashSet<OpId>> = FxHashMap::default();
    for operation in evidence.control().iter().filter(|operation| matches!(told(operation), Outcome::Ok(_))) {
        acknowledged.entry(&*operation.key).or_default().insert(operation.id);
    }
    let none = KeyElements::default();
    for (key, acknowledged) in acknowledged {
        let KeyElements { found, left } = elements.keys.get(key).unwrap_or(&none);
        let is_there = |text: &Arc<str>| found.iter().flatten().any(|one| one == text);
        let left = left.iter().filter(|(op, _)| acknowledged.contains(op));
        let there: Vec<bool> = left.map(|(_, text)| is_there(text)).collect();
        // From the first or to the last: between those that are there and those that are not there is one border at most.
        let borders = there.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let found = if borders > 1 { 0 } else { found.iter().map(|list| list.len() as u64).sum() };
        // Who stores nothing more when something is there already loses the later ones as well.
        if found < PAGE && borders == 1 && there.first() == Some(&true) {
            continue;
        }
        findings.sum(&format!("{SERIALLY}{} {found}", acknowledged.len()), 1);
    }
}

/// The length at which the list of every key ends on which something is missing, where that is more likely a page, or all that is
/// kept, than what a race has left: lists of the serial control end there, too, or many do.
fn page(findings: &Findings) -> Option<u64> {
    let [keys, lengths, squares] = SHORT.map(|name| findings.summed(name));
    let length = lengths.checked_div(keys)?;
    if !are_equal(keys, lengths, squares) || findings.reached() != length || length < 2 {
        return None;
    }
    let serially = findings.sums_of(SERIALLY).filter_map(|of_key| {
        let (acknowledged, found) = of_key.split_once(' ')?;
        Some((acknowledged.parse::<u64>().ok()?, found.parse::<u64>().ok()?))
    });
    let lists = serially.filter(|(acknowledged, _)| *acknowledged > length);
    let mut lists = lists.map(|(_, found)| found).peekable();
    match lists.peek() {
        Some(_) => lists.all(|found| found == length).then_some(length),
        None => (length >= PAGE && keys >= KEYS_OF_PAGES).then_some(length),
    }
}

/// Whether so many numbers, of which these are the sum and the sum of the squares, are all equal: then their variance is 0.
pub(super) fn are_equal(count: u64, sum: u64, squares: u64) -> bool {
    u128::from(count) * u128::from(squares) == u128::from(sum) * u128::from(sum)
}

/// One text: who leaves it, and how often it is there.
#[derive(Debug, Default)]
struct Text<'a> {
    acknowledged: u32,
    unknown: u32,
    refused: u32,
    found: u32,
    /// Who leaves it; the acknowledged ones first.
    by: Vec<&'a Operation>,
}

impl Text<'_> {
    fn operations(&self) -> u32 {
        self.acknowledged + self.unknown + self.refused
    }

    /// How often it must be there.
    fn least(&self, rule: ElementCount) -> u32 {
        match rule {
            ElementCount::ExactlyOnce | ElementCount::AtLeastOnce => self.acknowledged,
            ElementCount::Set => self.acknowledged.min(1),
            ElementCount::AtMostOnce => 0,
        }
    }

    /// How often it may be there; `None` is as often as it likes.
    fn most(&self, rule: ElementCount) -> Option<u32> {
        match rule {
            ElementCount::ExactlyOnce | ElementCount::AtMostOnce => Some(self.acknowledged + self.unknown),
            ElementCount::Set => Some((self.acknowledged + self.unknown).min(1)),
            ElementCount::AtLeastOnce => None,
        }
    }

    fn shown<'o>(&self, others: impl Iterator<Item = &'o Operation>) -> Vec<&'o Operation>
    where
        Self: 'o,
    {
        others.take(MOST_SHOWN).collect()
    }
}

/// The texts of one key.
struct Left<'a> {
    by_text: FxHashMap<&'a str, Text<'a>>,
}

impl<'a> Left<'a> {
    fn of(key: &KeyEvidence<'a>, of_key: &'a KeyElements) -> Self {
        let mut by_text: FxHashMap<&str, Text<'a>> = FxHashMap::default();
        let mut left = of_key.left.iter().peekable();
        for operation in key.operations() {
            // Both are ordered by operation.
            while left.next_if(|(op, _)| *op < operation.id).is_some() {}
            let Some((_, text)) = left.next_if(|(op, _)| *op == operation.id) else { continue };
            let text = by_text.entry(text).or_default();
            match told(operation) {
                Outcome::Ok(_) => text.acknowledged += 1,
                Outcome::Unknown(_) => text.unknown += 1,
                Outcome::Failed(_) => text.refused += 1,
            }
            text.by.push(operation);
        }
        for element in of_key.found.iter().flatten() {
            by_text.entry(element).or_default().found += 1;
        }
        Left { by_text }
    }

    /// Whether something is missing.
    fn is_short(&self, rule: ElementCount) -> bool {
        self.by_text.values().any(|text| text.found < text.least(rule))
    }

    /// The texts in a fixed order: witnesses must not depend on hashing.
    fn sorted(&self, wanted: impl Fn(&Text<'a>) -> bool) -> Vec<(&'a str, &Text<'a>)> {
        let mut texts: Vec<(&str, &Text<'a>)> =
            self.by_text.iter().filter(|(_, text)| wanted(text)).map(|(name, text)| (*name, text)).collect();
        texts.sort_unstable_by_key(|(name, text)| (text.by.first().map(|operation| operation.id), *name));
        texts
    }
}

/// One key, under judgement.
struct Judged<'a> {
    key: &'a str,
    elements: &'a Elements,
    of_key: &'a KeyElements,
    left: &'a Left<'a>,
    partial: bool,
}

impl Judged<'_> {
    fn lost(&self, findings: &mut Findings) {
        findings.checked += self.left.by_text.values().map(|text| u64::from(text.acknowledged)).sum::<u64>();
        let rule = self.elements.count;
        for (name, text) in self.left.sorted(|text| text.found < text.least(rule)) {
            let due = text.by.iter().copied().filter(|operation| matches!(told(operation), Outcome::Ok(_)));
            let shown = text.shown(due);
            findings.add(self.key, &shown, &[], || {
                let who = shown.first().map_or_else(String::new, |operation| {
                    format!("{} was acknowledged at {}", operation.id, ms(answered_at(operation)))
                });
                match (text.found, text.least(rule)) {
                    (0, _) => format!("{who}, but what it leaves, `{name}`, is not there in the end; what was acknowledged must stay"),
                    (found, least) => format!(
                        "{who}, as were others that leave `{name}`: it must be there {least} times and is there {found} times"
                    ),
                }
            });
        }
    }

    fn duplicate(&self, findings: &mut Findings) {
        let rule = self.elements.count;
        findings.checked += self.left.by_text.values().map(|text| u64::from(text.found)).sum::<u64>();
        let too_often = |text: &Text<'_>| {
            text.acknowledged + text.unknown > 0 && text.most(rule).is_some_and(|most| text.found > most)
        };
        if self.partial {
            return;
        }
        for (name, text) in self.left.sorted(too_often) {
            let may = text.by.iter().copied().filter(|operation| !matches!(told(operation), Outcome::Failed(_)));
            findings.add(self.key, &text.shown(may), &[], || {
                let most = text.most(rule).unwrap_or_default();
                format!("`{name}` is there {} times, and may be there {most} times at most", text.found)
            });
        }
    }

    fn phantom(&self, findings: &mut Findings) {
        let mut foreign = 0;
        let nobodys = |text: &Text<'_>| text.found > 0 && text.acknowledged + text.unknown == 0;
        findings.checked += self.left.by_text.values().map(|text| u64::from(text.found)).sum::<u64>();
        for (name, text) in self.left.sorted(nobodys) {
            if text.refused > 0 {
                findings.add(self.key, &text.shown(text.by.iter().copied()), &[], || {
                    format!(
                        "`{name}` is there, though whoever leaves it was refused; what was refused must have no effect"
                    )
                });
            } else if !self.elements.has_form(name) {
                foreign += u64::from(text.found);
            } else if !self.partial {
                findings.add(self.key, &[], &[], || {
                    let elsewhere = self.elements.keys.iter().find_map(|(key, other)| {
                        let (op, _) = other.left.iter().find(|(_, text)| **text == *name)?;
                        Some(format!("{op} leaves it, on the key `{key}`"))
                    });
                    let why = elsewhere.unwrap_or_else(|| "no operation of the run leaves it".to_owned());
                    format!("`{name}` is there, but {why}")
                });
            }
        }
        if foreign > 0 {
            findings.figure("elements of another form", foreign);
        }
    }

    /// Elements in the order of their first places: none may stand before one whose operation had been answered when its
    /// own was sent.
    fn order(&self, findings: &mut Findings) {
        for list in &self.of_key.found {
            // The operation that was sent last of those that stand earlier.
            let mut latest: Option<&Operation> = None;
            let mut seen = rustc_hash::FxHashSet::default();
            for name in list {
                let Some([operation]) = self.left.by_text.get(&**name).map(|text| text.by.as_slice()) else { continue };
                if !seen.insert(operation.id) {
                    continue;
                }
                findings.checked += 1;
                if let Some(earlier) = latest.filter(|earlier| operation.returned() < earlier.invoked) {
                    findings.add(self.key, &[operation, earlier], &[], || {
                        format!(
                            "{} was answered at {}, before {} was sent at {}, yet `{name}` stands after what {} left",
                            operation.id,
                            ms(operation.completed),
                            earlier.id,
                            ms(earlier.invoked),
                            earlier.id
                        )
                    });
                }
                if latest.is_none_or(|latest| latest.invoked < operation.invoked) {
                    latest = Some(operation);
                }
            }
        }
    }
}
