//! A stranger's Express and Mongoose service, from a curl line to a verdict: `init` writes a scenario that runs unchanged, of
//! the kind that the route is, and `explore` takes one command. Nothing is edited.

#![allow(clippy::unwrap_used, clippy::panic)]

mod practice;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn root(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

fn onlyone(folder: &Path, mode: &str, arguments: &[&str]) -> Output {
    let packages = practice::node_packages("express", "tests/services/express/package.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    command.args(arguments).current_dir(folder).env_remove("ONLYONE_MONGO_URI").env_remove("DATABASE_URL");
    command.env("MODE", mode).env("INDEX", if mode == "fixed" { "yes" } else { "no" });
    command.env("NODE_PATH", packages).env("PATH", practice::path_with_node()).output().unwrap()
}

fn report(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

/// A route, what its scenario must say, and the invariants that its race breaks.
struct Route {
    app: &'static str,
    curl: &'static str,
    says: &'static [&'static str],
    broken: &'static [&'static str],
}

const ROUTES: [Route; 3] = [
    Route {
        app: "tests/services/express/app.js",
        curl: "curl http://app/api/chats/create-or-get -H 'X-User: ann' --json '{\"participantId\":\"bob\"}'",
        says: &["workload = \"create-or-get\"", "{{ pair.b }}", "key = \"participantsKey\""],
        broken: &["single-document", "same-id"],
    },
    Route {
        app: "tests/services/examples/node/app.js",
        curl: "curl http://app/users --json '{\"email\":\"ann@example.org\",\"name\":\"Ann\"}'",
        says: &["workload = \"unique\"", "refused = [409]", "stored = \"email-{{ key }}@example.org\""],
        broken: &["single-document"],
    },
    Route {
        app: "tests/services/examples/node/app.js",
        curl: "curl http://app/carts/ann7/items --json '{\"sku\":\"shoe\"}'",
        says: &["workload = \"custom\"", "in = \"items\", is = \"e{{ op.id }}\"", "key = \"user\""],
        broken: &["no-lost-elements"],
    },
];

#[test]
fn from_a_curl_line_to_a_scenario_that_runs_unchanged() {
    for Route { app, curl, says, broken } in ROUTES {
        let app = root(app);
        for mode in ["before", "fixed"] {
            let folder = tempfile::tempdir().unwrap();
            let init = ["init", "--curl", curl, "--out", "found.toml", "--", "node", &app];
            let written = onlyone(folder.path(), mode, &init);
            assert!(written.status.success(), "{curl}: {}", String::from_utf8_lossy(&written.stderr));
            let text = std::fs::read_to_string(folder.path().join("found.toml")).unwrap();
            for word in says {
                assert!(text.contains(word), "{curl} lacks {word}: {text}");
            }
            let run = ["run", "found.toml", "--quiet", "--format", "json", "--seed", "1"];
            let report = report(&onlyone(folder.path(), mode, &run));
            let wanted = if mode == "fixed" { "holds" } else { "violated" };
            assert_eq!(
                report["verdict"], wanted,
                "{curl} {mode}: {}\n{}\n{text}",
                report["reasons"], report["invariants"]
            );
            if mode == "before" {
                let found = report["invariants"].as_array().unwrap().iter().filter(|one| one["verdict"] == "violated");
                let found: Vec<&str> = found.map(|one| one["name"].as_str().unwrap()).collect();
                assert!(broken.iter().any(|name| found.contains(name)), "{curl}: {found:?}");
                assert_ne!(report["serial_control"]["verdict"], "violated", "{curl}: a race, and no plain defect");
            }
        }
    }
}

#[test]
fn from_a_curl_line_to_a_verdict_in_one_command() {
    for Route { app, curl, .. } in ROUTES {
        let app = root(app);
        for (mode, wanted) in [("before", 1), ("fixed", 0)] {
            let folder = tempfile::tempdir().unwrap();
            let explore = ["explore", "--quiet", "--format", "json", "--seed", "1", "--curl", curl, "--", "node", &app];
            let output = onlyone(folder.path(), mode, &explore);
            let report = report(&output);
            assert_eq!(output.status.code(), Some(wanted), "{curl} {mode}: {report}");
        }
    }
}
