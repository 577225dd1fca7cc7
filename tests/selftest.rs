//! The self-test through the real binary, and proof that it can fail itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Command, Output};
use std::sync::Arc;

use onlyone::mongod::{Mongod, Options};
use onlyone::scenario::{MongodSpec, WorkloadKind};
use onlyone::selftest::{Bench, CATALOGUE, Crowd, Plant, Planted};
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
