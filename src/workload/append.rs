//! Append: senders say something in a session, in quick succession, and are answered; sessions are shared by several.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::{Asked, Position, Workload};
use crate::history::{Action, MessagePath, Phase, Said};
use crate::verdict::Invariant;

/// What one sender types quickly, one after the other.
const QUICK: [&str; 3] = ["hello", "world", "test"];

/// The append workload.
#[derive(Debug, Clone)]
pub struct Append {
    tag: Arc<str>,
    texts: [Arc<str>; QUICK.len()],
    reads: bool,
    answers: bool,
}

impl Append {
    /// Share of reads. Without reads a stale or reordered state stays unseen.
    const READS: f64 = 0.15;
    /// Share of messages that are spoken.
    const VOICE: f64 = 0.3;

    /// A workload whose sessions carry this tag.
    pub fn new(tag: &str) -> Self {
        Append { tag: Arc::from(tag), texts: QUICK.map(Arc::from), reads: true, answers: true }
    }

    /// The workload without reads, for a service that has none.
    #[must_use]
    pub fn without_reads(self) -> Self {
        Append { reads: false, ..self }
    }

    /// The workload for a service that stores messages without answers.
    #[must_use]
    pub fn without_answers(self) -> Self {
        Append { answers: false, ..self }
    }
}

impl Workload for Append {
    fn invariants(&self) -> Vec<Invariant> {
        let mut invariants = vec![
            Invariant::SingleDocument,
            Invariant::ZeroDuplicates,
            Invariant::NoLostMessages,
            Invariant::NoDuplicateMessages,
            Invariant::NoPhantomMessages,
            Invariant::AppendOrder,
            Invariant::PairAdjacent,
            Invariant::PayloadIntact,
            Invariant::InsertFieldsIntact,
            Invariant::NoLeakedErrors,
            Invariant::SomebodyServed,
        ];
        // A message without an answer is no pair.
        invariants.retain(|invariant| self.answers || *invariant != Invariant::PairAdjacent);
        invariants
    }

    fn raced_operation(&self) -> Option<&'static str> {
        Some("append")
    }

    fn asked(&self, asked: &Asked<'_>) -> Option<Action> {
        let said = || Said {
            path: MessagePath::Text,
            sender: asked.request,
            n: 0,
            text: Arc::from("hello"),
            answered: self.answers,
        };
        match asked.operation {
            "append" => Some(Action::Append(said())),
            "read" => Some(Action::Read),
            _ => None,
        }
    }

    fn key(&self, phase: Phase, number: u32) -> Arc<str> {
        let part = match phase {
            Phase::Control => "c",
            Phase::Main => "s",
        };
        Arc::from(format!("session-{}-{part}{number}", self.tag))
    }

    fn action(&self, position: Position, random: &mut ChaCha8Rng) -> Action {
        let (read, voice) = match position.phase {
            // The control ends on a read, and has both paths, on each key.
            Phase::Control => (position.client == 3, position.client == 1),
            // Where all meet on a fresh session, the first ones race to create it.
            Phase::Main => (
                random.random_bool(Self::READS) && !(position.fresh && position.client < 3),
                random.random_bool(Self::VOICE),
            ),
        };
        if read && self.reads {
            return Action::Read;
        }
        // On a fresh session three clients are one sender, who types three messages quickly.
        let (sender, n) =
            if position.fresh { (position.client / 3, position.client % 3) } else { (position.client, position.round) };
        let text = Arc::clone(&self.texts[n as usize % QUICK.len()]);
        let path = if voice { MessagePath::Voice } else { MessagePath::Text };
        Action::Append(Said { path, sender, n, text, answered: self.answers })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn actions(seed: u64) -> Vec<Action> {
        let workload = Append::new("r7");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let position = |round| Position { phase: Phase::Main, client: 2, round, key: 0, fresh: false };
        (0..1000).map(|round| workload.action(position(round), &mut random)).collect()
    }

    #[test]
    fn reads_and_both_paths_are_mixed_in_and_the_seed_decides() {
        assert_eq!(actions(7), actions(7));
        assert_ne!(actions(7), actions(8));
        let all = actions(7);
        let reads = all.iter().filter(|action| **action == Action::Read).count();
        assert!((100..200).contains(&reads), "{reads} of 1000 are reads");
        let voice = |action: &&Action| matches!(action, Action::Append(said) if said.path == MessagePath::Voice);
        assert!(all.iter().filter(voice).count() > 200);
    }

    #[test]
    fn one_sender_types_three_messages_quickly_on_a_fresh_session() {
        let workload = Append::new("r7");
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let texts: Vec<String> = (0..200)
            .filter_map(|client| {
                let position = Position { phase: Phase::Main, client, round: 0, key: 0, fresh: true };
                match workload.action(position, &mut random) {
                    Action::Append(said) if said.sender == 0 => Some(said.text.to_string()),
                    _ => None,
                }
            })
            .collect();
        assert_eq!(texts, QUICK);
    }
}
