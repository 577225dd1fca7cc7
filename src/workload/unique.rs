//! Unique: a route that only creates. On each key one request is served, and the others must be refused.

use std::sync::Arc;

use rand::rngs::ChaCha8Rng;

use super::{Asked, Position, Workload};
use crate::history::{Action, Phase};
use crate::verdict::Invariant;

/// The unique workload.
#[derive(Debug, Clone)]
pub struct Unique {
    tag: Arc<str>,
    create: Arc<str>,
}

impl Unique {
    /// Name of its one operation.
    pub const CREATE: &'static str = "create";

    /// A workload whose keys carry this tag.
    pub fn new(tag: &str) -> Self {
        Unique { tag: Arc::from(tag), create: Arc::from(Self::CREATE) }
    }
}

impl Workload for Unique {
    fn invariants(&self) -> Vec<Invariant> {
        vec![
            Invariant::SingleDocument,
            Invariant::ZeroDuplicates,
            Invariant::CreatedOnce,
            Invariant::NoLeakedErrors,
            Invariant::SomebodyServed,
        ]
    }

    fn key(&self, phase: Phase, number: u32) -> Arc<str> {
        let part = match phase {
            Phase::Control => "c",
            Phase::Main => "u",
        };
        Arc::from(format!("{}-{part}{number}", self.tag))
    }

    fn asked(&self, asked: &Asked<'_>) -> Option<Action> {
        Some(Action::Custom(Arc::from(asked.operation)))
    }

    fn action(&self, _: Position, _: &mut ChaCha8Rng) -> Action {
        Action::Custom(Arc::clone(&self.create))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn everybody_creates_on_the_key_of_the_round() {
        let workload = Unique::new("r");
        let position = Position { phase: Phase::Main, client: 1, round: 0, key: 7, fresh: true };
        let action = workload.action(position, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!((action.name(), &*workload.key(Phase::Main, 7)), ("create", "r-u7"));
        assert_ne!(workload.key(Phase::Control, 7), workload.key(Phase::Main, 7));
    }
}
