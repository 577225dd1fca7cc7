//! Threads: direct and group conversations that callers start, look for, expand and read (S3).
//!
//! Each key is a family of participants, `TAG-p12x`, whose members are `TAG-p12x.a`, `TAG-p12x.b` and so on. Its last
//! letter is its [`Class`]: what goes on in the family. Three of the participants are in it from the start, the others
//! are those who may be added, so no two families can ever come to the same set of participants.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::{Asked, Operation, Position, Workload};
use crate::history::{Action, Conversation, Expansion, Phase, ThreadKind};
use crate::verdict::Invariant;

/// The thread workload.
#[derive(Debug, Clone)]
pub struct Threads {
    tag: Arc<str>,
    /// Admins resign.
    resigns: bool,
    /// Threads are read.
    reads: bool,
}

/// What goes on in a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Callers start the direct thread of two.
    Direct,
    /// Callers start the group of three.
    Group,
    /// A group is given; its admin and others expand it, and callers start threads with sets that it may come to.
    Expanding,
    /// A group is given; its admin expands it and resigns.
    Resigning,
}

impl Class {
    const COUNT: u32 = 4;
    /// All, with their letters.
    const ALL: [(Class, char); Self::COUNT as usize] =
        [(Class::Direct, 'd'), (Class::Group, 'g'), (Class::Expanding, 'x'), (Class::Resigning, 'r')];

    /// The class of the family with this number.
    fn of_number(number: u32) -> (Class, char) {
        Self::ALL[number as usize % Self::ALL.len()]
    }

    /// Number of the family of this class that comes at this place.
    fn number(self, place: u32) -> u32 {
        let own = Self::ALL.iter().zip(0..).find(|((class, _), _)| *class == self).map_or(0, |(_, own)| own);
        place.wrapping_mul(Self::COUNT).wrapping_add(own)
    }

    /// The class of the family of this name.
    pub fn of_family(family: &str) -> Option<Class> {
        let letter = family.chars().next_back()?;
        Self::ALL.iter().find(|(_, known)| *known == letter).map(|(class, _)| *class)
    }

    /// Whether the family has a group before its first operation.
    pub fn has_given_thread(self) -> bool {
        matches!(self, Class::Expanding | Class::Resigning)
    }
}

/// The participant of a family with this letter.
pub fn participant(family: &str, letter: char) -> Arc<str> {
    Arc::from(format!("{family}.{letter}"))
}

/// Letters of the participants that a group begins with; the first is the admin of a given group.
pub const BASE: [char; 3] = ['a', 'b', 'c'];
/// Letters of those who may be added.
pub const POOL: [char; 3] = ['d', 'e', 'f'];

impl Threads {
    /// Share of look-ups in a load whose keys are met again and again.
    const CHECKS: f64 = 0.15;

    /// A workload whose participants carry this tag.
    pub fn new(tag: &str) -> Self {
        Threads { tag: Arc::from(tag.replace(['.', ',', ':'], "-")), resigns: true, reads: true }
    }

    /// Of a service that may have no route to resign, or to read a thread.
    pub fn with(self, resigns: bool, reads: bool) -> Self {
        Threads { resigns, reads, ..self }
    }

    fn start(family: &str, class: Class, position: Position, random: &mut ChaCha8Rng) -> Action {
        let (kind, letters) = match class {
            Class::Direct => (ThreadKind::Direct, &BASE[..2]),
            _ => (ThreadKind::Group, &BASE[..]),
        };
        let conversation = Box::new(conversation(family, kind, letters, random));
        if !position.fresh && position.phase == Phase::Main && random.random_bool(Self::CHECKS) {
            return Action::CheckExisting(conversation);
        }
        Action::StartConversation(conversation)
    }

    fn expanding(&self, family: &str, random: &mut ChaCha8Rng) -> Action {
        match random.random_range(0..if self.reads { 100 } else { 80 }) {
            0..50 => expand(family, 'a', random),
            50..62 => expand(family, 'b', random),
            62..80 => {
                // A set that the given group may have, or may come to.
                let mut letters = BASE.to_vec();
                letters.extend(POOL.iter().filter(|_| random.random_bool(0.4)));
                Action::StartConversation(Box::new(conversation(family, ThreadKind::Group, &letters, random)))
            }
            _ => Action::ReadThread,
        }
    }

    fn resigning(&self, family: &str, random: &mut ChaCha8Rng) -> Action {
        match random.random_range(0..if self.reads { 100 } else { 80 }) {
            0..65 => expand(family, 'a', random),
            65..80 => Action::ResignAdmin { caller: participant(family, 'a') },
            _ => Action::ReadThread,
        }
    }
}

fn are_on_a_given_thread(operations: &[Operation]) -> bool {
    let given = ["expand-thread", "resign-admin", "read-thread"];
    operations.iter().any(|operation| given.contains(&operation.as_str()))
}

/// A group of those who are in the family from the start; where others expand it, of those whom the first expansion
/// brings it to. The last of several names them in the other order.
fn whole_group(asked: &Asked<'_>) -> Conversation {
    let mut letters = BASE.to_vec();
    if are_on_a_given_thread(asked.all) {
        letters.push(POOL[0]);
    }
    if asked.is_last {
        letters.reverse();
    }
    Conversation {
        kind: ThreadKind::Group,
        caller: participant(asked.key, letters[0]),
        participants: letters.iter().map(|letter| participant(asked.key, *letter)).collect(),
    }
}

/// A conversation of these participants by one of them, who names them in any order and perhaps not itself.
fn conversation(family: &str, kind: ThreadKind, letters: &[char], random: &mut ChaCha8Rng) -> Conversation {
    let mut letters = letters.to_vec();
    letters.shuffle(random);
    let caller = participant(family, letters[0]);
    if random.random() {
        letters.remove(0);
        letters.shuffle(random);
    } else {
        letters.reverse();
    }
    Conversation { kind, caller, participants: letters.iter().map(|letter| participant(family, *letter)).collect() }
}

fn expand(family: &str, caller: char, random: &mut ChaCha8Rng) -> Action {
    let mut pool = POOL;
    pool.shuffle(random);
    let number = random.random_range(1..=2);
    Action::ExpandThread(Box::new(Expansion {
        caller: participant(family, caller),
        participants: pool[..number].iter().map(|letter| participant(family, *letter)).collect(),
        message: random.random(),
    }))
}

impl Workload for Threads {
    fn invariants(&self) -> Vec<Invariant> {
        vec![
            Invariant::OneThreadPerSet,
            Invariant::MembersExact,
            Invariant::AdminsOnly,
            Invariant::NoLostMessages,
            Invariant::NoDuplicateMessages,
            Invariant::DerivedFieldsExact,
            Invariant::NoLeakedErrors,
        ]
    }

    fn key(&self, phase: Phase, number: u32) -> Arc<str> {
        let part = match phase {
            Phase::Control => "c",
            Phase::Main => "p",
        };
        Arc::from(format!("{}-{part}{number}{}", self.tag, Class::of_number(number).1))
    }

    fn raced_operation(&self) -> Option<&'static str> {
        Some("expand-thread")
    }

    fn asked(&self, asked: &Asked<'_>) -> Option<Action> {
        let named = || Box::new(whole_group(asked));
        let expansion = || Expansion {
            caller: participant(asked.key, BASE[0]),
            participants: vec![participant(asked.key, POOL[asked.request as usize % POOL.len()])],
            message: true,
        };
        match asked.operation {
            "start-conversation" => Some(Action::StartConversation(named())),
            "check-existing-thread" => Some(Action::CheckExisting(named())),
            "expand-thread" => Some(Action::ExpandThread(Box::new(expansion()))),
            "resign-admin" => Some(Action::ResignAdmin { caller: participant(asked.key, BASE[0]) }),
            "read-thread" => Some(Action::ReadThread),
            _ => None,
        }
    }

    fn number_for(&self, execution: u32, operations: &[Operation]) -> u32 {
        let class = match operations {
            operations if operations.iter().any(|operation| operation == "resign-admin") => Class::Resigning,
            operations if are_on_a_given_thread(operations) => Class::Expanding,
            _ => Class::Group,
        };
        class.number(execution)
    }

    fn begins_with_documents(&self, _: u32, operations: &[Operation]) -> bool {
        are_on_a_given_thread(operations)
    }

    fn action(&self, position: Position, random: &mut ChaCha8Rng) -> Action {
        let family = self.key(position.phase, position.key);
        match Class::of_number(position.key).0 {
            class @ (Class::Direct | Class::Group) => Self::start(&family, class, position, random),
            Class::Resigning if self.resigns => self.resigning(&family, random),
            Class::Expanding | Class::Resigning => self.expanding(&family, random),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;
    use crate::history::family_of;

    fn actions(seed: u64) -> Vec<(u32, Action)> {
        let workload = Threads::new("r.7");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let position = |round| Position { phase: Phase::Main, client: 0, round, key: round % 4, fresh: round % 8 < 4 };
        (0..800).map(|round| (round % 4, workload.action(position(round), &mut random))).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_operations_and_all_kinds_occur() {
        assert_eq!(actions(7), actions(7));
        assert_ne!(actions(7), actions(8));
        let asked = actions(7);
        let names: BTreeSet<&str> = asked.iter().map(|(_, action)| action.name()).collect();
        assert_eq!(names.len(), 5, "{names:?}");
    }

    #[test]
    fn every_participant_belongs_to_the_family_and_sets_fit_their_kind() {
        let workload = Threads::new("r.7");
        for (number, action) in actions(7) {
            let family = workload.key(Phase::Main, number);
            assert_eq!(Class::of_family(&family).unwrap(), Class::of_number(number).0);
            let named: Vec<Arc<str>> = match action {
                Action::StartConversation(conversation) | Action::CheckExisting(conversation) => {
                    assert!(conversation.kind.allows(conversation.members().len()));
                    conversation.members().into_iter().map(Arc::from).collect()
                }
                Action::ExpandThread(expansion) => expansion.participants,
                _ => Vec::new(),
            };
            assert!(named.iter().all(|name| family_of(name) == &*family), "{named:?}");
        }
    }
}
