//! Services that the harness starts: third-party drivers before and after their fixes, one that dies, and what is left
//! when the harness is killed. Packages are installed by name into `target/practice`, once.

// The lints look at test functions only, and these are helpers of tests. A harness that is killed on purpose is waited for.
#![allow(clippy::unwrap_used, clippy::panic)]

mod practice;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Far beyond what a loaded machine needs; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// Where the packages of the Express service are.
fn node_path() -> PathBuf {
    practice::node_packages("express", "tests/services/express/package.json")
}

/// Where the packages of the Python service are.
fn python_path() -> PathBuf {
    practice::python_packages("python", &["pymongo"], "pymongo")
}

fn harness(scenario: &Path, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    command.args(["run", "--quiet", "--format", "json", "--seed", "1", "--out"]).arg(out).arg(scenario);
    command.env_remove("ONLYONE_MONGO_URI");
    command
}

fn report(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

/// The verdict of an invariant.
fn verdict(report: &Value, name: &str) -> String {
    let invariants = report["invariants"].as_array().unwrap();
    let found = invariants.iter().find(|invariant| invariant["name"] == name);
    found.map_or("not judged".to_owned(), |found| found["verdict"].as_str().unwrap().to_owned())
}

#[test]
fn express_and_mongoose_before_and_after_the_fixes() {
    let cases = [
        ("before", "no", 1, [("single-document", "violated"), ("no-leaked-errors", "holds")]),
        ("before", "yes", 1, [("single-document", "holds"), ("no-leaked-errors", "violated")]),
        ("fixed", "yes", 0, [("single-document", "holds"), ("no-leaked-errors", "holds")]),
    ];
    for (mode, index, code, expected) in cases {
        let out = tempfile::tempdir().unwrap();
        let output = harness(Path::new("tests/services/express-chats.toml"), out.path())
            .args(["--set", &format!("service.env.MODE={mode}"), "--set", &format!("service.env.INDEX={index}")])
            .env("NODE_PATH", node_path())
            .env("PATH", practice::path_with_node())
            .output()
            .unwrap();
        let report = report(&output);
        for (name, wanted) in expected {
            assert_eq!(verdict(&report, name), wanted, "{mode}, index {index}: {}", report["invariants"]);
        }
        assert_eq!(output.status.code(), Some(code), "{mode}, index {index}: {}", report["reasons"]);
        if code == 1 {
            let witnesses = report["invariants"].to_string();
            assert!(witnesses.contains("POST /api/chats/create-or-get"), "a witness names the requests: {witnesses}");
        }
    }
}

/// The same service, nothing about it changed, with its commands put in order.
#[test]
fn express_and_mongoose_and_python_and_pymongo_are_explored() {
    let cases = [
        ("express-chats", "before", "no", "violated", 6, 4),
        ("express-chats", "before", "yes", "violated", 6, 4),
        ("express-chats", "fixed", "yes", "holds", 2, 0),
        ("python-chats", "before", "-", "violated", 6, 4),
    ];
    for (service, mode, index, wanted, total, violated) in cases {
        let out = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_onlyone"));
        command.args(["explore", "--quiet", "--format", "json", "--seed", "1", "--out"]).arg(out.path());
        command.arg(format!("tests/services/{service}.toml"));
        command.args(["--set", &format!("service.env.MODE={mode}"), "--set", &format!("service.env.INDEX={index}")]);
        command
            .env_remove("ONLYONE_MONGO_URI")
            .env("NODE_PATH", node_path())
            .env("PATH", practice::path_with_node())
            .env("PYTHONPATH", python_path());
        let report = report(&command.output().unwrap());
        let explore = &report["explore"];
        let name = format!("{service}, {mode}, index {index}: {explore}");
        assert_eq!(report["verdict"], wanted, "{name}");
        assert_eq!((&explore["total"], &explore["violated"]), (&total.into(), &violated.into()), "{name}");
        assert_eq!((&explore["complete"], &explore["doubts"]), (&true.into(), &serde_json::json!([])), "{name}");
    }
}

#[test]
fn an_invariant_of_the_users_own_is_judged_after_each_execution() {
    for (mode, total, violated) in [("before", 6, 4), ("fixed", 2, 0)] {
        let out = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_onlyone"));
        command.args(["explore", "--quiet", "--format", "json", "--seed", "1", "--requests", "2", "--out"]);
        command.arg(out.path()).arg("tests/services/python-seats.toml");
        command.args(["--set", &format!("service.env.MODE={mode}")]);
        command.env_remove("ONLYONE_MONGO_URI").env("PYTHONPATH", python_path());
        let report = report(&command.output().unwrap());
        let explore = &report["explore"];
        assert_eq!((&explore["total"], &explore["violated"]), (&total.into(), &violated.into()), "{mode}: {explore}");
        let schedules = explore["schedules"].as_array().unwrap();
        for schedule in schedules.iter().filter(|schedule| schedule["verdict"] == "violated") {
            assert_eq!(schedule["invariants"], serde_json::json!(["custom:one seat, one person"]), "{schedule}");
        }
    }
}

#[test]
fn express_conversations_before_and_after_the_fixes() {
    let lost = ("no-lost-messages", "violated");
    let cases = [
        ("before", "no", 1, vec![("single-document", "violated")]),
        ("before", "yes", 1, vec![("single-document", "holds"), ("no-leaked-errors", "violated"), lost]),
        (
            "fixed",
            "yes",
            0,
            vec![("single-document", "holds"), ("no-lost-messages", "holds"), ("append-order", "holds")],
        ),
    ];
    for (mode, index, code, expected) in cases {
        let out = tempfile::tempdir().unwrap();
        let output = harness(Path::new("tests/services/express-conversations.toml"), out.path())
            .args(["--set", &format!("service.env.MODE={mode}"), "--set", &format!("service.env.INDEX={index}")])
            .env("NODE_PATH", node_path())
            .env("PATH", practice::path_with_node())
            .output()
            .unwrap();
        let report = report(&output);
        for (name, wanted) in expected {
            assert_eq!(verdict(&report, name), wanted, "{mode}, index {index}: {}", report["invariants"]);
        }
        assert_eq!(output.status.code(), Some(code), "{mode}, index {index}: {}", report["reasons"]);
        assert_eq!(verdict(&report, "payload-intact"), "not judged", "its answers do not repeat the message");
    }
}

#[test]
fn every_shipped_scenario_over_http_comes_out_as_it_says() {
    let mut paths: Vec<PathBuf> = std::fs::read_dir("scenarios").unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("http-"));
    paths.sort();
    assert!(paths.len() >= 13, "{paths:?}");
    for path in paths {
        let out = tempfile::tempdir().unwrap();
        let output = harness(&path, out.path()).output().unwrap();
        let report = report(&output);
        let wanted = if std::fs::read_to_string(&path).unwrap().contains("verdict = \"violated\"") {
            "violated"
        } else {
            "holds"
        };
        assert_eq!(report["verdict"], wanted, "{}: {}", path.display(), report["invariants"]);
        assert_eq!(output.status.code(), Some(0), "{}: {}", path.display(), report["reasons"]);
        if wanted == "violated" {
            let witnesses = report["invariants"].to_string();
            assert!(witnesses.contains("POST /api/"), "{}: a witness names the requests", path.display());
        }
    }
}

#[test]
fn python_and_pymongo_with_an_invariant_of_the_users_own() {
    for (mode, code, wanted) in [("before", 1, "violated"), ("fixed", 0, "holds")] {
        let out = tempfile::tempdir().unwrap();
        let output = harness(Path::new("tests/services/python-seats.toml"), out.path())
            .args(["--set", &format!("service.env.MODE={mode}")])
            .env("PYTHONPATH", python_path())
            .output()
            .unwrap();
        let report = report(&output);
        assert_eq!(verdict(&report, "custom:one seat, one person"), wanted, "{report}");
        assert_eq!(output.status.code(), Some(code), "{report}");
    }
}

/// A service in Python alone: answers correctly, and ends after so many requests.
const DYING: &str = r#"
import itertools, json, os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
ids, count, lock, most = {}, itertools.count(), threading.Lock(), int(sys.argv[2])
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self.answer({})
    def do_POST(self):
        key = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["key"]
        if next(count) >= most: os._exit(3)
        with lock:
            created = key not in ids
            self.answer({"id": "id-%d" % ids.setdefault(key, len(ids)), "created": created})
    def log_message(self, *arguments): pass
print(os.getpid(), flush=True)
ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

/// A scenario with that service.
fn own_scenario(folder: &Path, most: u32, load: &str) -> PathBuf {
    std::fs::write(folder.join("service.py"), DYING).unwrap();
    let text = format!(
        "name = 'a service that dies'\nworkload = 'create-or-get'\n[target.http]\ntimeout = '2s'\n\
         [target.http.operations.create-or-get]\npath = '/chats'\njson = {{ key = '{{{{ key }}}}' }}\n\
         outcome = {{ id = '$.id', created = '$.created' }}\n\
         [service]\ncommand = ['python3', 'service.py', '{{{{ service.port }}}}', '{most}']\nready = '/'\n{load}\n"
    );
    let path = folder.join("scenario.toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_service_that_dies_is_reported_and_nothing_holds() {
    for release in ["task", "last-byte"] {
        let folder = tempfile::tempdir().unwrap();
        let path = own_scenario(folder.path(), 100, "[load.burst]\nclients = 8\nrounds = 1000");
        let out = folder.path().join("reports");
        let output = harness(&path, &out).args(["--set", &format!("target.http.release={release}")]).output().unwrap();
        let report = report(&output);
        assert_eq!(report["verdict"], "inconclusive", "{release}: {report}");
        assert_eq!(output.status.code(), Some(3), "{report}");
        let reasons = report["reasons"].to_string();
        assert!(
            reasons.contains("the service under test ended in mid-run (instance 1, with exit status: 3)"),
            "{reasons}"
        );
    }
}

#[test]
fn a_service_that_never_gets_ready_is_an_error_that_quotes_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = own_scenario(folder.path(), 1, "[load.burst]\nclients = 2\nrounds = 1");
    let flags = ["--set", "service.command=['sh', '-c', 'echo no such table >&2; exit 4']"];
    let output = harness(&path, &folder.path().join("reports")).args(flags).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{errors}");
    assert!(errors.contains("no such table") && errors.contains("exit status: 4"), "{errors}");
}

#[test]
fn nothing_survives_a_harness_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = own_scenario(folder.path(), u32::MAX, "[load.closed]\nclients = 4\nduration = '10m'");
    let out = folder.path().join("reports");
    let mut running = harness(&path, &out).args(["--run-id", "killed"]).stdout(Stdio::null()).spawn().unwrap();
    let history = out.join("killed/history.jsonl");
    eventually("operations are recorded", || {
        std::fs::read_to_string(&history).is_ok_and(|text| text.lines().count() > 9)
    });
    let log = std::fs::read_to_string(out.join("killed/service-1.log")).unwrap();
    let pid = log.trim().to_owned();
    assert!(is_alive(&pid), "{log}");
    running.kill().unwrap();
    running.wait().unwrap();
    eventually("the service is gone", || !is_alive(&pid));
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process exists and is more than an entry that waits to be collected.
fn is_alive(pid: &str) -> bool {
    let found = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
    let state = String::from_utf8(found.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

/// Where the packages of the FastAPI service are.
fn fastapi_path() -> PathBuf {
    practice::python_packages("fastapi", &["pymongo", "fastapi", "uvicorn"], "uvicorn")
}

/// Judges examples, before and after their fixes, by `run` and by `explore`: how many verdicts were right. More flags name
/// another service of the same routes.
fn right_verdicts(examples: &[&str], more: &[&str]) -> usize {
    let (mut right, mut wrong) = (0, Vec::new());
    for example in examples {
        let scenario = format!("tests/services/examples/{example}.toml");
        let lines = std::fs::read_to_string(&scenario).unwrap().lines().count();
        assert!(lines <= 25, "{scenario} has {lines} lines");
        for (mode, wanted) in [("before", "violated"), ("fixed", "holds")] {
            for command in ["run", "explore"] {
                let out = tempfile::tempdir().unwrap();
                let output = Command::new(env!("CARGO_BIN_EXE_onlyone"))
                    .args([command, "--quiet", "--format", "json", "--seed", "1", "--out"])
                    .arg(out.path())
                    .arg(&scenario)
                    .args(more)
                    .env_remove("ONLYONE_MONGO_URI")
                    .env("MODE", mode)
                    .env("NODE_PATH", node_path())
                    .env("PYTHONPATH", fastapi_path())
                    .env("PATH", practice::path_with_node())
                    .output()
                    .unwrap();
                let report = report(&output);
                if report["verdict"] == wanted {
                    right += 1;
                } else {
                    wrong.push(format!("{example} {mode} {command}: {} {}", report["verdict"], report["reasons"]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    right
}

/// Services as many are written, in Express and Mongoose, FastAPI with an asynchronous driver, and Python with threads.
/// Three tests, so that no processor has nothing to do at the end.
#[test]
fn examples_with_a_limit_before_and_after_their_fixes() {
    assert_eq!(right_verdicts(&["coupon", "seat", "likes"], &[]), 12);
}

#[test]
fn examples_with_a_sum_before_and_after_their_fixes() {
    assert_eq!(right_verdicts(&["cart", "unread", "invoices"], &[]), 12);
}

#[test]
fn examples_that_are_sent_twice_before_and_after_their_fixes() {
    assert_eq!(right_verdicts(&["sign-up", "webhook", "outbox"], &[]), 12);
}

/// A merge is cached, done under a lock document, and pushed once.
#[test]
fn merged_results_before_and_after_their_fixes() {
    assert_eq!(right_verdicts(&["merges"], &[]), 4);
}

/// Those with threads once more, in Go and its driver.
#[test]
#[ignore = "needs Go, and MongoDB's driver for it, from Debian"]
fn external_examples_in_go_before_and_after_their_fixes() {
    let service = practice::go_program("go", "tests/services/examples/go/main.go");
    let command = format!("service.command=['{}']", service.display());
    assert_eq!(right_verdicts(&["seat", "invoices", "outbox"], &["--set", &command]), 12);
}
