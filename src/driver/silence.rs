//! [`Silence`]: kinds of operations that were never answered. A service that lets the first request of a kind wait until its
//! deadline will hardly answer the others: waiting for each of them in turn would take hours and show nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was answered so far, by kind of operation. Workers tell of each kind once.
#[derive(Debug, Default)]
pub(super) struct Silence {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answered: BTreeSet<String>,
    reason: Option<String>,
}

impl Silence {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operation of this kind was answered.
    pub(super) fn broken(&self, name: &str) {
        self.state().answered.insert(name.to_owned());
    }

    /// An operation of this kind missed its deadline, for this reason; whether none was ever answered.
    pub(super) fn falls(&self, name: &str, why: &str) -> bool {
        let mut state = self.state();
        let silent = !state.answered.contains(name);
        if silent && state.reason.is_none() {
            state.reason = Some(format!("no `{name}` was ever answered: {why}"));
        }
        silent
    }

    /// Why the run has ended, if it is for this.
    pub(super) fn reason(&self) -> Option<String> {
        self.state().reason.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kind_that_was_never_answered_is_silent() {
        let silence = Silence::default();
        silence.broken("create");
        assert!(!silence.falls("create", "no answer within 1s"));
        assert_eq!(silence.reason(), None);
        assert!(silence.falls("read", "no answer within 1s"));
        assert_eq!(silence.reason().as_deref(), Some("no `read` was ever answered: no answer within 1s"));
    }
}
