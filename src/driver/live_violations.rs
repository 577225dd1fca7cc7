//! [`LiveViolations`]: violations that show while a run is under way, for the progress line.
//!
//! It counts what an answer alone gives away: a key for which two answers of create-or-get name different documents, and
//! an error that only the loser of a race gets. The verdict is not made of it: the checkers find these too, and more.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::history::{Action, Id, Operation, Outcome, Value};
use crate::verdict::Invariant;

/// What was answered so far.
#[derive(Debug, Default)]
pub(super) struct LiveViolations {
    /// What is not judged.
    ignored: Vec<Invariant>,
    /// The first identifier of each key; `None` once another one was answered, which counts once.
    first: FxHashMap<Arc<str>, Option<Id>>,
}

impl LiveViolations {
    /// Beyond so many keys it starts afresh: it may then count less, and never more.
    const MOST_KEYS: usize = 100_000;

    /// Without these invariants, which the run is not judged by.
    pub(super) fn without(ignored: &[Invariant]) -> Self {
        LiveViolations { ignored: ignored.to_vec(), ..LiveViolations::default() }
    }

    /// Whether this operation shows a violation that was not shown before.
    pub(super) fn violates(&mut self, operation: &Operation) -> bool {
        if !operation.phase.is_main() {
            return false;
        }
        match (&operation.action, &operation.outcome) {
            (Action::CreateOrGet { .. }, Outcome::Ok(Value::Document(returned)))
                if !self.ignored.contains(&Invariant::SameId) =>
            {
                returned.id.as_ref().is_some_and(|id| self.differs(&operation.key, id))
            }
            (_, Outcome::Failed(cause) | Outcome::Unknown(cause)) => {
                cause.is_lost_race() && !self.ignored.contains(&Invariant::NoLeakedErrors)
            }
            _ => false,
        }
    }

    fn differs(&mut self, key: &Arc<str>, id: &Id) -> bool {
        match self.first.get_mut(key) {
            Some(first) => first.take_if(|first| *first != *id).is_some(),
            None => {
                if self.first.len() >= Self::MOST_KEYS {
                    self.first.clear();
                }
                self.first.insert(Arc::clone(key), Some(id.clone()));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Cause, Phase, Returned};

    fn operation(key: &str, phase: Phase, outcome: Outcome) -> Operation {
        Operation {
            phase,
            ..crate::history::fixture::operation(0, key, Action::CreateOrGet { reversed: false }, [0, 1], outcome)
        }
    }

    #[test]
    fn what_answers_give_away_is_counted_once_for_each_key() {
        let named =
            |id: &str| Outcome::Ok(Value::Document(Returned { id: Some(Id::Text(id.into())), ..Returned::default() }));
        let failed = |code: i32| Outcome::Failed(Cause::database(code, "x"));
        let mut seen = LiveViolations::default();
        for (step, (key, phase, outcome, violates)) in [
            ("a", Phase::Main, named("1"), false),
            ("a", Phase::Main, named("1"), false),
            ("b", Phase::Main, named("2"), false),
            ("a", Phase::Main, named("2"), true),
            // A third document of the same key is the same violation.
            ("a", Phase::Main, named("3"), false),
            ("b", Phase::Main, failed(11000), true),
            ("b", Phase::Main, failed(112), true),
            ("b", Phase::Main, failed(50), false),
            ("c", Phase::Control, failed(11000), false),
            ("b", Phase::Main, named("2"), false),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(seen.violates(&operation(key, phase, outcome)), violates, "step {step}");
        }
    }

    #[test]
    fn what_is_not_judged_is_no_violation() {
        let leaked = || operation("a", Phase::Main, Outcome::Failed(Cause::database(11000, "x")));
        assert!(LiveViolations::default().violates(&leaked()));
        assert!(!LiveViolations::without(&[Invariant::NoLeakedErrors]).violates(&leaked()));
        let named = |id: &str| {
            let returned = Returned { id: Some(Id::Text(id.into())), ..Returned::default() };
            operation("a", Phase::Main, Outcome::Ok(Value::Document(returned)))
        };
        let mut seen = LiveViolations::without(&[Invariant::SameId]);
        assert!(!seen.violates(&named("1")) && !seen.violates(&named("2")));
    }

    #[test]
    fn many_keys_take_no_more_memory_than_some() {
        let mut seen = LiveViolations::default();
        for key in 0..=LiveViolations::MOST_KEYS {
            assert!(!seen.differs(&key.to_string().into(), &Id::Text("1".into())));
        }
        assert_eq!(seen.first.len(), 1);
    }
}
