//! Numbers that a service hands out, one by one: [`Sequences`].
//!
//! A counter is raised, and what it then says becomes the `_id` of a document, or a field of it. Whoever loses the race for that document leaves a number
//! unused: the counter is further than in any order, and nothing else is. Gaps of a sequence are harmless; that two got one number shows
//! in the documents.
//!
//! *Soundness*: a field is taken for a sequence only if every serial run that raised it stored a document under a number that it then
//! had, and forgiven only if it is further than serially, and all else is as in an order. A field that is none of `_id` counts only if the same one
//! always holds it, and never the same number twice: what begins anew for each key counts something. *Completeness*: a counter whose numbers
//! become part of a text is compared as any other value.

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
        let mut all: BTreeMap<String, Uses> = BTreeMap::new();
        for sample in serial {
            for change in &sample.outcome.changes {
                for (field, from, to) in raised(change) {
                    let place = format!("{}.changed.{field}", change.collection);
                    all.entry(place).or_default().meet(&sample.outcome.changes, from, to);
                }
            }
        }
        Sequences(all.into_iter().filter(|(_, uses)| uses.show_a_sequence()).map(|(place, _)| place).collect())
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

/// What becomes of the numbers of a counter, in all serial runs that raised it.
#[derive(Default)]
struct Uses {
    /// A document was stored under one, each time.
    named: Option<bool>,
    /// Fields of new documents, with their collections, that held one each time.
    fields: Option<BTreeSet<(String, String)>>,
    /// The last numbers, none of which came twice.
    last: BTreeSet<i64>,
    repeated: bool,
}

impl Uses {
    /// A run raised the counter from one number to another.
    fn meet(&mut self, changes: &[Change], from: i64, to: i64) {
        let made = || changes.iter().filter(|change| change.before.is_none() && change.after.is_some());
        let is_one = |value: &Value| matches!(value, Value::Int(number) if from < *number && *number <= to);
        self.named = Some(self.named.unwrap_or(true) && made().any(|change| is_one(&change.id)));
        let mut holding = BTreeSet::new();
        for change in made() {
            let Some(Value::Map(fields)) = &change.after else { continue };
            let held = fields.iter().filter(|(_, value)| is_one(value));
            holding.extend(held.map(|(field, _)| (change.collection.clone(), field.clone())));
        }
        self.fields = Some(match self.fields.take() {
            Some(fields) => fields.intersection(&holding).cloned().collect(),
            None => holding,
        });
        self.repeated |= !self.last.insert(to);
    }

    fn show_a_sequence(&self) -> bool {
        let held = self.fields.as_ref().is_some_and(|fields| !fields.is_empty());
        self.named == Some(true) || (held && !self.repeated && self.last.len() > 1)
    }
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

    /// A run that raised the counter, and stored a document that holds this number in this field.
    fn run_of(order: &[usize], (from, to): (i64, i64), field: &str, number: i64) -> Sample {
        let mut sample = run(order, (from, to), &[]);
        let after = Value::Map([(field.to_owned(), Value::Int(number))].into());
        let id = Value::Id(format!("{from:024}"));
        sample.outcome.changes.push(Change { collection: "members".to_owned(), id, before: None, after: Some(after) });
        sample
    }

    #[test]
    fn a_number_that_a_field_always_holds_is_handed_out_unless_it_begins_anew() {
        let class = |serially: &dyn Fn(i64) -> ((i64, i64), &'static str, i64), here: ((i64, i64), &str, i64)| {
            let mut judge = Judge::new(Settings::default());
            for (round, order) in (1..).zip([[0, 1], [1, 0], [0, 1], [1, 0]]) {
                let (counter, field, number) = serially(10 * round);
                judge.learn(run_of(&order, counter, field, number));
            }
            judge.judge(&[run_of(&[0, 1], here.0, here.1, here.2)]).executions[0].class
        };
        let member = |at: i64| ((at, at + 1), "no", at + 1);
        assert_eq!(class(&member, ((90, 92), "no", 92)), Class::Refused);
        assert_eq!(class(&member, ((90, 92), "no", 91)), Class::Refused);
        // Of each key: whoever is counted twice and stored once is lost.
        let of_key = |_: i64| ((0, 1), "weight", 1);
        assert_eq!(class(&of_key, ((0, 2), "weight", 1)), Class::Lasting);
        // Another field each time is a coincidence.
        let by_chance = |at: i64| ((at, at + 1), if at % 20 == 0 { "size" } else { "rank" }, at + 1);
        assert_eq!(class(&by_chance, ((90, 92), "size", 92)), Class::Lasting);
    }
}
