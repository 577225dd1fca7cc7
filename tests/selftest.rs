//! The self-test through the real binary, and proof that it can fail itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Command, Output};
use std::sync::Arc;

use onlyone::mongod::{Mongod, Options};
use onlyone::scenario::{MongodSpec, WorkloadKind};
use onlyone::selftest::{Bench, CATALOGUE, Crowd, NOT_PLANTED, Pair, Plant, Planted, Trials};
use onlyone::service::{planted_route, planted_routes};
use onlyone::target::{Guard, MongoUri};
use onlyone::verdict::Invariant;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

fn onlyone(args: &[&str]) -> (Output, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_onlyone"))
        .args(args)
        .current_dir(folder.path())
        .env_remove("ONLYONE_MONGO_URI")
        .env_remove("GITHUB_ACTIONS")
        .output()
        .unwrap();
    (output, folder)
}

#[test]
fn every_planted_bug_is_caught_and_no_twin_is_accused() {
    let (output, folder) = onlyone(&["selftest", "--format", "json", "--run-id", "r", "--seed", "7"]);
    let told = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"));
    let matrix = &report["selftest"];
    let bugs = matrix["bugs"].as_array().unwrap();
    for bug in bugs {
        assert_eq!(bug["caught"], true, "{bug}");
        assert_eq!(bug["by"], bug["expected"], "{bug}");
        assert!(bug["rounds"].as_u64().unwrap() > 0 && bug["ms"].is_u64() && bug["strategy"].is_string(), "{bug}");
    }
    assert_eq!(bugs.len(), CATALOGUE.len());
    let twins = matrix["twins"].as_array().unwrap();
    for twin in twins {
        assert_eq!((&twin["accused"], &twin["verdict"]), (&Value::Bool(false), &Value::from("holds")), "{twin}");
    }
    assert!(twins.len() >= 15 && !matrix["not_planted"].as_array().unwrap().is_empty());
    assert_eq!((output.status.code(), &report["verdict"]), (Some(0), &Value::from("holds")), "{told}");
    for file in ["report.json", "report.html", "junit.xml", "summary.md"] {
        assert!(folder.path().join("reports/r").join(file).is_file(), "{file}");
    }
    assert_eq!(std::fs::read(folder.path().join("reports/r/report.json")).unwrap(), output.stdout);
}

#[test]
fn a_part_of_the_table_can_be_chosen_and_an_unknown_bug_is_wrong_usage() {
    let (output, _) = onlyone(&["selftest", "--bug", "c8", "--bug", "M2", "--dry-run"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.starts_with("C8 ") || line.starts_with("M2 ")), "{text}");
    assert!(text.lines().count() >= 3, "{text}");
    let (output, folder) = onlyone(&["selftest", "--bug", "C99"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!folder.path().join("reports").exists());
    let (output, _) = onlyone(&["selftest", "--database", "production"]);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
}

fn chat(strategy: &'static str, unique_index: bool) -> Plant {
    Plant::Mongo { workload: WorkloadKind::CreateOrGet, strategy, unique_index, instances: 1 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bug_that_is_none_escapes_and_a_twin_that_races_is_accused() {
    let mut options = Options::new(MongodSpec { replica_set: 0, test_commands: false });
    options.notice = Arc::new(|_| {});
    let server = Mongod::start(&options).await.unwrap();
    let table = [Planted {
        id: "C1",
        bug: chat("upsert-retry", true),
        by: Invariant::SingleDocument,
        crowd: Crowd::Few,
        budget: 12,
        twin: chat("find-then-insert", false),
    }];
    let (uri, stop) = (MongoUri::new(server.uri()), CancellationToken::new());
    let bench = Bench::open(uri, &Guard::default(), "onlyone_test", "r", 1, stop.clone()).await.unwrap();
    bench.facts().await.unwrap();
    let mut steps = 0;
    let outcome = bench.carry_out(&table, |_| steps += 1).await.unwrap();
    assert_eq!(steps, 2);
    assert!(!outcome.bugs[0].caught && outcome.bugs[0].rounds == 12, "{:?}", outcome.bugs);
    assert!(outcome.twins[0].accused && outcome.twins[0].by.contains(&Invariant::SingleDocument));
    assert!(!outcome.accusing.is_empty());
    // Told to stop, it judges nothing that it has not tried.
    stop.cancel();
    let outcome = bench.carry_out(&table, |_| {}).await.unwrap();
    assert!(outcome.interrupted && outcome.bugs.is_empty() && outcome.twins.is_empty());
    server.stop().await.unwrap();
}

/// Explores these routes beside what the load plants of the same kinds.
fn routes_tried(ids: &[&str]) -> (Output, Value) {
    let mut words = vec!["selftest", "--faults", "--format", "json", "--quiet", "--run-id", "r", "--seed", "7"];
    words.extend(ids.iter().flat_map(|id| ["--bug", id]));
    let (output, _folder) = onlyone(&words);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"));
    let matrix = &report["selftest"];
    for bug in matrix["bugs"].as_array().unwrap() {
        assert_eq!((&bug["caught"], &bug["by"]), (&Value::Bool(true), &bug["expected"]), "{bug}");
    }
    for twin in matrix["twins"].as_array().unwrap() {
        assert_eq!((&twin["accused"], &twin["verdict"]), (&Value::Bool(false), &Value::from("holds")), "{twin}");
    }
    assert_eq!(output.status.code(), Some(0), "{told}");
    (output, report)
}

#[test]
fn planted_routes_are_caught_by_order_by_rule_and_by_crash_and_their_twins_are_not_accused() {
    let (_, report) = routes_tried(&["C7", "C12", "C23"]);
    let matrix = &report["selftest"];
    let ids: Vec<&str> = matrix["bugs"].as_array().unwrap().iter().map(|bug| bug["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["C7", "C23", "C12"]);
    let by: Vec<&str> = matrix["bugs"].as_array().unwrap().iter().map(|bug| bug["by"].as_str().unwrap()).collect();
    assert_eq!(by, ["as-if-serial", "as-if-serial", "custom:the rule of the route"]);
    assert!(matrix["bugs"][1]["witness"].as_str().unwrap().contains("!crash"), "{}", matrix["bugs"][1]);
    assert_eq!(matrix["kinds"], serde_json::json!({ "known": 84, "planted": 3, "caught": 3 }));
    assert!(report["invariants"].as_array().unwrap().iter().all(|result| result["checked"] == 3));
}

#[test]
#[ignore = "takes minutes: cargo test --test selftest -- --ignored"]
fn all_but_the_kinds_that_cannot_be_had_are_planted_and_caught() {
    let (_, report) = routes_tried(&[]);
    let kinds = 84 - NOT_PLANTED.len();
    assert_eq!(report["selftest"]["kinds"], serde_json::json!({ "known": 84, "planted": kinds, "caught": kinds }));
    assert_eq!(report["selftest"]["bugs"].as_array().unwrap().len(), CATALOGUE.len() + planted_routes().count());
    assert!(kinds >= 80);
}

#[test]
fn a_route_that_only_faults_plant_is_named_as_such() {
    let (output, _) = onlyone(&["selftest", "--bug", "C7"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && told.contains("--faults"), "{told}");
    let (output, _) = onlyone(&["selftest", "--faults", "--bug", "c7", "--dry-run"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("C7 ") && text.lines().count() == 1, "{text}");
    let (output, _) = onlyone(&["selftest", "--faults", "--mongo", "mongodb://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_in_the_place_of_the_bug_escapes_and_the_bug_in_its_place_is_accused() {
    let mut options = Options::new(MongodSpec { replica_set: 1, test_commands: false });
    options.notice = Arc::new(|_| {});
    let server = Mongod::start(&options).await.unwrap();
    let program = env!("CARGO_BIN_EXE_onlyone").into();
    let routes = Trials { program, mongo: MongoUri::new(server.uri()), seed: 1, stop: CancellationToken::new() };
    let pairs = [Pair { mutant: planted_route("C14").unwrap(), swapped: true }];
    let outcome = routes.carry_out(&pairs, |_, _, _, _| {}).await.unwrap();
    assert!(!outcome.bugs[0].caught && outcome.bugs[0].effective_trials > 0, "{:?}", outcome.bugs);
    assert!(outcome.twins[0].accused && outcome.twins[0].by == [Invariant::AsIfSerial], "{:?}", outcome.twins);
    assert!(!outcome.accusing.is_empty());
    // Told to stop, it judges nothing that it has not tried.
    routes.stop.cancel();
    let outcome = routes.carry_out(&pairs, |_, _, _, _| {}).await.unwrap();
    assert!(outcome.interrupted && outcome.bugs.is_empty() && outcome.twins.is_empty());
    server.stop().await.unwrap();
}
