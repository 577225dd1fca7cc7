//! Reads that a secondary answers which lags. Each takes a replica set of three of its own.

use std::process::Output;

use serde_json::Value;

use crate::support::command;
use crate::{scenario, violating};

/// Explores routes of `tests/services/faults/app.js`, one of which reads from a secondary.
fn explored(routes: &[&str], mode: &str, requests: &str, faults: &str) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("case.toml");
    std::fs::write(&file, format!("{}[mongod]\nreplica_set = 3\n", scenario(routes, mode))).unwrap();
    let output = command(&["explore", "--judge", "as-if-serial", "--format", "json", "--quiet", "--seed", "1"])
        .args(["--faults", faults, "--requests", requests, "--max-time", "900s", "--out"])
        .arg(folder.path().join("reports"))
        .arg(&file)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report)
}

#[test]
fn what_is_made_again_because_a_secondary_does_not_know_of_it_yet() {
    let (output, report) = explored(&["register"], "buggy", "1", "stale-read");
    let found = &report["explore"];
    assert_eq!(output.status.code(), Some(1), "{} {}", report["reasons"], String::from_utf8_lossy(&output.stderr));
    assert_eq!(violating(&report), ["R1.update R1.find!stale R1.insert"], "{found}");
    assert_eq!((&found["complete"], &found["smallest"]["reproduced"]), (&true.into(), &true.into()), "{found}");
}

#[test]
#[ignore = "starts a replica set of three several times"]
fn who_reads_from_the_primary_or_waits_for_its_own_writes_is_not_accused_nor_cleared_of_what_was_not_tried() {
    for (mode, note) in [
        ("primary", "no read was stale: nothing reads from a secondary"),
        ("fixed", "no read was stale: what reads from a secondary waits there for what it must see"),
    ] {
        let (output, report) = explored(&["register"], mode, "2", "stale-read");
        let (notes, reasons) = (report["explore"]["notes"].to_string(), report["reasons"].to_string());
        assert_eq!(output.status.code(), Some(3), "{mode}: {reasons}");
        assert!(notes.contains(note) && reasons.contains("no fault struck"), "{mode}: {notes} {reasons}");
        // With another fault that does strike, it holds.
        let (output, report) = explored(&["register"], mode, "2", "stale-read,lost-answer");
        let found = &report["explore"];
        assert_eq!(output.status.code(), Some(0), "{mode}: {} {found}", report["reasons"]);
        assert_eq!(found["complete"], true, "{mode}: {}", found["notes"]);
    }
}

#[test]
#[ignore = "starts a replica set of three twice"]
fn an_old_answer_of_a_secondary_is_none_of_its_readers_fault() {
    // What `present` is told is what it would be told before the room, what `behind` is told is like no order of the two.
    for reader in ["present", "behind"] {
        let (output, report) = explored(&["room", reader], "fixed", "2", "stale-read");
        let (found, said) = (&report["explore"], &report["as_if_serial"]["sentences"]);
        assert_eq!(output.status.code(), Some(0), "{reader}: {} {said}", report["reasons"]);
        assert_eq!(found["complete"], true, "{reader}: {}", found["notes"]);
        assert!(found["faults"].as_array().unwrap().iter().any(|one| one["fault"] == "stale"), "{reader}: {found}");
    }
}
