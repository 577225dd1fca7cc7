//! The user's own rules about numbers: values per key that follow from what was done, quotas, sequence numbers.
//!
//! - Property, by rule. *Bounds*: the value that the aggregation gave for a key lies between two expressions over what was
//!   acknowledged, refused and left unknown on that key. *At most*: no more operations are acknowledged on a key than that.
//!   *Distinct*: the numbers that answers, or an aggregation, name are all different, and none is left out in between.
//! - Assumptions: the aggregation gives one value per key, and was carried out after every answer; a key without a value has
//!   the value 0, once any key has one. An acknowledged operation that was sent several times may have happened as often.
//! - Soundness: a claim rests on answers and on values that were read. Fractions are compared up to what adding them up rounds. Where several values of one key were found, it is
//!   accused only if each of them and their sum are outside. A missing number is claimed only if no operation is left that
//!   may have taken it. An upper bound is not claimed of a history that lacks operations.
//! - Completeness: exact for the counts; *distinct* says nothing of numbers before the first and after the last.
//! - Cost: one pass over the operations, one look-up per key; sorting for *distinct*.
//!
//! Checked: keys with operations; for *distinct*, numbers. Violations: keys, or numbers, that are wrong.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value as Json;

use crate::history::{Appended, Effects, NumberRule, Numbers, Operation, Outcome, Value};
use crate::verdict::{Expression, Invariant, InvariantResult};

use super::facts::told;
use super::findings::{Findings, count};
use super::key_counts::Counts;
use super::{Budget, Checker, Evidence, KeyEvidence, elsewhere, final_state};

/// The part of a sum of binary fractions that is taken for rounded: a million additions lose less.
const ROUNDED: f64 = 1e-9;
/// Most operations that a witness shows.
const MOST_SHOWN: usize = 4;

/// Judges one rule of the effects.
#[derive(Debug, Clone)]
pub struct KeyNumbers {
    effects: Arc<Effects>,
    at: usize,
}

impl KeyNumbers {
    /// The rule of this name, if the effects have it.
    pub fn of(effects: &Arc<Effects>, name: &str) -> Option<Self> {
        let at = effects.numbers.iter().position(|numbers| &*numbers.name == name)?;
        Some(KeyNumbers { effects: Arc::clone(effects), at })
    }
}

impl Checker for KeyNumbers {
    fn invariant(&self) -> Invariant {
        Invariant::Custom(Arc::clone(&self.effects.numbers[self.at].name))
    }

    fn look(&self, evidence: &Evidence<'_>, budget: &mut Budget) -> Findings {
        let numbers = &self.effects.numbers[self.at];
        let findings = Findings::new(self.invariant());
        if numbers.error.is_some() {
            return findings;
        }
        if !budget.take(1 + evidence.operations().len() as u64) {
            return findings.exhausted();
        }
        match &numbers.rule {
            NumberRule::Bounds { min, max } => bounds(numbers, [min.as_deref(), max.as_deref()], evidence, findings),
            NumberRule::AtMost(most) => at_most(numbers, *most, evidence, findings),
            NumberRule::Distinct { gaps } => distinct(numbers, *gaps, evidence, findings),
        }
    }

    fn conclude(&self, evidence: &Evidence<'_>, findings: Findings) -> InvariantResult {
        let numbers = &self.effects.numbers[self.at];
        if let Some(error) = &numbers.error {
            return InvariantResult::inconclusive(self.invariant(), error.as_str());
        }
        let result = match &numbers.rule {
            NumberRule::Bounds { min, max } => within_bounds(numbers, [min.as_deref(), max.as_deref()], findings),
            NumberRule::AtMost(most) => limited(*most, findings),
            NumberRule::Distinct { .. } => told_apart(numbers, findings),
        };
        // Answers do not move any more; what was read from the database may.
        if numbers.found.is_some() { final_state::weaken_effects(evidence, result) } else { result }
    }
}

/// Keys that have a value, and those of which nothing can be said.
const VALUED: &str = "valued";
const UNDECIDED: &str = "undecided";

fn is_meant(numbers: &Numbers, operation: &Operation) -> bool {
    numbers.operations.is_empty() || numbers.operations.iter().any(|name| **name == *operation.action.name())
}

/// The value of each key lies between two expressions.
fn bounds(numbers: &Numbers, written: [Option<&str>; 2], evidence: &Evidence<'_>, mut findings: Findings) -> Findings {
    let [min, max] = written.map(|text| text.map(Expression::parse).transpose());
    let (Ok(min), Ok(max), Some(found)) = (min, max, &numbers.found) else { return findings };
    let (mut valued, mut undecided) = (false, 0_u64);
    for key in evidence.keys().filter(|key| key.operations().len() > 0) {
        let counts = Counts::of(key.operations());
        let limit = |bound: &Option<Expression>| bound.as_ref().map(|bound| bound.value(&|name| counts.get(name)));
        let (least, most) = (limit(&min), limit(&max).filter(|_| !evidence.partial()));
        let values = found.get(key.key).map_or(&[][..], Vec::as_slice);
        valued |= !values.is_empty();
        let read: Option<Vec<f64>> = values.iter().map(number).collect();
        let outside = |value: f64| {
            least.is_some_and(|least| is_below(value, least)) || most.is_some_and(|most| is_below(most, value))
        };
        let finite = [least, most].into_iter().flatten().all(f64::is_finite);
        let Some(read) = read.filter(|_| finite) else {
            undecided += 1;
            continue;
        };
        findings.checked += 1;
        let sum: f64 = read.iter().sum();
        let too_little = least.is_some_and(|least| is_below(sum, least));
        if let Some(seen) = evidence.vanished().filter(|_| too_little) {
            findings.doubt(&key, || elsewhere::vanished(seen));
        } else if outside(sum) && read.iter().all(|value| outside(*value)) {
            let shown = shown(&key, numbers);
            findings.add(key.key, &shown, &[], || explain(&read, sum, [(least, &min), (most, &max)], &counts));
        } else if read.len() > 1 {
            undecided += 1;
        }
    }
    findings.sum(VALUED, u64::from(valued));
    findings.sum(UNDECIDED, undecided);
    findings
}

/// What follows from the values of all keys.
fn within_bounds(numbers: &Numbers, written: [Option<&str>; 2], findings: Findings) -> InvariantResult {
    let name = || Invariant::Custom(Arc::clone(&numbers.name));
    if written.into_iter().flatten().any(|text| Expression::parse(text).is_err()) {
        return InvariantResult::inconclusive(name(), "harness error: a bound cannot be read");
    }
    if numbers.found.is_none() {
        return InvariantResult::inconclusive(name(), "the aggregation was not carried out");
    }
    let (valued, undecided) = (findings.summed(VALUED) > 0, findings.summed(UNDECIDED));
    let result = findings.into_result();
    if !valued && result.checked > 0 {
        let why = "the aggregation names no key of the run: it must give one document per key, with the key as text (as \
                   `_id`, for instance) and one number; see the collection and the fields";
        return InvariantResult::inconclusive(name(), why);
    }
    match undecided {
        0 => result,
        _ => result.weaken(format!("{}: group them", several(undecided))),
    }
}

fn several(keys: u64) -> String {
    format!("for {} the aggregation did not give one number", count(usize::try_from(keys).unwrap_or(usize::MAX), "key"))
}

/// A number, also as MongoDB's extended JSON has it.
fn number(value: &Json) -> Option<f64> {
    match value {
        Json::Number(number) => number.as_f64(),
        Json::Object(object) => {
            let (name, text) = object.iter().next()?;
            let known = ["$numberLong", "$numberInt", "$numberDouble", "$numberDecimal"].contains(&name.as_str());
            text.as_str().filter(|_| known)?.parse().ok()
        }
        _ => None,
    }
}

/// Whether one number is smaller than another. Where one of them is no whole number, by more than what adding up binary fractions
/// may have rounded: eight times 0.1 are not quite 0.8.
fn is_below(one: f64, other: f64) -> bool {
    let rounded = one.fract() != 0.0 || other.fract() != 0.0;
    let slack = if rounded { one.abs().max(other.abs()) * ROUNDED } else { 0.0 };
    one < other - slack
}

/// Some operations on the key: those that were acknowledged first.
fn shown<'a>(key: &KeyEvidence<'a>, numbers: &Numbers) -> Vec<&'a Operation> {
    let mut operations: Vec<&Operation> = key.operations().filter(|operation| is_meant(numbers, operation)).collect();
    operations.sort_by_key(|operation| !matches!(told(operation), Outcome::Ok(_)));
    operations.truncate(MOST_SHOWN);
    operations
}

type Limit<'a> = (Option<f64>, &'a Option<Expression>);

fn explain(read: &[f64], sum: f64, [least, most]: [Limit<'_>; 2], counts: &Counts<'_>) -> String {
    let value = match read {
        [] => "the key has no value, which counts as 0".to_owned(),
        [value] => format!("the key has the value {value}"),
        several => format!("the key has the values {several:?}"),
    };
    let (word, limit, bound) = match (least, most) {
        ((Some(limit), Some(bound)), _) if is_below(sum, limit) => ("at least", limit, bound),
        (_, (Some(limit), Some(bound))) => ("at most", limit, bound),
        _ => return value,
    };
    let text = bound.to_string();
    let figure = if text.parse::<f64>().is_ok() { String::new() } else { format!(" (`{text}`)") };
    format!("{value}, and must have {word} {limit}{figure}: {counts}")
}

/// No more operations are acknowledged than that.
fn at_most(numbers: &Numbers, most: u64, evidence: &Evidence<'_>, mut findings: Findings) -> Findings {
    let mut judge = |key: &str, operations: &mut dyn Iterator<Item = &Operation>| {
        let meant: Vec<&Operation> = operations.filter(|operation| is_meant(numbers, operation)).collect();
        if meant.is_empty() {
            return;
        }
        findings.checked += 1;
        let served: Vec<&Operation> =
            meant.into_iter().filter(|operation| matches!(told(operation), Outcome::Ok(_))).collect();
        findings.reach(served.len() as u64);
        if served.len() as u64 > most {
            let enough = usize::try_from(most).unwrap_or(usize::MAX).saturating_add(1);
            findings.add(key, &served[..enough.min(served.len())], &[], || {
                format!("{} were acknowledged, and at most {most} may be", count(served.len(), "operation"))
            });
        }
    };
    match numbers.per_key {
        true => evidence.keys().for_each(|key| judge(key.key, &mut key.operations())),
        false => judge("all keys", &mut evidence.operations()),
    }
    findings
}

/// What follows from how many were acknowledged anywhere.
fn limited(most: u64, findings: Findings) -> InvariantResult {
    let reached = findings.reached();
    let result = findings.into_result();
    match reached {
        reached if reached < most && result.checked > 0 => result.note(format!(
            "the limit of {most} was never reached: at most {reached} were acknowledged, so that nothing could go beyond it"
        )),
        _ => result,
    }
}

/// A number as text, and the operation whose answer has it.
type Named<'a> = (String, Option<&'a Operation>);

/// All numbers are different, and there are none between them.
fn distinct(numbers: &Numbers, gaps: bool, evidence: &Evidence<'_>, mut findings: Findings) -> Findings {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let of_key = |key: &str| -> Option<Vec<Named<'_>>> {
        let found = numbers.found.as_ref()?;
        Some(found.get(key).into_iter().flatten().map(|value| (text(value), None)).collect())
    };
    let mut all: Vec<Named<'_>> = Vec::new();
    let mut open = 0;
    for key in evidence.keys().filter(|key| key.operations().len() > 0) {
        let meant: Vec<&Operation> = key.operations().filter(|operation| is_meant(numbers, operation)).collect();
        let named = of_key(key.key).unwrap_or_else(|| {
            meant
                .iter()
                .filter_map(|operation| Some((answered_number(operation)?.to_string(), Some(*operation))))
                .collect()
        });
        // Whoever may have taken a number that nobody names.
        let unnamed = meant.iter().map(|operation| may_have_taken(operation)).sum::<u64>();
        if numbers.per_key {
            judge_numbers(key.key, (&named, &[]), (!gaps).then_some(unnamed), &mut findings);
        } else {
            all.extend(named);
            open += unnamed;
        }
    }
    if !numbers.per_key {
        // Before and between the operations of the load, the serial control was given numbers of the same sequence.
        let control = || evidence.control().iter().filter(|operation| is_meant(numbers, operation));
        let taken: Vec<&str> = control().filter_map(answered_number).map(|number| &**number).collect();
        open += control().map(may_have_taken).sum::<u64>();
        judge_numbers("all keys", (&all, &taken), (!gaps).then_some(open), &mut findings);
    }
    findings
}

/// What follows from all numbers.
fn told_apart(numbers: &Numbers, findings: Findings) -> InvariantResult {
    let result = findings.into_result();
    if result.checked == 0 {
        let why = match numbers.found {
            Some(_) => "the aggregation gave no number",
            None => "no answer had a number: say where it is, `outcome = { number = \"$.number\" }`",
        };
        return InvariantResult::inconclusive(result.name, why);
    }
    result
}

fn answered_number(operation: &Operation) -> Option<&Arc<str>> {
    match told(operation) {
        Outcome::Ok(Value::Document(returned) | Value::Appended(Appended { session: returned, .. })) => {
            returned.number.as_ref()
        }
        _ => None,
    }
}

/// How many numbers the operation may have taken that no answer names.
fn may_have_taken(operation: &Operation) -> u64 {
    let again = u64::from(operation.attempts.max(1)) - 1;
    match told(operation) {
        Outcome::Unknown(_) => again + 1,
        Outcome::Ok(_) if answered_number(operation).is_none() => again + 1,
        Outcome::Ok(_) => again,
        Outcome::Failed(_) => 0,
    }
}

/// `taken`: what else is known to have been given. `allowed`: how many may be left out; `None` if that is not judged.
fn judge_numbers(key: &str, (named, taken): (&[Named<'_>], &[&str]), allowed: Option<u64>, findings: &mut Findings) {
    let mut first: FxHashMap<&str, Option<&Operation>> = FxHashMap::default();
    findings.checked += named.len() as u64;
    for (number, operation) in named {
        match first.get(number.as_str()) {
            None => {
                first.insert(number, *operation);
            }
            Some(other) => {
                let both: Vec<&Operation> = other.iter().chain(operation).copied().collect();
                findings.add(key, &both, &[], || format!("the number {number} was given twice"));
            }
        }
    }
    let Some(allowed) = allowed else { return };
    let mut series: FxHashMap<&str, Vec<(u64, &str)>> = FxHashMap::default();
    for number in first.keys().chain(taken) {
        let digits = number.len() - number.bytes().rev().take_while(u8::is_ascii_digit).count();
        if let Ok(value) = number[digits..].parse() {
            series.entry(&number[..digits]).or_default().push((value, number));
        }
    }
    let mut missing = 0_u64;
    let mut example: Option<(&str, &str)> = None;
    for values in series.values_mut() {
        values.sort_unstable();
        for pair in values.windows(2) {
            let between = pair[1].0.saturating_sub(pair[0].0).saturating_sub(1);
            missing = missing.saturating_add(between);
            if between > 0 && example.is_none_or(|(before, _)| pair[0].1 < before) {
                example = Some((pair[0].1, pair[1].1));
            }
        }
    }
    if let Some((before, after)) = example.filter(|_| missing > allowed) {
        let both: Vec<&Operation> = [before, after].iter().filter_map(|number| *first.get(number)?).collect();
        findings.add(key, &both, &[], || {
            format!(
                "no operation was given a number between {before} and {after}: {missing} are left out, and at most \
                     {allowed} can have been taken by an operation whose answer is not known"
            )
        });
    }
}

#[cfg(test)]
#[path = "key_numbers_tests.rs"]
mod tests;
