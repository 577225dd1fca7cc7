//! [`Disturbance`]: what happens to commands, answers and connections that pass, where a run wants its server to be hard to
//! reach. Whom it meets is drawn from a seed; nothing is parked for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;

/// What is on, and what it has met.
#[derive(Debug, Default)]
pub(super) struct Disturbance {
    /// Whether anything is on: without a lock, for every command that passes.
    on: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    delay: Option<(Duration, f64)>,
    lost_answers: Option<f64>,
    random: Option<ChaCha8Rng>,
    delayed: u64,
    lost: u64,
    open: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// What happens to one command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Met {
    /// It comes to the server so much later.
    pub(super) delay: Option<Duration>,
    /// Its connection is closed in place of the answer.
    pub(super) loses_answer: bool,
}

/// Keeps a connection among those that can be closed.
#[derive(Debug)]
pub(super) struct Open<'a> {
    disturbance: &'a Disturbance,
    number: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.disturbance.state().open.remove(&self.number);
    }
}

impl State {
    fn draw(&mut self, share: f64) -> bool {
        let random = self.random.get_or_insert_with(|| ChaCha8Rng::seed_from_u64(0));
        share >= 1.0 || random.random::<f64>() < share
    }
}

impl Disturbance {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn switch(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        self.on.store(state.delay.is_some() || state.lost_answers.is_some(), Ordering::Relaxed);
    }

    /// Takes note of a connection for as long as what is returned is kept.
    pub(super) fn opens(&self, closed: &CancellationToken) -> Open<'_> {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.open.insert(number, closed.clone());
        drop(state);
        Open { disturbance: self, number }
    }

    /// What happens to a command on data.
    pub(super) fn meets(&self) -> Met {
        if !self.on.load(Ordering::Relaxed) {
            return Met::default();
        }
        let mut state = self.state();
        let delay = state.delay.filter(|(_, share)| state.draw(*share)).map(|(delay, _)| delay);
        state.delayed += u64::from(delay.is_some());
        let loses_answer = state.lost_answers.is_some_and(|share| state.draw(share));
        Met { delay, loses_answer }
    }

    /// An answer was lost.
    pub(super) fn lost_answer(&self) {
        self.state().lost += 1;
    }

    /// Draws from this seed from now on.
    pub(super) fn seed(&self, seed: u64) {
        self.switch(|state| state.random = Some(ChaCha8Rng::seed_from_u64(seed)));
    }

    /// Commands come late from now on, or no longer: how many did since they began to.
    pub(super) fn delays(&self, delay: Option<(Duration, f64)>) -> u64 {
        let mut delayed = 0;
        self.switch(|state| {
            state.delay = delay;
            delayed = std::mem::take(&mut state.delayed);
        });
        delayed
    }

    /// Answers are lost from now on, or no longer: how many were since they began to be.
    pub(super) fn loses_answers(&self, share: Option<f64>) -> u64 {
        let mut lost = 0;
        self.switch(|state| {
            state.lost_answers = share;
            lost = std::mem::take(&mut state.lost);
        });
        lost
    }

    /// Closes this share of the connections that are open now: how many.
    pub(super) fn resets(&self, share: f64) -> u64 {
        let mut state = self.state();
        let open: Vec<CancellationToken> = state.open.values().cloned().collect();
        let met: Vec<_> = open.into_iter().filter(|_| state.draw(share)).collect();
        met.iter().for_each(CancellationToken::cancel);
        met.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_happens_until_it_is_switched_on_and_after_it_is_switched_off() {
        let disturbance = Disturbance::default();
        assert_eq!(disturbance.meets(), Met::default());
        let late = Duration::from_millis(7);
        assert_eq!(disturbance.delays(Some((late, 1.0))), 0);
        assert_eq!(disturbance.meets(), Met { delay: Some(late), loses_answer: false });
        assert_eq!(disturbance.loses_answers(Some(1.0)), 0);
        assert_eq!(disturbance.meets(), Met { delay: Some(late), loses_answer: true });
        disturbance.lost_answer();
        assert_eq!((disturbance.delays(None), disturbance.loses_answers(None)), (2, 1));
        assert_eq!(disturbance.meets(), Met::default());
    }

    #[test]
    fn a_share_is_met_as_the_seed_draws_it() {
        let drawn = |seed| {
            let disturbance = Disturbance::default();
            disturbance.seed(seed);
            disturbance.loses_answers(Some(0.25));
            (0..400).map(|_| disturbance.meets().loses_answer).collect::<Vec<_>>()
        };
        let met = drawn(1).iter().filter(|lost| **lost).count();
        assert!((60..140).contains(&met), "{met}");
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn connections_that_are_open_are_closed_and_those_that_are_gone_are_not_counted() {
        let disturbance = Disturbance::default();
        let (kept, gone) = (CancellationToken::new(), CancellationToken::new());
        let _open = disturbance.opens(&kept);
        drop(disturbance.opens(&gone));
        assert_eq!(disturbance.resets(1.0), 1);
        assert!(kept.is_cancelled() && !gone.is_cancelled());
    }
}
