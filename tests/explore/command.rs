//! The command on the shipped scenarios.

use crate::support::command;

#[test]
fn the_command_reports_what_the_shipped_scenarios_say() {
    let racy = "scenarios/explore-find-then-insert.toml";
    let cases: [(&[&str], i32, &str, u64); 12] = [
        (&["scenarios/explore-direct-find-then-insert.toml"], 0, "violated", 4),
        (&["scenarios/explore-direct-find-then-insert-indexed.toml"], 0, "violated", 4),
        (&["scenarios/explore-direct-upsert-retry.toml"], 0, "holds", 0),
        // Violated by upserts that meet inside the server, in no schedule of single commands.
        (&["scenarios/explore-upsert-no-index.toml"], 0, "violated", 0),
        (&[racy, "--operations", "create-or-get", "--requests", "2"], 0, "violated", 4),
        (&["scenarios/explore-thread-authorise-then-act.toml"], 0, "violated", 1),
        (&["scenarios/explore-merge-find-then-push.toml"], 0, "violated", 4),
        (&[racy], 0, "violated", 4),
        (&[racy, "--set", "expect.verdict=\"holds\""], 1, "violated", 4),
        (&["scenarios/explore-find-then-insert-indexed.toml"], 0, "violated", 4),
        (&["scenarios/explore-upsert-retry.toml"], 0, "holds", 0),
        (&[racy, "--schedule", "1 2 1 2", "--times", "5"], 0, "violated", 1),
    ];
    for (arguments, code, verdict, violated) in cases {
        let (status, report) = command(arguments);
        assert_eq!(status, Some(code), "{arguments:?} {report}");
        assert_eq!(report["verdict"], verdict, "{arguments:?}");
        assert_eq!(report["explore"]["violated"], violated, "{arguments:?}");
    }
    let wrong: [&[&str]; 6] = [
        // The proxy reads what passes.
        &["scenarios/explore-direct-upsert-retry.toml", "--mongo", "mongodb+srv://cluster.example/"],
        &[racy, "--mongo", "mongodb://127.0.0.1:1/?tls=true"],
        &["scenarios/explore-upsert-retry.toml", "--schedule", "R1"],
        &[racy, "--operations", "append"],
        &["scenarios/explore-thread-recompute-key.toml", "--set", "explore.operations=[\"deliver\"]"],
        // A service that is not started by the harness cannot be given the proxy.
        &[racy, "--set", "service.env={}"],
    ];
    for arguments in wrong {
        assert_eq!(command(arguments).0, Some(2), "{arguments:?}");
    }
}

/// What was stored was looked at after each release: a read changes nothing, and the last write is seen.
fn stored_after_each_release(diagram: &serde_json::Value, name: &str) {
    let stored = diagram["stored"].as_array().unwrap();
    let steps = diagram["steps"].as_array().unwrap();
    let releases = steps.iter().map(|step| step["release"].as_u64().unwrap()).max().unwrap() + 1;
    assert_eq!(stored.len() as u64, releases, "{name}: {diagram}");
    for (release, documents) in stored.iter().enumerate() {
        let own = steps.iter().filter(|step| step["release"] == release);
        let before = release.checked_sub(1).map_or(serde_json::json!([]), |before| stored[before].clone());
        if own.clone().all(|step| step["writes"] == false) {
            assert_eq!(*documents, before, "{name}: a read changed something after release {release}: {diagram}");
        }
    }
    assert!(stored.iter().any(|documents| *documents != serde_json::json!([])), "{name}: nothing is stored: {diagram}");
}

#[test]
fn races_of_every_workload_are_found_by_one_of_the_first_schedules() {
    let cases = [
        ("append-whole-array", "no-lost-messages"),
        ("merge-find-then-push", "merge-once"),
        ("thread-recompute-key", "members-exact"),
        ("thread-authorise-then-act", "admins-only"),
    ];
    for (name, invariant) in cases {
        let (status, report) = command(&[&format!("scenarios/explore-{name}.toml")]);
        let explore = &report["explore"];
        assert_eq!(status, Some(0), "{name}: {report}");
        assert!(explore["first_violation_at"].as_u64().is_some_and(|first| first <= 10), "{name}: {explore}");
        assert_eq!(explore["complete"], true, "{name}: {explore}");
        assert_eq!(explore["smallest"]["reproduced"], true, "{name}: {explore}");
        assert!(explore["smallest"]["invariants"].to_string().contains(invariant), "{name}: {explore}");
        stored_after_each_release(&explore["smallest"]["diagram"], name);
    }
    // Their correct twins hold in every interleaving; and a start may meet an expansion to the same set.
    let twins: [(&str, &[&str]); 4] = [
        ("append-whole-array", &["target.mongo.strategy=upsert-push", "expect={}"]),
        ("merge-find-then-push", &["target.mongo.strategy=conditional-push", "expect={}"]),
        ("thread-recompute-key", &["target.mongo.strategy=keyed-upsert", "expect={}"]),
        (
            "thread-authorise-then-act",
            &[
                "target.mongo.strategy=keyed-upsert",
                "explore.operations=[\"expand-thread\",\"start-conversation\"]",
                "expect={}",
            ],
        ),
    ];
    for (name, overrides) in twins {
        let path = format!("scenarios/explore-{name}.toml");
        let arguments: Vec<&str> =
            [path.as_str()].into_iter().chain(overrides.iter().flat_map(|set| ["--set", set])).collect();
        let (status, report) = command(&arguments);
        assert_eq!((status, &report["explore"]["complete"]), (Some(0), &true.into()), "{arguments:?}: {report}");
    }
}

#[test]
fn a_lock_shorter_than_its_work_is_named_and_its_twin_is_not() {
    let scenario = "scenarios/explore-merge-find-then-push.toml";
    for (strategy, status, named) in [("lock-expires", 0, true), ("lock-collection", 0, false)] {
        let strategy = format!("target.mongo.strategy={strategy}");
        let (code, report) = command(&[scenario, "--set", &strategy, "--set", "expect={}", "--max-schedules", "60"]);
        let lint = report["explore"]["lint"].to_string();
        assert_eq!(lint.contains("lock-ttl-too-short"), named, "{strategy} {status} {code:?}: {report}");
    }
}
