//! What runs out by itself: a lock with a time in it, left behind by whoever was killed while holding it.
//!
//! A correct service may leave one: whoever comes after its time takes it. So an execution with a fault that is unlike every
//! order is looked at once more without some of the documents that it made and that name a moment that was still to come when
//! they were written. Where it is like an order then, it is what it is like. Documents that the server removes by itself, by a
//! TTL index and the date that they hold for it, may also be a log of attempts, or count them: there may be more of them than in
//! that order, and what they hold is not compared.
//! *Completeness*: of documents that the server removes it is only seen after a fault that one is missing, and of others that
//! run out little else. But one of the others that is made once more by who was answered well is no lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::lint::IndexFact;
use crate::serial::{Change, Judge, Judgement, Sample, Value};

/// By collection, what the server removes by itself.
pub(in crate::explore) type Expiring = BTreeMap<String, Vec<Removal>>;

/// A TTL index: the field after whose date the server removes a document, and what else must be in that.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::explore) struct Removal {
    field: String,
    only: Vec<(String, Value)>,
}

impl Removal {
    pub(in crate::explore) fn of(index: &IndexFact) -> Option<Self> {
        index.expires_after_s?;
        let only = index.partial.as_deref().map(equalities).unwrap_or_default();
        Some(Removal { field: index.first_field()?.to_owned(), only })
    }

    fn removes(&self, document: &Value) -> bool {
        let Value::Map(fields) = document else { return false };
        // A list has one of several.
        let may_be = |(field, value): &(String, Value)| {
            fields.get(field).is_some_and(|found| found == value || matches!(found, Value::List(_)))
        };
        document.holds_date_at(&self.field) && self.only.iter().all(may_be)
    }
}

/// The conditions of a partial index that can be told from a document; by others a document is taken to be in the index.
fn equalities(filter: &str) -> Vec<(String, Value)> {
    let Ok(Json::Object(conditions)) = serde_json::from_str(filter) else { return Vec::new() };
    let plain = |(field, condition): (String, Json)| {
        let value = condition.get("$eq").unwrap_or(&condition);
        let known = matches!(value, Json::String(_) | Json::Bool(_) | Json::Number(_)) && !field.contains('.');
        known.then(|| (field, Value::of_json(value)))
    };
    conditions.into_iter().filter_map(plain).collect()
}

/// How many documents of each collection the server removes by itself.
type Counts = BTreeMap<String, usize>;

/// Documents that run out of which everything is left out that there may be to leave out.
const FEW: usize = 4;

/// Judges executions with a fault once more without what runs out, where they are like no order with it. `moments` says of an
/// execution, by its position, when each document was written.
pub(in crate::explore) fn pardon(
    mut judgement: Judgement,
    judge: &Judge,
    samples: &[Arc<Sample>],
    moments: impl Fn(usize, &Sample) -> Vec<i64>,
    expiring: &Expiring,
) -> Judgement {
    let (made, strict) = (judge.made_in(), judge.settings().strict);
    // Nothing happened, or what serial runs left.
    let known: BTreeSet<Counts> = judge.runs().iter().map(|run| counts(run, expiring)).chain([Counts::new()]).collect();
    let accused = samples.iter().enumerate().filter(|(position, sample)| {
        sample.touched.is_some() && judgement.executions[*position].class.violates(strict)
    });
    let mut open: Vec<(usize, Vec<BTreeSet<usize>>)> = accused
        .map(|(position, sample)| {
            let some = running_out(sample, &moments(position, sample), expiring, &made);
            (position, left_out(sample, &some, expiring, &known))
        })
        .filter(|(_, ways)| !ways.is_empty())
        .collect();
    if open.is_empty() {
        return judgement;
    }
    let judge = judge.seeing(|run| without(run, &BTreeSet::new(), expiring));
    // Of each execution one way at a time: what several hold is taken for something that they share.
    while !open.is_empty() {
        let leaner: Vec<Sample> = open
            .iter_mut()
            .filter_map(|(position, ways)| Some(without(&samples[*position], &ways.pop()?, expiring)))
            .collect();
        let judged = judge.judge(&leaner).executions;
        let mut still = Vec::new();
        for ((position, ways), judged) in open.into_iter().zip(judged) {
            if !judged.class.violates(strict) {
                judgement.executions[position] = judged;
            } else if !ways.is_empty() {
                still.push((position, ways));
            }
        }
        open = still;
    }
    judgement
}

/// Without these documents, and without what those hold that the server removes by itself.
fn without(sample: &Sample, left_out: &BTreeSet<usize>, expiring: &Expiring) -> Sample {
    let mut lean = Sample::clone(sample);
    let changes = std::mem::take(&mut lean.outcome.changes).into_iter().enumerate();
    let kept = changes.filter(|(position, _)| !left_out.contains(position)).map(|(_, change)| change);
    let bare = |change: Change| match expires(&change, expiring) {
        true => Change { before: None, after: Some(Value::Null), ..change },
        false => change,
    };
    lean.outcome.changes = kept.map(bare).collect();
    lean
}

/// What may be left out of an execution, the most first: some of what runs out, and of what the server removes as much as leaves
/// what is known. Nothing is left out where it is enough that what it holds is not compared.
fn left_out(
    sample: &Sample,
    running_out: &[BTreeSet<usize>],
    expiring: &Expiring,
    known: &BTreeSet<Counts>,
) -> Vec<BTreeSet<usize>> {
    let removed = counts(sample, expiring);
    let surplus: Vec<BTreeSet<usize>> =
        known.iter().filter_map(|known| surplus(sample, &removed, known, expiring)).collect();
    let both = |some: &BTreeSet<usize>| surplus.iter().map(|more| some | more).collect::<Vec<_>>();
    let mut ways: Vec<BTreeSet<usize>> = running_out.iter().flat_map(both).collect();
    ways.retain(|way| !way.is_empty() || !removed.is_empty());
    ways.sort_by_key(|way| std::cmp::Reverse(way.len()));
    ways
}

/// Documents that the server removes, without which there are as many as this; none where there are fewer.
fn surplus(sample: &Sample, removed: &Counts, known: &Counts, expiring: &Expiring) -> Option<BTreeSet<usize>> {
    if known.iter().any(|(collection, count)| removed.get(collection).is_none_or(|there| there < count)) {
        return None;
    }
    let mut stay = known.clone();
    let goes = |(position, change): (usize, &Change)| {
        if !expires(change, expiring) {
            return None;
        }
        match stay.get_mut(&change.collection).filter(|left| **left > 0) {
            Some(left) => {
                *left -= 1;
                None
            }
            None => Some(position),
        }
    };
    Some(sample.outcome.changes.iter().enumerate().filter_map(goes).collect())
}

/// Some of the documents that run out, and are not removed by the server itself: none, all, and what is between them as far as
/// there are few.
fn running_out(sample: &Sample, moments: &[i64], expiring: &Expiring, made: &BTreeSet<&str>) -> Vec<BTreeSet<usize>> {
    let changes = &sample.outcome.changes;
    let status = |request: &usize| sample.outcome.answers.get(request).map(|answer| answer.status);
    let all_well = sample.touched.iter().flatten().all(|request| status(request).is_some_and(|status| status < 400));
    let goes = |(position, change): (usize, &Change)| {
        let written = moments.get(position).copied().unwrap_or(i64::MAX);
        // Where serial runs leave such documents, too, who was answered well has left its own.
        let is_own = all_well && made.contains(change.collection.as_str());
        (runs_out(change, written) && !expires(change, expiring) && !is_own).then_some(position)
    };
    let going: Vec<usize> = changes.iter().enumerate().filter_map(goes).collect();
    if going.len() <= FEW {
        let some =
            |mask: u32| (0..).zip(&going).filter(|(bit, _)| mask & (1 << bit) != 0).map(|(_, one)| *one).collect();
        return (0..1_u32 << going.len()).map(some).collect();
    }
    let of_collection = |name: &String| going.iter().copied().filter(|one| changes[*one].collection == *name).collect();
    let names: BTreeSet<&String> = going.iter().map(|one| &changes[*one].collection).collect();
    let mut some: Vec<BTreeSet<usize>> = vec![BTreeSet::new(), going.iter().copied().collect()];
    some.extend(names.into_iter().map(of_collection));
    some.extend(going.iter().map(|one| BTreeSet::from([*one])));
    some
}

/// Whether a document that came into being goes by itself.
fn runs_out(change: &Change, written: i64) -> bool {
    let (None, Some(Value::Map(fields))) = (&change.before, &change.after) else { return false };
    // Its identifier is a name, whatever it looks like.
    fields.iter().any(|(name, value)| name != "_id" && value.is_later(written))
}

/// Whether the server removes a document by itself: without a date in the field of the index it never does. One that would
/// have stayed, and goes now, was removed by who wrote the date.
fn expires(change: &Change, expiring: &Expiring) -> bool {
    let (Some(removals), Some(after)) = (expiring.get(&change.collection), &change.after) else { return false };
    let would_go = |one: &Removal| change.before.as_ref().is_none_or(|before| one.removes(before));
    removals.iter().any(|one| one.removes(after) && would_go(one))
}

fn counts(sample: &Sample, expiring: &Expiring) -> Counts {
    let mut counts = Counts::new();
    for change in sample.outcome.changes.iter().filter(|change| expires(change, expiring)) {
        *counts.entry(change.collection.clone()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
#[path = "leases_tests.rs"]
mod tests;
