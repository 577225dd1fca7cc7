//! Cross-check of the fast rule against two independent judges, on many small random histories.
//!
//! One judge is the library's search. The other, [`fits_an_order`], shares no code with either: it reads outcomes itself
//! and tries every order, without memory.

use std::sync::Arc;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::history::{Action, Cause, History, Late, Outcome, Phase, Returned, Value};

const KEYS: u64 = 120_000;

/// The document in the enumeration: absent, there without a name, or there under a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State<'a> {
    Absent,
    There(Option<&'a Id>),
}

/// The state after an operation; `None` if its outcome is impossible.
fn apply<'a>(state: State<'a>, operation: &'a Operation) -> Option<State<'a>> {
    let outcome = operation.late.as_ref().map_or(&operation.outcome, |late| &late.outcome);
    let see = |id: Option<&'a Id>| match state {
        State::There(None) => Some(State::There(id)),
        State::There(Some(name)) if id.is_none_or(|id| id == name) => Some(state),
        _ => None,
    };
    match outcome {
        Outcome::Unknown(_) if state == State::Absent => Some(State::There(None)),
        Outcome::Unknown(_) => Some(state),
        Outcome::Failed(cause) => {
            assert!(cause.is_duplicate_key(), "other failed operations are removed");
            see(None)
        }
        Outcome::Ok(Value::Found(None)) => (state == State::Absent).then_some(state),
        Outcome::Ok(Value::Found(Some(id))) => see(Some(id)),
        Outcome::Ok(Value::Appended(_) | Value::Messages(_) | Value::Delivered(_)) => panic!("of another workload"),
        Outcome::Ok(Value::Document(answer)) => match answer.created {
            Some(false) => see(answer.id.as_ref()),
            Some(true) if state != State::Absent => None,
            None if state != State::Absent => see(answer.id.as_ref()),
            _ => Some(State::There(answer.id.as_ref())),
        },
        Outcome::Ok(other) => panic!("no answer of create-or-get: {other:?}"),
    }
}

/// Whether any order of the operations explains them: tries each that real time allows, with and without unknown ones.
fn fits_an_order(operations: &[&Operation]) -> bool {
    fn from<'a>(left: &[&'a Operation], state: State<'a>) -> bool {
        if left.iter().all(|operation| operation.is_unknown() && operation.late.is_none()) {
            return true;
        }
        (0..left.len()).any(|next| {
            let operation = left[next];
            if left.iter().any(|other| !other.is_unknown() && other.completed < operation.invoked) {
                return false;
            }
            let mut rest = left.to_vec();
            rest.remove(next);
            apply(state, operation).is_some_and(|state| from(&rest, state))
        })
    }
    let relevant = |operation: &&Operation| {
        let outcome = operation.late.as_ref().map_or(&operation.outcome, |late| &late.outcome);
        match outcome {
            Outcome::Failed(cause) => cause.is_duplicate_key(),
            Outcome::Unknown(_) => operation.action != Action::Get,
            Outcome::Ok(_) => true,
        }
    };
    from(&operations.iter().copied().filter(relevant).collect::<Vec<_>>(), State::Absent)
}

fn id(number: u8) -> Id {
    Id::from([number; 12])
}

fn document(id: Option<Id>, created: Option<bool>) -> Outcome {
    Outcome::Ok(Value::Document(Returned { id, created, ..Returned::default() }))
}

/// Any outcome at all.
fn any_outcome(rng: &mut ChaCha8Rng) -> (Action, Outcome) {
    let create = Action::CreateOrGet { reversed: false };
    let name = if rng.random_range(0..8) == 0 { 2 } else { 1 };
    match rng.random_range(0..20) {
        0..3 => (create, document(Some(id(name)), Some(true))),
        3..8 => (create, document(Some(id(name)), Some(false))),
        8 => (create, document(Some(id(name)), None)),
        9 => (create, document(None, [Some(true), Some(false), None][rng.random_range(0..3)])),
        10..12 => (create, Outcome::Failed(Cause::database(11000, "E11000"))),
        12 => (create, Outcome::Failed(Cause::http(400, "refused"))),
        13..16 => (create, Outcome::Unknown(Cause::new("timed out"))),
        16 => (Action::Get, Outcome::Unknown(Cause::new("timed out"))),
        17..19 => (Action::Get, Outcome::Ok(Value::Found(Some(id(name))))),
        _ => (Action::Get, Outcome::Ok(Value::Found(None))),
    }
}

/// The outcome of a correct service at this moment.
fn correct_outcome(rng: &mut ChaCha8Rng, exists: &mut bool) -> (Action, Outcome) {
    let create = Action::CreateOrGet { reversed: false };
    match rng.random_range(0..10) {
        0 => (Action::Get, Outcome::Ok(Value::Found(exists.then(|| id(1))))),
        1 if *exists => (create, Outcome::Failed(Cause::database(11000, "E11000"))),
        2 | 3 => {
            *exists |= rng.random::<bool>();
            (create, Outcome::Unknown(Cause::new("timed out")))
        }
        4 => {
            *exists = true;
            (create, document(Some(id(1)), None))
        }
        _ => {
            let created = !std::mem::replace(exists, true);
            (create, document(Some(id(1)), Some(created)))
        }
    }
}

/// A small history of one key: sound, sound but for one detail, or arbitrary.
fn key_history(rng: &mut ChaCha8Rng, key: u64, first: u64) -> Vec<Operation> {
    let number = rng.random_range(2..8_u64);
    let arbitrary = rng.random();
    let span = number * 3;
    let mut points: Vec<(u64, u64, u64)> = (0..number)
        .map(|_| {
            let mut moments = [0; 3].map(|_: u64| rng.random_range(0..span));
            moments.sort_unstable();
            (moments[1], moments[0], moments[2])
        })
        .collect();
    points.sort_unstable();
    let mut exists = false;
    let key: Arc<str> = Arc::from(format!("k{key}"));
    let mut operations: Vec<Operation> = (first..)
        .zip(points)
        .map(|(op, (_, invoked, completed))| {
            let (action, mut outcome) = if arbitrary { any_outcome(rng) } else { correct_outcome(rng, &mut exists) };
            let mut late = None;
            if outcome != Outcome::Unknown(Cause::new("timed out")) && rng.random_range(0..12) == 0 {
                let told = std::mem::replace(&mut outcome, Outcome::Unknown(Cause::new("timed out")));
                late = Some(Box::new(Late { completed: completed + 5, outcome: told }));
            }
            operation(op, &key, action, (invoked, completed), outcome, late)
        })
        .collect();
    if !arbitrary && rng.random() {
        let target = rng.random_range(0..operations.len());
        let changed = &mut operations[target];
        if rng.random() {
            changed.invoked = changed.completed;
        } else {
            changed.late = None;
            (changed.action, changed.outcome) = any_outcome(rng);
        }
    }
    operations
}

fn operation(
    op: u64,
    key: &Arc<str>,
    action: Action,
    (invoked, completed): (u64, u64),
    outcome: Outcome,
    late: Option<Box<Late>>,
) -> Operation {
    Operation { late, ..crate::history::fixture::operation(op, key.clone(), action, [invoked, completed], outcome) }
}

fn random_history(seed: u64, keys: u64) -> History {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut operations = Vec::new();
    for key in 0..keys {
        let next = key_history(&mut rng, key, operations.len() as u64);
        operations.extend(next);
    }
    History { operations, ..History::default() }
}

#[test]
fn the_fast_rule_agrees_with_the_search_and_with_enumeration() {
    let history = random_history(1, KEYS);
    let evidence = Evidence::of_phase(&history, None, Phase::Main);
    let (mut holds, mut violated, mut partly) = (0_u64, 0_u64, 0_u64);
    let mut kinds = [0_u64; 4];
    let missing = Arc::from("missing");
    for key in evidence.keys() {
        let mut operations: Vec<&Operation> = key.operations().collect();
        let view = KeyView::of(&key);
        let fast = view.defect(false).is_none();
        let search = linearize(&CreateOrGet::new(), &entries(&operations), &mut Budget::default());
        assert_eq!(fast, search == Search::Linearizable, "search: {operations:#?}");
        assert_eq!(fast, fits_an_order(&operations), "enumeration: {operations:#?}");
        match view.defect(false) {
            None => {}
            Some(Defect::SeveralIds(..)) => kinds[0] += 1,
            Some(Defect::SeveralCreations(..)) => kinds[1] += 1,
            Some(Defect::Phantom(_)) => kinds[2] += 1,
            Some(Defect::Order { .. }) => kinds[3] += 1,
        }
        *(if fast { &mut holds } else { &mut violated }) += 1;
        // A history that was cut short may lack any operation, at best one that created early.
        let create = Action::CreateOrGet { reversed: false };
        let cut = operation(u64::MAX, &missing, create, (0, 0), Outcome::Unknown(Cause::new("missing")), None);
        operations.push(&cut);
        let fast = view.defect(true).is_none();
        assert_eq!(fast, fits_an_order(&operations), "cut short: {operations:#?}");
        partly += u64::from(fast);
    }
    crate::checker::brute_force::tell(CreateOrGetLinearizable.invariant(), holds, violated);
    assert!(holds > KEYS / 4 && violated > KEYS / 4, "holds {holds}, violated {violated}");
    assert!(kinds.iter().all(|&kind| kind > 1000), "each kind of defect occurs: {kinds:?}");
    assert!(partly > holds && partly < KEYS, "cut short {partly}");
    let result = CreateOrGetLinearizable.check(&evidence, &mut Budget::default());
    assert_eq!((result.violations, result.reason), (violated, None));
}

#[test]
fn a_second_opinion_that_disagrees_is_never_silent() {
    let history = random_history(2, 100);
    let evidence = Evidence::of_phase(&history, None, Phase::Main);
    let result = CreateOrGetLinearizable
        .judged(&evidence, look_with(&evidence, &mut Budget::default(), |_, _| Search::Linearizable));
    assert_eq!((result.verdict, result.violations), (crate::verdict::Verdict::Inconclusive, 0));
    assert!(result.reason.is_some_and(|reason| reason.starts_with("harness error: on key `k")));
    let result = CreateOrGetLinearizable
        .judged(&evidence, look_with(&evidence, &mut Budget::default(), |_, _| Search::Exhausted));
    assert_eq!(result.verdict, crate::verdict::Verdict::Inconclusive);
}
