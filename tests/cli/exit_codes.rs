//! One test per exit code.

use std::process::Stdio;

use super::harness::{ENDLESS, Harness, Ran, SHORT, interrupt, scenario, wait_for_lines};

#[test]
fn code_0_when_every_invariant_holds() {
    let ran = Harness::new(&scenario("upsert-retry", true, SHORT)).run(&["run", "s.toml"]);
    ran.expect(
        0,
        &["HOLDS", "80 operations on 10 keys", "single-document", "unique sparse", "IXSCAN participantsKey_1"],
    );
}

#[test]
fn code_1_when_an_invariant_is_violated() {
    let ran = Harness::new(&scenario("find-then-insert", false, SHORT)).run(&["run", "s.toml", "--seed", "7"]);
    ran.expect(1, &["VIOLATED", "single-document", "documents found", "Run again", "onlyone run s.toml --seed 7"]);
}

#[test]
fn code_0_when_the_violation_was_expected_and_1_when_it_did_not_come() {
    let expecting = |strategy| format!("{}[expect]\nverdict = \"violated\"\n", scenario(strategy, false, SHORT));
    Harness::new(&expecting("find-then-insert")).run(&["run", "s.toml"]).expect(0, &["expectation met"]);
    let held =
        Harness::new(&expecting("upsert-retry")).run(&["run", "s.toml", "--set", "target.mongo.unique_index=true"]);
    held.expect(1, &["expectation not met", "HOLDS"]);
}

#[test]
fn code_2_on_wrong_usage_or_scenario() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    harness.run(&["run"]).expect(2, &["SCENARIO"]);
    harness.run(&["fly"]).expect(2, &["unrecognized subcommand"]);
    harness.run(&["run", "s.toml", "--set", "load.burst.rounds=-1"]).expect(2, &["--set:1:19"]);
    harness.run(&["run", "missing.toml"]).expect(2, &["no scenario file `missing.toml`", "s.toml"]);
    harness.run(&["run", "s.toml", "--run-id", "../out"]).expect(2, &["cannot be used"]);
    harness.run(&["run", "s.toml", "--mongo", "nonsense:hunter22"]).expect(2, &["not a MongoDB connection string"]);
    harness.run(&["check", "."]).expect(2, &["run.json", "name the folder of a run"]);
    assert!(
        !harness.path().join("reports").exists()
            || std::fs::read_dir(harness.path().join("reports")).unwrap().count() == 0
    );
}

#[test]
fn code_3_when_too_little_was_checked() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    harness.run(&["run", "s.toml", "--set", "load.burst.clients=1"]).expect(3, &["INCONCLUSIVE", "ever overlapped"]);
    let one = harness.run(&["run", "s.toml", "--set", "target.mongo.pool=1"]);
    one.expect(3, &["INCONCLUSIVE", "the pool has 1 of the 8 connections"]);
}

#[test]
fn code_4_when_it_cannot_be_set_up() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    harness
        .run(&["run", "s.toml", "--mongo", "mongodb://127.0.0.1:1"])
        .expect(4, &["cannot reach mongodb://127.0.0.1:1", "hint"]);
    let foreign = harness.run(&["run", "s.toml", "--mongo", "mongodb://db.example.com"]);
    foreign.expect(4, &["`db.example.com` is not this machine", "--allow-target db.example.com"]);
    let database = harness.run(&["run", "s.toml", "--set", "target.mongo.database=chatapp"]);
    database.expect(4, &["`chatapp` does not begin with `onlyone_`", "--allow-database chatapp"]);
    harness.run(&["run", "s.toml", "--out", "s.toml"]).expect(4, &["cannot create s.toml", "--out"]);
    // Neither a mongod nor a way to get one.
    let cache = harness.path().join("no-cache");
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT))
        .env("PATH", "/nonexistent")
        .env("ONLYONE_MONGOD", "")
        .env("XDG_CACHE_HOME", cache.to_str().unwrap());
    harness.run(&["run", "s.toml"]).expect(4, &["--mongo", "ONLYONE_MONGOD", "python3"]);
}

#[test]
fn code_5_when_a_threshold_is_breached() {
    let text =
        format!("{}[expect]\nthresholds = [\"create-or-get.p50 < 1us\"]\n", scenario("upsert-retry", true, SHORT));
    let harness = Harness::new(&text);
    harness.run(&["run", "s.toml"]).expect(5, &["HOLDS", "create-or-get.p50 < 1us"]);
    // A violation comes first.
    let racy = [
        "run",
        "s.toml",
        "--set",
        "target.mongo.strategy=find-then-insert",
        "--set",
        "target.mongo.unique_index=false",
    ];
    harness.run(&racy).expect(1, &["VIOLATED"]);
}

/// Runs until a thousand operations are on the disk, then interrupts.
fn interrupted(strategy: &str, index: bool) -> Ran {
    let harness = Harness::new(&scenario(strategy, index, ENDLESS));
    let args = ["run", "s.toml", "--run-id", "r"];
    let child = harness.command(&args).stdin(Stdio::null()).spawn().unwrap();
    wait_for_lines(|| Some(harness.path().join("reports/r/history.jsonl")), 1000);
    interrupt(&child);
    let ran = Ran::of(child.wait_with_output().unwrap(), args.join(" "));
    let report = std::fs::read_to_string(harness.path().join("reports/r/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["partial"], true);
    ran
}

#[test]
fn code_130_when_interrupted() {
    interrupted("upsert-retry", true).expect(130, &["INCONCLUSIVE", "cut short", "the run was interrupted"]);
}

#[test]
fn code_1_when_a_violation_was_found_before_the_interruption() {
    interrupted("upsert-set", true).expect(1, &["VIOLATED", "cut short"]);
}
