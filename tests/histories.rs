//! Judges the histories in `tests/histories/<invariant>/<verdict>/`: each must get the verdict of its folder.
//!
//! A file holds one JSON object a line: first what it shows (`name`, and what is expected of the result), then the
//! operations, then at most one `observation`. A header line, with its `format_version`, is skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "shown for a history that fails")]

use std::fs;
use std::path::{Path, PathBuf};

use onlyone::checker::judge;
use onlyone::history::{History, Observation, Operation, Phase};
use onlyone::verdict::{Invariant, InvariantResult, Verdict};
use serde::Deserialize;
use serde_json::Value;

/// What a history shows, and what is expected beyond its verdict.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    partial: bool,
    /// Numbers of the first witness's operations.
    witness: Option<Vec<u64>>,
    violations: Option<u64>,
    /// Part of the reason.
    reason: Option<String>,
    /// Part of the first witness's explanation.
    says: Option<String>,
}

fn read(path: &Path) -> (Case, History, Option<Observation>) {
    let (mut case, mut history, mut observation) = (None, History::default(), None);
    for line in fs::read_to_string(path).unwrap().lines() {
        let mut value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{path:?}: {error}: {line}"));
        if value.get("name").is_some() {
            case = Some(serde_json::from_value::<Case>(value).unwrap());
        } else if value.get("op").is_some() {
            history.operations.push(serde_json::from_value::<Operation>(value).unwrap());
        } else if let Some(value) = value.get_mut("observation") {
            observation = Some(serde_json::from_value(value.take()).unwrap());
        } else {
            assert!(value.get("format_version").is_some(), "{path:?}: {line}");
        }
    }
    let case = case.unwrap_or_else(|| panic!("{path:?} has no name"));
    history.partial = case.partial;
    (case, history, observation)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn check(case: &Case, result: &InvariantResult) {
    let reason = result.reason.as_deref().unwrap_or_default();
    assert!(reason.contains(case.reason.as_deref().unwrap_or_default()), "reason: {reason}");
    if let Some(violations) = case.violations {
        assert_eq!(result.violations, violations);
    }
    assert_eq!(result.witnesses.is_empty(), result.verdict != Verdict::Violated);
    assert!(result.witnesses.len() as u64 <= result.violations && result.violations <= result.checked.max(1));
    if let Some(witness) = result.witnesses.first() {
        let operations: Vec<u64> = witness.operations.iter().map(|operation| operation.id.0).collect();
        let expected = case.witness.as_ref().expect("a violated history states its witness");
        assert_eq!(operations.len(), expected.len(), "{operations:?}");
        assert!(expected.iter().all(|op| operations.contains(op)), "{operations:?}");
        let invoked = |index: usize| witness.operations[index].invoked;
        assert!((1..operations.len()).all(|index| invoked(index - 1) <= invoked(index)), "not in order of invocation");
        assert!(witness.explanation.contains(case.says.as_deref().unwrap_or_default()), "{}", witness.explanation);
    }
}

#[test]
fn every_history_gets_the_verdict_of_its_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let mut explanations = Vec::new();
    for folder in entries(&root) {
        let invariant: Invariant = name(&folder).parse().unwrap();
        for verdict in [Verdict::Holds, Verdict::Violated, Verdict::Inconclusive] {
            let files = entries(&folder.join(verdict.as_str()));
            assert!(files.len() >= 2, "{invariant} has too few histories whose verdict is {verdict}");
            for path in files {
                let (case, history, observation) = read(&path);
                let judged = || judge(&history, observation.as_ref(), Phase::Main, std::slice::from_ref(&invariant));
                let results = judged();
                println!("{invariant}/{verdict}/{}: {}\n  {:?}", name(&path), case.name, results[0]);
                assert_eq!(results[0].verdict, verdict);
                check(&case, &results[0]);
                assert_eq!(results, judged(), "the same history must get the same result");
                let witnesses = results[0].witnesses.iter();
                explanations.extend(witnesses.map(|witness| format!("{invariant}: {}", witness.explanation)));
            }
        }
    }
    insta::assert_snapshot!("explanations", explanations.join("\n"));
}
