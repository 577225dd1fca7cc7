//! The closing round: one caller alone, on a key that nobody has.
//!
//! Where nobody was served in the last rounds of a load, either callers refused each other or what their keys share had run out. Who comes
//! alone then tells one from the other: he is served, or nothing was left.

use std::sync::{Mutex, PoisonError};

use crate::history::{Operation, Outcome};

/// The last keys of the load on which somebody was served and refused, by their numbers: rounds come to them in that order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LastKeys {
    served: Option<u32>,
    refused: Option<u32>,
}

impl LastKeys {
    /// Takes note of an operation on the key with this number.
    pub(super) fn meet(&mut self, operation: &Operation, number: u32) {
        if !operation.phase.is_main() || !operation.action.wants_a_key() {
            return;
        }
        let last = match operation.outcome {
            Outcome::Ok(_) => &mut self.served,
            Outcome::Failed(_) => &mut self.refused,
            Outcome::Unknown(_) => return,
        };
        *last = (*last).max(Some(number));
    }

    /// Those of this worker and of others.
    pub(super) fn join(self, other: Self) -> Self {
        LastKeys { served: self.served.max(other.served), refused: self.refused.max(other.refused) }
    }

    /// Whether nobody was served on the last key on which somebody was refused, nor on a later one.
    pub(super) fn ended_in_refusals(self) -> bool {
        self.refused > self.served
    }
}

/// Those of all workers that have ended.
#[derive(Debug, Default)]
pub(super) struct LastKeysOfAll(Mutex<LastKeys>);

impl LastKeysOfAll {
    /// With those of one more.
    pub(super) fn join(&self, keys: LastKeys) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all = all.join(keys);
    }

    /// Those of all of them.
    pub(super) fn keys(&self) -> LastKeys {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture::operation;
    use crate::history::{Action, Cause, Phase, Returned, Value};

    #[test]
    fn a_load_ends_in_refusals_where_nobody_was_served_on_its_last_keys() {
        // The number of a key and what came of an operation there: `s` served, `r` refused, `u` unknown, `g` a get refused, `c` a refusal
        // of the serial control.
        for (all, expected) in [
            ("", false),
            ("0s 1s", false),
            ("0s 1r", true),
            ("0r", true),
            ("0s 1r 1s", false),
            ("0r 1s", false),
            ("0s 1r 2s 3r 3r", true),
            ("0s 1u", false),
            ("0s 1g", false),
            ("0s 1c", false),
        ] {
            let workers: Vec<LastKeys> = all
                .split_whitespace()
                .map(|one| {
                    let (number, what) = one.split_at(1);
                    let outcome = match what {
                        "s" => Outcome::Ok(Value::Document(Returned::default())),
                        "u" => Outcome::Unknown(Cause::new("no answer")),
                        _ => Outcome::Failed(Cause::http(409, "no")),
                    };
                    let action = if what == "g" { Action::Get } else { Action::CreateOrGet { reversed: false } };
                    let phase = if what == "c" { Phase::Control } else { Phase::Main };
                    let met = Operation { phase, ..operation(0, "k", action, [0, 1], outcome) };
                    let mut keys = LastKeys::default();
                    keys.meet(&met, number.parse().unwrap());
                    keys
                })
                .collect();
            let all_keys = LastKeysOfAll::default();
            workers.into_iter().rev().for_each(|keys| all_keys.join(keys));
            assert_eq!(all_keys.keys().ended_in_refusals(), expected, "{all}");
        }
    }
}
