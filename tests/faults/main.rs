//! Faults that `explore` injects into small services, each free of races and broken, and correct: every broken one is found, within 50
//! schedules and at a fault, and no correct one is accused, whatever happens to it.
//!
//! What takes minutes: `cargo test --test faults -- --ignored`.

// The lints look at test functions only, and these are helpers of tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod expiry;
mod fresh;
mod restart;
mod stale;
mod story;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use support::{Server, command, node_path, project};

/// A service's scenario, and what is said of it.
struct Case {
    routes: &'static [&'static str],
    /// What happens.
    faults: &'static str,
    /// How many come together.
    requests: &'static str,
}

const EVERYTHING: &str = "crash,lost-answer,lost-command,error-answer";

/// Schedules within which a fault is found.
const SOON: u64 = 50;

/// Explores a route of `tests/services/faults/app.js`, judged as if serial and by nothing else.
fn explored(server: &Server, case: &Case, mode: &str, more: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("case.toml");
    std::fs::write(&file, scenario(case.routes, mode)).unwrap();
    let output =
        command(&["explore", "--judge", "as-if-serial", "--redeliver", "--format", "json", "--quiet", "--seed", "1"])
            .args(["--faults", case.faults, "--requests", case.requests, "--mongo", &server.uri])
            .args(["--max-time", "900s", "--out"])
            .arg(folder.path().join("reports"))
            .args(more)
            .arg(&file)
            .output()
            .unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report)
}

fn scenario(routes: &[&str], mode: &str) -> String {
    let operation = |route: &&str| {
        format!(
            "[target.http.operations.{route}]\nmethod = \"POST\"\npath = \"/{route}/{{{{ key }}}}/{{{{ op.id }}}}\"\n"
        )
    };
    let operations: String = routes.iter().map(operation).collect();
    let service: PathBuf = project().join("tests/services/faults/app.js");
    format!(
        "name = \"{}\"\nworkload = \"custom\"\n[target.http]\n{operations}[explore]\noperations = {routes:?}\nrequests = 2\n\
         pairs = false\n[service]\ncommand = [\"node\", \"{}\"]\nready = \"/health\"\n\
         env = {{ PORT = \"{{{{ service.port }}}}\", MONGO_URL = \"{{{{ mongo.uri }}}}\", MODE = \"{mode}\", NODE_PATH = \"{}\" }}\n\
         [load.burst]\nclients = [2]\nrounds = 5\n",
        routes.join(" against "),
        service.display(),
        node_path().display(),
    )
}

/// The schedules that violate, in the order in which they were carried out.
fn violating(report: &Value) -> Vec<&str> {
    let schedules = report["explore"]["schedules"].as_array().into_iter().flatten();
    let violated = schedules.filter(|schedule| schedule["verdict"] == "violated");
    violated.map(|schedule| schedule["schedule"].as_str().unwrap()).collect()
}

/// The broken service is found by a fault, soon, and its smallest violation is carried out again; the correct one is explored
/// to the end, and nobody is accused.
#[track_caller]
fn found_and_not_accused(case: &Case, smallest: &str) {
    let server = Server::start();
    let (output, report) = explored(&server, case, "buggy", &[]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors} {}", report["reasons"]);
    let found = &report["explore"];
    assert!(found["first_violation_at"].as_u64().unwrap() <= SOON, "{found}");
    let violating = violating(&report);
    assert!(violating.iter().all(|schedule| schedule.contains('!')), "without a fault nothing is wrong: {violating:?}");
    assert_eq!(found["smallest"]["schedule"], smallest);
    assert_eq!(found["smallest"]["reproduced"], true);
    let (output, report) = explored(&server, case, "fixed", &[]);
    assert_eq!(output.status.code(), Some(0), "{} {}", report["reasons"], report["as_if_serial"]["sentences"]);
    let (verdict, complete) = (&report["verdict"], &report["explore"]["complete"]);
    assert_eq!((verdict, complete), (&"holds".into(), &true.into()), "{}", report["explore"]["notes"]);
    assert!(!report["explore"]["faults"].as_array().unwrap().is_empty());
}

#[test]
fn a_document_that_is_made_and_filled_afterwards() {
    let case = Case { routes: &["room"], faults: "crash", requests: "2" };
    found_and_not_accused(&case, "R1.insert!crash R1'.insert R1'.update");
}

#[test]
fn an_answer_before_what_it_promises_is_stored() {
    let case = Case { routes: &["letter"], faults: "crash", requests: "2" };
    found_and_not_accused(&case, "R1.find R1.update!crash-before");
}

#[test]
#[ignore = "a service that is started some hundred times"]
fn a_count_that_is_repeated_with_its_request() {
    let case = Case { routes: &["visit"], faults: "crash", requests: "2" };
    found_and_not_accused(&case, "R1.update R1.update!crash R1'.update R1'.update");
}

#[test]
fn a_message_of_an_outbox_that_is_consumed_twice() {
    let case = Case { routes: &["order"], faults: "crash", requests: "1" };
    found_and_not_accused(&case, "R1.update R1.find R1.update!crash R1'.update R1'.find R1'.update R1'.update");
}

#[test]
#[ignore = "a service that is started some hundred times"]
fn a_lock_that_outlives_its_holder() {
    let case = Case { routes: &["payout"], faults: "crash", requests: "2" };
    found_and_not_accused(&case, "R1.insert!crash R1'.insert");
}

#[test]
#[ignore = "a service that is started some hundred times"]
fn a_webhook_and_a_poller_that_deliver_one_task() {
    let case = Case { routes: &["webhook", "poll"], faults: "crash", requests: "2" };
    found_and_not_accused(&case, "R1.insert R1.update!crash R1'.insert R1'.find R1'.update R1'.update");
}

#[test]
fn two_steps_without_a_transaction() {
    let case = Case { routes: &["transfer"], faults: "crash", requests: "1" };
    found_and_not_accused(&case, "R1.find R1.insert!crash R1'.find");
}

#[test]
fn what_happens_between_a_correct_service_and_the_database_accuses_it_of_nothing() {
    none_is_accused(&[&["room"], &["letter"], &["transfer"]]);
}

#[test]
#[ignore = "takes some minutes"]
fn no_correct_service_is_accused_by_what_happens_between_it_and_the_database() {
    none_is_accused(&[&["room"], &["letter"], &["visit"], &["payout"], &["webhook", "poll"], &["transfer"]]);
}

/// No correct service of these routes is accused, whatever is lost or refused.
#[track_caller]
fn none_is_accused(all: &[&'static [&'static str]]) {
    let server = Server::start();
    for &routes in all {
        // Two transactions that run into each other begin again and again: thousands of interleavings.
        let requests = if routes == ["transfer"] { "1" } else { "2" };
        let case = Case { routes, faults: "lost-answer,lost-command,error-answer", requests };
        let (output, report) = explored(&server, &case, "fixed", &[]);
        let why = format!("{routes:?}: {} {}", report["reasons"], report["as_if_serial"]["sentences"]);
        assert_eq!(output.status.code(), Some(0), "{why}");
        let struck = report["explore"]["faults"].as_array().unwrap();
        for fault in ["lost-answer", "lost-command"] {
            assert!(struck.iter().any(|one| one["fault"] == fault), "{why}: {struck:?}");
        }
    }
}

/// What is logged and counted of each delivery goes by itself.
#[test]
fn attempts_that_run_out_accuse_nobody() {
    let server = Server::start();
    let case = Case { routes: &["metered"], faults: "crash", requests: "1" };
    let (output, report) = explored(&server, &case, "fixed", &[]);
    assert_eq!(output.status.code(), Some(0), "{} {}", report["reasons"], report["as_if_serial"]["sentences"]);
    assert_eq!(report["explore"]["complete"], true);
}

#[test]
#[ignore = "a service that is started again and again"]
fn a_room_that_is_made_twice_is_found_beside_attempts_that_run_out() {
    found_and_not_accused(
        &Case { routes: &["metered"], faults: "crash,lost-answer,error-answer", requests: "1" },
        "R1.insert R1.update R1.insert!crash R1'.insert R1'.update R1'.insert",
    );
}

#[test]
fn a_fault_in_a_schedule_is_carried_out_again() {
    let server = Server::start();
    let case = Case { routes: &["room"], faults: "crash", requests: "1" };
    let again = ["--schedule", "1:crash 1' 1'"];
    let (output, report) = explored(&server, &case, "buggy", &again);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(violating(&report), ["R1.insert!crash R1'.insert R1'.update"]);
    let lanes = &report["explore"]["schedules"][0]["diagram"];
    let told: Vec<&str> =
        lanes["steps"].as_array().unwrap().iter().map(|step| step["answer"].as_str().unwrap()).collect();
    assert!(told[0].ends_with("and the service is killed before it hears of it"), "{told:?}");
    assert!(lanes["steps"][1]["command"].as_str().unwrap().starts_with("delivered again: "), "{lanes}");
}

#[test]
fn a_service_that_does_not_come_up_again_is_no_verdict_and_told() {
    let server = Server::start();
    let case = Case { routes: &["room"], faults: "crash", requests: "1" };
    let (output, report) = explored(&server, &case, "once", &[]);
    let reasons = report["reasons"].to_string();
    assert_eq!(output.status.code(), Some(3), "{reasons} {}", String::from_utf8_lossy(&output.stderr));
    assert!(reasons.contains("started before"), "what it said itself: {reasons}");
    assert_eq!(report["explore"]["complete"], false);
}

#[test]
fn where_nothing_is_to_be_left_out_nothing_is() {
    let server = Server::start();
    // They write to different collections.
    let case = Case { routes: &["room", "transfer"], faults: "lost-answer", requests: "2" };
    let explored = |more: &[&str]| {
        let (_, report) = explored(&server, &case, "buggy", more);
        report["explore"]["explored"].as_u64().unwrap()
    };
    let (reduced, all) = (explored(&[]), explored(&["--no-reduction"]));
    assert!(reduced < all, "{reduced} of {all}");
}

#[test]
fn a_pair_that_only_reads_casts_no_doubt_on_the_others() {
    let server = Server::start();
    let case = Case { routes: &["room", "look"], faults: "lost-answer", requests: "2" };
    let (_, report) = explored(&server, &case, "fixed", &["--pairs"]);
    let (doubts, struck) = (report["explore"]["doubts"].to_string(), report["explore"]["faults"].as_array().unwrap());
    assert!(!struck.is_empty() && !doubts.contains("no fault struck"), "{struck:?} {doubts}");
    let case = Case { routes: &["look"], ..case };
    let (output, report) = explored(&server, &case, "fixed", &[]);
    assert_eq!(output.status.code(), Some(3), "{}", report["reasons"]);
    assert!(report["reasons"].to_string().contains("no fault struck"), "{}", report["reasons"]);
}

#[test]
fn the_checkers_judge_deliveries_to_instances_that_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        command(&["explore", "scenarios/http-merge.toml", "--requests", "2", "--operations", "deliver", "--redeliver"])
            .args(["--faults", "crash,lost-answer", "--format", "json", "--quiet", "--seed", "1"])
            .args(["--max-time", "900s", "--out"])
            .arg(folder.path())
            .output()
            .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let (why, errors) = (&report["invariants"], String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{} {why} {errors}", report["reasons"]);
    let struck = report["explore"]["faults"].as_array().unwrap();
    assert!(struck.iter().any(|one| one["fault"] == "crash"), "{struck:?}");
    assert_eq!(report["explore"]["complete"], true);
}

/// An exploration of this scenario is refused with these arguments, and it is said why.
#[track_caller]
fn is_refused(scenario: &str, arguments: &[&str], why: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = command(&["explore", scenario]).args(arguments).arg("--out").arg(folder.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains(why), "{errors}");
}

#[test]
fn what_cannot_happen_is_refused() {
    let refused =
        |arguments: &[&str], why: &str| is_refused("scenarios/explore-direct-find-then-insert.toml", arguments, why);
    refused(&["--faults", "crash"], "none that the harness started");
    refused(&["--schedule", "1 1:crash"], "none that the harness started");
    refused(&["--faults", "lost-answer", "--search", "stress"], "`stress` parks none");
    refused(&["--faults", "stale-read"], "of the harness's own replica set");
    refused(&["--schedule", "1:stale"], "of the harness's own replica set");
    refused(&["--faults", "crush"], "crash");
    refused(&["--redeliver"], "no fault is asked for");
    refused(&["--schedule", "1:lost-answer 2:lost-answer"], "several faults");
}

#[test]
fn faults_are_part_of_the_plan() {
    let scenario = "scenarios/explore-direct-find-then-insert.toml";
    let arguments = ["explore", scenario, "--dry-run", "--faults", EVERYTHING, "--redeliver"];
    let dry = command(&arguments).output().unwrap();
    let plan = String::from_utf8_lossy(&dry.stdout);
    let planned = ["faults = [", "\"lost-answer\"", "redeliver = true"];
    assert!(planned.iter().all(|part| plan.contains(part)), "{plan}");
}
