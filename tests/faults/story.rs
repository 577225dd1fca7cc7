//! Merged pictures that were pushed twice after restarts: webhook and polling announce one task, the service is killed between
//! push and mark, and recovers the task when it starts again.

use std::process::Output;

use serde_json::Value;

use crate::support::{command, node_path};
use crate::violating;

/// Within so many schedules it is found.
const FIRST: u64 = 10;

/// Explores a scenario of `tests/services`, as it is, with this in its environment.
fn explored(scenario: &str, (name, value): (&str, &str), more: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    let output = command(&["explore", "--format", "json", "--quiet", "--seed", "1", "--max-time", "900s", "--out"])
        .arg(folder.path())
        .arg(format!("tests/services/{scenario}"))
        .args(more)
        .env("NODE_PATH", node_path())
        .env(name, value)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report)
}

#[track_caller]
fn pushed_twice(scenario: &str, before: (&str, &str), more: &[&str], smallest: &str) {
    let (output, report) = explored(scenario, before, more);
    let found = &report["explore"];
    assert_eq!(output.status.code(), Some(1), "{} {}", report["reasons"], String::from_utf8_lossy(&output.stderr));
    assert!(found["first_violation_at"].as_u64().unwrap() <= FIRST, "{found}");
    let violating = violating(&report);
    assert!(violating.iter().all(|schedule| schedule.contains("!crash")), "{violating:?}");
    assert_eq!(found["smallest"]["schedule"], smallest);
}

#[track_caller]
fn pushed_once(scenario: &str, fixed: (&str, &str)) {
    let (output, report) = explored(scenario, fixed, &[]);
    let why = format!("{} {}", report["reasons"], report["as_if_serial"]["sentences"]);
    assert_eq!((output.status.code(), &report["verdict"]), (Some(0), &"holds".into()), "{why}");
    assert_eq!(report["explore"]["complete"], true, "{}", report["explore"]["notes"]);
    let struck = report["explore"]["faults"].as_array().unwrap();
    assert!(struck.iter().any(|one| one["fault"] == "crash"), "{struck:?}");
}

/// What runs before the search, and what is found first.
const SHORT: [&str; 2] = ["--max-schedules", "24"];

#[test]
fn the_reference_service_pushes_twice_within_ten_schedules() {
    let smallest = "R1.findAndModify R1.findAndModify R1.update!crash R1'.findAndModify";
    pushed_twice("tasks.toml", ("MERGE", "wrong-path"), &SHORT, smallest);
}

#[test]
#[ignore = "a service that is started some forty times"]
fn the_reference_service_pushes_once_under_its_condition() {
    pushed_once("tasks.toml", ("MERGE", "conditional-push"));
}

#[test]
#[ignore = "a service that is started some forty times"]
fn an_express_service_pushes_twice_before_its_fix_and_once_after_it() {
    let smallest = "R1.findAndModify R1.update R1.update!crash R1'.findAndModify";
    pushed_twice("express-tasks.toml", ("MODE", "before"), &[], smallest);
    pushed_once("express-tasks.toml", ("MODE", "fixed"));
}
