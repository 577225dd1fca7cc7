//! Whatever a history says, and however it lies on the disk: judged part by part, within little memory, it gives the report of the
//! whole.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::assess::samples::{WORKLOADS, record, recorded};
use crate::history::file::{Header, HistoryWriter, read, read_part};
use crate::history::{Action, Cause, Late, Outcome, Phase, Returned, Value};
use crate::verdict::ExitStatus;

/// Writes a history into a folder; in segments from this operation on. Some of those that are unknown are answered late, so many
/// operations later.
fn written(folder: &Path, history: &History, divided_at: Option<usize>) {
    let unknown = history.operations.iter().enumerate().filter(|(_, operation)| operation.is_unknown());
    let answered = unknown.step_by(2).map(|(at, operation)| {
        let outcome = match at % 3 {
            0 => Outcome::Failed(Cause::new("refused")),
            _ => Outcome::Ok(Value::Found(None)),
        };
        (at + at * 7 % 30, operation.id, Late { completed: operation.completed + 9, outcome })
    });
    written_with(folder, history, divided_at, &answered.collect::<Vec<_>>());
}

/// Writes a history, with answers that come late, each after the operation at some position.
fn written_with(folder: &Path, history: &History, divided_at: Option<usize>, lates: &[(usize, OpId, Late)]) {
    let path = folder.join("history.jsonl");
    let mut writer = HistoryWriter::create(&path, &Header::new("r1")).unwrap();
    for (at, operation) in history.operations.iter().enumerate() {
        if divided_at == Some(at) {
            writer.divide().unwrap();
        }
        writer.append(operation).unwrap();
        for (_, op, late) in lates.iter().filter(|(after, ..)| *after == at) {
            writer.append_late(*op, late).unwrap();
        }
    }
    match history.partial {
        true => drop(writer),
        false => writer.finish(history.interrupted).unwrap(),
    }
}

fn weight(history: &History) -> u64 {
    history.operations.iter().map(Operation::weight).sum()
}

#[test]
fn a_run_that_is_judged_within_little_memory_gives_the_report_of_the_whole() {
    let mut parts = Vec::new();
    for (workload, seed) in WORKLOADS.into_iter().flat_map(|workload| (0..4_u64).map(move |seed| (workload, seed))) {
        let record = record(workload, seed.is_multiple_of(2));
        let (history, observation) = recorded(workload, seed);
        for divided_at in [None, Some(0), Some(40)] {
            let folder = tempfile::tempdir().unwrap();
            written(folder.path(), &history, divided_at);
            let files = || {
                let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
                names.collect::<std::collections::BTreeSet<_>>()
            };
            let before = files();
            assert_eq!(before.len() > 1, divided_at.is_some(), "{before:?}");
            let whole = read(&folder.path().join("history.jsonl")).unwrap().1;
            assert_eq!(whole.operations.len(), history.operations.len());
            let recording = Recording { record: &record, history: &whole, observation: observation.as_ref() };
            let (expected, stats) = assess(recording).unwrap();
            // For as much as the whole weighs it is not divided; for half of it, into some parts.
            for memory in [4 * weight(&history), 2 * weight(&history)] {
                let within = MemorySize::of_bytes(memory);
                let (report, sums) = judge(folder.path(), &record, observation.as_ref(), within).unwrap();
                let text = |report: &Report| serde_json::to_string_pretty(report).unwrap();
                let (found, expected) = (text(&report), text(&expected));
                let differ = found.lines().zip(expected.lines()).find(|(one, other)| one != other);
                assert!(found == expected, "{workload} {seed} {divided_at:?} {memory}: {differ:?}");
                assert_eq!(sums.sums(), stats.sums());
            }
            assert_eq!(files(), before, "what was sorted on the disk is gone");
            let divided = Divided::open(&folder.path().join("history.jsonl"), folder.path()).unwrap();
            let within = weight(&whole) / 2;
            let division = divided.division(within, within / 4);
            parts.extend(division.map(|division| (division.groups().count(), division.pieces)));
        }
    }
    assert!(parts.iter().all(|(groups, _)| *groups > 1), "{parts:?}");
    assert!(parts.iter().filter(|(_, pieces)| *pieces > 1).count() > parts.len() / 2, "{parts:?}");
    assert!(parts.len() == WORKLOADS.len() * 12, "some key has half of the operations: {parts:?}");
}

/// The report as it is judged within so much memory, and the one of the whole that is read at once.
fn both(folder: &Path, record: &RunRecord, observation: Option<&Observation>, memory: u64) -> [Report; 2] {
    let whole = read(&folder.join("history.jsonl")).unwrap().1;
    let expected = assess(Recording { record, history: &whole, observation }).unwrap().0;
    [judge(folder, record, observation, MemorySize::of_bytes(memory)).unwrap().0, expected]
}

#[test]
fn what_segments_say_of_themselves_is_what_all_their_operations_say() {
    let mut segments = 0;
    for (workload, seed) in WORKLOADS.into_iter().flat_map(|workload| (0..6_u64).map(move |seed| (workload, seed))) {
        let (history, _) = recorded(workload, seed);
        for divided_at in [None, Some(0), Some(31)] {
            let folder = tempfile::tempdir().unwrap();
            written(folder.path(), &history, divided_at);
            let path = folder.path().join("history.jsonl");
            let whole = read(&path).unwrap().1;
            segments += whole.operations.iter().filter(|operation| operation.late.is_some()).count();
            let expected = Facts::of(&whole);
            let mut divided = Divided::open(&path, folder.path()).unwrap();
            for meeting in [Meeting::Summaries, Meeting::Operations] {
                assert_eq!(
                    surveyed(&mut divided, meeting).unwrap(),
                    expected,
                    "{workload} {seed} {divided_at:?} {meeting:?}"
                );
            }
            let mut facts = Facts::default();
            let part = read_part(&path, KeyPart { index: 1, of: 2 }, &mut |operation| facts.meet(operation)).unwrap().1;
            facts.ended(&part);
            assert_eq!(facts, expected, "{workload} {seed} {divided_at:?}");
        }
    }
    assert!(segments > 100, "some were answered late: {segments}");
}

#[test]
fn a_late_answer_counts_wherever_it_lies() {
    let record = record("create-or-get", true);
    let served = Outcome::Ok(Value::Document(Returned { id: Some([7; 12].into()), ..Returned::default() }));
    let refused = Outcome::Failed(Cause::http(409, "full"));
    let operation = |number: u64| {
        let (phase, key) =
            if number < 4 { (Phase::Control, "c".to_owned()) } else { (Phase::Main, format!("k{number}")) };
        let outcome = match number {
            // One of the load comes before the control has ended.
            0..5 => served.clone(),
            40 => Outcome::Unknown(Cause::new("no answer within 1s")),
            _ => refused.clone(),
        };
        let action = Action::CreateOrGet { reversed: false };
        let times = if number == 4 { [1, 2] } else { [number * 10, number * 10 + 5] };
        Operation { phase, ..crate::history::fixture::operation(number, key, action, times, outcome) }
    };
    let history = History { operations: (0..90).map(operation).collect(), ..History::default() };
    // In the segment of the operation, in the next one, in the last one.
    for after in [41, 50, 89] {
        for (outcome, is_refused) in [(&served, false), (&refused, true)] {
            let folder = tempfile::tempdir().unwrap();
            let late = Late { completed: 900, outcome: outcome.clone() };
            written_with(folder.path(), &history, Some(0), &[(after, OpId(40), late)]);
            let [found, expected] = both(folder.path(), &record, None, 2 * weight(&history));
            assert_eq!(found, expected, "{after} {is_refused}");
            let told = found.reasons.iter().any(|reason| reason.contains("everybody was refused"));
            assert_eq!(told, is_refused, "{:?}", found.reasons);
        }
    }
}

#[test]
fn whatever_is_damaged_is_told_as_of_the_whole() {
    let (mut rng, mut lost) = (ChaCha8Rng::seed_from_u64(3), 0);
    for workload in WORKLOADS {
        let record = record(workload, true);
        let (history, observation) = recorded(workload, 1);
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), &history, Some(5));
        let paths = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut segments: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "gz")).collect();
        segments.sort();
        for round in 0..24 {
            let segment = &segments[rng.random_range(0..segments.len())];
            let whole = std::fs::read(segment).unwrap();
            let mut damaged = whole.clone();
            match round % 3 {
                0 => damaged.truncate(rng.random_range(0..whole.len())),
                1 => damaged[rng.random_range(0..whole.len())] ^= 1 << rng.random_range(0..8),
                _ => damaged[rng.random_range(whole.len() / 2..whole.len())..].fill(7),
            }
            std::fs::write(segment, damaged).unwrap();
            for memory in [weight(&history) * 2, 3_000] {
                let [found, expected] = both(folder.path(), &record, observation.as_ref(), memory);
                match memory {
                    3_000 => assert_eq!(found.partial, expected.partial, "{workload} {round}"),
                    _ => assert_eq!(found, expected, "{workload} {round}"),
                }
                lost += usize::from(found.reasons.iter().any(|reason| reason.contains("damaged or gone")));
            }
            std::fs::write(segment, whole).unwrap();
        }
    }
    assert!(lost > 150, "{lost}");
}

#[test]
fn what_does_not_fit_by_any_division_is_told() {
    let record = record("create-or-get", true);
    let (history, observation) = recorded("create-or-get", 1);
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &history, None);
    let judged = |record: &RunRecord, memory| {
        judge(folder.path(), record, observation.as_ref(), MemorySize::of_bytes(memory)).unwrap().0
    };
    let report = judged(&record, 3_000);
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert!(report.reasons[0].contains("the operations on one key are more than fit"), "{:?}", report.reasons);
    let explored = RunRecord { explore: Some(crate::report::ExploreReport::default()), ..record.clone() };
    let report = judged(&explored, weight(&history));
    assert!(report.reasons[0].contains("its interleavings were explored"), "{:?}", report.reasons);
    assert_eq!(report.verdict, Verdict::Inconclusive);
    // How the run ended is told all the same.
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &History { interrupted: true, ..history }, None);
    for record in [&record, &explored] {
        let (report, _) = judge(folder.path(), record, observation.as_ref(), MemorySize::of_bytes(3_000)).unwrap();
        assert!(report.partial, "{report:?}");
        assert_eq!(report.exit_code, ExitStatus::Interrupted.code());
    }
}

#[test]
fn the_history_of_another_run_is_refused() {
    let (history, _) = recorded("create-or-get", 1);
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &history, Some(3));
    let other = RunRecord { run_id: "r2".to_owned(), ..record("create-or-get", true) };
    let error = judge(folder.path(), &other, None, MemorySize::of_bytes(1)).unwrap_err();
    assert!(error.render(false).contains("belongs to run r1"), "{}", error.render(false));
}
