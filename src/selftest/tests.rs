use std::collections::BTreeSet;

use super::*;
use crate::report::{SelftestBug, SelftestTwin};
use crate::scenario::WorkloadKind;
use crate::service::planted_routes;
use crate::stats::Generator;
use crate::strategy::{descriptions, names};
use crate::target::Preflight;
use crate::verdict::{Invariant, Verdict};
use crate::workload;

fn strategies(plants: impl Iterator<Item = Plant>) -> BTreeSet<(WorkloadKind, &'static str)> {
    plants
        .filter_map(|plant| match plant {
            Plant::Mongo { workload, strategy, .. } => Some((workload, strategy)),
            Plant::Memory(_) => None,
        })
        .collect()
}

#[test]
fn every_strategy_that_plants_a_bug_is_in_the_table_and_every_twin_is_correct() {
    let planted = strategies(CATALOGUE.iter().map(|planted| planted.bug));
    let twins = strategies(CATALOGUE.iter().map(|planted| planted.twin));
    for kind in WorkloadKind::ALL {
        for described in descriptions(kind) {
            let listed = planted.contains(&(kind, described.name));
            assert!(described.bug.is_none() || listed, "{} {} is not tried", kind.as_str(), described.name);
            assert!(
                described.bug.is_none() || !twins.contains(&(kind, described.name)),
                "{} {} is no correct twin",
                kind.as_str(),
                described.name
            );
        }
    }
    for (kind, strategy) in planted.iter().chain(&twins) {
        assert!(names(*kind).contains(strategy), "{} {strategy}", kind.as_str());
    }
}

#[test]
fn what_must_catch_a_bug_is_judged_in_its_workload() {
    for planted in CATALOGUE {
        let judged = workload::of_kind(planted.bug.workload(), "r").invariants();
        assert!(judged.contains(&planted.by), "{}: {}", planted.id, planted.by);
        assert_eq!(planted.bug.workload(), planted.twin.workload(), "{}", planted.id);
        assert_ne!(planted.bug, planted.twin, "{}", planted.id);
    }
}

#[test]
fn every_known_kind_is_planted_or_has_a_reason() {
    let numbered = |letter: char, last: u32| (1..=last).map(move |number| format!("{letter}{number}"));
    let known: BTreeSet<String> =
        numbered('C', 29).chain(numbered('A', 24)).chain(numbered('M', 17)).chain(numbered('G', 14)).collect();
    assert_eq!(known.len(), 84);
    let planted: BTreeSet<String> = CATALOGUE.iter().map(|planted| planted.id.to_owned()).collect();
    let routes: BTreeSet<String> = planted_routes().map(|route| route.id.to_owned()).collect();
    assert_eq!(routes.len(), planted_routes().count(), "a route is there twice");
    let planted: BTreeSet<String> = planted.union(&routes).cloned().collect();
    let not: Vec<String> = NOT_PLANTED.iter().map(|not| not.id.to_owned()).collect();
    assert!(known.iter().all(|id| is_known_kind(id)) && known_kinds() == 84);
    assert!(["C0", "C30", "S4", "I5", "C", "", "c1x"].iter().all(|id| !is_known_kind(id)));
    let without: BTreeSet<String> = not.iter().cloned().collect();
    assert_eq!(without.len(), not.len(), "a kind is listed twice");
    assert!(planted.is_disjoint(&without), "{:?}", planted.intersection(&without));
    let missing: Vec<_> = known.iter().filter(|id| !planted.contains(*id) && !without.contains(*id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let smoke = "C1 C2 C3 C8 C10 C18 A1 A12 M1 M2 M3 M5 M6 G1 G4 G7";
    assert!(smoke.split(' ').all(|id| planted.contains(id)));
}

#[test]
fn the_page_of_planted_bugs_says_what_the_tables_say() {
    let page = include_str!("../../docs/mutants.md");
    for route in planted_routes() {
        let by = if route.rule.is_some() { "rule" } else { "as if serial" };
        let (id, requests, bug, twin) = (route.id, route.requests.join(" + "), route.bug, route.twin);
        let row = format!("| {id} | `{requests}` | {bug} | {twin} | {by} | ");
        assert!(page.contains(&row), "{row}");
    }
    assert_eq!(page.matches("| as if serial |").count() + page.matches("| rule |").count(), planted_routes().count());
    let by_load: BTreeSet<&str> = CATALOGUE.iter().map(|planted| planted.id).filter(|id| is_known_kind(id)).collect();
    for words in [format!("Of {} known kinds", known_kinds()), format!("load plants {}.", by_load.len())] {
        assert!(page.contains(&words), "{words}");
    }
    let (_, nowhere) = page.split_once("## Not planted").unwrap();
    assert!(NOT_PLANTED.iter().all(|not| nowhere.contains(not.id)), "{nowhere}");
}

fn bug(caught: bool, effective_trials: u64) -> SelftestBug {
    SelftestBug {
        id: "C1".to_owned(),
        workload: "create-or-get".to_owned(),
        strategy: "find-then-insert".to_owned(),
        unique_index: false,
        caught,
        by: caught.then_some(Invariant::SingleDocument),
        expected: Invariant::SingleDocument,
        also: Vec::new(),
        rounds: 3,
        effective_trials,
        ms: 1,
        witness: None,
        twin: "upsert-retry".to_owned(),
    }
}

fn twin(verdict: Verdict) -> SelftestTwin {
    SelftestTwin {
        workload: "create-or-get".to_owned(),
        strategy: "upsert-retry".to_owned(),
        unique_index: true,
        accused: verdict == Verdict::Violated,
        verdict,
        by: Vec::new(),
        reason: None,
        rounds: 3,
        effective_trials: 3,
        ms: 1,
    }
}

#[test]
fn only_a_table_that_is_all_caught_and_accuses_no_twin_exits_with_0() {
    use Verdict::{Holds, Inconclusive, Violated};
    for (bugs, twins, interrupted, code) in [
        (vec![bug(true, 3)], vec![twin(Holds)], false, 0),
        (vec![bug(true, 3), bug(false, 3)], vec![twin(Holds)], false, 1),
        (vec![bug(true, 3)], vec![twin(Holds), twin(Violated)], false, 1),
        (vec![bug(true, 3)], vec![twin(Inconclusive)], false, 3),
        (vec![bug(false, 0)], vec![twin(Holds)], false, 3),
        (vec![], vec![], false, 3),
        (vec![bug(true, 3)], vec![twin(Holds)], true, 130),
        (vec![bug(false, 3)], vec![], true, 1),
    ] {
        let shown = format!("{bugs:?} {twins:?} {interrupted}");
        let outcome = Outcome { bugs, twins, interrupted, ..Outcome::default() };
        let facts = Facts {
            duration_s: 1.0,
            generator: Generator::default(),
            machine: crate::stats::machine(),
            preflight: Preflight::default(),
        };
        assert_eq!(outcome.report("r", 1, "onlyone selftest".to_owned(), facts).exit_code, code, "{shown}");
    }
}
