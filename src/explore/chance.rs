//! Searches by chance: PCT, which bounds the probability of a miss, and the uniform random walk.

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::policy::{Policy, Undecided, View};
use super::schedule::Choice;

/// A random walk: each parked command is equally likely.
#[derive(Debug)]
pub struct Random {
    random: ChaCha8Rng,
    seed: u64,
    execution: u64,
}

impl Random {
    /// The walk of an execution.
    pub fn new(seed: u64, execution: u64) -> Self {
        Random { random: generator(seed, execution), seed, execution }
    }
}

impl Clone for Random {
    /// The walk from its beginning.
    fn clone(&self) -> Self {
        Random::new(self.seed, self.execution)
    }
}

impl Policy for Random {
    fn choose(&mut self, view: &View<'_>) -> Result<Choice, Undecided> {
        if view.enabled.is_empty() {
            return Err(Undecided("nothing is parked".to_owned()));
        }
        let index = self.random.random_range(0..view.enabled.len());
        Ok(Choice(vec![view.enabled[index].pick]))
    }
}

/// Probabilistic concurrency testing (ASPLOS 2010): requests have random priorities, the highest moves, and at d - 1 random
/// steps the one that is to move falls below all others.
#[derive(Debug, Clone)]
pub struct Pct {
    /// Per request; the highest moves.
    priorities: Vec<usize>,
    /// Steps at which the priority of who moves changes.
    changes: Vec<usize>,
    step: usize,
}

impl Pct {
    /// The priorities of an execution of so many requests with at most so many steps in all.
    pub fn new(seed: u64, execution: u64, requests: usize, steps: usize, depth: usize) -> Self {
        let mut random = generator(seed, execution);
        let mut priorities: Vec<usize> = (depth..depth + requests).collect();
        priorities.shuffle(&mut random);
        let changes = (1..depth).map(|_| random.random_range(0..steps.max(1))).collect();
        Pct { priorities, changes, step: 0 }
    }

    /// The least probability with which one execution finds a bug of this depth.
    pub fn bound(requests: usize, steps: usize, depth: usize) -> f64 {
        let exponent = i32::try_from(depth.saturating_sub(1)).unwrap_or(i32::MAX);
        1.0 / (requests.max(1) as f64 * (steps.max(1) as f64).powi(exponent))
    }

    /// Executions after which a bug of this depth is missed with a probability of less than one in a hundred thousand.
    pub fn executions(requests: usize, steps: usize, depth: usize) -> usize {
        let bound = Self::bound(requests, steps, depth).min(0.5);
        let needed = (1e-5_f64.ln() / (1.0 - bound).ln()).ceil();
        // Bounded by what anyone waits for.
        needed.clamp(1.0, 1_000_000.0) as usize
    }
}

impl Policy for Pct {
    fn choose(&mut self, view: &View<'_>) -> Result<Choice, Undecided> {
        let highest = |priorities: &[usize]| view.enabled.iter().max_by_key(|enabled| priorities[enabled.pick.request]);
        let Some(mut enabled) = highest(&self.priorities) else {
            return Err(Undecided("nothing is parked".to_owned()));
        };
        if let Some(change) = self.changes.iter().position(|step| *step == self.step) {
            self.priorities[enabled.pick.request] = change;
            enabled = highest(&self.priorities).unwrap_or(enabled);
        }
        self.step += 1;
        Ok(Choice(vec![enabled.pick]))
    }
}

fn generator(seed: u64, execution: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(execution);
    random
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, find_then_insert};
    use super::*;

    #[test]
    fn the_bound_is_the_published_one() {
        for (requests, steps, depth, expected) in [(2, 4, 2, 8.0), (8, 4, 2, 32.0), (3, 6, 3, 108.0), (2, 9, 1, 2.0)] {
            let bound: f64 = Pct::bound(requests, steps, depth);
            assert!((bound * expected - 1.0).abs() < 1e-9, "{bound}");
        }
    }

    #[tokio::test]
    async fn both_find_the_race_and_repeat_by_seed() {
        for pct in [true, false] {
            let mut schedules = Vec::new();
            let mut violated = 0;
            for run in 0..2_u32 {
                let (fake, mut scheduler) = Fake::new(2, find_then_insert);
                schedules.push(Vec::new());
                for number in 0..40 {
                    let mut by_priority = Pct::new(7, u64::from(number), 2, 4, 2);
                    let mut by_chance = Random::new(7, u64::from(number));
                    let policy: &mut dyn Policy = if pct { &mut by_priority } else { &mut by_chance };
                    let execution = scheduler.execute(&fake, number, policy).await;
                    schedules[run as usize].push(execution.named());
                    violated += usize::from(fake.documents(number) > 1);
                }
            }
            assert_eq!(schedules[0], schedules[1]);
            assert!(violated > 0, "pct: {pct}");
        }
    }
}
