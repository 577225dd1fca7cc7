//! Cross-check against the definition, written as quantifiers over all operations, on many small random histories.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::checker::brute_force::{operation, tell};
use crate::history::{Action, History, Phase, Returned, Transport, Value};
use crate::verdict::Verdict;

const HISTORIES: u64 = 4_000;
const STATUSES: [u16; 5] = [409, 422, 403, 412, 400];

fn outcome(rng: &mut ChaCha8Rng, served: u32) -> Outcome {
    match rng.random_range(0..100) {
        n if n < served => Outcome::Ok(Value::Document(Returned::default())),
        n if n < served + 4 => Outcome::Unknown(Cause::new("timed out")),
        n if n < served + 6 => Outcome::Failed(Cause::transport(Transport::Unreachable, "gone")),
        n if n < served + 10 => Outcome::Failed(Cause::database(112, "WriteConflict")),
        _ => Outcome::Failed(Cause::http(STATUSES[rng.random_range(0..10_usize).saturating_sub(5)], "no")),
    }
}

fn history(rng: &mut ChaCha8Rng) -> History {
    let mut operations = Vec::new();
    let eager = rng.random_range(0..4) > 0;
    for (phase, keys) in [(Phase::Control, rng.random_range(0..3)), (Phase::Main, rng.random_range(1..4))] {
        for key in 0..keys {
            let served = if rng.random() { 60 } else { 5 };
            for place in 0..rng.random_range(1..5) {
                let kind = if rng.random_range(0..10) == 0 { "other" } else { "take" };
                let served = if phase == Phase::Control && eager && place == 0 { 100 } else { served };
                let (id, key) = (operations.len() as u64, format!("{phase:?}{key}"));
                operations.push(operation(id, phase, key, Action::Custom(kind.into()), outcome(rng, served)));
            }
        }
    }
    History { operations, ..History::default() }
}

/// The keys of the main phase on which nobody was served, by the definition.
fn unserved(history: &History) -> usize {
    let of = |phase: Phase| history.operations.iter().filter(move |operation| operation.phase == phase);
    let tried = |operation: &&Operation, name: &str| operation.action.name() == name;
    let keys: BTreeSet<&str> = of(Phase::Main).map(|operation| &*operation.key).collect();
    let violated = |key: &&&str| {
        let all: Vec<&Operation> = of(Phase::Main).filter(|operation| *operation.key == ***key).collect();
        let name = all[0].action.name();
        // Whoever was served where another kind was served first says nothing.
        let after_another = |operation: &&Operation| {
            let first = of(Phase::Control).find(|one| one.key == operation.key && one.is_ok());
            operation.is_ok() && first.is_some_and(|first| first.action.name() != name)
        };
        let control: Vec<&Operation> =
            of(Phase::Control).filter(|operation| tried(operation, name) && !after_another(operation)).collect();
        let everywhere = !control.is_empty()
            && control.iter().all(|one| control.iter().any(|other| other.key == one.key && other.is_ok()));
        // Of a refusal in the control: whether somebody had been served on its key before.
        let after = |one: &&&Operation| control.iter().any(|o| o.key == one.key && o.id < one.id && o.is_ok());
        let heard = |status: Option<u16>, late: bool| {
            control.iter().any(|one| match &one.outcome {
                Outcome::Failed(cause) => cause.status() == status && after(&one) == late,
                _ => false,
            })
        };
        everywhere
            && all.iter().all(|operation| operation.action.name() == name)
            && all.iter().all(|operation| match &operation.outcome {
                Outcome::Failed(cause) if cause.is_lost_race() => true,
                Outcome::Failed(cause) => {
                    matches!(cause.status(), Some(409 | 412 | 423))
                        || (cause.status().is_some() && heard(cause.status(), true) && !heard(cause.status(), false))
                }
                _ => false,
            })
    };
    keys.iter().filter(|key| violated(key)).count()
}

#[test]
fn the_checker_agrees_with_its_definition() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let (mut violated, mut clean) = (0, 0);
    for _ in 0..HISTORIES {
        let history = history(&mut rng);
        let evidence = Evidence::of_phase(&history, None, Phase::Main);
        let result = SomebodyServed.check(&evidence, &mut Budget::default());
        let expected = unserved(&history) as u64;
        assert_eq!(result.violations, expected, "{result:#?}\n{:#?}", history.operations);
        *(if expected > 0 { &mut violated } else { &mut clean }) += 1;
    }
    tell(SomebodyServed.invariant(), clean, violated);
    assert!(violated > HISTORIES / 20 && clean > HISTORIES / 4, "{violated} violated, {clean} not");
}

#[test]
fn a_refusal_that_serially_nobody_got_is_told_and_accuses_nobody() {
    let refused = |id, phase, key, outcome| operation(id, phase, key, Action::CreateOrGet { reversed: false }, outcome);
    let served = || Outcome::Ok(Value::Document(Returned::default()));
    let quota = || Outcome::Failed(Cause::http(422, "HTTP 422: daily quota"));
    let operations = vec![
        refused(0, Phase::Control, "c", served()),
        refused(1, Phase::Control, "c", served()),
        refused(2, Phase::Main, "a", quota()),
        refused(3, Phase::Main, "b", served()),
    ];
    let history = History { operations, ..History::default() };
    let result = SomebodyServed.check(&Evidence::of_phase(&history, None, Phase::Main), &mut Budget::default());
    assert_eq!((result.verdict, result.violations), (Verdict::Inconclusive, 0));
    assert!(result.reason.is_some_and(|reason| reason.contains("daily quota")));
}

#[test]
fn what_needs_what_another_kind_left_is_not_judged_by_it() {
    let ok = || Outcome::Ok(Value::Document(Returned::default()));
    let refused = || Outcome::Failed(Cause::http(409, "there is none"));
    for (control, verdict) in [
        // `drop` was served because there was something to drop.
        (&[("write", true), ("drop", true)][..], Verdict::Inconclusive),
        (&[("drop", false), ("write", true), ("drop", true)], Verdict::Inconclusive),
        (&[("drop", true), ("write", true)], Verdict::Violated),
    ] {
        let of = |phase, key: &str, id: usize, (name, served): (&str, bool)| {
            let outcome = if served { ok() } else { refused() };
            operation(id as u64, phase, key.to_owned(), Action::Custom(name.into()), outcome)
        };
        let before = control.iter().enumerate().map(|(id, one)| of(Phase::Control, "k0", id, *one));
        let load = (0..2).map(|id| of(Phase::Main, "k1", 10 + id, ("drop", false)));
        let history = History { operations: before.chain(load).collect(), ..History::default() };
        let evidence = Evidence::of_phase(&history, None, Phase::Main);
        let result = SomebodyServed.check(&evidence, &mut Budget::default());
        assert_eq!(result.verdict, verdict, "{control:?}");
    }
}
