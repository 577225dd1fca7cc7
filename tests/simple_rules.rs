//! The simple rules against their definitions: every invariant but linearizability, on many small random histories.
//!
//! The definitions below are written as quantifiers over all pairs, share no code with the checkers, and are as slow as
//! they are plain. Each key of a history is one case: the number of violated keys must be the same.

#![allow(clippy::panic, clippy::print_stdout, reason = "a test")]

use std::sync::Arc;

use onlyone::checker::judge;
use onlyone::history::{
    Action, Cause, History, Id, Observation, Observed, OpId, Operation, Outcome, Phase, Returned, Source, ThreadState,
    Value,
};
use onlyone::verdict::Invariant;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

const CASES: u64 = 20_000;

/// One key's operations and documents.
struct Case {
    operations: Vec<Operation>,
    documents: Vec<Observed>,
}

impl Case {
    fn answers(&self) -> impl Iterator<Item = (&Operation, &Returned)> {
        self.operations.iter().filter_map(|operation| Some((operation, operation.returned_document()?)))
    }

    /// The identifiers answered, by create-or-gets and gets; `None` for an answer without one.
    fn ids(&self) -> Vec<Option<&Id>> {
        fn id(operation: &Operation) -> Option<Option<&Id>> {
            match operation.value()? {
                Value::Found(None) => None,
                Value::Found(found) => Some(found.as_ref()),
                Value::Document(answer) => Some(answer.id.as_ref()),
                Value::Appended(_) | Value::Messages(_) | Value::Delivered(_) | Value::Thread(_) => None,
            }
        }
        self.operations.iter().filter_map(id).collect()
    }

    fn stamps(&self) -> Vec<OpId> {
        let answers = self.answers().filter_map(|(_, answer)| answer.created_by);
        answers.chain(self.documents.iter().filter_map(|document| document.created_by)).collect()
    }

    fn duplicate_key(&self) -> bool {
        self.operations
            .iter()
            .any(|operation| matches!(&operation.outcome, Outcome::Failed(cause) if cause.is_duplicate_key()))
    }

    fn single_document(&self) -> bool {
        let acknowledged = self.duplicate_key() || !self.ids().is_empty();
        let unknown = |operation: &Operation| operation.is_unknown() && operation.action != Action::Get;
        let possible = acknowledged || self.operations.iter().any(unknown);
        // Every stamp is of an operation of the key, so a document that nobody can have made is a failed one's.
        let least = usize::from(acknowledged);
        let most = usize::from(possible || self.documents.iter().all(|document| document.created_by.is_none()));
        (least..=most).contains(&self.documents.len())
    }

    fn zero_duplicates(&self) -> bool {
        self.documents.len() < 2
    }

    fn same_id(&self) -> bool {
        let ids = self.ids();
        ids.iter().all(|id| {
            id.is_some_and(|id| self.documents.iter().any(|document| document.id == *id))
                && ids.iter().all(|other| id == other)
        })
    }

    fn created_once(&self) -> bool {
        let creators: Vec<OpId> = self
            .answers()
            .filter(|(_, answer)| answer.created == Some(true))
            .map(|(operation, _)| operation.id)
            .collect();
        let innocent = |operation: &&Operation| match &operation.outcome {
            Outcome::Ok(Value::Document(answer)) => answer.created == Some(false),
            Outcome::Failed(cause) => !cause.is_duplicate_key(),
            Outcome::Ok(_) | Outcome::Unknown(_) => operation.action == Action::Get,
        };
        let innocents: Vec<OpId> = self.operations.iter().filter(innocent).map(|operation| operation.id).collect();
        let stamps = self.stamps();
        creators.len() < 2
            && !self.stamped_after_it_was_seen()
            && stamps.iter().all(|stamp| {
                stamps.iter().all(|other| stamp == other)
                    && creators.iter().all(|creator| creator == stamp)
                    && !innocents.contains(stamp)
            })
    }

    /// Some stamp is of an operation that was invoked after another had been answered with the stamped document.
    fn stamped_after_it_was_seen(&self) -> bool {
        let mut carriers: Vec<(OpId, Option<&Id>)> = Vec::new();
        for (_, answer) in self.answers() {
            carriers.extend(answer.created_by.map(|stamp| (stamp, answer.id.as_ref())));
        }
        carriers.extend(self.documents.iter().filter_map(|document| Some((document.created_by?, Some(&document.id)))));
        let sightings = self.operations.iter().filter_map(|operation| match operation.value()? {
            Value::Document(answer) => Some((operation, answer.id.as_ref())),
            Value::Found(Some(id)) => Some((operation, Some(id))),
            _ => None,
        });
        let sightings: Vec<(&Operation, Option<&Id>)> = sightings.collect();
        carriers.iter().any(|(stamp, carried)| {
            let stamped = self.operations.iter().find(|operation| operation.id == *stamp);
            stamped.is_some_and(|stamped| {
                sightings.iter().any(|(other, seen)| {
                    let same = seen.is_none() || carried.is_none() || seen == carried;
                    other.id != stamped.id && other.completed < stamped.invoked && same
                })
            })
        })
    }

    fn no_leaked_errors(&self) -> usize {
        let leaked = |operation: &&Operation| match &operation.outcome {
            Outcome::Failed(cause) | Outcome::Unknown(cause) => cause.is_lost_race(),
            Outcome::Ok(_) => false,
        };
        self.operations.iter().filter(leaked).count()
    }

    /// Threads whose counts no choice of changes that were read explains.
    fn miscounted(&self) -> usize {
        let threads = self.documents.iter().filter_map(|document| document.thread.as_deref());
        let explained = |thread: &&ThreadState| {
            let (Some(changes), Some(unread), Some(read)) = (&thread.changes, thread.unread, thread.read) else {
                return true;
            };
            (0..1_u32 << changes.len()).any(|choice| {
                let (seen, all) = (i64::from(choice.count_ones()), changes.len() as i64);
                seen == read && all - seen == unread
            })
        };
        threads.filter(|thread| !explained(thread)).count()
    }

    fn insert_fields_intact(&self) -> bool {
        let mut stamps: Vec<(&Id, OpId)> = Vec::new();
        let mut creators: Vec<(&Id, OpId)> = Vec::new();
        for (operation, answer) in self.answers() {
            stamps.extend(answer.id.as_ref().zip(answer.created_by));
            creators.extend(answer.id.as_ref().filter(|_| answer.created == Some(true)).map(|id| (id, operation.id)));
        }
        for document in &self.documents {
            stamps.extend(document.created_by.map(|stamp| (&document.id, stamp)));
        }
        // The creator is known if one operation alone says that it is.
        let known = |id: &Id| creators.iter().filter(|(other, _)| *other == id).count() == 1;
        let statements: Vec<(&Id, OpId)> =
            stamps.iter().chain(creators.iter().filter(|(id, _)| known(id))).copied().collect();
        self.answers().all(|(_, answer)| answer.missing.is_empty())
            && self.documents.iter().all(|document| document.missing.is_empty())
            && statements
                .iter()
                .all(|(id, stamp)| statements.iter().all(|(other, another)| id != other || stamp == another))
    }
}

fn id(rng: &mut ChaCha8Rng, key: u64) -> Id {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&key.to_be_bytes());
    bytes[8] = u8::from(rng.random_range(0..8) == 0);
    Id::from(bytes)
}

/// A thread that keeps counts of its changes, most of them right.
fn thread(rng: &mut ChaCha8Rng) -> Option<Box<ThreadState>> {
    let all = rng.random_range(0..5_u64);
    let read = rng.random_range(0..=all);
    let wrong = u64::from(rng.random_range(0..4) == 0);
    let thread = serde_json::json!({
        "kind": "group", "members": [], "changes": (0..all).collect::<Vec<_>>(), "read": read, "unread": all - read + wrong,
    });
    let counts = rng.random_range(0..3) > 0;
    counts.then(|| Box::new(serde_json::from_value(thread).unwrap_or_else(|error| panic!("{error}"))))
}

fn missing(rng: &mut ChaCha8Rng) -> Vec<Arc<str>> {
    if rng.random_range(0..12) == 0 { vec!["members".into()] } else { Vec::new() }
}

fn stamp(rng: &mut ChaCha8Rng, first: u64, number: u64) -> Option<OpId> {
    match rng.random_range(0..10) {
        0..3 => None,
        3 => Some(OpId(first + rng.random_range(0..number))),
        _ => Some(OpId(first)),
    }
}

fn outcome(rng: &mut ChaCha8Rng, key: u64, first: u64, number: u64, is_first: bool) -> (Action, Outcome) {
    let create = Action::CreateOrGet { reversed: false };
    match rng.random_range(0..24) {
        0 => (create, Outcome::Failed(Cause::database(11000, "E11000"))),
        1 => (create, Outcome::Failed(Cause::http(422, "refused"))),
        2 => (create, Outcome::Failed(Cause::database(112, "WriteConflict"))),
        3 | 4 => (create, Outcome::Unknown(Cause::new("timed out"))),
        5 => (Action::Get, Outcome::Ok(Value::Found(None))),
        6 => (Action::Get, Outcome::Ok(Value::Found(Some(id(rng, key))))),
        7 => (Action::Get, Outcome::Unknown(Cause::new("timed out"))),
        _ => {
            let created = match rng.random_range(0..10) {
                0 => None,
                1 => Some(rng.random()),
                _ => Some(is_first),
            };
            let id = (rng.random_range(0..20) > 0).then(|| id(rng, key));
            let (created_by, missing) = (stamp(rng, first, number), missing(rng));
            (create, Outcome::Ok(Value::Document(Returned { id, created, created_by, missing, ..Returned::default() })))
        }
    }
}

fn random_case(rng: &mut ChaCha8Rng, number: u64, first: u64) -> Case {
    let key: Arc<str> = Arc::from(format!("k{number}"));
    let count = rng.random_range(1..5_u64);
    let operations = (first..first + count)
        .map(|op| {
            let (action, outcome) = outcome(rng, number, first, count, op == first);
            let invoked = rng.random_range(0..9);
            Operation {
                id: OpId(op),
                client: 0,
                round: 0,
                phase: Phase::Main,
                key: key.clone(),
                action,
                intended: invoked,
                invoked,
                connected: None,
                completed: invoked + rng.random_range(0..9),
                attempts: 1,
                outcome,
                late: None,
            }
        })
        .collect();
    let documents = (0..[0, 1, 1, 1, 1, 1, 1, 2][rng.random_range(0..8)])
        .map(|_| Observed {
            messages: Vec::new(),
            last_message: None,
            id: id(rng, number),
            key: key.clone(),
            stored_key: Some(key.clone()),
            created_by: stamp(rng, first, count),
            missing: missing(rng),
            thread: thread(rng),
            fields: serde_json::Value::Null,
        })
        .collect();
    Case { operations, documents }
}

#[test]
fn the_oracle_of_simple_rules_agrees() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut first = 0;
    let cases: Vec<Case> = (0..CASES)
        .map(|number| {
            let case = random_case(&mut rng, number, first);
            first += case.operations.len() as u64;
            case
        })
        .collect();
    type Definition = fn(&Case) -> usize;
    let definitions: [(Invariant, Definition); 7] = [
        (Invariant::SingleDocument, |case| usize::from(!case.single_document())),
        (Invariant::ZeroDuplicates, |case| usize::from(!case.zero_duplicates())),
        (Invariant::SameId, |case| usize::from(!case.same_id())),
        (Invariant::CreatedOnce, |case| usize::from(!case.created_once())),
        (Invariant::NoLeakedErrors, Case::no_leaked_errors),
        (Invariant::InsertFieldsIntact, |case| usize::from(!case.insert_fields_intact())),
        (Invariant::DerivedFieldsExact, Case::miscounted),
    ];
    for (invariant, definition) in definitions {
        let (mut holds, mut violated) = (0, 0);
        for case in &cases {
            let history = History { operations: case.operations.clone(), ..History::default() };
            let documents = case.documents.clone();
            let observation =
                Observation { source: Source::Memory, quiescent: true, documents, ..Observation::default() };
            let result = judge(&history, Some(&observation), Phase::Main, std::slice::from_ref(&invariant)).remove(0);
            let expected = definition(case) as u64;
            assert_eq!(result.violations, expected, "{result:#?}\n{:#?}\n{:#?}", case.operations, case.documents);
            *(if expected == 0 { &mut holds } else { &mut violated }) += 1;
        }
        println!("oracle  {invariant:<28} {CASES:>7} histories, {violated:>6} of them violated, 0 mismatches");
        assert!(holds > CASES / 20 && violated > CASES / 20, "{invariant}: {holds} hold, {violated} are violated");
    }
}
