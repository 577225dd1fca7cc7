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
        // Only what begins before every pending operation has ended can come next.
        let limit = open.clone().map(|index| self.entries[index].returned).min().unwrap_or(Nanos::MAX);
        for index in open.filter(|&index| self.entries[index].invoked <= limit) {
            let Some(next) = self.model.step(&place.1, &self.entries[index].operation) else { continue };
            match self.from(done | 1 << index, next) {
                Search::Impossible => {}
                found => return found,
            }
        }
        self.dead.insert(place);
        Search::Impossible
    }
}
