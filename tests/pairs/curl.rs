//! A curl line and the command of a service, and nothing else: the race is found, the scenario is printed, and that scenario
//! finds it again. Its correct twin holds.

use std::path::Path;
use std::process::{Command, Output};

use super::trial::{ONLYONE, node_path, python_path};

/// Runs the command in a folder, in an environment like a developer's.
fn onlyone(folder: &Path, arguments: &[&str], mode: &str) -> Output {
    Command::new(ONLYONE)
        .args(arguments)
        .current_dir(folder)
        .env_remove("ONLYONE_MONGO_URI")
        .env_remove("DATABASE_URL")
        .env("MODE", mode)
        .env("NODE_PATH", node_path())
        .env("PYTHONPATH", python_path())
        .output()
        .unwrap()
}

/// Explores routes before and after their fix, and the scenario that each leaves.
fn found_and_found_again(curls: &[&str], command: &[&str]) {
    for (mode, code) in [("buggy", 1), ("fixed", 0)] {
        let folder = tempfile::tempdir().unwrap();
        let given = ["explore", "--quiet", "--seed", "1", "--run-id", "one"];
        let requests: Vec<&str> = curls.iter().flat_map(|curl| ["--curl", curl]).chain(["--"]).collect();
        let output = onlyone(folder.path(), &[&given[..], &requests, command].concat(), mode);
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{curls:?} {mode}: {shown}{errors}");
        let kept = std::fs::read_to_string(folder.path().join("reports/one/scenario.toml")).unwrap();
        assert!(shown.ends_with(&kept), "the scenario is printed: {shown}");
        assert_eq!(shown.contains("NOT as if serial"), mode == "buggy", "{shown}");
        let again = ["explore", "--quiet", "--seed", "1", "reports/one/scenario.toml"];
        let output = onlyone(folder.path(), &again, mode);
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{curls:?} {mode}, again: {shown}");
    }
}

fn services(file: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/pairs").join(file).display().to_string()
}

#[test]
fn a_curl_line_is_enough_for_an_express_service() {
    found_and_found_again(&["curl -X POST http://app/join/ann"], &["node", &services("express.js")]);
}

#[test]
fn a_curl_line_is_enough_for_a_fastapi_service() {
    let command =
        format!("exec python3 -m uvicorn app:app --app-dir {} --port $PORT --log-level warning", services(""));
    found_and_found_again(&["curl -X POST http://app/job/monday"], &["sh", "-c", &command]);
}

/// The very first request makes a document, which is safe; those who find it there lose what they write. One of the routes
/// has nothing to work on unless the other came first.
#[test]
fn requests_meet_where_something_is_there_already() {
    let app = format!("exec python3 -m uvicorn queues:app --app-dir {} --port $PORT --log-level warning", services(""));
    let command = ["sh", "-c", &app];
    let come = "curl -X PUT http://app/lines/doctor --json '{\"person\":\"ann\"}'";
    found_and_found_again(&[come, "curl -X DELETE http://app/lines/doctor/first"], &command);
}
