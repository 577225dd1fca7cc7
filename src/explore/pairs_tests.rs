//! Tests of several explorations as one: what is joined, and what is told of each choice.

use super::*;
use crate::history::{Action, Cause, Outcome, Phase, Value, fixture};
use crate::report::Diagram;

#[test]
fn what_is_served_in_no_execution_is_named() {
    let on = |key: &str, op: u64, name: &str, outcome: Outcome| {
        fixture::operation(op, key, Action::Custom(name.into()), [op, op + 1], outcome)
    };
    let asked = |op: u64, name: &str, outcome: Outcome| on("k", op, name, outcome);
    let no = || Outcome::Failed(Cause::new("HTTP 404"));
    let yes = || Outcome::Ok(Value::Found(None));
    let operations = vec![asked(1, "make", yes()), asked(2, "move", no()), asked(3, "make", no())];
    let history = History { operations, ..History::default() };
    let told = unserved(&history);
    assert!(told.len() == 1 && told[0].starts_with("`move` was served in no execution (HTTP 404)"), "{told:?}");
    // Once it was: what there was is used up.
    let cases: [(&[&str], &[&str], bool); 4] = [
        (&["1"], &["2", "3"], true),
        (&["1", "2"], &["3"], false),
        (&["1", "1"], &["2"], true),
        (&["1"], &["1"], false),
    ];
    for (served, refused, is_told) in cases {
        let all = served.iter().map(|key| (*key, yes())).chain(refused.iter().map(|key| (*key, no())));
        let operations = all.zip(1..).map(|((key, outcome), op)| on(key, op, "claim", outcome)).collect();
        let told = unserved(&History { operations, ..History::default() });
        let begins = "`claim` was served in the first execution alone (HTTP 404): ";
        assert_eq!(told.iter().any(|line| line.starts_with(begins)), is_told, "{served:?} {refused:?}: {told:?}");
    }
}

#[test]
fn every_choice_is_there_equal_ones_included() {
    assert_eq!(choices(3, 2), [[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2]]);
    assert_eq!(choices(2, 3), [[0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1]]);
    assert_eq!(choices(1, 2), [[0, 0]]);
    assert_eq!(choices(5, 2).len(), 15);
}

fn part(operations: [&str; 2], verdict: Verdict, violated: u64) -> Part {
    let report = ExploreReport {
        explored: 6,
        total: Some(6),
        complete: true,
        violated,
        first_violation_at: (violated > 0).then_some(2),
        ..ExploreReport::default()
    };
    let serial = AsIfSerialReport { verdict, judged: 6, violations: violated, ..AsIfSerialReport::default() };
    let exploration = Exploration { report, as_if_serial: Some(serial), ..Exploration::default() };
    Part { operations: operations.map(str::to_owned).to_vec(), exploration: Some(exploration) }
}

fn verdict(parts: Vec<Part>) -> (Verdict, String, Exploration) {
    let whole = merged(parts, Vec::new(), true);
    let serial = whole.as_if_serial.as_ref().unwrap();
    (serial.verdict, serial.pairs.iter().map(PairResult::mark).collect(), whole)
}

#[test]
fn one_race_is_enough_and_what_does_not_meet_takes_nothing_away() {
    let good = || part(["a", "a"], Verdict::Holds, 0);
    let apart = || {
        let mut part = part(["a", "b"], Verdict::Inconclusive, 0);
        part.exploration.as_mut().and_then(|one| one.as_if_serial.as_mut()).unwrap().apart = true;
        part
    };
    let open = || Part { operations: vec!["b".to_owned(); 2], exploration: None };
    let (found, marks, whole) = verdict(vec![good(), part(["a", "b"], Verdict::Violated, 4), open()]);
    assert_eq!((found, marks.as_str()), (Verdict::Violated, "○●?"));
    assert_eq!((whole.report.explored, whole.report.first_violation_at, whole.report.total), (12, Some(8), None));
    for (parts, expected, marks) in [
        (vec![good(), apart()], Verdict::Holds, "○–"),
        (vec![apart(), apart()], Verdict::Inconclusive, "––"),
        (vec![good(), open()], Verdict::Inconclusive, "○?"),
    ] {
        let (found, seen, _) = verdict(parts);
        assert_eq!((found, seen.as_str()), (expected, marks));
    }
}

#[test]
fn answers_that_no_one_order_gives_are_told_of_each_choice() {
    let mut mixed = part(["a", "b"], Verdict::Holds, 0);
    let serial = mixed.exploration.as_mut().and_then(|one| one.as_if_serial.as_mut()).unwrap();
    serial.classes.insert(Class::Mixed.name().to_owned(), 2);
    let (.., whole) = verdict(vec![part(["a", "a"], Verdict::Holds, 0), mixed]);
    let notes = whole.as_if_serial.unwrap().notes;
    assert!(notes.len() == 1 && notes[0].starts_with("a against b: in 2 of 6 each answer"), "{notes:?}");
}

#[test]
fn choices_that_rules_alone_judge_are_told_and_those_left_out_are_a_doubt() {
    let ruled = |operations| {
        let mut part = part(operations, Verdict::Holds, 1);
        part.exploration.as_mut().unwrap().as_if_serial = None;
        part
    };
    let open = || Part { operations: vec!["b".to_owned(); 2], exploration: None };
    let whole = merged(vec![ruled(["a", "a"]), ruled(["a", "b"]), open()], Vec::new(), false);
    assert!(whole.as_if_serial.is_none());
    assert_eq!((whole.report.violated, whole.report.explored, whole.report.complete), (2, 12, false));
    assert_eq!(whole.report.notes[0], "each choice of operations was explored apart: a against a (6), a against b (6)");
    assert!(whole.report.doubts[0].ends_with("before: b against b"), "{:?}", whole.report.doubts);
    // One that led to nothing says itself why.
    let mut dead = ruled(["a", "a"]);
    dead.exploration.as_mut().unwrap().report.explored = 0;
    assert_eq!(merged(vec![dead], Vec::new(), false).report.doubts, [] as [String; 0]);
    // Serial runs that nobody came to are not passed over.
    let none = merged(vec![open()], Vec::new(), true);
    assert!(none.as_if_serial.is_some_and(|serial| serial.verdict == Verdict::Inconclusive));
    assert_eq!(none.report.notes, [] as [String; 0]);
}

#[test]
fn what_is_doubted_is_not_without_a_race() {
    let mut doubted = part(["a", "a"], Verdict::Holds, 0);
    doubted.exploration.as_mut().unwrap().report.doubts.push("an upsert that no index covers".to_owned());
    let (found, marks, whole) = verdict(vec![doubted]);
    assert_eq!((found, marks.as_str()), (Verdict::Inconclusive, "?"));
    assert!(whole.as_if_serial.unwrap().inconclusive.unwrap().contains("no index covers"));
}

#[test]
fn the_whole_has_its_control_first() {
    let of = |number: u64, phase| {
        let action = crate::history::Action::CreateOrGet { reversed: false };
        let outcome = Outcome::Unknown(Cause::new("no answer"));
        Operation { phase, ..fixture::operation(number, "k", action, [number, number], outcome) }
    };
    let with = |first| {
        let mut part = part(["a", "a"], Verdict::Holds, 0);
        let history = &mut part.exploration.as_mut().unwrap().history;
        history.operations = vec![of(first, Phase::Control), of(first + 1, Phase::Main)];
        part
    };
    let history = merged(vec![with(2), with(4)], vec![of(0, Phase::Control)], true).history;
    let control: Vec<u64> = history.phase(Phase::Control).iter().map(|operation| operation.id.0).collect();
    let main: Vec<(u64, Phase)> =
        history.phase(Phase::Main).iter().map(|operation| (operation.id.0, operation.phase)).collect();
    assert_eq!(control, [0, 2]);
    assert_eq!(main, [3, 4, 5].map(|id| (id, Phase::Main)));
}

#[test]
fn what_a_search_by_chance_and_repetitions_say_of_the_parts_is_kept_and_so_is_the_size_of_the_report() {
    let with = |names, times, same| {
        let mut part = part(names, Verdict::Holds, 0);
        let report = &mut part.exploration.as_mut().unwrap().report;
        (report.bound, report.repeated) = (Some("1/8".to_owned()), Some(Repeated { times, same }));
        let drawn = ScheduleResult {
            schedule: String::new(),
            choices: String::new(),
            verdict: Verdict::Holds,
            invariants: Vec::new(),
            diagram: Some(Diagram::default()),
        };
        report.schedules = vec![drawn; ExploreReport::MAX_DIAGRAMS];
        part
    };
    let report = merged(vec![with(["a", "a"], 6, 6), with(["a", "b"], 4, 3)], Vec::new(), true).report;
    assert_eq!(report.repeated, Some(Repeated { times: 10, same: 9 }));
    assert_eq!(report.notes, ["a against a: 1/8", "a against b: 1/8"]);
    let drawn = report.schedules.iter().filter(|result| result.diagram.is_some()).count();
    assert_eq!((report.schedules.len(), drawn), (2 * ExploreReport::MAX_DIAGRAMS, ExploreReport::MAX_DIAGRAMS));
}
