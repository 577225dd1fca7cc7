//! `[load] fresh` in an exploration: what is there only once is met in every order, each execution from the same beginning.

use std::process::Output;

use serde_json::Value;

use crate::support::{command, node_path};
use crate::{is_refused, violating};

/// Explores a scenario of `tests/services/moments`.
fn explored(scenario: &str, mode: &str, more: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    let output = command(&["explore", "--judge", "both", "--format", "json", "--quiet", "--seed", "1", "--out"])
        .arg(folder.path())
        .args(["--max-time", "900s"])
        .arg(format!("tests/services/moments/{scenario}"))
        .args(more)
        .env("NODE_PATH", node_path())
        .env("MODE", mode)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report)
}

#[track_caller]
fn why(output: &Output, report: &Value) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    format!("{} {} {errors}", report["reasons"], report["explore"]["notes"])
}

#[test]
fn whoever_comes_first_is_the_administrator_and_two_are_if_both_come_first() {
    let (output, report) = explored("first-user.toml", "racy", &[]);
    let (why, found) = (why(&output, &report), &report["explore"]);
    assert_eq!(output.status.code(), Some(1), "{why}");
    // Each of them counts before the other inserts, in every one of these, however many were carried out before.
    assert_eq!(violating(&report).len(), 4, "{why}");
    assert_eq!(found["smallest"]["schedule"], "R1.count R2.count R2.insert R1.insert", "{why}");
    assert_eq!((&found["smallest"]["reproduced"], &found["complete"]), (&true.into(), &true.into()), "{why}");
    assert!(why.contains("each execution began on a database that had not been there before"), "{why}");
    let own = report["invariants"].as_array().unwrap().iter().find(|one| one["name"] == "custom:one administrator");
    assert_eq!(own.unwrap()["verdict"], "violated");
}

/// The correct service is explored to the end, and nobody is accused.
#[track_caller]
fn holds_in_every_order(scenario: &str) {
    let (output, report) = explored(scenario, "", &[]);
    let why = why(&output, &report);
    assert_eq!((output.status.code(), &report["verdict"]), (Some(0), &"holds".into()), "{why}");
    assert_eq!(report["explore"]["complete"], true, "{why}");
    assert!(why.contains("each execution began on a database that had not been there before"), "{why}");
}

#[test]
fn a_role_that_is_given_away_once_is_explored_to_the_end_and_nobody_is_accused() {
    holds_in_every_order("first-user.toml");
}

#[test]
fn a_first_use_is_carried_out_again_by_its_schedule() {
    let again = ["--schedule", "1 2 1 2", "--times", "3"];
    let (output, report) = explored("first-user.toml", "racy", &again);
    let why = why(&output, &report);
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert_eq!(violating(&report), ["R1.count R2.count R1.insert R2.insert"], "{why}");
    let repeated = &report["explore"]["repeated"];
    assert_eq!((&repeated["times"], &repeated["same"]), (&3.into(), &3.into()), "{why}");
}

#[test]
fn upserts_of_a_first_use_meet_inside_the_server_though_the_service_upserts_at_its_start() {
    let (output, report) = explored("first-user.toml", "upsert", &[]);
    let why = why(&output, &report);
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(violating(&report).is_empty(), "in no order that is chosen: {why}");
    // As many as there is time for, of a service that is started for each; in every one of them they meet.
    let together = &report["explore"]["together"];
    assert!(
        together["attempts"].as_u64() >= Some(1) && together["violated"] == together["attempts"],
        "{why} {together}"
    );
    assert!(why.contains("upserts were made to meet inside the server"), "{why}");
}

#[test]
fn a_first_use_is_met_with_faults_as_well() {
    let more = ["--faults", "crash,lost-answer", "--redeliver", "--requests", "1"];
    let (output, report) = explored("first-user.toml", "", &more);
    let why = why(&output, &report);
    let struck = report["explore"]["faults"].as_array().unwrap();
    assert!(struck.iter().any(|one| one["fault"] == "crash"), "{why}");
    // The role is given away, and whoever it was is not told: the second delivery does not find itself in it.
    assert_eq!(output.status.code(), Some(1), "{why}");
    let violating = violating(&report);
    assert!(!violating.is_empty() && violating.iter().all(|schedule| schedule.contains('!')), "{why}");
}

#[test]
#[ignore = "a service that is started some hundred times"]
fn what_instances_make_at_their_starts_is_made_twice_if_both_look_first() {
    let (output, report) = explored("rates.toml", "racy", &[]);
    let (why, found) = (why(&output, &report), &report["explore"]);
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert_eq!(found["smallest"]["schedule"], "S1.find S2.find S2.insert S1.insert", "{why}");
    assert_eq!((&found["smallest"]["reproduced"], &found["complete"]), (&true.into(), &true.into()), "{why}");
    assert!(why.contains("its 2 instances were started in it (S1 to S2)"), "{why}");
    let lanes = found["smallest"]["diagram"]["lanes"].as_array().unwrap();
    let lanes: Vec<&str> = lanes.iter().map(|lane| lane["name"].as_str().unwrap()).collect();
    assert_eq!(lanes, ["S1 start", "S2 start"]);
    let replay = found["smallest"]["replay"].as_str().unwrap();
    assert!(replay.ends_with("--requests 1 --schedule \"s1 s2 s2 s1\""), "{replay}");
}

#[test]
fn what_instances_make_at_their_starts_by_its_number_is_made_once_in_every_order() {
    holds_in_every_order("rates.toml");
}

#[test]
fn starts_are_carried_out_again_by_their_schedule() {
    let (output, report) = explored("rates.toml", "racy", &["--schedule", "s1 s2 s1 s2", "--times", "3"]);
    let why = why(&output, &report);
    assert_eq!(output.status.code(), Some(1), "{why}");
    let expected = "S1.find S2.find S1.insert S2.insert R1.count R1.insert";
    assert_eq!(violating(&report), [expected], "{why}");
    let repeated = &report["explore"]["repeated"];
    assert_eq!((&repeated["times"], &repeated["same"]), (&3.into(), &3.into()), "{why}");
}

#[test]
fn an_instance_that_does_not_survive_the_start_of_another_is_told() {
    let (output, report) = explored("rates.toml", "index", &["--schedule", "s1 s2 s1 s2 s1 s2"]);
    let why = why(&output, &report);
    assert_eq!(output.status.code(), Some(1), "{why} {}", report["as_if_serial"]["sentences"]);
    let violating = violating(&report);
    let starts = "S1.createIndexes S2.createIndexes S1.find S2.find S1.insert S2.insert";
    assert!(violating.len() == 1 && violating[0].starts_with(starts), "{violating:?}");
    let outcome = report["explore"]["schedules"][0]["diagram"]["lanes"][1]["outcome"].as_str().unwrap();
    assert!(outcome.contains("before it was ready"), "{outcome}");
}

#[test]
fn what_starts_in_each_execution_do_not_go_with_is_refused() {
    let refused = |arguments: &[&str], why: &str| is_refused("tests/services/moments/rates.toml", arguments, why);
    refused(&["--faults", "crash"], "faults strike requests of a service that is up");
    refused(&["--search", "stress"], "`stress` puts nothing in order");
    refused(&["--pairs"], "every choice of the operations");
    refused(&["--schedule", "s1 s3"], "the start of instance 3, and 2 are started");
    refused(&["--schedule", "s1 s2", "--set", "load.fresh=database"], "0 are started");
    refused(&["--attach", "27999"], "take `[service]` out");
}
