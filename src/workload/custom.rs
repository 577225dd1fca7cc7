//! The custom workload: operations of the user's own, mixed by weight, on keys shared or private.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::{Asked, Position, Workload};
use crate::history::{Action, Phase};
use crate::scenario::{KeySharing, OperationSpec};
use crate::verdict::Invariant;

/// The custom workload.
#[derive(Debug, Clone)]
pub struct Custom {
    tag: Arc<str>,
    operations: Vec<Own>,
    total: u32,
}

/// One of its operations.
#[derive(Debug, Clone)]
struct Own {
    name: Arc<str>,
    weight: u32,
    keys: KeySharing,
}

impl Custom {
    /// A workload of these operations; a validated scenario has at least one.
    pub fn new<'a>(tag: &str, operations: impl IntoIterator<Item = (&'a String, &'a OperationSpec)>) -> Self {
        let own = |(name, spec): (&String, &OperationSpec)| Own {
            name: Arc::from(name.as_str()),
            weight: spec.weight,
            keys: spec.keys,
        };
        let operations: Vec<Own> = operations.into_iter().map(own).collect();
        let total = operations.iter().map(|own| own.weight).fold(0, u32::saturating_add);
        Custom { tag: Arc::from(tag), operations, total }
    }
}

impl Workload for Custom {
    fn invariants(&self) -> Vec<Invariant> {
        vec![Invariant::NoLeakedErrors, Invariant::SomebodyServed]
    }

    fn key(&self, phase: Phase, number: u32) -> Arc<str> {
        let part = match phase {
            Phase::Control => "c",
            Phase::Main => "k",
        };
        Arc::from(format!("{}-{part}{number}", self.tag))
    }

    fn asked(&self, asked: &Asked<'_>) -> Option<Action> {
        Some(Action::Custom(Arc::from(asked.operation)))
    }

    fn action(&self, _: Position, random: &mut ChaCha8Rng) -> Action {
        let mut left = random.random_range(0..self.total.max(1));
        for own in &self.operations {
            match left.checked_sub(own.weight) {
                Some(rest) => left = rest,
                None => return Action::Custom(Arc::clone(&own.name)),
            }
        }
        Action::Custom(Arc::from("none"))
    }

    fn own_key(&self, action: &Action, position: Position, key: Arc<str>) -> Arc<str> {
        let own = self.operations.iter().find(|own| *own.name == *action.name());
        match own.map(|own| own.keys) {
            Some(KeySharing::Private) => Arc::from(format!("{key}-{}", position.client)),
            Some(KeySharing::Shared) | None => key,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn operations_come_by_their_weight_and_private_keys_are_the_clients_own() {
        let own = |name: &str, weight, keys| Own { name: Arc::from(name), weight, keys };
        let operations = vec![own("rare", 1, KeySharing::Private), own("usual", 9, KeySharing::Shared)];
        let workload = Custom { tag: Arc::from("r"), operations, total: 10 };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let position = Position { phase: Phase::Main, client: 4, round: 0, key: 0, fresh: true };
        let actions: Vec<Action> = (0..1000).map(|_| workload.action(position, &mut random)).collect();
        let rare = actions.iter().filter(|action| action.name() == "rare").count();
        assert!((50..150).contains(&rare), "{rare}");
        let key = workload.key(Phase::Main, 3);
        assert_eq!(&*workload.own_key(&Action::Custom(Arc::from("rare")), position, Arc::clone(&key)), "r-k3-4");
        assert_eq!(workload.own_key(&Action::Custom(Arc::from("usual")), position, Arc::clone(&key)), key);
    }
}
