//! Whatever a history says, and however it lies on the disk: judged part by part, within little memory, it gives the report of the
//! whole.

use super::*;
use crate::assess::samples::{WORKLOADS, record, recorded};
use crate::history::file::{Header, HistoryWriter, read};
use crate::verdict::ExitStatus;

/// Writes a history into a folder; in segments from this operation on.
fn written(folder: &Path, history: &History, divided_at: Option<usize>) {
    let path = folder.join("history.jsonl");
    let mut writer = HistoryWriter::create(&path, &Header::new("r1")).unwrap();
    for (at, operation) in history.operations.iter().enumerate() {
        if divided_at == Some(at) {
            writer.divide().unwrap();
        }
        writer.append(operation).unwrap();
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
            parts.extend(divided.parts_within(weight(&history) / 2));
        }
    }
    assert!(parts.iter().all(|of| *of > 1), "{parts:?}");
    assert!(parts.len() == WORKLOADS.len() * 12, "some key has half of the operations: {parts:?}");
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
