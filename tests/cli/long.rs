//! Runs whose operations are more than memory may hold.

use std::fs;

use super::harness::{Harness, scenario};

#[test]
fn a_run_that_is_longer_than_its_memory_is_judged_as_any_other() {
    for (strategy, code) in [("find-then-insert", 1), ("upsert-retry", 0)] {
        let load = "[load.burst]\nclients = 8\nrounds = 250\n[limits]\nmemory = \"1MB\"\nafter_violation = \"10m\"";
        let harness = Harness::new(&scenario(strategy, code == 0, load));
        let run = ["run", "s.toml", "--seed", "5", "--run-id", "r", "--format", "json"];
        let ran = harness.run(&run).expect(code, &[]);
        let folder = harness.run_dir();
        let lines = fs::read_to_string(folder.join("history.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), 3, "{lines}");
        let last = folder.join("history-000001.jsonl.gz");
        assert!(folder.join("history-000000.jsonl.gz").exists() && last.exists());
        assert!(!folder.join("history-000001.jsonl").exists(), "it is packed");
        for more in [&[][..], &["--memory", "1MB"], &["--memory", "1GB"]] {
            let check = [&["check", "reports/r", "--format", "json"], more].concat();
            let again = harness.run(&check).expect(code, &[]);
            assert_eq!(again.stdout, ran.stdout, "{strategy} {more:?}");
        }
        // Half of a segment is gone, and then the end of the run.
        let packed = fs::read(&last).unwrap();
        fs::write(&last, &packed[..packed.len() / 2]).unwrap();
        let told = ["damaged", "history-000001.jsonl.gz", "lost"];
        let doubted = if code == 0 { 3 } else { 1 };
        harness.run(&["check", "reports/r"]).expect(doubted, if code == 0 { &told } else { &[] });
        let told = ["history-000001.jsonl.gz", "lost with it, and missing from the export"];
        harness.run(&["export", "reports/r", "--format", "porcupine-json"]).expect(0, &told);
        fs::write(&last, &packed).unwrap();
        let end = lines.lines().last().unwrap();
        fs::write(folder.join("history.jsonl"), lines.replace(&format!("{end}\n"), "")).unwrap();
        let told = if code == 0 { &["ends in the middle"][..] } else { &[] };
        harness.run(&["check", "reports/r"]).expect(doubted, told);
    }
}

#[test]
fn any_stored_run_is_judged_within_the_memory_that_is_asked_for() {
    let harness = Harness::new(&scenario("find-then-insert", false, "[load.burst]\nclients = 8\nrounds = 20"));
    harness.run(&["run", "s.toml", "--seed", "5", "--run-id", "r"]).expect(1, &[]);
    let whole = harness.run(&["check", "reports/r", "--format", "json"]).expect(1, &[]);
    let within = harness.run(&["check", "reports/r", "--format", "json", "--memory", "1MB"]).expect(1, &[]);
    assert_eq!(within.stdout, whole.stdout);
    harness.run(&["check", "reports/r", "--memory", "much"]).expect(2, &["no amount of memory", "512MB"]);
    harness.run(&["check", "reports/r", "--memory", "1GB", "--part", "0/2"]).expect(2, &["--memory"]);
}
