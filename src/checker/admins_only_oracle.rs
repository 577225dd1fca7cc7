//! Cross-check of the rule against enumeration, on many small random histories of one thread.
//!
//! [`fits_an_order`] shares no code with the rule: it tries every order of the changes in which each resignation respects
//! real time and the thread's own list, and asks whether everybody was an admin when they changed it.

use std::sync::Arc;

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::*;
use crate::history::{Cause, Expansion, History, Id, Observation, OpId, Outcome, Phase, Source, ThreadAnswer, Value};

const CASES: u64 = 110_000;

fn answered(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Ok(_))
}

/// Whether the changes that happened have an order in which all were by an admin.
fn fits_an_order(operations: &[&Operation], changes: &[OpId], owner_is_admin: bool) -> bool {
    fn from(pending: &[&Operation], changes: &[OpId], admin: bool, in_the_end: bool) -> bool {
        let place = |operation: &Operation| changes.iter().position(|op| *op == operation.id);
        let ordered = |one: &Operation, other: &Operation| {
            let matters = resigns(one) || resigns(other);
            let listed = place(one).zip(place(other)).is_some_and(|(one, other)| one < other);
            matters && (one.returned() < other.invoked || listed)
        };
        if pending.is_empty() {
            return admin || !in_the_end;
        }
        (0..pending.len()).any(|index| {
            let next = pending[index];
            let mut rest = pending.to_vec();
            rest.remove(index);
            let possible = !rest.iter().any(|other| ordered(other, next));
            let allowed = admin && caller(next) == Some("k.a") && !matches!(next.outcome, Outcome::Failed(_));
            possible && allowed && from(&rest, changes, admin && !resigns(next), in_the_end)
        })
    }
    let happened: Vec<&Operation> =
        operations.iter().copied().filter(|operation| answered(operation) || changes.contains(&operation.id)).collect();
    from(&happened, changes, true, owner_is_admin)
}

/// A small history: sound but for some details, or arbitrary.
fn case(rng: &mut ChaCha8Rng, first: u64, key: &Arc<str>) -> (Vec<Operation>, Vec<OpId>, bool) {
    let number = rng.random_range(1..6_u64);
    let mut moments: Vec<[u64; 3]> = (0..number)
        .map(|_| {
            let mut moments = [0; 3].map(|_: u64| rng.random_range(0..number * 3));
            moments.sort_unstable();
            [moments[1], moments[0], moments[2]]
        })
        .collect();
    moments.sort_unstable();
    let (mut admin, mut changes) = (true, Vec::new());
    let arbitrary = rng.random_range(0..3) == 0;
    let operations = (first..)
        .zip(moments)
        .map(|(op, [_, invoked, completed])| {
            let user: Arc<str> = if rng.random_range(0..5) == 0 { "k.b".into() } else { "k.a".into() };
            let action = if rng.random_range(0..3) == 0 {
                Action::ResignAdmin { caller: user.clone() }
            } else {
                let participants = vec!["k.d".into()];
                Action::ExpandThread(Box::new(Expansion { caller: user.clone(), participants, message: false }))
            };
            let allowed = (admin && *user == *"k.a") || (arbitrary && rng.random());
            let unknown = rng.random_range(0..6) == 0;
            let happens = allowed && (!unknown || rng.random());
            if happens {
                changes.push(OpId(op));
                admin &= !matches!(action, Action::ResignAdmin { .. });
            }
            let answer = ThreadAnswer { id: Some(Id::parse(key)), ..ThreadAnswer::default() };
            let outcome = match (unknown, happens) {
                (true, _) => Outcome::Unknown(Cause::new("no answer")),
                (_, true) => Outcome::Ok(Value::Thread(Box::new(answer))),
                (_, false) => Outcome::Failed(Cause::new("refused")),
            };
            crate::history::fixture::operation(op, key.clone(), action, [invoked, completed], outcome)
        })
        .collect();
    match rng.random_range(0..8) {
        0 => changes.shuffle(rng),
        1 => admin = !admin,
        2 => {
            let op = OpId(first + rng.random_range(0..number));
            changes.retain(|listed| *listed != op);
            changes.push(op);
        }
        3 => drop(changes.pop()),
        _ => {}
    }
    (operations, changes, admin)
}

#[test]
fn the_rule_agrees_with_enumeration() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let mut history = History::default();
    let mut observation =
        Observation { source: Source::Memory, quiescent: true, documents: Vec::new(), ..Observation::default() };
    let mut expected = Vec::new();
    for number in 0..CASES {
        let key: Arc<str> = Arc::from(format!("t{number}"));
        let (operations, changes, admin) = case(&mut rng, history.operations.len() as u64, &key);
        let admins = if admin { vec!["k.a"] } else { Vec::new() };
        let thread = json!({ "kind": "group", "members": [], "owner": "k.a", "admins": admins, "changes": changes });
        let document = json!({ "id": *key, "key": *key, "fields": null, "thread": thread });
        observation.documents.push(serde_json::from_value(document).unwrap());
        history.operations.extend(operations);
        expected.push((changes, admin));
    }
    let evidence = Evidence::of_phase(&history, Some(&observation), Phase::Main);
    let (mut holds, mut violated) = (0_u64, 0_u64);
    for (key, (changes, admin)) in evidence.keys().zip(&expected) {
        let operations: Vec<&Operation> = key.operations().collect();
        let view = ThreadView::of(&evidence, &key);
        let found = view.threads.values().find_map(|thread| defect(&evidence, thread));
        let fits = fits_an_order(&operations, changes, *admin);
        assert_eq!(found.is_none(), fits, "{found:?} {changes:?} {admin} {operations:#?}");
        *(if fits { &mut holds } else { &mut violated }) += 1;
    }
    crate::checker::brute_force::tell(AdminsOnly.invariant(), holds, violated);
    assert!(holds > CASES / 5 && violated > CASES / 5, "{holds} {violated}");
}
