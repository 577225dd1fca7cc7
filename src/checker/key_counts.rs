//! What was done on one key, as counts by name: [`Counts`]. `acknowledged`, `refused`, `unknown` and `clients` of all
//! operations, and `NAME.acknowledged` and so on of one.

use std::fmt;

use crate::history::{Operation, Outcome};

use super::facts::told;

/// The counts of some operations.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts<'a> {
    all: Tally,
    by_name: Vec<(&'a str, Tally)>,
}

/// How operations ended.
#[derive(Debug, Clone, Default)]
struct Tally {
    acknowledged: u64,
    refused: u64,
    unknown: u64,
    clients: Vec<u32>,
}

impl Tally {
    fn add(&mut self, operation: &Operation) {
        // One that was sent several times may have happened as often.
        let again = u64::from(operation.attempts.max(1)) - 1;
        match told(operation) {
            Outcome::Ok(_) => {
                self.acknowledged += 1;
                self.unknown += again;
            }
            Outcome::Failed(_) => self.refused += 1,
            Outcome::Unknown(_) => self.unknown += again + 1,
        }
        if let Err(at) = self.clients.binary_search(&operation.client) {
            self.clients.insert(at, operation.client);
        }
    }

    fn get(&self, field: &str) -> Option<f64> {
        let count = match field {
            "acknowledged" => self.acknowledged,
            "refused" => self.refused,
            "unknown" => self.unknown,
            "clients" => self.clients.len() as u64,
            _ => return None,
        };
        Some(count as f64)
    }
}

impl<'a> Counts<'a> {
    /// Counts these operations.
    pub(super) fn of(operations: impl Iterator<Item = &'a Operation>) -> Self {
        let mut counts = Counts::default();
        for operation in operations {
            counts.all.add(operation);
            let name = operation.action.name();
            let at = counts.by_name.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
                counts.by_name.push((name, Tally::default()));
                counts.by_name.len() - 1
            });
            counts.by_name[at].1.add(operation);
        }
        counts
    }

    /// The count of this name; an operation that did not come has none of anything.
    pub(super) fn get(&self, name: &str) -> f64 {
        let (tally, field) = match name.rsplit_once('.') {
            None => (Some(&self.all), name),
            Some((operation, field)) => {
                (self.by_name.iter().find(|(other, _)| *other == operation).map(|(_, tally)| tally), field)
            }
        };
        tally.and_then(|tally| tally.get(field)).unwrap_or(0.0)
    }
}

impl fmt::Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |(name, tally): &(&str, Tally)| {
            format!("{name}: {} acknowledged, {} refused, {} unknown", tally.acknowledged, tally.refused, tally.unknown)
        };
        f.write_str(&self.by_name.iter().map(said).collect::<Vec<_>>().join("; "))
    }
}
