//! Operations as columns: [`Block`].

use std::hash::Hash;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

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
        let mut block = Block { lates, ..Block::default() };
        let (mut keys, mut actions) = (Numbers(FxHashMap::default()), Numbers(FxHashMap::default()));
        let mut outcomes = Numbers(FxHashMap::default());
        // The position of each key's last outcome.
        let mut last: Vec<u32> = Vec::new();
        let (mut op, mut round, mut invoked) = (0, 0, 0);
        let connected = operations.iter().any(|operation| operation.connected.is_some());
        for (at, operation) in (0..).zip(operations) {
            block.op.push(distance(op, operation.id.0));
            block.client.push(operation.client);
            block.round.push(distance(round, operation.round.into()));
            block.invoked_ns.push(distance(invoked, operation.invoked));
            (op, round, invoked) = (operation.id.0, u64::from(operation.round), operation.invoked);
            block.intended_ns.push(distance(invoked, operation.intended));
            if connected {
                block.connected_ns.push(operation.connected.map(|connected| distance(invoked, connected)));
            }
            block.completed_ns.push(distance(invoked, operation.completed));
            let (key, new) = keys.of(Arc::clone(&operation.key));
            if new {
                block.keys.push(operation.key);
            }
            block.key.push(key);
            // Most workloads have a few; those that have many are found by their text.
            let few = block.actions.iter().take(FEW).position(|known| *known == operation.action);
            let (action, new_action) = match few.and_then(|at| u32::try_from(at).ok()) {
                Some(at) => (at, false),
                None => actions.of(serde_json::to_vec(&operation.action)?),
            };
            block.action.push(if new_action { 0 } else { action + 1 });
            if new_action {
                block.actions.push(operation.action);
            }
            let before = last.get(key as usize).and_then(|before| block.outcomes.get(*before as usize));
            if before == Some(&operation.outcome) {
                block.outcome.push(0);
            } else {
                let (outcome, new_outcome) = outcomes.of(serde_json::to_vec(&operation.outcome)?);
                block.outcome.push(if new_outcome { 1 } else { outcome + 2 });
                if new_outcome {
                    block.outcomes.push(operation.outcome);
                }
                match new {
                    true => last.push(outcome),
                    false => last[key as usize] = outcome,
                }
            }
            block.control.extend((!operation.phase.is_main()).then_some(at));
            block.attempts.extend((operation.attempts != 1).then_some((at, operation.attempts)));
            block.late.extend(operation.late.map(|late| (at, *late)));
        }
        Ok(block)
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
    /// Those that stand for all that are equal.
    pub(super) fn shared(&self, mut keys: Vec<Arc<str>>) -> Vec<Arc<str>> {
        // The set is whole after every statement, so that a panic elsewhere leaves nothing half done.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &mut keys {
            match known.get(key) {
                Some(known) => *key = Arc::clone(known),
                None => {
                    known.insert(Arc::clone(key));
                }
            }
        }
        keys
    }

    /// The one that stands for all that are equal.
    pub(super) fn shared_one(&self, key: Arc<str>) -> Arc<str> {
        self.shared(vec![key]).swap_remove(0)
    }
}
