//! Cross-check against the definition, written as quantifiers over all operations, on many small random histories.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::checker::brute_force;
use crate::history::{Cause, CauseKind, History, Id, Phase, Returned};

const HISTORIES: u64 = 5_000;

fn operation(rng: &mut ChaCha8Rng, id: u64, phase: Phase, named: u32) -> Operation {
    let unnamed = CauseKind::Unnamed { status: 200, created: None };
    let outcome = match rng.random_range(0..100) {
        n if n < named => Outcome::Ok(Value::Document(Returned { id: Some(Id::from([1; 12])), ..Returned::default() })),
        n if n < 90 => Outcome::Unknown(Cause { kind: unnamed, message: "no identifier".into() }),
        n if n < 95 => Outcome::Failed(Cause::http(409, "taken")),
        _ => Outcome::Unknown(Cause::new("timed out")),
    };
    let key = format!("{phase:?}{}", rng.random_range(0..2));
    let opens = rng.random_range(0..8) == 0;
    let action = if opens { Action::Open } else { Action::CreateOrGet { reversed: rng.random() } };
    brute_force::operation(id, phase, key, action, outcome)
}

/// A control in which those who come first, those who come later, both or neither are mostly told a name.
fn history(rng: &mut ChaCha8Rng) -> History {
    let shares = [[90, 90], [90, 3], [3, 90], [45, 45]][rng.random_range(0..4)];
    let mut operations = Vec::new();
    for place in 0..rng.random_range(0..7) {
        let share = shares[usize::from(place > 1)];
        operations.push(operation(rng, operations.len() as u64, Phase::Control, share));
    }
    for _ in 0..rng.random_range(1..5) {
        let next = operation(rng, operations.len() as u64, Phase::Main, 50);
        operations.push(next);
    }
    History { operations, ..History::default() }
}

fn is_named(operation: &Operation) -> bool {
    operation.returned_document().is_some_and(|answer| answer.id.is_some())
}

fn is_nameless(operation: &Operation) -> bool {
    matches!(&operation.outcome, Outcome::Unknown(cause) if cause.is_unnamed())
}

#[test]
fn the_rule_agrees_with_its_definition() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut met = [0_u64; 3];
    for _ in 0..HISTORIES {
        let history = history(&mut rng);
        let control = history.phase(Phase::Control);
        let naming = Naming::of(control);
        for one in &history.operations {
            let same_kind = |other: &&Operation| other.action.name() == one.action.name();
            let yes: Vec<&Operation> =
                control.iter().filter(same_kind).filter(|other| is_named(other) || is_nameless(other)).collect();
            let is_later = |other: &&&Operation| yes.iter().any(|first| first.key == other.key && first.id < other.id);
            let later_named = yes.iter().filter(is_later).any(|other| is_named(other));
            let later_nameless = yes.iter().filter(is_later).any(|other| is_nameless(other));
            let first_named = yes.iter().any(|other| !is_later(&other) && is_named(other));
            let misses = is_nameless(one) && later_named;
            let by_design = is_nameless(one) && first_named && later_nameless && !later_named;
            assert_eq!((naming.misses_name(one), naming.is_by_design(one)), (misses, by_design), "{history:#?}");
            met[if misses {
                0
            } else if by_design {
                1
            } else {
                2
            }] += 1;
        }
    }
    brute_force::tell("names of answers", met[1] + met[2], met[0]);
    assert!(met.iter().all(|&times| times > HISTORIES / 20), "each case occurs: {met:?}");
}
