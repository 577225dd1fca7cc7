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
    assert_ne!(stored.last(), Some(&serde_json::json!([])), "{name}: nothing is stored at the end: {diagram}");
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
    for (strategy, status, named) in [("lock-expires", 1, true), ("lock-collection", 3, false)] {
        let strategy = format!("target.mongo.strategy={strategy}");
        let (code, report) = command(&[scenario, "--set", &strategy, "--set", "expect={}", "--max-schedules", "60"]);
        let lint = report["explore"]["lint"].to_string();
        // Sixty schedules are not all: the twin is not judged to the end.
        assert_eq!(
            (code, lint.contains("lock-ttl-too-short")),
            (Some(status), named),
            "{strategy}: {}: {lint}",
            report["reasons"]
        );
    }
}

/// What the command says on stderr and stdout, and its exit code, before anything is started.
fn refused_or_planned(arguments: &[&str]) -> (Option<i32>, String) {
    let out = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_onlyone"))
        .args(["explore", "--quiet", "--out"])
        .arg(out.path())
        .args(arguments)
        .env("PYTHONPATH", ".")
        .output()
        .unwrap();
    assert!(std::fs::read_dir(out.path()).unwrap().next().is_none(), "no folder of a run was made");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_schedule_that_names_a_request_which_is_not_there_is_refused_at_once() {
    let find = "scenarios/explore-find-then-insert.toml";
    let (code, said) = refused_or_planned(&[find, "--schedule", "1 2 3"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("it releases request 3, and there are 2"), "{said}");
    let (code, said) = refused_or_planned(&[find, "--schedule", "1 2 3", "--requests", "3", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn there_are_as_many_requests_as_a_stated_limit_needs() {
    let coupon = "tests/services/examples/coupon.toml";
    let text = std::fs::read_to_string(coupon).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let value = "per = \"key\"\ncollection = \"coupons\"\npipeline = \"[]\"\nexpect = { min = 0, max";
    for (most, more, requests) in [
        ("at_most = 1".to_owned(), vec![], 2),
        ("at_most = 4".to_owned(), vec![], 5),
        ("at_most = 4".to_owned(), vec!["--requests", "2"], 2),
        ("at_most = 400".to_owned(), vec![], 2),
        (format!("{value} = 3 }}"), vec![], 4),
        (format!("{value} = \"min(acknowledged, 2)\" }}"), vec![], 3),
        (format!("{value} = \"acknowledged + unknown\" }}"), vec![], 2),
    ] {
        let path = folder.path().join("coupon.toml");
        std::fs::write(&path, text.replace("at_most = 1", &most)).unwrap();
        let arguments = [vec![path.to_str().unwrap(), "--dry-run"], more].concat();
        let (code, said) = refused_or_planned(&arguments);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!(", {requests} requests")), "{most}: {said}");
    }
}

#[test]
fn a_short_deadline_ends_in_a_verdict() {
    let deadline = "limits.operation_deadline=150ms";
    let (code, report) = command(&["scenarios/explore-find-then-insert.toml", "--set", deadline]);
    // On a busy machine it may be too short to tell; it never ends in a panic.
    assert!(matches!(code, Some(0 | 3)), "{code:?}");
    assert!(report["verdict"].is_string(), "{report}");
}
