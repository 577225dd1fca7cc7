//! What answers, a serial control and the user's own queries are evidence of: services that are correct in their own way are
//! not accused, those that are not are caught, and what was not looked at is inconclusive.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use crate::support::{python_path, result, violated};
use serde_json::Value;

use crate::support;

fn run(path: &Path, more: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, Value) {
    support::run(path, more, environment).report()
}

/// A run against the cloakroom, which behaves so.
fn cloakroom(how: &str, more: &[&str]) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/cloakroom/app.py");
    let text = format!(
        r#"name = "one tag for two guests"
workload = "create-or-get"
[target.http]
auth.headers = {{ X-Guest = "{{{{ client.user }}}}" }}
auth.login = {{ request = {{ path = "/login" }}, token = "$.token" }}
[target.http.operations.create-or-get]
path = "/tags"
json = {{ with = "{{{{ pair.b }}}}" }}
outcome = {{ id = "$.tag" }}
[target.http.operations.get]
path = "/tags/{{{{ pair.b }}}}"
outcome = {{ id = "$.tag" }}
[service]
command = ["python3", "{}", "{{{{ service.port }}}}", {}]
ready = "/"
[load.burst]
clients = [2, 8]
rounds = 20
"#,
        app.display(),
        how.split(' ').map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
    );
    let path = folder.path().join("cloakroom.toml");
    std::fs::write(&path, text).unwrap();
    run(&path, more, &[])
}

#[test]
fn services_that_are_correct_in_their_own_way_are_not_accused() {
    let refused = "target.http.operations.create-or-get.status={ok=[],created=[201],refused=[409]}";
    for (how, more) in [
        // Who logs in is told by a header alone: each guest has a session of their own.
        ("plain", vec![]),
        // A number of the application's own is no code of the database.
        ("own-number", vec![]),
        // A refusal that quotes the driver is a refusal.
        ("once", vec!["--set", refused]),
        // So is one that is told by the body alone.
        ("once", vec!["--set", "target.http.operations.create-or-get.outcome.refused=$.error"]),
        // The name is told to whoever created it, which is enough.
        ("only-first", vec![]),
    ] {
        let (code, report) = cloakroom(how, &more);
        assert_eq!(violated(&report), Vec::<&str>::new(), "{how}");
        assert_eq!(code, Some(0), "{how}: {} {}", report["reasons"], report["invariants"]);
        if how == "once" {
            let outcomes = &report["operations"]["create-or-get"]["outcomes"];
            assert!(outcomes["refused"].as_u64().is_some_and(|refused| refused > 20), "{outcomes}");
        }
    }
}

#[test]
fn what_is_wrong_is_caught_by_what_was_answered() {
    let status = "target.http.operations.create-or-get.status={ok=[200],created=[201],failed=[409]}";
    for (how, more, by) in [
        ("step-back", vec!["--set", status], "somebody-served"),
        ("unnamed", vec![], "same-id"),
        ("null-first", vec![], "same-id"),
        ("graphql", vec![], "no-leaked-errors"),
        ("gone", vec![], "create-or-get-linearizable"),
        ("once", vec!["--set", status], "no-leaked-errors"),
    ] {
        let (code, report) = cloakroom(how, &more);
        assert!(violated(&report).contains(&by), "{how}: {} {}", report["reasons"], report["invariants"]);
        assert_eq!(code, Some(1), "{how}");
    }
    // A service whose errors are passed on by design can be said to.
    let ignored = ["--set", status, "--set", "expect.ignore=['no-leaked-errors']"];
    let (code, report) = cloakroom("once", &ignored);
    assert_eq!(code, Some(0), "{}", report["invariants"]);
}

#[test]
fn answers_that_tell_nothing_prove_nothing() {
    for (how, more, reason) in [
        ("slow", vec!["--set", "target.http.timeout=100ms", "--set", "load.burst.rounds=4"], "no answer within 100ms"),
        ("garbled", vec![], "unknown outcome"),
    ] {
        let (code, report) = cloakroom(how, &more);
        let reasons = report["reasons"].to_string();
        assert!(reasons.contains(reason), "{how}: {reasons}");
        assert_eq!((code, &report["verdict"]), (Some(3), &Value::from("inconclusive")), "{how}");
    }
}

#[test]
fn a_read_that_asks_where_nothing_is_never_leaves_holds_and_accuses_nobody() {
    let wrong = "target.http.operations.read.path=\"/api/conversationz/{{ session.id }}\"";
    let (code, report) = run(Path::new("scenarios/http-append.toml"), &["--set", wrong], &[]);
    assert_eq!((code, violated(&report)), (Some(3), Vec::new()), "{}", report["invariants"]);
    assert!(report["reasons"].to_string().contains("does not describe this service"), "{}", report["reasons"]);
}

#[test]
fn no_bound_follows_from_trials_in_which_no_race_was_possible() {
    let racy = ["--set", "target.mongo.strategy=find-then-insert", "--set", "target.mongo.unique_index=false"];
    let waves = [&racy[..], &["--set", "load.waves.rounds=20", "--set", "load.waves.sizes=[1,1,8]"]].concat();
    let (_, report) = run(Path::new("scenarios/create-or-get-waves.toml"), &waves, &[]);
    let measured = &report["concurrency"];
    assert_eq!((&measured["race_trials"], &measured["violation_rate_upper_bound_95"]), (&Value::from(0), &Value::Null));
    assert!(measured["effective_trials"].as_u64().is_some_and(|trials| trials > 0), "{measured}");
}

/// The shipped custom scenario with other invariants.
fn custom(invariants: &str) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let shipped = std::fs::read_to_string("scenarios/http-custom.toml").unwrap();
    let (before, rest) = shipped.split_once("[[invariant]]").unwrap();
    let (_, after) = rest.split_once("[load.burst]").unwrap();
    let path = folder.path().join("custom.toml");
    std::fs::write(&path, format!("{before}{invariants}\n[load.burst]{after}")).unwrap();
    run(&path, &["--set", "load.burst.clients=[2,8]", "--set", "load.burst.rounds=10"], &[])
}

fn invariant(more: &str, pipeline: &str) -> String {
    format!("[[invariant]]\nname = \"mine\"\n{more}\npipeline = '''{pipeline}'''\nexpect = \"empty\"\n")
}

#[test]
fn an_invariant_that_looks_at_nothing_is_inconclusive_and_says_what_is_not_there() {
    let twice = "[{\"$group\":{\"_id\":\"$sessionId\",\"n\":{\"$sum\":1}}},{\"$match\":{\"n\":{\"$gt\":1}}}]";
    let there = "collection = \"conversations\"";
    for (invariants, missing) in [
        (invariant("collection = \"conversation\"", twice), "the collection `conversation`"),
        (invariant("collection = \"conversations\"\ndatabase = \"onlyone_elsewhere\"", twice), "`onlyone_elsewhere`"),
        (invariant(there, &twice.replace("sessionId", "session")), "the field `session`"),
        (invariant(there, "[{\"$unwind\":\"$letters\"},{\"$match\":{\"letters.n\":0}}]"), "the field `letters`"),
        (invariant(there, "[{\"$match\":{\"sessionId\":\"nobody\"}},{\"$unwind\":\"$messages\"}]"), "the first stage"),
        (String::new(), "a custom workload without an invariant"),
    ] {
        let (code, report) = custom(&invariants);
        assert_eq!((code, &report["verdict"]), (Some(3), &Value::from("inconclusive")), "{missing}");
        let said = format!("{} {}", report["reasons"], report["invariants"]);
        assert!(said.contains(missing), "{missing}: {said}");
    }
    let (code, report) = custom(&invariant(there, twice));
    let mine = result(&report, "custom:mine");
    // The conversations of the first round and of the load, at least one a key, and those of the serial control.
    assert_eq!(code, Some(0), "{mine}");
    assert!(mine["checked"].as_u64().is_some_and(|checked| checked >= 31), "{mine}");
}

#[test]
fn an_invariant_that_one_after_another_breaks_too_is_a_plain_defect() {
    let any = invariant("collection = \"conversations\"", "[{\"$match\":{\"messages\":{\"$exists\":true}}}]");
    let (code, report) = custom(&any);
    assert_eq!((code, violated(&report)), (Some(1), vec!["custom:mine"]));
    assert_eq!(report["serial_control"]["violated"], serde_json::json!(["custom:mine"]));
    let mine = result(&report, "custom:mine");
    // The eleven of the serial control were there before the load.
    let number = |name: &str| mine[name].as_u64().unwrap();
    assert_eq!(number("violations") + 11, number("checked"), "{mine}");
    assert!(number("violations") >= 20, "{mine}");
    let witness = &mine["witnesses"][0];
    assert!(
        witness["operations"][0]["phase"].is_null() && witness["operations"][0]["op"].is_u64(),
        "of the load: {witness}"
    );
}

#[test]
fn work_in_the_background_is_given_the_time_that_the_scenario_says() {
    let scenario = Path::new("tests/services/python-letters.toml");
    for (mode, every, within, verdict, code) in [
        ("fixed", "0.05", "0s", "holds", 0),
        // Slower than what is waited for by itself.
        ("fixed", "2.5", "15s", "holds", 0),
        ("double", "0.05", "0s", "violated", 1),
    ] {
        let packages = python_path();
        let environment =
            [("MODE", mode), ("EVERY", every), ("WITHIN", within), ("PYTHONPATH", packages.to_str().unwrap())];
        let (status, report) = run(scenario, &[], &environment);
        assert_eq!(
            (&report["verdict"], status),
            (&Value::from(verdict), Some(code)),
            "{mode}: {}",
            report["invariants"]
        );
    }
}

#[test]
fn the_very_first_requests_of_a_load_meet_on_what_is_not_there_yet() {
    let scenario = Path::new("tests/services/python-ledger.toml");
    for (mode, verdict, code) in [("lazy", "violated", 1), ("fixed", "holds", 0)] {
        let packages = python_path();
        let environment = [("MODE", mode), ("PYTHONPATH", packages.to_str().unwrap())];
        let (status, report) = run(scenario, &[], &environment);
        let found = (&report["verdict"], status);
        assert_eq!(found, (&Value::from(verdict), Some(code)), "{mode}: {}", report["invariants"]);
    }
}
