//! The user's own invariants in an exploration: each execution is judged, and the verdict is their sum and nothing else.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use super::practice::python_packages;
use super::support::{command, command_with};

fn result<'r>(report: &'r Value, name: &str) -> Option<&'r Value> {
    report["invariants"].as_array().unwrap().iter().find(|result| result["name"] == name)
}

/// Where the packages of the Python services are.
fn python_path() -> &'static str {
    static INSTALLED: OnceLock<String> = OnceLock::new();
    INSTALLED.get_or_init(|| python_packages("python", &["pymongo"], "pymongo").to_str().unwrap().to_owned())
}

#[test]
fn bounds_that_are_meant_for_a_load_are_not_judged_and_the_rest_is_the_sum_of_the_executions() {
    for search in ["exhaustive", "stress"] {
        let more = ["--search", search, "--max-schedules", "240"];
        let (code, report) = command(&[&["scenarios/http-custom.toml"], &more[..]].concat());
        // A load has sixty conversations, an exploration has as many as it likes.
        assert!(result(&report, "custom:conversations were kept at all").is_none(), "{}", report["invariants"]);
        let mine = result(&report, "custom:one conversation per session").unwrap();
        assert_eq!((&mine["verdict"], &mine["violations"]), (&Value::from("holds"), &Value::from(0)), "{search}");
        // By itself a load of twenty may be too small to tell.
        assert!(search == "stress" || code == Some(0), "{search}: {code:?} {}", report["reasons"]);

        let (code, report) = command(&[&["scenarios/http-custom-race.toml"], &more[..]].concat());
        let mine = result(&report, "custom:one conversation per session").unwrap();
        assert_eq!((&mine["verdict"], code), (&Value::from("violated"), Some(0)), "{search}");
        let violated = report["explore"]["violated"].as_u64().unwrap();
        assert!(violated > 0 && mine["violations"].as_u64().unwrap() >= violated, "{search}: {mine}");
        assert!(mine["witnesses"][0]["operations"].as_array().unwrap().len() > 1, "{search}: {mine}");
    }
}

#[test]
fn work_in_the_background_is_waited_for_before_an_execution_is_accused() {
    // Who lingers is not done yet when the worker posts the letter.
    for (mode, every, linger, verdict, code) in [
        ("fixed", "0.05", "0", "holds", 0),
        ("fixed", "0.5", "0", "holds", 0),
        ("fixed", "0.02", "0.2", "holds", 0),
        ("double", "0.05", "0", "violated", 1),
    ] {
        let environment =
            [("MODE", mode), ("EVERY", every), ("LINGER", linger), ("WITHIN", "6s"), ("PYTHONPATH", python_path())];
        let (found, report) = command_with(&["tests/services/python-letters.toml"], &environment);
        let explored = &report["explore"];
        assert_eq!((&report["verdict"], found), (&Value::from(verdict), Some(code)), "{mode} {every}: {explored}");
        assert_eq!(explored["violated"].as_u64().unwrap() > 0, verdict == "violated", "{mode} {every}: {explored}");
    }
}

#[test]
fn what_requests_break_one_after_another_is_a_plain_defect() {
    let text = std::fs::read_to_string("tests/services/python-letters.toml").unwrap();
    let (before, after) = text.split_once("[[invariant]]").unwrap();
    let (_, load) = after.split_once("[load.burst]").unwrap();
    // Whoever comes second writes a letter of the same name, also when the first has ended.
    let twice =
        "[ { \"$group\": { \"_id\": \"$name\", \"n\": { \"$sum\": 1 } } }, { \"$match\": { \"n\": { \"$gt\": 1 } } } ]";
    let mine = format!(
        "[[invariant]]\nname = \"one of a name\"\ncollection = \"letters\"\npipeline = '''{twice}'''\nexpect = \"empty\"\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.toml");
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/python");
    let before = before.replace("dir = \"python\"", &format!("dir = {services:?}"));
    std::fs::write(&path, format!("{before}{mine}\n[load.burst]{load}")).unwrap();
    let (code, report) = command_with(&[path.to_str().unwrap()], &[("PYTHONPATH", python_path())]);
    assert_eq!((&report["verdict"], code), (&Value::from("violated"), Some(1)));
    assert_eq!(report["serial_control"]["violated"], serde_json::json!(["custom:one of a name"]));
}

#[test]
fn the_very_first_requests_meet_on_what_is_not_there_yet() {
    for (mode, verdict, code) in [("lazy", "violated", 1), ("fixed", "holds", 0)] {
        let environment = [("MODE", mode), ("PYTHONPATH", python_path())];
        let (found, report) = command_with(&["tests/services/python-ledger.toml"], &environment);
        let notes = report["explore"]["notes"].to_string();
        assert_eq!((&report["verdict"], found), (&Value::from(verdict), Some(code)), "{mode}: {notes}");
        assert_eq!(notes.contains("the very first requests"), mode == "lazy", "{mode}: {notes}");
    }
}
