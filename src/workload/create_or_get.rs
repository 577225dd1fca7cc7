//! Create-or-get: callers ask for the chat of a pair of participants, each naming the pair in its own order.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::{Asked, Position, Workload};
use crate::history::{Action, Phase};
use crate::verdict::Invariant;

/// The create-or-get workload.
#[derive(Debug, Clone)]
pub struct CreateOrGet {
    tag: Arc<str>,
    gets: bool,
}

impl CreateOrGet {
    /// Share of reads in a load whose keys are met again and again. Without reads a stale answer stays unseen.
    const GETS: f64 = 0.15;

    /// A workload whose participants carry this tag; it must not contain `_`, which joins the key.
    pub fn new(tag: &str) -> Self {
        CreateOrGet { tag: Arc::from(tag.replace('_', "-")), gets: true }
    }

    /// The workload without reads, for a service that has none.
    #[must_use]
    pub fn without_gets(self) -> Self {
        CreateOrGet { gets: false, ..self }
    }
}

impl Workload for CreateOrGet {
    fn invariants(&self) -> Vec<Invariant> {
        vec![
            Invariant::SingleDocument,
            Invariant::ZeroDuplicates,
            Invariant::SameId,
            Invariant::CreatedOnce,
            Invariant::CreateOrGetLinearizable,
            Invariant::NoLeakedErrors,
            Invariant::InsertFieldsIntact,
            Invariant::SomebodyServed,
        ]
    }

    fn key(&self, phase: Phase, number: u32) -> Arc<str> {
        let tag = &self.tag;
        let part = match phase {
            Phase::Control => "c",
            Phase::Main => "p",
        };
        Arc::from(format!("{tag}-{part}{number}a_{tag}-{part}{number}b"))
    }

    fn raced_operation(&self) -> Option<&'static str> {
        Some("create-or-get")
    }

    fn asked(&self, asked: &Asked<'_>) -> Option<Action> {
        match asked.operation {
            // The last request names the pair in the other order, which must make no difference.
            "create-or-get" => Some(Action::CreateOrGet { reversed: asked.is_last }),
            "get" => Some(Action::Get),
            _ => None,
        }
    }

    fn action(&self, position: Position, random: &mut ChaCha8Rng) -> Action {
        if self.gets && !position.fresh && position.phase == Phase::Main && random.random_bool(Self::GETS) {
            return Action::Get;
        }
        // The control ends on a read of each key: whether what was created is found needs no race.
        if self.gets && position.phase == Phase::Control && position.client == 3 {
            return Action::Get;
        }
        // The control alternates, so that both orders are sure to occur on each key.
        let reversed = match position.phase {
            Phase::Control => position.client % 2 == 1,
            Phase::Main => random.random(),
        };
        Action::CreateOrGet { reversed }
    }
}

/// The two participants behind a canonical key.
pub fn participants(key: &str) -> [&str; 2] {
    key.split_once('_').map_or([key, ""], |(a, b)| [a, b])
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn actions(seed: u64) -> Vec<Action> {
        let workload = CreateOrGet::new("r7");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let position = |round| Position { phase: Phase::Main, client: 0, round, key: 0, fresh: false };
        (0..200).map(|round| workload.action(position(round), &mut random)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_operations_and_all_kinds_occur() {
        assert_eq!(actions(7), actions(7));
        assert_ne!(actions(7), actions(8));
        for kind in [Action::Get, Action::CreateOrGet { reversed: true }, Action::CreateOrGet { reversed: false }] {
            assert!(actions(7).contains(&kind), "{kind:?} never occurs");
        }
    }

    #[test]
    fn a_key_is_the_sorted_participants_joined() {
        let key = CreateOrGet::new("r_7").key(Phase::Main, 12);
        assert_eq!(&*key, "r-7-p12a_r-7-p12b");
        assert_eq!(participants(&key), ["r-7-p12a", "r-7-p12b"]);
    }
}
