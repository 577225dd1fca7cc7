//! What runs out by itself: a lock with a time in it, left behind by whoever was killed while holding it.
//!
//! A correct service may leave one: whoever comes after its time takes it. So an execution with a fault that is unlike every
//! order is looked at once more without some of the documents that it made and that run out: those of collections whose indexes
//! let documents expire, and those that name a moment that was still to come when they were written. Where it is like an order
//! then, it is what it is like.
//! *Completeness*: what is only wrong with such a document is not seen after a fault. But one that is made once more by who was
//! answered well is no lock.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::serial::{Change, Judge, Judgement, Sample, Value};

/// Documents that run out of which everything is left out that there may be to leave out.
const FEW: usize = 4;

/// Judges executions with a fault once more without what runs out, where they are like no order with it. `moments` says of an
/// execution, by its position, when each document was written; `expiring` are the collections whose documents expire.
pub(in crate::explore) fn pardon(
    mut judgement: Judgement,
    judge: &Judge,
    samples: &[Arc<Sample>],
    moments: impl Fn(usize, &Sample) -> Vec<i64>,
    expiring: &BTreeSet<String>,
) -> Judgement {
    let (made, strict) = (judge.made_in(), judge.settings().strict);
    let accused = samples.iter().enumerate().filter(|(position, sample)| {
        sample.touched.is_some() && judgement.executions[*position].class.violates(strict)
    });
    let mut open: Vec<(usize, Vec<BTreeSet<usize>>)> = accused
        .map(|(position, sample)| (position, left_out(sample, &moments(position, sample), expiring, &made)))
        .filter(|(_, ways)| !ways.is_empty())
        .collect();
    // Of each execution one way at a time: what several hold is taken for something that they share.
    while !open.is_empty() {
        let leaner: Vec<Sample> =
            open.iter_mut().filter_map(|(position, ways)| Some(without(&samples[*position], &ways.pop()?))).collect();
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

fn without(sample: &Sample, left_out: &BTreeSet<usize>) -> Sample {
    let mut lean = Sample::clone(sample);
    let mut position = 0;
    lean.outcome.changes.retain(|_| {
        position += 1;
        !left_out.contains(&(position - 1))
    });
    lean
}

/// What may be left out of an execution, the most first: some of the documents that run out.
fn left_out(
    sample: &Sample,
    moments: &[i64],
    expiring: &BTreeSet<String>,
    made: &BTreeSet<&str>,
) -> Vec<BTreeSet<usize>> {
    let changes = &sample.outcome.changes;
    let status = |request: &usize| sample.outcome.answers.get(request).map(|answer| answer.status);
    let all_well = sample.touched.iter().flatten().all(|request| status(request).is_some_and(|status| status < 400));
    let goes = |(position, change): (usize, &Change)| {
        let written = moments.get(position).copied().unwrap_or(i64::MAX);
        // Where serial runs leave such documents, too, who was answered well has left its own.
        let is_own = all_well && made.contains(change.collection.as_str());
        (runs_out(change, written, expiring) && !is_own).then_some(position)
    };
    let going: Vec<usize> = changes.iter().enumerate().filter_map(goes).collect();
    if going.len() <= FEW {
        let some =
            |mask: u32| (0..).zip(&going).filter(|(bit, _)| mask & (1 << bit) != 0).map(|(_, one)| *one).collect();
        let mut ways: Vec<BTreeSet<usize>> = (1..1_u32 << going.len()).map(some).collect();
        ways.sort_by_key(|way| std::cmp::Reverse(way.len()));
        return ways;
    }
    let of_collection = |name: &String| going.iter().copied().filter(|one| changes[*one].collection == *name).collect();
    let names: BTreeSet<&String> = going.iter().map(|one| &changes[*one].collection).collect();
    let mut ways: Vec<BTreeSet<usize>> = vec![going.iter().copied().collect()];
    ways.extend(names.into_iter().map(of_collection));
    ways.extend(going.iter().map(|one| BTreeSet::from([*one])));
    ways
}

/// Whether a document that came into being goes by itself.
fn runs_out(change: &Change, written: i64, expiring: &BTreeSet<String>) -> bool {
    let (None, Some(Value::Map(fields))) = (&change.before, &change.after) else { return false };
    // Its identifier is a name, whatever it looks like.
    expiring.contains(&change.collection) || fields.iter().any(|(name, value)| name != "_id" && value.is_later(written))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::serial::{Answer, Class, Outcome, Settings};

    /// When all documents were written.
    const WRITTEN: i64 = 1_795_755_600_000;
    const BEFORE: Value = Value::Date(WRITTEN - 50);
    const LATER: Value = Value::Date(WRITTEN + 50);

    /// An execution of these requests, with their statuses, and the documents that it left: collection, name, moment.
    fn sample(statuses: &[(usize, u16)], touched: bool, left: &[(&str, &str, Value)]) -> Sample {
        let change = |(collection, name, until): &(&str, &str, Value)| Change {
            collection: (*collection).to_owned(),
            id: Value::Text(format!("{collection}-{name}")),
            before: None,
            after: Some(Value::Map(BTreeMap::from([("until".to_owned(), until.clone())]))),
        };
        let answer = |(request, status): &(usize, u16)| (*request, Answer { status: *status, body: Value::Null });
        let outcome = Outcome {
            answers: statuses.iter().map(answer).collect(),
            probes: Vec::new(),
            changes: left.iter().map(change).collect(),
        };
        let touched = touched.then(|| BTreeSet::from([0]));
        Sample { order: statuses.iter().map(|(request, _)| *request).collect(), marks: Vec::new(), outcome, touched }
    }

    fn class(statuses: &[(usize, u16)], left: &[(&str, &str, Value)], expiring: &[&str]) -> Class {
        let mut judge = Judge::new(Settings::default());
        for _ in 0..3 {
            judge.learn(sample(&[(0, 201)], false, &[("payouts", "one", LATER)]));
            judge.learn(sample(&[(1, 201)], false, &[("payouts", "two", LATER)]));
            judge.end_round();
        }
        let samples = [Arc::new(sample(statuses, true, left))];
        let expiring = expiring.iter().map(|name| (*name).to_owned()).collect();
        let moments = |_, _: &Sample| vec![WRITTEN; left.len()];
        pardon(judge.judge(&samples), &judge, &samples, moments, &expiring).executions[0].class
    }

    #[test]
    fn a_lock_that_runs_out_accuses_nobody() {
        let killed = [(0, 409)];
        assert_eq!(class(&killed, &[("locks", "one", BEFORE)], &[]), Class::Lasting);
        assert_eq!(class(&killed, &[("locks", "one", LATER)], &[]), Class::Serial);
        assert_eq!(class(&killed, &[("locks", "one", Value::Int(WRITTEN + 50))], &[]), Class::Serial, "a number");
        assert_eq!(class(&killed, &[("locks", "one", BEFORE)], &["locks"]), Class::Serial);
        let something_else = [("locks", "one", LATER), ("rooms", "one", BEFORE)];
        assert_eq!(class(&killed, &something_else, &[]), Class::Lasting);
    }

    #[test]
    fn what_others_left_that_runs_out_stays() {
        let left = [("locks", "one", LATER), ("payouts", "two", LATER)];
        assert_eq!(class(&[(0, 409), (1, 201)], &left, &[]), Class::Serial);
        let many = ["a", "b", "c", "d", "e"].map(|name| ("locks", name, LATER));
        let left: Vec<_> = many.into_iter().chain([("payouts", "two", LATER)]).collect();
        assert_eq!(class(&[(0, 409), (1, 201)], &left, &[]), Class::Serial, "all of a collection");
    }

    #[test]
    fn what_is_made_twice_by_who_was_answered_well_is_no_lock() {
        let twice = [("payouts", "one", LATER), ("payouts", "again", LATER)];
        assert_eq!(class(&[(0, 201)], &twice, &[]), Class::Lasting);
        assert_eq!(class(&[(0, 201)], &twice, &["payouts"]), Class::Lasting);
        assert_eq!(class(&[(0, 201)], &[("payouts", "one", LATER), ("locks", "one", LATER)], &[]), Class::Serial);
    }
}
