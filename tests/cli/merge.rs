//! `onlyone merge`: a stored run is cut into the shards that could have made it, and merged again.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::harness::{Harness, Ran, scenario};

/// The folders of so many shards, as if each had recorded its part of this run on one exact clock.
fn cut(run: &Path, of: u64) -> Vec<PathBuf> {
    let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    let (record, history) = (read("run.json"), read("history.jsonl"));
    let header = history.lines().next().unwrap();
    let operations: Vec<(u64, &str)> = history
        .lines()
        .filter(|line| line.starts_with("{\"op\":"))
        .map(|line| {
            let operation: Value = serde_json::from_str(line).unwrap();
            let is_control = operation["phase"] == "control";
            (if is_control { 0 } else { operation["client"].as_u64().unwrap() % of }, line)
        })
        .collect();
    let shard = |index: u64| {
        let folder = run.with_file_name(format!("cut-{of}-{index}"));
        std::fs::create_dir(&folder).unwrap();
        let mut record: Value = serde_json::from_str(&record).unwrap();
        let reproduce = format!("{} --shard {index}/{of}", record["reproduce"].as_str().unwrap());
        record["reproduce"] = reproduce.into();
        let clock =
            json!({ "reference": "a server", "drift_ppm": 0, "marks": [{ "at_ns": 0, "least_ns": 7, "most_ns": 7 }] });
        record["shard"] = json!({ "index": index, "of": of, "clients": 8 / of, "clock": clock });
        if index == 0 {
            record["shard"]["observed_at_ns"] = 1.into();
            std::fs::copy(run.join("observation.json"), folder.join("observation.json")).unwrap();
        } else {
            // What the run cost is that of one process.
            record["generator"] = json!({ "cpu_s": 0.0, "max_rss_bytes": 0 });
            record["preflight"]["connections_ready"] = 0.into();
        }
        std::fs::write(folder.join("run.json"), record.to_string()).unwrap();
        let own: Vec<&str> = operations.iter().filter(|(owner, _)| *owner == index).map(|(_, line)| *line).collect();
        let end = json!({ "end": { "operations": own.len(), "interrupted": false } }).to_string();
        let lines: Vec<&str> = [header].into_iter().chain(own).chain([end.as_str()]).collect();
        std::fs::write(folder.join("history.jsonl"), lines.join("\n") + "\n").unwrap();
        folder
    };
    (0..of).map(shard).collect()
}

fn merge(harness: &Harness, folders: &[PathBuf], out: &str) -> Ran {
    let folders: Vec<&str> = folders.iter().map(|folder| folder.to_str().unwrap()).collect();
    harness.run(&[&["merge", "--out", out, "--format", "json"], folders.as_slice()].concat())
}

/// Reports without what only one of them can have.
fn judged(ran: &Ran) -> String {
    let mut report = ran.json();
    report.as_object_mut().unwrap().remove("shards");
    report.to_string()
}

#[test]
fn four_shards_are_judged_as_the_one_history_that_they_are() {
    for (strategy, code) in [("find-then-insert", 1), ("upsert-retry", 0)] {
        let load = "[load.burst]\nclients = 8\nrounds = 40";
        let harness = Harness::new(&scenario(strategy, code == 0, load));
        harness.run(&["run", "s.toml", "--seed", "5", "--run-id", "r"]).expect(code, &[]);
        let run = harness.run_dir();
        let whole = harness.run(&["check", "reports/r", "--format", "json"]).expect(code, &[]);
        let mut folders = cut(&run, 4);
        let merged = merge(&harness, &folders, "merged").expect(code, &[]);
        assert_eq!(judged(&merged), judged(&whole), "{strategy}");
        folders.rotate_left(3);
        folders.swap(0, 2);
        let other = merge(&harness, &folders, "other").expect(code, &[]);
        assert_eq!(other.stdout, merged.stdout, "{strategy}: the order of the arguments matters");
        for file in
            ["run.json", "history.jsonl", "observation.json", "report.json", "junit.xml", "summary.md", "latency.hlog"]
        {
            let read = |out: &str| std::fs::read(harness.path().join(out).join("r").join(file)).unwrap();
            assert!(read("merged") == read("other"), "{strategy}: {file} depends on the order");
        }
        let bins = |folder: PathBuf| std::fs::read_to_string(folder.join("latency.hgrm")).unwrap();
        assert_eq!(bins(harness.path().join("merged/r")), bins(run), "{strategy}: histograms");
        // The merged folder is one of a run: it can be judged and rendered again.
        let again = harness.run(&["check", "merged/r", "--format", "json"]).expect(code, &[]);
        assert_eq!(again.stdout, merged.stdout, "{strategy}");
        harness.run(&["report", "merged/r"]).expect(code, &["4 shards", "3/4"]);
    }
}

#[test]
fn folders_that_are_no_shards_of_one_run_are_refused_and_one_that_is_missing_is_named() {
    let harness = Harness::new(&scenario("upsert-retry", true, "[load.burst]\nclients = 8\nrounds = 10"));
    harness.run(&["run", "s.toml", "--seed", "5", "--run-id", "r"]).expect(0, &[]);
    let run = harness.run_dir();
    let (of_two, of_four) = (cut(&run, 2), cut(&run, 4));
    let refused = |folders: &[PathBuf], texts: &[&str]| {
        merge(&harness, folders, "refused").expect(2, texts);
        assert!(!harness.path().join("refused").exists(), "a folder was made");
    };
    refused(std::slice::from_ref(&run), &["is not the folder of a shard", "onlyone check"]);
    refused(&[of_two[0].clone(), of_four[1].clone()], &["the number of shards differs (2 and 4)"]);
    refused(&[of_four[1].clone(), of_four[2].clone(), of_four[1].clone()], &["are both shard 1/4"]);
    refused(&[harness.path().join("nowhere")], &["cannot read"]);
    let missing = merge(&harness, &of_four[..3], "missing").expect(3, &[]);
    assert_eq!(missing.json()["shards"][3]["state"], "missing");
    assert!(missing.json()["reasons"].to_string().contains("shard 3 of 4 is missing"), "{}", missing.shown());
    let again = harness.run(&["check", "missing/r", "--format", "json"]).expect(3, &[]);
    assert_eq!(again.stdout, missing.stdout);
    // A torn last line is what a kill leaves.
    let history = std::fs::read(of_four[2].join("history.jsonl")).unwrap();
    std::fs::write(of_four[2].join("history.jsonl"), &history[..history.len() - 60]).unwrap();
    let died = merge(&harness, &of_four, "died").expect(3, &[]);
    assert!(died.json()["reasons"].to_string().contains("shard 2 of 4 died"), "{}", died.shown());
    harness.run(&["merge"]).expect(2, &["SHARD_DIR"]);
}
