//! How many interleavings one execution stands for.
//!
//! Two interleavings are the same when one becomes the other by exchanging neighbouring commands that commute, or by
//! renaming requests of one class. [`Classes`] counts all interleavings from the explored ones, each class once.

use std::collections::{BTreeMap, BTreeSet};

use super::conflict::commute;
use super::execution::{Execution, needed};

/// Requests beyond this many are not counted: there are too many renamings.
const MAX_REQUESTS: usize = 6;
/// Ways to have carried out part of an execution, beyond which interleavings are not counted.
const MAX_STATES: usize = 200_000;

/// The classes that were seen.
#[derive(Debug, Default)]
pub struct Classes {
    /// Canonical form of a class, and how many interleavings it has.
    seen: BTreeMap<Vec<u32>, u64>,
    /// Some execution could not be counted.
    uncounted: bool,
    /// Executions that stand for themselves alone.
    alone: u64,
}

impl Classes {
    /// Counts the class of an execution: how many interleavings it has; none if the class was counted before, or cannot be.
    pub fn add(&mut self, execution: &Execution, classes: &[usize]) -> u64 {
        let Some(order) = Order::new(execution) else {
            self.uncounted = true;
            return 0;
        };
        let forms: BTreeSet<Vec<u32>> =
            renamings(classes).iter().map(|renaming| order.canonical(execution, renaming)).collect();
        let Some(form) = forms.first().filter(|form| !self.seen.contains_key(*form)) else { return 0 };
        let Some(extensions) = order.interleavings() else {
            self.uncounted = true;
            return 0;
        };
        let interleavings = extensions.saturating_mul(forms.len() as u64);
        self.seen.insert(form.clone(), interleavings);
        interleavings
    }

    /// Counts an execution that stands for itself alone.
    pub fn add_alone(&mut self) -> u64 {
        self.alone += 1;
        1
    }

    /// All interleavings of the classes seen; `None` when one of them could not be counted.
    pub fn interleavings(&self) -> Option<u64> {
        (!self.uncounted).then(|| self.seen.values().fold(self.alone, |sum: u64, count| sum.saturating_add(*count)))
    }
}

/// The order that commands of an execution must keep.
struct Order {
    /// Steps of each request, as positions in the execution.
    lanes: Vec<Vec<usize>>,
    /// Per step: how many steps of each request must come before it.
    before: Vec<Vec<usize>>,
    /// Per step: the steps of other requests, or of its own, that must come before it.
    after: Vec<Vec<usize>>,
}

impl Order {
    fn new(execution: &Execution) -> Option<Self> {
        let requests = execution.requests.len();
        let together = execution.schedule.releases_together();
        let waits = execution.waited || !execution.polls.is_empty() || !execution.answers.is_empty();
        if requests > MAX_REQUESTS || execution.parallel || together || waits || execution.stuck.is_some() {
            return None;
        }
        let steps = &execution.steps;
        let mut lanes = vec![Vec::new(); requests];
        let mut before = Vec::with_capacity(steps.len());
        let mut after = Vec::with_capacity(steps.len());
        for (position, step) in steps.iter().enumerate() {
            let mut needs = vec![0; requests];
            let mut follows = Vec::new();
            for (earlier, other) in steps[..position].iter().enumerate() {
                let is_needed = needed(step.request, execution.starts) == Some(other.request);
                if other.request == step.request || is_needed || !commute(&other.command, &step.command) {
                    needs[other.request] = other.ordinal + 1;
                    follows.push(earlier);
                }
            }
            lanes[step.request].push(position);
            before.push(needs);
            after.push(follows);
        }
        Some(Order { lanes, before, after })
    }

    /// In how many orders the steps can be carried out.
    fn interleavings(&self) -> Option<u64> {
        // How many steps of each request are done, and in how many ways one gets there.
        let mut states = BTreeMap::from([(vec![0_usize; self.lanes.len()], 1_u64)]);
        let total: usize = self.lanes.iter().map(Vec::len).sum();
        for _ in 0..total {
            let mut next: BTreeMap<Vec<usize>, u64> = BTreeMap::new();
            for (done, ways) in &states {
                for (lane, steps) in self.lanes.iter().enumerate() {
                    let Some(&step) = steps.get(done[lane]) else { continue };
                    if self.before[step].iter().zip(done).all(|(needed, done)| needed <= done) {
                        let mut done = done.clone();
                        done[lane] += 1;
                        let reached = next.entry(done).or_default();
                        *reached = reached.saturating_add(*ways);
                    }
                }
            }
            if next.len() > MAX_STATES {
                return None;
            }
            states = next;
        }
        Some(states.values().fold(0, |sum: u64, ways| sum.saturating_add(*ways)))
    }

    /// The first of the orders that are equivalent to this one, after a renaming of the requests.
    fn canonical(&self, execution: &Execution, renaming: &[usize]) -> Vec<u32> {
        let steps = &execution.steps;
        let mut missing: Vec<usize> = self.after.iter().map(Vec::len).collect();
        let mut done = vec![false; steps.len()];
        let mut form = Vec::with_capacity(steps.len());
        for _ in 0..steps.len() {
            let ready = (0..steps.len()).filter(|step| !done[*step] && missing[*step] == 0);
            let Some(step) = ready.min_by_key(|step| (renaming[steps[*step].request], steps[*step].ordinal)) else {
                break;
            };
            done[step] = true;
            for (later, follows) in self.after.iter().enumerate() {
                missing[later] -= usize::from(follows.contains(&step));
            }
            let request = u32::try_from(renaming[steps[step].request]).unwrap_or(u32::MAX);
            let ordinal = u32::try_from(steps[step].ordinal).unwrap_or(u32::MAX);
            form.push(request.saturating_mul(1 << 16).saturating_add(ordinal));
        }
        form
    }
}

/// All ways to rename requests within their class.
fn renamings(classes: &[usize]) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    extend(classes, &mut Vec::new(), &mut found);
    found
}

fn extend(classes: &[usize], chosen: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    let Some(class) = classes.get(chosen.len()) else {
        return found.push(chosen.clone());
    };
    for candidate in 0..classes.len() {
        if classes[candidate] == *class && !chosen.contains(&candidate) {
            chosen.push(candidate);
            extend(classes, chosen, found);
            chosen.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_renamed_within_their_class() {
        assert_eq!(renamings(&[0, 0]), [[0, 1], [1, 0]]);
        assert_eq!(renamings(&[0, 1]), [[0, 1]]);
        assert_eq!(renamings(&[0, 1, 0]).len(), 2);
        assert_eq!(renamings(&[0, 0, 0, 0]).len(), 24);
    }
}
