//! `explore --judge as-if-serial` on the embedded server: a racy strategy is found with every other checker off, its correct
//! twin holds, and requests that do not meet prove nothing.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::Command;

use serde_json::Value;

/// The exit code and the report of an exploration that the serial runs alone judge.
fn explored(scenario: &str, sets: &[&str]) -> (Option<i32>, Value) {
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    command
        .args(["explore", scenario, "--judge", "as-if-serial", "--format", "json", "--quiet", "--out"])
        .arg(out.path());
    command.args(["--set", "expect={}"]);
    for set in sets {
        command.args(["--set", set]);
    }
    let output = command.output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), report)
}

const DIRECT: &str = "scenarios/explore-direct-find-then-insert.toml";

#[test]
fn a_race_is_found_with_every_other_checker_off() {
    let (code, report) = explored(DIRECT, &[]);
    assert_eq!(code, Some(1), "{report:#}");
    let serial = &report["as_if_serial"];
    assert_eq!(serial["classes"]["anomaly-lasting"], 4);
    assert_eq!(serial["classes"]["serial"], 2);
    assert_eq!(report["explore"]["first_violation_at"], 1);
    assert!(serial["in_words"].as_str().unwrap().ends_with("here 2 documents"), "{serial:#}");
    let judged: Vec<&str> =
        report["invariants"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(judged, ["as-if-serial"]);
}

#[test]
fn a_lost_update_of_a_list_is_found() {
    let (code, report) = explored("scenarios/explore-append-whole-array.toml", &[]);
    assert_eq!((code, &report["invariants"][0]["verdict"]), (Some(1), &Value::from("violated")), "{report:#}");
}

#[test]
fn what_is_correct_holds() {
    let (code, report) = explored("scenarios/explore-direct-upsert-retry.toml", &[]);
    assert_eq!(code, Some(0), "{report:#}");
    let serial = &report["as_if_serial"];
    assert_eq!(serial["judged"], serial["classes"]["serial"]);
    // Each order, once: nothing was unlike them.
    assert!(serial["serial_runs"].as_u64().unwrap() >= 2);
}

#[test]
fn requests_that_do_not_meet_prove_nothing() {
    let (code, report) = explored(DIRECT, &["target.mongo.strategy=insert-first", "target.mongo.unique_index=false"]);
    assert_eq!(code, Some(3), "{report:#}");
    let why = report["as_if_serial"]["inconclusive"].as_str().unwrap();
    assert!(why.starts_with("the requests do not meet"), "{why}");
}
