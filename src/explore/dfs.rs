//! Every interleaving, depth first; with reduction, one of each kind.
//!
//! *Reduction.* Of requests that are interchangeable and where they have only read, and were told the same, one is tried
//! (symmetry). After a command was tried, the branches beside it leave it out until something that does not commute with it
//! was released (sleep sets). Both leave out an interleaving only for an equivalent one that comes earlier in the order of
//! the search, so that of each class one is left.
//! *Assumption.* The same releases lead to the same commands. Each execution repeats the beginning of an earlier one, and
//! is compared with it.

use super::policy::{Enabled, Policy, Undecided, View, first};
use super::schedule::Choice;

/// How the reason begins when the same releases lead to other commands.
pub(super) const NOT_DETERMINISTIC: &str = "the requests are not deterministic";

/// The search: a stack of decisions, the last of which is changed next.
#[derive(Debug, Clone)]
pub struct Dfs {
    stack: Vec<Decision>,
    depth: usize,
    reduce: bool,
    /// So many of the first requests are no part of the search: they have ended, one after another, before anything is decided.
    after: usize,
    /// The execution under way is equivalent to one that was explored.
    redundant: bool,
}

/// What a command, or its answer, is known by in all executions: request, ordinal, and whether it is the answer.
type Name = (usize, usize, bool);

/// A decision and what is left of it.
#[derive(Debug, Clone)]
struct Decision {
    enabled: Vec<Enabled>,
    /// Positions in `enabled`, in the order in which they are tried.
    candidates: Vec<usize>,
    chosen: usize,
    /// What was tried in an equivalent place.
    sleeping: Vec<Name>,
}

impl Dfs {
    /// A search of all interleavings, or of one of each kind.
    pub fn new(reduce: bool) -> Self {
        Dfs { stack: Vec::new(), depth: 0, reduce, after: 0, redundant: false }
    }

    /// A search of all interleavings of the others, after so many of the first.
    pub fn after(self, after: usize) -> Self {
        Dfs { after, ..self }
    }

    /// Goes on to the next interleaving; false when all were explored.
    pub fn advance(&mut self) -> bool {
        self.depth = 0;
        self.redundant = false;
        while let Some(decision) = self.stack.last_mut() {
            if decision.chosen + 1 < decision.candidates.len() {
                decision.chosen += 1;
                return true;
            }
            self.stack.pop();
        }
        false
    }

    /// Whether the last execution is equivalent to an earlier one, and need not be judged.
    pub fn is_redundant(&self) -> bool {
        self.redundant
    }

    fn decide(&mut self, view: &View<'_>) -> Option<Choice> {
        let sleeping = self.sleeping();
        let candidates: Vec<usize> = (0..view.enabled.len())
            .filter(|position| !self.reduce || !is_asleep(&sleeping, &view.enabled[*position]))
            .filter(|position| !self.reduce || !has_twin(view, *position))
            .collect();
        let pick = view.enabled[*candidates.first()?].pick;
        self.stack.push(Decision { enabled: view.enabled.to_vec(), candidates, chosen: 0, sleeping });
        Some(Choice(vec![pick]))
    }

    /// What sleeps after the last decision: what slept before it or was tried beside it, unless it conflicts with it.
    fn sleeping(&self) -> Vec<Name> {
        let Some(last) = self.stack.last() else { return Vec::new() };
        let released = &last.enabled[last.candidates[last.chosen]];
        let tried = last.candidates[..last.chosen].iter().map(|position| &last.enabled[*position]);
        // What sleeps is still parked: its command is looked up there, because each execution has a key of its own.
        let asleep = last.enabled.iter().filter(|command| is_asleep(&last.sleeping, command));
        asleep
            .chain(tried)
            .filter(|other| other.pick.request != released.pick.request && other.is_independent_of(released))
            .map(name)
            .collect()
    }
}

impl Policy for Dfs {
    fn choose(&mut self, view: &View<'_>) -> Result<Choice, Undecided> {
        if self.redundant {
            return first(view);
        }
        let of_first = view.enabled.iter().filter(|enabled| enabled.pick.request < self.after);
        if let Some(of_first) = of_first.min_by_key(|enabled| enabled.pick.request) {
            return Ok(Choice(vec![of_first.pick]));
        }
        if let Some(decision) = self.stack.get_mut(self.depth) {
            let same = decision.enabled.len() == view.enabled.len()
                && decision
                    .enabled
                    .iter()
                    .zip(view.enabled)
                    .all(|(before, now)| is_same(before, now, &decision.enabled));
            if !same {
                return Err(Undecided(format!(
                    "{NOT_DETERMINISTIC}: after the same {} releases other commands are parked",
                    self.depth
                )));
            }
            self.depth += 1;
            // Those commands, with the key of this execution.
            decision.enabled = view.enabled.to_vec();
            return Ok(Choice(vec![decision.enabled[decision.candidates[decision.chosen]].pick]));
        }
        match self.decide(view) {
            Some(choice) => {
                self.depth += 1;
                Ok(choice)
            }
            None => {
                self.redundant = true;
                first(view)
            }
        }
    }
}

fn name(enabled: &Enabled) -> Name {
    (enabled.pick.request, enabled.ordinal, enabled.is_answer)
}

fn is_asleep(sleeping: &[Name], command: &Enabled) -> bool {
    sleeping.contains(&name(command))
}

/// Whether an earlier request could stand in for this one: it has only read, and was told the same.
fn has_twin(view: &View<'_>, position: usize) -> bool {
    let command = &view.enabled[position];
    let lane = view.lanes[command.pick.request];
    // What an answer says is heard when it is delivered: until then nobody can stand in for who waits for it.
    !lane.wrote
        && !command.is_answer
        && view.enabled[..position].iter().any(|other| {
            other.pick.request < command.pick.request
                && view.lanes[other.pick.request] == lane
                && (other.pick.slot, other.ordinal) == (command.pick.slot, command.ordinal)
        })
}

/// Whether two executions have the same command at this place; what it carries may differ.
/// Whether a command is one of an earlier execution, of all that were parked there. Each execution has a key of its own, and a collection may
/// be called after it: another number is another key, unless the number was there before.
fn is_same(before: &Enabled, now: &Enabled, all_before: &[Enabled]) -> bool {
    let (old, new) = (&before.command.collection, &now.command.collection);
    let was_there = || all_before.iter().any(|other| other.command.collection == *new);
    let numbers_left_out = |name: &Option<String>| name.as_deref().map(without_numbers);
    (before.pick, name(before), &before.command.name) == (now.pick, name(now), &now.command.name)
        && (old == new || (!was_there() && numbers_left_out(old) == numbers_left_out(new)))
}

/// A name without its digits, of which one is left where there are several side by side.
fn without_numbers(name: &str) -> String {
    let digits_as_one = name.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter });
    let mut without: Vec<char> = digits_as_one.collect();
    without.dedup_by(|one, other| *one == '0' && *other == '0');
    without.into_iter().collect()
}

#[cfg(test)]
#[path = "dfs_tests.rs"]
mod tests;
