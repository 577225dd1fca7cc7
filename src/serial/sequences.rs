//! Numbers that a service hands out, one by one: [`Sequences`].
//!
//! A counter is raised, and what it then says becomes the `_id` of a document. Whoever loses the race for that document leaves a number
//! unused: the counter is further than in any order, and nothing else is. Gaps of a sequence are harmless; that two got one number shows
//! in the documents.
//!
//! *Soundness*: a field is taken for a sequence only if every serial run that raised it stored a document under a number that it then
//! had, and forgiven only if it is further than serially, and all else is as in an order. *Completeness*: a counter whose numbers
//! become anything but an `_id` is compared as any other value.

use std::collections::{BTreeMap, BTreeSet};

use super::nearest::Difference;
use super::outcome::{Change, Sample};
use super::value::Value;

/// The fields that hand numbers out, by the place at which differences name them.
#[derive(Debug, Default)]
pub(super) struct Sequences(BTreeSet<String>);

impl Sequences {
    /// Those that serial runs show.
    pub(super) fn of(serial: &[Sample]) -> Self {
        let mut all: BTreeMap<String, bool> = BTreeMap::new();
        for sample in serial {
            for change in &sample.outcome.changes {
                for (field, from, to) in raised(change) {
                    let place = format!("{}.changed.{field}", change.collection);
                    *all.entry(place).or_insert(true) &= is_used(&sample.outcome.changes, from, to);
                }
            }
        }
        Sequences(all.into_iter().filter(|(_, used)| *used).map(|(place, _)| place).collect())
    }

    /// Whether these differences are nothing but numbers that were left unused.
    pub(super) fn explain(&self, differences: &[Difference]) -> bool {
        let step = |text: &str| text.strip_prefix('+').and_then(|text| text.parse::<u64>().ok());
        !differences.is_empty()
            && differences.iter().all(|one| {
                self.0.contains(&one.place)
                    && step(&one.serially).zip(step(&one.here)).is_some_and(|(serially, here)| here > serially)
            })
    }
}

/// Numbers of a document that were there and became larger.
fn raised(change: &Change) -> Vec<(&str, i64, i64)> {
    let (Some(Value::Map(before)), Some(Value::Map(after))) = (&change.before, &change.after) else {
        return Vec::new();
    };
    let larger = |(field, now): (&'_ String, &Value)| match (before.get(field), now) {
        (Some(Value::Int(from)), Value::Int(to)) if to > from => Some((*from, *to)),
        _ => None,
    };
    after.iter().filter_map(|entry| larger(entry).map(|(from, to)| (entry.0.as_str(), from, to))).collect()
}

/// Whether a document was stored under a number beyond the first and up to the last.
fn is_used(changes: &[Change], from: i64, to: i64) -> bool {
    let is_one = |change: &Change| matches!(change.id, Value::Int(id) if from < id && id <= to);
    changes.iter().any(|change| change.before.is_none() && change.after.is_some() && is_one(change))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serial::{Class, Judge, Outcome, Settings};

    fn map(fields: &[(&str, i64)]) -> Value {
        Value::Map(fields.iter().map(|(name, number)| ((*name).to_owned(), Value::Int(*number))).collect())
    }

    /// A run that raised the counter, and stored documents under these numbers.
    fn run(order: &[usize], (from, to): (i64, i64), stored: &[i64]) -> Sample {
        let counter = Change {
            collection: "counters".to_owned(),
            id: Value::Text("orders".to_owned()),
            before: Some(map(&[("n", from)])),
            after: Some(map(&[("n", to)])),
        };
        let order_of = |id: &i64| Change {
            collection: "orders".to_owned(),
            id: Value::Int(*id),
            before: None,
            after: Some(map(&[("_id", *id), ("size", 1)])),
        };
        let changes = std::iter::once(counter).chain(stored.iter().map(order_of)).collect();
        let outcome = Outcome { changes, ..Outcome::default() };
        Sample { order: order.to_vec(), marks: Vec::new(), outcome, touched: None }
    }

    fn class(serially: impl Fn(i64) -> ((i64, i64), Vec<i64>), here: ((i64, i64), Vec<i64>)) -> Class {
        let mut judge = Judge::new(Settings::default());
        for (round, order) in (0..).zip([[0, 1], [1, 0], [0, 1], [1, 0]]) {
            let (counter, stored) = serially(100 * round);
            judge.learn(run(&order, counter, &stored));
        }
        judge.judge(&[run(&[0, 1], here.0, &here.1)]).executions[0].class
    }

    #[test]
    fn a_number_that_the_loser_leaves_unused_is_no_anomaly() {
        let one = |at: i64| ((at, at + 1), vec![at + 1]);
        assert_eq!(class(one, ((500, 502), vec![502])), Class::Refused);
        assert_eq!(class(one, ((500, 502), vec![501, 502])), Class::Lasting, "two documents are two");
        // What is lost of a counter that counts is no gap.
        let two = |at: i64| ((at, at + 2), vec![at + 1, at + 2]);
        assert_eq!(class(two, ((500, 501), vec![501])), Class::Lasting);
        // Nobody is called by it: it counts.
        let likes = |at: i64| ((at, at + 1), vec![at + 90]);
        assert_eq!(class(likes, ((500, 502), vec![590])), Class::Lasting);
    }
}
