//! Operations as columns: [`Block`].

use std::hash::Hash;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::column::Column;
use crate::history::{Action, Late, OpId, Operation, Outcome, Phase, Value};

/// Answers that came late, to operations that may be anywhere.
pub(super) type Lates = Vec<(OpId, Late)>;

/// Actions that are looked for among those that were met first.
const FEW: usize = 4;

/// Several operations, column by column.
///
/// Numbers and times are distances: `op`, `round` and `invoked_ns` from those of the operation before, other times from `invoked_ns`.
/// A column of which all are equal is one number.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Block {
    op: Vec<i64>,
    client: Column<u32>,
    round: Column<i64>,
    keys: Vec<Arc<str>>,
    /// Positions in `keys`.
    key: Column<u32>,
    actions: Vec<Action>,
    /// 0 is the next of `actions` that was not there yet; n is the one at n - 1.
    action: Column<u32>,
    invoked_ns: Column<i64>,
    intended_ns: Column<i64>,
    /// Empty where no operation says when it was connected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    connected_ns: Vec<Option<i64>>,
    completed_ns: Column<i64>,
    outcomes: Vec<Outcome>,
    /// 0 is the outcome of the operation before on the same key; 1 is the next of `outcomes` that was not there yet; n is the one
    /// at n - 2.
    outcome: Column<u32>,
    /// Positions of operations of the serial control.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    control: Vec<u32>,
    /// Those that were sent more than once, and how often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<(u32, u16)>,
    /// Those that are written with a late answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    late: Vec<(u32, Late)>,
    /// Late answers to operations that may be in another segment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lates: Lates,
}

/// Numbers things in the order in which they are first met.
struct Numbers<T>(FxHashMap<T, u32>);

impl<T: Hash + Eq> Numbers<T> {
    /// Its number, and whether it is new.
    fn of(&mut self, thing: T) -> (u32, bool) {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let number = *self.0.entry(thing).or_insert(next);
        (number, number == next)
    }
}

/// From one number to another, in whatever direction.
fn distance(from: u64, to: u64) -> i64 {
    to.wrapping_sub(from).cast_signed()
}

/// From each number to the next, and from 0 to the first.
fn distances(numbers: impl Iterator<Item = u64>) -> Vec<i64> {
    let mut before = 0;
    numbers.map(|number| distance(std::mem::replace(&mut before, number), number)).collect()
}

fn moved(from: u64, by: i64) -> u64 {
    from.wrapping_add(by.cast_unsigned())
}

impl Block {
    /// The columns of operations. Where an order of reads matters it is kept; else the nearer the numbers, the shorter.
    pub(super) fn of(mut operations: Vec<Operation>, lates: Lates) -> io::Result<Self> {
        let lists = |operation: &Operation| matches!(&operation.outcome, Outcome::Ok(Value::Messages(_)));
        if !operations.iter().any(lists) {
            operations.sort_unstable_by_key(|operation| operation.id);
        }
        let mut block = Block::without_texts(&operations, lates);
        let (mut key_column, mut action_column, mut outcome_column) = (Vec::new(), Vec::new(), Vec::new());
        let (mut keys, mut actions) = (Numbers(FxHashMap::default()), Numbers(FxHashMap::default()));
        let mut outcomes = Numbers(FxHashMap::default());
        // The position of each key's last outcome.
        let mut last: Vec<u32> = Vec::new();
        for (at, operation) in (0..).zip(operations) {
            let (key, new) = keys.of(Arc::clone(&operation.key));
            if new {
                block.keys.push(operation.key);
            }
            key_column.push(key);
            // Most workloads have a few; those that have many are found by their text.
            let few = block.actions.iter().take(FEW).position(|known| *known == operation.action);
            let (action, new_action) = match few.and_then(|at| u32::try_from(at).ok()) {
                Some(at) => (at, false),
                None => actions.of(serde_json::to_vec(&operation.action)?),
            };
            action_column.push(if new_action { 0 } else { action + 1 });
            if new_action {
                block.actions.push(operation.action);
            }
            let before = last.get(key as usize).and_then(|before| block.outcomes.get(*before as usize));
            if before == Some(&operation.outcome) {
                outcome_column.push(0);
            } else {
                let (outcome, new_outcome) = outcomes.of(serde_json::to_vec(&operation.outcome)?);
                outcome_column.push(if new_outcome { 1 } else { outcome + 2 });
                if new_outcome {
                    block.outcomes.push(operation.outcome);
                }
                match new {
                    true => last.push(outcome),
                    false => last[key as usize] = outcome,
                }
            }
            block.late.extend(operation.late.map(|late| (at, *late)));
        }
        (block.key, block.action, block.outcome) = (key_column.into(), action_column.into(), outcome_column.into());
        Ok(block)
    }

    /// The columns of what is a number by itself.
    fn without_texts(operations: &[Operation], lates: Lates) -> Self {
        let since_invoked = |time: fn(&Operation) -> u64| {
            let distances = operations.iter().map(|operation| distance(operation.invoked, time(operation)));
            Column::from(distances.collect::<Vec<i64>>())
        };
        let connected = |operation: &Operation| operation.connected.map(|at| distance(operation.invoked, at));
        let positions = || (0..).zip(operations);
        Block {
            op: distances(operations.iter().map(|operation| operation.id.0)),
            client: operations.iter().map(|operation| operation.client).collect::<Vec<u32>>().into(),
            round: distances(operations.iter().map(|operation| operation.round.into())).into(),
            invoked_ns: distances(operations.iter().map(|operation| operation.invoked)).into(),
            intended_ns: since_invoked(|operation| operation.intended),
            connected_ns: match operations.iter().any(|operation| operation.connected.is_some()) {
                true => operations.iter().map(connected).collect(),
                false => Vec::new(),
            },
            completed_ns: since_invoked(|operation| operation.completed),
            control: positions().filter(|(_, operation)| !operation.phase.is_main()).map(|(at, _)| at).collect(),
            attempts: positions()
                .filter(|(_, operation)| operation.attempts != 1)
                .map(|(at, operation)| (at, operation.attempts))
                .collect(),
            lates,
            ..Block::default()
        }
    }

    /// The operations; `None` where these cannot be columns that were written.
    pub(super) fn operations(self, names: &Names) -> Option<(Vec<Operation>, Lates)> {
        let count = self.op.len();
        let connected = self.connected_ns.len();
        if connected != count && connected != 0 {
            return None;
        }
        let keys = names.shared(self.keys);
        let mut last: Vec<Option<usize>> = vec![None; keys.len()];
        let (mut actions, mut outcomes) = (0, 0);
        let (mut op, mut round, mut invoked) = (0, 0, 0);
        let mut operations: Vec<Operation> = Vec::with_capacity(count);
        for at in 0..count {
            op = moved(op, self.op[at]);
            round = moved(round, self.round.get(at)?);
            invoked = moved(invoked, self.invoked_ns.get(at)?);
            let key = self.key.get(at)? as usize;
            let action = chosen(self.action.get(at)? as usize, &mut actions);
            let outcome = match self.outcome.get(at)? as usize {
                0 => (*last.get(key)?)?,
                code => chosen(code - 1, &mut outcomes),
            };
            *last.get_mut(key)? = Some(outcome);
            let connected = self.connected_ns.get(at).copied().flatten();
            operations.push(Operation {
                id: OpId(op),
                client: self.client.get(at)?,
                round: u32::try_from(round).ok()?,
                phase: Phase::Main,
                key: Arc::clone(keys.get(key)?),
                action: self.actions.get(action)?.clone(),
                intended: moved(invoked, self.intended_ns.get(at)?),
                invoked,
                connected: connected.map(|connected| moved(invoked, connected)),
                completed: moved(invoked, self.completed_ns.get(at)?),
                attempts: 1,
                outcome: self.outcomes.get(outcome)?.clone(),
                late: None,
            });
        }
        let columns = [&self.round, &self.invoked_ns, &self.intended_ns, &self.completed_ns];
        let numbers = [&self.client, &self.key, &self.action, &self.outcome];
        if columns.iter().any(|column| column.exceeds(count)) || numbers.iter().any(|column| column.exceeds(count)) {
            return None;
        }
        for at in self.control {
            operations.get_mut(at as usize)?.phase = Phase::Control;
        }
        for (at, attempts) in self.attempts {
            operations.get_mut(at as usize)?.attempts = attempts;
        }
        for (at, late) in self.late {
            operations.get_mut(at as usize)?.late = Some(Box::new(late));
        }
        Some((operations, self.lates))
    }
}

/// The position that a code means: 0 is the next one that was not there yet.
fn chosen(code: usize, next: &mut usize) -> usize {
    match code {
        0 => {
            *next += 1;
            *next - 1
        }
        code => code - 1,
    }
}

/// Keys that are there once, however many operations have them.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<FxHashSet<Arc<str>>>);

impl Names {
    fn known(&self) -> MutexGuard<'_, FxHashSet<Arc<str>>> {
        // The set is whole after every statement, so that a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that stand for all that are equal.
    pub(super) fn shared(&self, keys: Vec<Arc<str>>) -> Vec<Arc<str>> {
        let mut known = self.known();
        keys.into_iter().map(|key| one_for_all(&mut known, key)).collect()
    }

    /// The one that stands for all that are equal.
    pub(super) fn shared_one(&self, key: Arc<str>) -> Arc<str> {
        one_for_all(&mut self.known(), key)
    }
}

fn one_for_all(known: &mut FxHashSet<Arc<str>>, key: Arc<str>) -> Arc<str> {
    if let Some(known) = known.get(&key) {
        return Arc::clone(known);
    }
    known.insert(Arc::clone(&key));
    key
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::fixture::operation;

    #[test]
    fn columns_of_another_length_than_the_first_are_none_that_were_written() {
        let one = |number: u64| {
            let key = if number == 1 { "a" } else { "b" };
            let outcome = Outcome::Ok(Value::Found(None));
            let action = Action::Get;
            let times = [number * 10, number * 11];
            Operation {
                client: number as u32,
                round: number as u32 * 2,
                ..operation(number, key, action, times, outcome)
            }
        };
        let block = Block::of((0..3).map(one).collect(), Lates::new()).unwrap();
        let written = serde_json::to_value(&block).unwrap();
        let read = |block| serde_json::from_value::<Block>(block).unwrap().operations(&Names::default());
        assert_eq!(read(written.clone()).unwrap().0, (0..3).map(one).collect::<Vec<_>>());
        for column in ["client", "round", "key", "invoked_ns", "completed_ns", "intended_ns", "action", "outcome"] {
            for length in [2, 4] {
                let mut damaged = written.clone();
                damaged[column] = json!(vec![0; length]);
                assert!(read(damaged).is_none(), "{column}: {length}");
            }
        }
    }
}
