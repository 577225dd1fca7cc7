//! What a run leaves behind, and what can be done with it.

use super::harness::{Harness, SHORT, Server, scenario};

#[test]
fn a_stored_run_is_judged_the_same_byte_for_byte() {
    for (strategy, index, code) in
        [("upsert-retry", true, 0), ("find-then-insert", false, 1), ("find-then-insert", true, 1)]
    {
        let harness = Harness::new(&scenario(strategy, index, SHORT));
        let ran = harness.run(&["run", "s.toml", "--format", "json"]).expect(code, &[]);
        // Off a terminal nothing is said but what the strategy leaves open.
        let linted = ran.stderr.lines().filter(|line| line.starts_with("lint: ")).count();
        assert_eq!(linted, ran.stderr.lines().count(), "{}", ran.shown());
        assert_eq!(linted > 0, strategy == "find-then-insert", "{}", ran.shown());
        let directory = harness.run_dir();
        let stored = std::fs::read_to_string(directory.join("report.json")).unwrap();
        assert_eq!(ran.stdout, stored);
        let checked = harness.run(&["check", directory.to_str().unwrap(), "--format", "json"]).expect(code, &[]);
        assert_eq!(checked.stdout, stored);
        let part = |part: &str| {
            let args = ["check", directory.to_str().unwrap(), "--part", part, "--out", "parts"];
            harness.run(&args).expect(0, &[]).stdout.trim().to_owned()
        };
        let parts: Vec<String> = ["0/3", "1/3", "2/3"].map(part).to_vec();
        let merge = |parts: &[&str]| harness.run(&[&["merge"], parts, &["--format", "json"]].concat());
        let merged = merge(&[&parts[2], &parts[0], &parts[1]]).expect(code, &[]);
        assert_eq!(merged.stdout, stored, "parts of the keys give the report of the whole");
        merge(&[&parts[0], &parts[2]]).expect(2, &["of 3 parts one is missing: 1", "name all parts"]);
        merge(&[&parts[0], &parts[0]]).expect(2, &["part 0/3 is there twice"]);
        merge(&["s.toml"]).expect(2, &["not the file of a part"]);
    }
}

#[test]
fn the_final_state_of_another_run_is_refused() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    for id in ["one", "two"] {
        harness.run(&["run", "s.toml", "--run-id", id]).expect(0, &[]);
    }
    let reports = harness.path().join("reports");
    std::fs::copy(reports.join("one/observation.json"), reports.join("two/observation.json")).unwrap();
    let told = ["observation.json belongs to run one, run.json to run two"];
    harness.run(&["check", "reports/two"]).expect(2, &told);
    harness.run(&["check", "reports/two", "--part", "0/2", "--out", "parts"]).expect(2, &told);
    harness.run(&["export", "reports/two", "--format", "porcupine-json"]).expect(2, &told);
    harness.run(&["check", "reports/one"]).expect(0, &["HOLDS"]);
}

#[test]
fn report_json_has_what_the_contract_names() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    let report =
        harness.run(&["run", "s.toml", "--format", "json", "--seed", "5", "--run-id", "r5"]).expect(0, &[]).json();
    for (pointer, expected) in [
        ("/format_version", serde_json::json!(1)),
        ("/tool", "onlyone".into()),
        ("/run_id", "r5".into()),
        ("/scenario", "t".into()),
        ("/seed", 5.into()),
        ("/verdict", "holds".into()),
        ("/exit_code", 0.into()),
        ("/partial", false.into()),
        ("/reproduce", "onlyone run s.toml --seed 5".into()),
        ("/invariants/0/name", "single-document".into()),
        ("/invariants/0/checked", 10.into()),
        ("/serial_control/verdict", "holds".into()),
        ("/operations/create-or-get/attempted", 80.into()),
        ("/operations/create-or-get/outcomes/created", 10.into()),
        ("/operations/create-or-get/latency_us/count", 80.into()),
        ("/concurrency/clients", 8.into()),
        ("/concurrency/effective_trials", 10.into()),
        ("/preflight/retries/retry_writes", false.into()),
        ("/preflight/connections_ready", 8.into()),
    ] {
        assert_eq!(report.pointer(pointer), Some(&expected), "{pointer}");
    }
    let files: Vec<_> = [
        "run.json",
        "history.jsonl",
        "observation.json",
        "report.json",
        "report.html",
        "junit.xml",
        "summary.md",
        "latency.hlog",
    ]
    .into_iter()
    .filter(|file| !harness.run_dir().join(file).is_file())
    .collect();
    assert!(files.is_empty(), "missing: {files:?}");
}

#[test]
fn a_damaged_or_foreign_run_gets_a_clear_error_and_a_torn_one_is_partial() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    harness.run(&["run", "s.toml"]).expect(0, &[]);
    let directory = harness.run_dir();
    let check = || harness.run(&["check", directory.to_str().unwrap()]);
    let history = directory.join("history.jsonl");
    let whole = std::fs::read_to_string(&history).unwrap();
    let edit = |text: String| std::fs::write(&history, text).unwrap();
    edit(whole.replacen("\"invoked_ns\":", "\"invoked_ns\":x", 1));
    check().expect(2, &["is damaged at line 2"]);
    edit("{}\n".to_owned());
    check().expect(2, &["is not a history of onlyone"]);
    edit(whole[..whole.len() / 2].to_owned());
    check().expect(3, &["INCONCLUSIVE", "the history ends in the middle"]);
    let lines: Vec<&str> = whole.lines().collect();
    edit([&lines[..5], &lines[6..]].concat().join("\n") + "\n");
    check().expect(2, &["the end line counts 100 operations, there are 99"]);
    edit(whole);
    check().expect(0, &["HOLDS"]);
}

#[test]
fn a_report_without_a_history_says_what_it_is() {
    let harness = Harness::new("");
    harness.run(&["selftest", "--bug", "C1", "--run-id", "r"]).expect(0, &["HOLDS"]);
    let said = ["reports/r is the report of `onlyone selftest`, which records no history", "onlyone report"];
    for args in [
        &["check", "reports/r"][..],
        &["export", "reports/r", "--format", "elle-edn"],
        &["compare", "reports/r", "reports/r"],
    ] {
        harness.run(args).expect(2, &said);
    }
    harness.run(&["report", "reports/r"]).expect(0, &["HOLDS"]);
}

#[test]
fn a_password_appears_nowhere() {
    const PASSWORD: &str = "hunter22-swordfish";
    let server = Server::start();
    let shell = mongodb_user(&server.uri, PASSWORD);
    assert!(shell, "the user could not be made");
    let uri = format!("mongodb://ann:{PASSWORD}@{}/?authSource=admin", server.host());
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT)).env("ONLYONE_MONGO_URI", &uri);
    let good = harness.run(&["run", "s.toml"]).expect(0, &["HOLDS"]);
    let wrong = uri.replace(PASSWORD, "wrong-hunter22-swordfish");
    let bad = harness.run(&["run", "s.toml", "--mongo", &wrong]).expect(4, &["cannot reach", "uthentication"]);
    let help = harness.run(&["run", "--help"]).expect(0, &["ONLYONE_MONGO_URI"]);
    for ran in [&good, &bad, &help] {
        assert!(!ran.stdout.contains("swordfish") && !ran.stderr.contains("swordfish"), "{}", ran.shown());
    }
    for file in std::fs::read_dir(harness.run_dir()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"swordfish"), "{}", path.display());
    }
}

/// Makes a user that may do everything.
fn mongodb_user(uri: &str, password: &str) -> bool {
    use mongodb::bson::doc;
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = mongodb::Client::with_uri_str(uri).await.unwrap();
        let user = doc! { "createUser": "ann", "pwd": password, "roles": ["root"] };
        client.database("admin").run_command(user).await.is_ok()
    })
}

#[test]
fn a_run_leaves_nothing_on_a_server_that_is_not_its_own() {
    let server = Server::start();
    let harness = Harness::new(&scenario("lock-collection", true, "[load.burst]\nclients = 2\nrounds = 2"));
    harness.run(&["run", "s.toml", "--mongo", &server.uri]).expect(0, &["HOLDS"]);
    let left = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = mongodb::Client::with_uri_str(&server.uri).await.unwrap();
        client.database("onlyone_test").list_collection_names().await.unwrap()
    });
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_dry_run_prints_the_plan_and_does_nothing() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    let ran = harness.run(&["run", "s.toml", "--dry-run", "--seed", "3", "--set", "load.burst.rounds=4"]);
    ran.expect(0, &["# seed: 3", "# operations: 32", "rounds = 4", "single-document"]);
    assert!(!harness.path().join("reports").exists());
}
