//! A search for a linearization: the general algorithm behind the fast rules, for small histories.
//!
//! The main types are [`Model`] and [`Entry`]; [`linearize`] looks for an order of the operations that respects real time
//! and is legal for the model, and remembers the (operations done, state) pairs that led nowhere. It is exponential in
//! the worst case: it certifies the few operations of a witness, and is the oracle of the fast rules' tests.
//!
//! Intervals are closed: an operation that ends at the very moment at which another begins is concurrent with it.

use std::hash::Hash;

use rustc_hash::FxHashSet;

use crate::history::Nanos;

use super::Budget;

/// A sequential specification.
pub trait Model {
    /// State of the object.
    type State: Clone + Eq + Hash;
    /// An operation together with its outcome.
    type Operation;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after the operation; `None` if its outcome is impossible in this state.
    fn step(&self, state: &Self::State, operation: &Self::Operation) -> Option<Self::State>;
}

/// One operation and the interval in which it takes effect.
#[derive(Debug, Clone)]
pub struct Entry<O> {
    /// Beginning of the interval.
    pub invoked: Nanos,
    /// End of the interval: `Nanos::MAX` if it is open.
    pub returned: Nanos,
    /// Whether it certainly happened. One that did not need not appear in the order.
    pub required: bool,
    /// What it did.
    pub operation: O,
}

/// What the search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// There is such an order.
    Linearizable,
    /// There is none.
    Impossible,
    /// The budget ran out, or there are more operations than the search can hold.
    Exhausted,
}

/// Most operations that a search can hold.
pub const MAX_ENTRIES: usize = 64;

/// Looks for an order of the operations that real time allows and the model accepts.
pub fn linearize<M: Model>(model: &M, entries: &[Entry<M::Operation>], budget: &mut Budget) -> Search {
    if entries.len() > MAX_ENTRIES {
        return Search::Exhausted;
    }
    let mut required = 0_u64;
    for (index, entry) in entries.iter().enumerate() {
        required |= u64::from(entry.required) << index;
    }
    let mut walk = Walk { model, entries, required, dead: FxHashSet::default(), budget };
    walk.from(0, model.initial())
}

struct Walk<'a, M: Model> {
    model: &'a M,
    entries: &'a [Entry<M::Operation>],
    required: u64,
    /// Pairs that lead nowhere.
    dead: FxHashSet<(u64, M::State)>,
    budget: &'a mut Budget,
}

impl<M: Model> Walk<'_, M> {
    /// Searches on, with the operations in `done` already ordered. At most [`MAX_ENTRIES`] calls deep.
    fn from(&mut self, done: u64, state: M::State) -> Search {
        if done & self.required == self.required {
            return Search::Linearizable;
        }
        if !self.budget.take(1) {
            return Search::Exhausted;
        }
        let place = (done, state);
        if self.dead.contains(&place) {
            return Search::Impossible;
        }
        let pending = |index: &usize| done & (1 << index) == 0;
        let open = (0..self.entries.len()).filter(pending);
        // Only what begins before every pending operation has ended can come next. One that need not have happened does
        // not hold up the others: once something that began after its end has come, it is left out.
        let ends = open.clone().filter(|&index| self.entries[index].required).map(|index| self.entries[index].returned);
        let limit = ends.min().unwrap_or(Nanos::MAX);
        for index in open.filter(|&index| self.entries[index].invoked <= limit) {
            let Some(next) = self.model.step(&place.1, &self.entries[index].operation) else { continue };
            let begun = self.entries[index].invoked;
            let over = |&other: &usize| !self.entries[other].required && self.entries[other].returned < begun;
            let left_out = (0..self.entries.len()).filter(over).fold(0, |bits, other| bits | 1 << other);
            match self.from(done | left_out | 1 << index, next) {
                Search::Impossible => {}
                found => return found,
            }
        }
        self.dead.insert(place);
        Search::Impossible
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter that is only ever set to the next number.
    struct Counter;

    impl Model for Counter {
        type State = u32;
        type Operation = u32;

        fn initial(&self) -> u32 {
            0
        }

        fn step(&self, state: &u32, operation: &u32) -> Option<u32> {
            (*operation == state + 1).then_some(*operation)
        }
    }

    fn entry(number: u32, invoked: Nanos, returned: Nanos, required: bool) -> Entry<u32> {
        Entry { invoked, returned, required, operation: number }
    }

    fn search(entries: &[Entry<u32>], steps: u64) -> Search {
        linearize(&Counter, entries, &mut Budget::new(steps))
    }

    #[test]
    fn real_time_decides_and_closed_intervals_may_touch() {
        let second_first = |gap: Nanos| [entry(2, 0, 5, true), entry(1, 5 + gap, 9, true)];
        assert_eq!(search(&second_first(0), 100), Search::Linearizable);
        assert_eq!(search(&second_first(1), 100), Search::Impossible);
        assert_eq!(search(&[], 0), Search::Linearizable);
    }

    #[test]
    fn what_need_not_have_happened_helps_or_is_left_out() {
        let unknown = |number| [entry(number, 0, Nanos::MAX, false), entry(2, 5, 6, true)];
        assert_eq!(search(&unknown(1), 100), Search::Linearizable);
        assert_eq!(search(&unknown(3), 100), Search::Impossible);
        assert_eq!(search(&[entry(7, 0, Nanos::MAX, false)], 100), Search::Linearizable);
    }

    #[test]
    fn too_much_is_exhausted_and_never_decided() {
        let all: Vec<Entry<u32>> = (2..20).map(|number| entry(number, 0, 9, true)).collect();
        assert_eq!(search(&all, 0), Search::Exhausted);
        let many: Vec<Entry<u32>> = (1..=65).map(|number| entry(number, 0, 9, true)).collect();
        assert_eq!(search(&many, 1_000_000), Search::Exhausted);
        assert_eq!(search(&many[..64], 1_000_000), Search::Linearizable);
    }
}
