//! A stranger's Express and Mongoose service, from a curl line to a verdict: `init` writes a scenario that runs unchanged, of
//! the kind that the route is, and `explore` takes one command. Nothing is edited.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{practice, report};

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

/// A route, what its scenario must say, and the invariants that its race breaks.
struct Route {
    app: &'static str,
    curls: &'static [&'static str],
    says: &'static [&'static str],
    broken: &'static [&'static str],
}

const EXAMPLES: &str = "tests/services/examples/node/app.js";
const STRANGERS: &str = "tests/services/strangers/app.js";

/// Routes whose scenario is written, and run.
const WRITTEN: [Route; 9] = [
    Route {
        app: "tests/services/express/app.js",
        curls: &["curl http://app/api/chats/create-or-get -H 'X-User: ann' --json '{\"participantId\":\"bob\"}'"],
        says: &["workload = \"create-or-get\"", "{{ pair.b }}", "key = \"participantsKey\""],
        broken: &["single-document", "same-id"],
    },
    Route {
        app: EXAMPLES,
        curls: &["curl http://app/carts/ann7/items --json '{\"sku\":\"shoe\"}'"],
        says: &["workload = \"custom\"", "in = \"items\", is = \"e{{ op.id }}\"", "key = \"user\"", "single = true"],
        // Callers who find no cart make one each, most of them: then little is lost.
        broken: &["zero-duplicates"],
    },
    Route {
        app: STRANGERS,
        curls: &[
            "curl http://app/auth/register --json '{\"name\":\"Ann\",\"email\":\"ann@example.org\",\"password\":\"p\"}'",
            "curl http://app/auth/login --json '{\"email\":\"ann@example.org\",\"password\":\"p\"}'",
            "curl -X POST http://app/tables/t7/reservations -H 'Authorization: Token g-0-0.33'",
        ],
        says: &["workload = \"unique\"", "scheme = \"Token\"", "before = {", "{{ client.user }}@example.org"],
        broken: &["single-document"],
    },
    Route {
        app: STRANGERS,
        curls: &["curl http://app/rooms/r-7/bookings --json '{\"by\":\"ann\"}'"],
        says: &["workload = \"unique\"", "refused = [409]", "replica_set = 1", "key = \"room\""],
        broken: &["single-document"],
    },
    Route {
        app: EXAMPLES,
        curls: &["curl http://app/users --json '{\"email\":\"ann@example.org\",\"name\":\"Ann\"}'"],
        says: &["workload = \"unique\"", "refused = [409]", "stored = \"email-{{ key }}@example.org\""],
        broken: &["single-document"],
    },
    Route {
        app: STRANGERS,
        curls: &["curl http://app/graphql --json '{\"query\":\"mutation { claim(name: \\\"ann\\\") { id } }\"}'"],
        says: &["workload = \"unique\"", "refused = \"$.errors\"", "claim(name: \\\"{{ key }}\\\")"],
        broken: &["single-document"],
    },
    Route {
        app: STRANGERS,
        curls: &["curl http://app/payments -H 'Idempotency-Key: k-1' --json '{\"amount\":5}'"],
        says: &["workload = \"create-or-get\"", "idempotency-key = \"{{ key }}\"", "key = \"key\""],
        broken: &["single-document"],
    },
    Route {
        app: STRANGERS,
        curls: &[
            "curl http://app/vouchers --json '{\"code\":\"V-1\"}'",
            "curl http://app/vouchers/V-1/redemptions --json '{\"by\":\"ann\"}'",
        ],
        says: &["workload = \"unique\"", "before = {", "/vouchers/{{ key }}/redemptions", "key = \"voucher\""],
        broken: &["single-document"],
    },
    Route {
        app: STRANGERS,
        curls: &[
            "curl http://app/posts --json '{\"text\":\"hello\"}'",
            "curl -X POST http://app/posts/65a1b2c3d4e5f60718293a4b/pin",
        ],
        says: &["workload = \"unique\"", "capture = { id = \"$.post.id\" }", "/posts/{{ before.id }}/pin"],
        broken: &["single-document"],
    },
];

/// Requests that are explored without any file.
const EXPLORED: [(&str, &[&str]); 10] = [
    (EXAMPLES, &["curl http://app/carts/ann7/items --json '{\"sku\":\"shoe\"}'"]),
    (
        STRANGERS,
        &[
            "curl http://app/posts --json '{\"text\":\"hello\"}'",
            "curl -X POST http://app/posts/65a1b2c3d4e5f60718293a4b/pin",
        ],
    ),
    (STRANGERS, &["curl http://app/newsletter -d 'email=ann@example.org&list=weekly'"]),
    (
        STRANGERS,
        &[
            "curl http://app/graphql --json '{\"query\":\"mutation S($handle: String!) { subscribe(handle: $handle) { id } }\",\"variables\":{\"handle\":\"ann\"}}'",
        ],
    ),
    (
        STRANGERS,
        &[
            "curl http://app/session --json '{\"login\":\"ann\",\"password\":\"p\"}'",
            "curl -X POST http://app/lockers/17 -H 'X-Token: t-0-0.33'",
        ],
    ),
    (STRANGERS, &["curl http://app/api/v2/workspaces --json '{\"workspace\":{\"title\":\"Blue Team\"}}'"]),
    (STRANGERS, &["curl -X PUT http://app/devices/SN-4711 --json '{\"model\":\"x1\"}'"]),
    (STRANGERS, &["curl http://app/graphql --json '{\"query\":\"mutation { claim(name: \\\"ann\\\") { id } }\"}'"]),
    (STRANGERS, &["curl http://app/shop/v1/baskets/b-17/lines --json '{\"article\":\"hat\"}'"]),
    // Who makes what the other works on has a race of its own.
    (
        STRANGERS,
        &[
            "curl http://app/vouchers --json '{\"code\":\"V-1\"}'",
            "curl http://app/vouchers/V-1/redemptions --json '{\"by\":\"ann\"}'",
        ],
    ),
];

/// The requests as flags.
fn flags<'a>(curls: &[&'a str]) -> Vec<&'a str> {
    curls.iter().flat_map(|curl| ["--curl", *curl]).collect()
}

#[test]
fn from_a_curl_line_to_a_scenario_that_runs_unchanged() {
    written(&WRITTEN[..4]);
}

#[test]
#[ignore = "more of the same: some minutes"]
fn from_more_curl_lines_to_a_scenario() {
    written(&WRITTEN[4..]);
}

/// The scenario says what it must, finds the race of the racy service, and holds for the correct one.
#[track_caller]
fn written(routes: &[Route]) {
    for &Route { app, curls, says, broken } in routes {
        let app = root(app);
        for mode in ["before", "fixed"] {
            let folder = tempfile::tempdir().unwrap();
            let init = [&["init", "--out", "found.toml"], &flags(curls)[..], &["--", "node", &app]].concat();
            let written = onlyone(folder.path(), mode, &init);
            let errors = String::from_utf8_lossy(&written.stderr);
            assert!(written.status.success(), "{curls:?}: {errors}");
            let text = std::fs::read_to_string(folder.path().join("found.toml")).unwrap();
            for word in says {
                assert!(text.contains(word), "{curls:?} lacks {word}: {errors}{text}");
            }
            // A server of its own kind only where the service cannot do without.
            assert_eq!(text.contains("replica_set"), says.contains(&"replica_set = 1"), "{curls:?}: {text}");
            let run = ["run", "found.toml", "--quiet", "--format", "json", "--seed", "1"];
            let report = report(&onlyone(folder.path(), mode, &run));
            let wanted = if mode == "fixed" { "holds" } else { "violated" };
            assert_eq!(
                report["verdict"], wanted,
                "{curls:?} {mode}: {}\n{}\n{text}",
                report["reasons"], report["invariants"]
            );
            if mode == "before" {
                let found = report["invariants"].as_array().unwrap().iter().filter(|one| one["verdict"] == "violated");
                let found: Vec<&str> = found.map(|one| one["name"].as_str().unwrap()).collect();
                assert!(broken.iter().any(|name| found.contains(name)), "{curls:?}: {found:?} and none of {broken:?}");
                assert_ne!(report["serial_control"]["verdict"], "violated", "{curls:?}: a race, and no plain defect");
            }
        }
    }
}

#[test]
fn from_a_curl_line_to_a_verdict_in_one_command() {
    explored(&EXPLORED[..3]);
}

#[test]
#[ignore = "more of the same: some minutes"]
fn from_more_curl_lines_to_a_verdict() {
    explored(&EXPLORED[3..]);
}

/// The racy service is violated, and the correct one holds, with nothing but these lines.
#[track_caller]
fn explored(routes: &[(&str, &[&str])]) {
    for &(app, curls) in routes {
        let app = root(app);
        for (mode, wanted) in [("before", 1), ("fixed", 0)] {
            let folder = tempfile::tempdir().unwrap();
            let explore = ["explore", "--quiet", "--format", "json", "--seed", "1"];
            let output = onlyone(folder.path(), mode, &[&explore, &flags(curls)[..], &["--", "node", &app]].concat());
            let report = report(&output);
            assert_eq!(output.status.code(), Some(wanted), "{curls:?} {mode}: {report}");
        }
    }
}
