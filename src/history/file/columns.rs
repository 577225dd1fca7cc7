//! Operations as columns: [`Block`].

mod text;

use std::hash::Hash;
use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::column::Column;
use super::names::Names;
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

    /// The block that a text is.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        text::block(text).or_else(|| serde_json::from_slice(text).ok())
    }

    /// How many operations there are.
    pub(super) fn len(&self) -> usize {
        self.op.len()
    }

    /// The operations; `None` where these cannot be columns that were written.
    pub(super) fn operations(self, names: &Names) -> Option<(Vec<Operation>, Lates)> {
        let (runs, lates) = self.runs(names, 1, |_| Some(0))?;
        Some((runs.into_iter().next()?, lates))
    }

    /// The operations on keys that have a place in one of several runs, run by run; `None` where these cannot be columns that were
    /// written.
    pub(super) fn runs(
        self,
        names: &Names,
        count: usize,
        place: impl Fn(&str) -> Option<usize>,
    ) -> Option<(Vec<Vec<Operation>>, Lates)> {
        if !self.fits() {
            return None;
        }
        let places: Vec<Option<usize>> = self.keys.iter().map(|key| place(key).filter(|run| *run < count)).collect();
        let mut runs: Vec<Vec<Operation>> = self.sizes(&places, count)?.into_iter().map(Vec::with_capacity).collect();
        let mut rows = Rows::of(self, names);
        for at in 0..rows.block.len() {
            let key = rows.block.key.get(at)? as usize;
            match places.get(key)? {
                Some(run) => runs[*run].push(rows.next(at, key)?),
                None => rows.skip(at, key)?,
            }
        }
        rows.is_at_end().then_some((runs, rows.block.lates))
    }

    /// Whether its columns are as long as the first.
    fn fits(&self) -> bool {
        let count = self.len();
        let columns = [&self.round, &self.invoked_ns, &self.intended_ns, &self.completed_ns];
        let numbers = [&self.client, &self.key, &self.action, &self.outcome];
        let connected = self.connected_ns.len();
        (connected == count || connected == 0)
            && columns.iter().all(|column| column.has(count))
            && numbers.iter().all(|column| column.has(count))
    }

    /// How many operations come to each place.
    fn sizes(&self, places: &[Option<usize>], count: usize) -> Option<Vec<usize>> {
        let mut sizes = vec![0; count];
        for at in 0..self.len() {
            if let Some(run) = places.get(self.key.get(at)? as usize)? {
                sizes[*run] += 1;
            }
        }
        Some(sizes)
    }
}

/// What a row has that follows from rows before, or that only some rows have.
struct Step {
    /// Positions of its action and its outcome.
    action: usize,
    outcome: usize,
    phase: Phase,
    attempts: u16,
    late: Option<Box<Late>>,
}

/// The rows of a block, one after another.
struct Rows {
    block: Block,
    keys: Vec<Arc<str>>,
    /// The position of each key's last outcome.
    last: Vec<Option<usize>>,
    actions: usize,
    outcomes: usize,
    /// Of the row before.
    op: u64,
    round: u64,
    invoked: u64,
    /// How many of the columns that not all rows have were met.
    control: usize,
    attempts: usize,
    lates: usize,
}

impl Rows {
    fn of(mut block: Block, names: &Names) -> Self {
        let keys = names.shared(std::mem::take(&mut block.keys));
        let last = vec![None; keys.len()];
        Rows {
            block,
            keys,
            last,
            actions: 0,
            outcomes: 0,
            op: 0,
            round: 0,
            invoked: 0,
            control: 0,
            attempts: 0,
            lates: 0,
        }
    }

    /// Goes on to the next row.
    #[inline]
    fn step(&mut self, at: usize, key: usize) -> Option<Step> {
        let block = &mut self.block;
        self.op = moved(self.op, block.op[at]);
        self.round = moved(self.round, block.round.get(at)?);
        self.invoked = moved(self.invoked, block.invoked_ns.get(at)?);
        let action = chosen(block.action.get(at)? as usize, &mut self.actions);
        let last = self.last.get_mut(key)?;
        let outcome = match block.outcome.get(at)? as usize {
            0 => (*last)?,
            code => chosen(code - 1, &mut self.outcomes),
        };
        *last = Some(outcome);
        let is_control = block.control.get(self.control).is_some_and(|next| *next as usize == at);
        self.control += usize::from(is_control);
        let attempts =
            block.attempts.get(self.attempts).filter(|(next, _)| *next as usize == at).map(|(_, often)| *often);
        self.attempts += usize::from(attempts.is_some());
        let late = block.late.get_mut(self.lates).filter(|(next, _)| *next as usize == at);
        let late = late.map(|(_, late)| Box::new(late.clone()));
        self.lates += usize::from(late.is_some());
        let phase = if is_control { Phase::Control } else { Phase::Main };
        Some(Step { action, outcome, phase, attempts: attempts.unwrap_or(1), late })
    }

    #[inline]
    fn next(&mut self, at: usize, key: usize) -> Option<Operation> {
        let Step { action, outcome, phase, attempts, late } = self.step(at, key)?;
        let (block, invoked) = (&self.block, self.invoked);
        let connected = block.connected_ns.get(at).copied().flatten();
        Some(Operation {
            id: OpId(self.op),
            client: block.client.get(at)?,
            round: u32::try_from(self.round).ok()?,
            phase,
            key: Arc::clone(self.keys.get(key)?),
            action: block.actions.get(action)?.clone(),
            intended: moved(invoked, block.intended_ns.get(at)?),
            invoked,
            connected: connected.map(|connected| moved(invoked, connected)),
            completed: moved(invoked, block.completed_ns.get(at)?),
            attempts,
            outcome: block.outcomes.get(outcome)?.clone(),
            late,
        })
    }

    fn skip(&mut self, at: usize, key: usize) -> Option<()> {
        self.step(at, key).map(|_| ())
    }

    /// Whether nothing is left that belongs to no row.
    fn is_at_end(&self) -> bool {
        let Block { control, attempts, late, .. } = &self.block;
        (self.control, self.attempts, self.lates) == (control.len(), attempts.len(), late.len())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::fixture::operation;

    /// As whatever reads JSON reads it, and as it is read here.
    fn read(block: &serde_json::Value) -> Option<(Vec<Operation>, Lates)> {
        let read = serde_json::from_value::<Block>(block.clone()).unwrap().operations(&Names::default());
        let text = format!("{block}\n");
        assert_eq!(Block::read(text.as_bytes()).and_then(|block| block.operations(&Names::default())), read, "{text}");
        read
    }

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
        assert!(text::block(&[&serde_json::to_vec(&block).unwrap()[..], b"\n"].concat()).is_some());
        assert_eq!(read(&written).unwrap().0, (0..3).map(one).collect::<Vec<_>>());
        for column in ["client", "round", "key", "invoked_ns", "completed_ns", "intended_ns", "action", "outcome"] {
            for length in [2, 4] {
                let mut damaged = written.clone();
                damaged[column] = json!(vec![0; length]);
                assert!(read(&damaged).is_none(), "{column}: {length}");
            }
        }
    }
}
