//! Cross-check of the list checkers against slow definitions, on many small random histories.
//!
//! Definitions share no code with the checkers: they look at whole lists and at every pair of positions, and the order is
//! searched for among all orders. Histories are made by a model service that is correct, or has one of several bugs.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rayon::prelude::*;

use super::append_order::{Order, look_with};
use super::lists::Lists;
use super::search::Search;
use super::*;
use crate::history::{Compactor, History, Observation, Phase, Source};

mod cases;
mod definitions;

use cases::{Case, case};

const KEYS: u64 = 110_000;

/// Many cases as one history, as the recorder keeps it.
fn histories(seed: u64, keys: u64) -> (Vec<Case>, History, Observation) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut compactor = Compactor::default();
    let (mut cases, mut operations, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..keys {
        let case = case(&mut rng, number, operations.len() as u64);
        for operation in &case.operations {
            compactor.push(&mut operations, operation.clone());
        }
        documents.extend(case.documents.iter().cloned());
        cases.push(case);
    }
    let observation = Observation { source: Source::Memory, quiescent: true, documents, ..Observation::default() };
    (cases, History { operations, ..History::default() }, observation)
}

/// Whether the definition finds a violation; `None` where the rule does not apply.
type Definition = fn(&Case) -> Option<bool>;

/// Every checker beside its definition.
const RULES: [(&dyn Checker, Definition); 8] = [
    (&NoLostMessages, |case| Some(case.lost())),
    (&NoDuplicateMessages, |case| Some(case.duplicate())),
    (&NoPhantomMessages, |case| Some(case.phantom())),
    (&PairAdjacent, |case| Some(case.split())),
    (&PayloadIntact, |case| Some(case.changed())),
    (&MergeOnce, |case| Some(case.merged_twice())),
    (&NoFalseDedupe, |case| Some(case.false_dedupe())),
    (&AppendOrder, |case| case.ordered().map(|fits| !fits)),
];

/// Compares every checker with its definition on one history; what was expected of each.
fn compare(case: &Case) -> [Option<bool>; RULES.len()] {
    let mut compactor = Compactor::default();
    let mut history = History::default();
    for operation in &case.operations {
        compactor.push(&mut history.operations, operation.clone());
    }
    let observation = Observation {
        source: Source::Memory,
        quiescent: true,
        documents: case.documents.clone(),
        ..Observation::default()
    };
    let evidence = Evidence::of_phase(&history, Some(&observation), Phase::Main);
    RULES.map(|(checker, definition)| {
        let expected = definition(case)?;
        let result = checker.check(&evidence, &mut Budget::default());
        let shown = || format!("{}: {result:?}\n{:#?}\n{:#?}", checker.invariant(), case.operations, case.documents);
        assert_eq!(result.violations > 0, expected, "{}", shown());
        assert!(result.reason.as_deref().is_none_or(|reason| !reason.contains("harness")), "{}", shown());
        Some(expected)
    })
}

#[test]
fn the_checkers_agree_with_their_definitions() {
    const CHUNK: u64 = 1000;
    let of_chunk = |seed: u64| {
        let mut counts = [[0_u64; 2]; RULES.len()];
        let (cases, _, _) = histories(seed, CHUNK);
        for case in &cases {
            for (count, expected) in counts.iter_mut().zip(compare(case)) {
                expected.into_iter().for_each(|violated| count[usize::from(violated)] += 1);
            }
        }
        counts
    };
    let counts: Vec<_> = (0..KEYS / CHUNK).into_par_iter().map(of_chunk).collect();
    for (rule, (checker, _)) in RULES.iter().enumerate() {
        let sum = |verdict: usize| counts.iter().map(|counts| counts[rule][verdict]).sum::<u64>();
        super::brute_force::tell(checker.invariant(), sum(0), sum(1));
        assert!(
            sum(0) > KEYS / 100 && sum(1) > KEYS / 100,
            "{}: {} hold, {} are violated",
            checker.invariant(),
            sum(0),
            sum(1)
        );
    }
}

#[test]
fn violations_of_many_keys_add_up() {
    let (cases, history, observation) = histories(3, 2000);
    let evidence = Evidence::of_phase(&history, Some(&observation), Phase::Main);
    for (checker, definition) in RULES {
        let keys = cases.iter().filter(|case| definition(case) == Some(true)).count() as u64;
        let result = checker.check(&evidence, &mut Budget::default());
        assert!(result.violations >= keys, "{}: {} in {keys} keys", checker.invariant(), result.violations);
    }
}

#[test]
fn a_second_opinion_that_disagrees_is_never_silent() {
    let (_, history, observation) = histories(2, 300);
    let evidence = Evidence::of_phase(&history, Some(&observation), Phase::Main);
    assert!((0..300).any(|index| !Order::of(&Lists::of(&evidence.key(index))).fits()));
    let result =
        AppendOrder.judged(&evidence, look_with(&evidence, &mut Budget::default(), |_, _| Search::Linearizable));
    assert!(result.reason.is_some_and(|reason| reason.starts_with("harness error: on key `k")));
    let result = AppendOrder.judged(&evidence, look_with(&evidence, &mut Budget::default(), |_, _| Search::Exhausted));
    assert_eq!(result.verdict, crate::verdict::Verdict::Inconclusive);
}
