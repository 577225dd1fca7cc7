//! [`ServedUntil`]: until when somebody was served, of those who share what may run out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::facts::told;
use crate::history::{Nanos, Operation, Outcome};

/// When the last operation of each kind began that was served; who is answered late was served, too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServedUntil(BTreeMap<String, Nanos>);

impl ServedUntil {
    /// Takes note of an operation.
    pub fn meet(&mut self, operation: &Operation) {
        if matches!(told(operation), Outcome::Ok(_)) {
            self.extend(operation.action.name(), operation.invoked);
        }
    }

    /// With those of other operations.
    pub fn join(&mut self, other: Self) {
        other.0.into_iter().for_each(|(kind, until)| self.extend(&kind, until));
    }

    fn extend(&mut self, kind: &str, until: Nanos) {
        match self.0.get_mut(kind) {
            Some(known) => *known = (*known).max(until),
            None => {
                self.0.insert(kind.to_owned(), until);
            }
        }
    }

    /// When the last one of a kind began.
    pub fn of_kind(&self, kind: &str) -> Option<Nanos> {
        self.0.get(kind).copied()
    }

    /// When the last one of any kind began.
    pub fn latest(&self) -> Option<Nanos> {
        self.0.values().copied().max()
    }

    /// Whether there was something left for one that was refused: somebody was served later, by an operation of its kind, or of any
    /// where its kind is never served.
    pub fn left_something(&self, refused: &Operation) -> bool {
        let served = self.of_kind(refused.action.name()).or_else(|| self.latest());
        served.is_some_and(|served| refused.returned() < served)
    }
}
