//! Merge: images and videos are delivered to chats at least once, by six code paths, by webhook and by polling.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::{Asked, Operation, Position, Workload};
use crate::history::{Action, Delivery, Phase, Via};
use crate::verdict::Invariant;

/// The merge workload.
#[derive(Debug, Clone)]
pub struct Merge {
    tag: Arc<str>,
    /// Most deliveries of one content.
    deliveries: u32,
}

impl Merge {
    /// Share of reads.
    const READS: f64 = 0.12;
    /// Every third chat is missing when the run begins.
    const MISSING: u32 = 3;
    /// Contents of one chat in a load whose chats are met again and again.
    const CONTENTS: u32 = 200;

    /// A workload whose chats carry this tag, with at most so many deliveries of each content.
    pub fn new(tag: &str, deliveries: u32) -> Self {
        Merge { tag: Arc::from(tag), deliveries: deliveries.max(1) }
    }

    /// The content that the client at this position delivers on a fresh chat, and which delivery of it that is: each
    /// content is delivered once to `deliveries` times, in turn.
    fn share(&self, position: u32) -> (u32, u32) {
        // One cycle delivers 1 + 2 + … + deliveries times.
        let cycle = self.deliveries * (self.deliveries + 1) / 2;
        let (mut content, mut rest) = (position / cycle * self.deliveries, position % cycle);
        for times in 1..=self.deliveries {
            if rest < times {
                break;
            }
            rest -= times;
            content += 1;
        }
        (content, rest)
    }
}

impl Workload for Merge {
    fn invariants(&self) -> Vec<Invariant> {
        vec![
            Invariant::SingleDocument,
            Invariant::ZeroDuplicates,
            Invariant::MergeOnce,
            Invariant::NoFalseDedupe,
            Invariant::NoLostMessages,
            Invariant::NoDuplicateMessages,
            Invariant::NoPhantomMessages,
            Invariant::AppendOrder,
            Invariant::PayloadIntact,
            Invariant::NoLeakedErrors,
        ]
    }

    fn key(&self, phase: Phase, number: u32) -> Arc<str> {
        let part = match phase {
            Phase::Control => "c",
            Phase::Main => "u",
        };
        Arc::from(format!("chat-{}-{part}{number}", self.tag))
    }

    fn exists_before(&self, number: u32) -> bool {
        number % Self::MISSING != Self::MISSING - 1
    }

    fn raced_operation(&self) -> Option<&'static str> {
        Some("deliver")
    }

    fn asked(&self, asked: &Asked<'_>) -> Option<Action> {
        let delivery = || Delivery { content: 0, nth: asked.request, path: Delivery::paths(0)[0], via: Via::Webhook };
        match asked.operation {
            "deliver" => Some(Action::Deliver(delivery())),
            "open" => Some(Action::Open),
            "read" => Some(Action::Read),
            _ => None,
        }
    }

    /// Who opens a chat begins with a missing one.
    fn number_for(&self, execution: u32, operations: &[Operation]) -> u32 {
        let opens = operations.iter().any(|operation| operation == "open");
        execution.wrapping_mul(Self::MISSING).wrapping_add(if opens { Self::MISSING - 1 } else { 0 })
    }

    fn action(&self, position: Position, random: &mut ChaCha8Rng) -> Action {
        let via = if random.random() { Via::Webhook } else { Via::Polling };
        let read = random.random_bool(Self::READS);
        let missing = !self.exists_before(position.key);
        let (content, nth) = match position.phase {
            // One after another: the first two clients deliver one content, the third another, the last one reads.
            Phase::Control => (4 * position.key + position.client / 2, position.client % 2),
            Phase::Main if position.fresh => self.share(position.client),
            Phase::Main => (random.random_range(0..Self::CONTENTS), position.round),
        };
        let paths = Delivery::paths(content);
        let path = paths[random.random_range(0..paths.len())];
        let opens = match position.phase {
            Phase::Control => missing && position.client == 0,
            Phase::Main if position.fresh => missing && position.client == 0,
            Phase::Main => missing && random.random_bool(0.05),
        };
        if opens {
            Action::Open
        } else if match position.phase {
            Phase::Control => position.client == 3,
            Phase::Main => read && !(position.fresh && position.client < 2),
        } {
            Action::Read
        } else {
            Action::Deliver(Delivery { content, nth, path, via })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn each_content_is_delivered_once_to_k_times() {
        for most in 1..5 {
            let workload = Merge::new("r7", most);
            let mut times = BTreeMap::<u32, Vec<u32>>::new();
            for client in 0..most * (most + 1) * 3 {
                let (content, nth) = workload.share(client);
                times.entry(content).or_default().push(nth);
            }
            let found: Vec<u32> = times.values().map(|nths| u32::try_from(nths.len()).unwrap()).collect();
            let expected: Vec<u32> = (1..=most).cycle().take(found.len()).collect();
            assert_eq!(found, expected);
            assert!(times.values().all(|nths| nths.iter().copied().eq(0..u32::try_from(nths.len()).unwrap())));
        }
    }

    #[test]
    fn all_six_code_paths_both_ways_and_missing_chats_occur() {
        let workload = Merge::new("r7", 3);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let (mut kinds, mut opened) = (std::collections::BTreeSet::new(), 0);
        for key in 0..10 {
            for client in 0..60 {
                let position = Position { phase: Phase::Main, client, round: key, key, fresh: true };
                match workload.action(position, &mut random) {
                    Action::Deliver(delivery) => {
                        kinds.insert((delivery.path, delivery.via));
                    }
                    Action::Open => opened += 1,
                    _ => {}
                }
            }
        }
        assert_eq!((kinds.len(), opened), (12, 3));
    }
}
