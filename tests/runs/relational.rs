//! Threads in the tables of a PostgreSQL, where no MongoDB driver can look: judged over HTTP alone, with a few callers and
//! with many, before and after the fixes. The server is a package that the test installs.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::practice;

const SCENARIO: &str = "tests/services/relational-threads.toml";

/// Where the packages of the service are.
fn packages() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let modules = practice::node_packages("relational", "tests/services/relational/package.json");
        let servers = std::fs::read_dir(modules.join("@embedded-postgres")).unwrap();
        for server in servers {
            // The package has no links in it; its own script makes them.
            practice::node_script(&server.unwrap().path(), "scripts/hydrate-symlinks.js");
        }
        modules
    })
}

/// The report of a run of the service in this form.
fn run(scenario: &Path, mode: &str, bug: &str, clients: &str) -> (Value, Option<i32>) {
    let out = tempfile::tempdir().unwrap();
    // They are shared out: as many for each number of callers.
    let rounds = 32 * clients.split(',').count();
    let output = Command::new(env!("CARGO_BIN_EXE_onlyone"))
        .args(["run", "--quiet", "--format", "json", "--seed", "1", "--out"])
        .arg(out.path())
        .arg(scenario)
        .args(["--set", &format!("load.burst.clients={clients}"), "--set", &format!("load.burst.rounds={rounds}")])
        // A race that has shown shows the other invariants that it breaks soon after.
        .args(["--set", "limits.after_violation=2s"])
        .env_remove("ONLYONE_MONGO_URI")
        .env("NODE_PATH", packages())
        .env("PATH", practice::path_with_node())
        .env("MODE", mode)
        .env("BUG", bug)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    (report, output.status.code())
}

/// Names of the invariants with this verdict.
fn invariants(report: &Value, verdict: &str) -> Vec<String> {
    let invariants = report["invariants"].as_array().unwrap().iter().filter(|found| found["verdict"] == verdict);
    invariants.map(|found| found["name"].as_str().unwrap().to_owned()).collect()
}

const ALL: [&str; 7] = [
    "one-thread-per-set",
    "members-exact",
    "admins-only",
    "no-lost-messages",
    "no-duplicate-messages",
    "derived-fields-exact",
    "no-leaked-errors",
];

#[test]
fn relational_threads_before_and_after_their_fixes_with_few_and_many_callers() {
    // What holds with each of them in turn holds with each; what is violated could be so with one of them.
    let (report, code) = run(Path::new(SCENARIO), "fixed", "", "[2, 8, 50]");
    assert_eq!(invariants(&report, "holds"), ALL, "fixed: {report}");
    assert_eq!((&report["verdict"], code), (&"holds".into(), Some(0)), "{}", report["reasons"]);
    for clients in ["2", "8", "50"] {
        let (report, code) = run(Path::new(SCENARIO), "before", "", clients);
        let violated = invariants(&report, "violated");
        assert!(violated.contains(&"one-thread-per-set".to_owned()), "before, {clients}: {violated:?}");
        assert!(violated.contains(&"members-exact".to_owned()), "before, {clients}: {violated:?}");
        assert_eq!(code, Some(1), "{}", report["reasons"]);
        let witnesses = report["invariants"][0]["witnesses"].to_string();
        assert!(witnesses.contains("POST /api/chat/start-conversation"), "the requests are shown: {witnesses}");
    }
}

#[test]
fn each_mistake_is_told_by_the_invariant_that_it_breaks() {
    for (bug, broken) in
        [("no-admins", "admins-only"), ("silent", "no-lost-messages"), ("twice", "no-duplicate-messages")]
    {
        let (report, code) = run(Path::new(SCENARIO), "fixed", bug, "[2, 8]");
        assert_eq!((invariants(&report, "violated"), code), (vec![broken.to_owned()], Some(1)), "{bug}: {report}");
    }
}

/// The same where the only route that shows a thread is the one that looks it up by its participants, and tells how many
/// messages it has.
#[test]
fn threads_that_are_only_looked_up_and_only_count_their_messages() {
    let text = std::fs::read_to_string(SCENARIO).unwrap();
    let begin = text.find("[observe.http]").unwrap();
    let end = text.find("[load.burst]").unwrap();
    let observe = "[observe.http]\nmethod = \"POST\"\npath = \"/api/chat/check-existing-thread\"\n\
         json = { participants = \"{{ thread.participants }}\", thread_type = \"{{ thread.type }}\" }\n\
         documents = \"$.data.thread\"\nid = \"$.id\"\n\
         thread = { kind = \"$.thread_type\", message_count = \"$.message_count\" }\n\n";
    let service = std::path::absolute("tests/services/relational/app.js").unwrap();
    let text = format!("{}{observe}{}", &text[..begin], &text[end..]);
    let text = text.replace("relational/app.js", service.to_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("looked-up.toml");
    std::fs::write(&scenario, text).unwrap();
    let judged: Vec<&str> = ALL.into_iter().filter(|name| *name != "derived-fields-exact").collect();
    let (report, code) = run(&scenario, "fixed", "", "[2, 8]");
    assert_eq!((invariants(&report, "holds"), code), (judged.iter().map(|name| (*name).to_owned()).collect(), Some(0)));
    let (report, _) = run(&scenario, "before", "", "[2, 8]");
    assert!(invariants(&report, "violated").contains(&"one-thread-per-set".to_owned()), "{report}");
    for (bug, broken) in [("silent", "no-lost-messages"), ("twice", "no-duplicate-messages")] {
        let (report, _) = run(&scenario, "fixed", bug, "[2, 8]");
        assert_eq!(invariants(&report, "violated"), [broken], "{bug}: {report}");
    }
}
