//! Planted bugs of create-or-get through the reference service over HTTP, with two, eight and a hundred and fifty callers: each
//! is caught by what must catch it, and the correct twins are not accused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use support::violated;

/// Callers that come together, and how often.
const CROWDS: [(u32, u32); 3] = [(2, 40), (8, 20), (150, 8)];

/// The shipped scenario, with a read, against a service with this strategy.
fn run(strategy: &str, (clients, rounds): (u32, u32)) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let shipped = std::fs::read_to_string("scenarios/http-create-or-get.toml").unwrap();
    let command = format!(
        "command = [\"{{{{ onlyone }}}}\", \"serve\", \"--port\", \"{{{{ service.port }}}}\", \"--database\", \
         \"{{{{ mongo.database }}}}\", \"--strategy\", \"create-or-get={strategy}\"]\n"
    );
    let (before, rest) = shipped.split_once("command = [").unwrap();
    let (_, after) = rest.split_once("]\n").unwrap();
    let (after, _) = after.split_once("[load.burst]").unwrap();
    let get =
        "[target.http.operations.get]\npath = \"/api/chats/with/{{ pair.b }}\"\noutcome = { id = \"$.chat._id\" }\n";
    let text = format!(
        "{before}{command}{after}\n{get}\n[load.burst]\nclients = {clients}\nrounds = {rounds}\n\n[expect]\nverdict = \"holds\"\n"
    );
    let path = folder.path().join("mutant.toml");
    std::fs::write(&path, text).unwrap();
    let status = "target.http.operations.create-or-get.status={ok=[200],created=[201],refused=[409]}";
    support::run(&path, &["--set", status], &[]).report()
}

#[test]
fn planted_bugs_are_caught_over_http_by_few_and_by_many() {
    for (strategy, by) in [
        ("error-swallowed", "same-id"),
        ("return-before", "same-id"),
        ("stale-reads", "create-or-get-linearizable"),
        ("step-back", "somebody-served"),
    ] {
        for crowd in CROWDS {
            let (code, report) = run(strategy, crowd);
            assert!(
                violated(&report).contains(&by),
                "{strategy} {crowd:?}: {} {}",
                report["reasons"],
                report["invariants"]
            );
            assert_eq!(code, Some(1), "{strategy} {crowd:?}");
        }
    }
}

#[test]
fn correct_twins_are_not_accused_over_http() {
    for strategy in ["upsert-retry", "insert-first"] {
        for crowd in CROWDS {
            let (code, report) = run(strategy, crowd);
            assert_eq!(violated(&report), Vec::<&str>::new(), "{strategy} {crowd:?}");
            assert_eq!(code, Some(0), "{strategy} {crowd:?}: {}", report["reasons"]);
        }
    }
}
