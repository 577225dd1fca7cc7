//! What ends a run before its end: deadlines, signals, the death of the harness. What was sent is in the history, and the
//! folder can be judged.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use super::harness::{ENDLESS, Harness, Ran, interrupt, scenario, wait_for_lines};

/// A service on the standard library: `silent` names the path that it takes and never answers; the others it answers.
const SERVICE: &str = r#"
import http.server, json, socketserver, sys, threading
port, silent = int(sys.argv[1]), sys.argv[2]
lock, seen = threading.Lock(), {}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def answer(self, body):
        if self.path.startswith(silent):
            threading.Event().wait(600)
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        key = self.path.rsplit("/", 1)[-1]
        with lock:
            found = [{"id": seen[key]}] if key in seen else []
        self.answer({"list": found, "token": "t", "id": seen.get(key, "")})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        with lock:
            made = seen.setdefault(body.get("room", ""), "room%d" % len(seen))
        with open("received", "a") as log:
            log.write(str(body.get("op", "")) + "\n")
        self.answer({"id": made, "token": "t"})
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads, request_queue_size = True, 256
Server(("127.0.0.1", port), Handler).serve_forever()
"#;

/// A scenario of that service. `auth` and `more` are lines of `[target.http]` and of the file.
pub(super) fn served(silent: &str, auth: &str, release: &str, load: &str, more: &str) -> Harness {
    // One that answers is waited for, however busy the machine is.
    let patience = if silent == "/ready" { "3s" } else { "30s" };
    let text = format!(
        "name = \"t\"\nworkload = \"create-or-get\"\n[target.http]\ntimeout = \"1s\"\nrelease = \"{release}\"\n{auth}\n\
         [target.http.operations.create-or-get]\npath = \"/rooms\"\n\
         json = {{ room = \"{{{{ key }}}}\", op = \"{{{{ op.id }}}}\" }}\noutcome = {{ id = \"$.id\" }}\n\
         [service]\ncommand = [\"python3\", \"service.py\", \"{{{{ service.port }}}}\", \"{silent}\"]\nready = \"/ready\"\n\
         ready_timeout = \"{patience}\"\n{load}\n[limits]\ndrain = \"1s\"\n{more}\n"
    );
    let harness = Harness::new(&text);
    std::fs::write(harness.path().join("service.py"), SERVICE).unwrap();
    harness
}

const LOAD: &str = "[load.burst]\nclients = 8\nrounds = 400";
pub(super) const OBSERVED: &str = "[observe.http]\npath = \"/list/{{ key }}\"\ndocuments = \"$.list\"\nid = \"$.id\"";
const LOGIN: &str =
    "auth.login = { request = { path = \"/login\", json = { user = \"{{ client.user }}\" } }, token = \"$.token\" }";

#[test]
fn a_service_that_never_answers_ends_the_run_with_the_reason() {
    for (silent, auth, more, code, reason) in [
        ("/ready", "", "", 4, "was not ready within 3s"),
        ("/warm", "warm_up = \"/warm\"", "", 4, "had no answer within 1s"),
        ("/login", LOGIN, "", 3, "the log-in got no answer"),
        ("/rooms", "", "", 3, "no `create-or-get` was ever answered"),
        ("/list", "", OBSERVED, 3, "the final state could not be read"),
        ("/setup", "", "[[setup]]\npath = \"/setup\"", 4, "no answer within 900ms"),
        (
            "/before",
            "",
            "[target.http.operations.create-or-get.before]\npath = \"/before\"",
            3,
            "comes before its first operation",
        ),
        (
            "/get",
            "",
            "[target.http.operations.get]\nmethod = \"GET\"\npath = \"/get/{{ key }}\"\noutcome = { id = \"$.id\" }",
            3,
            "`get`",
        ),
    ] {
        let harness = served(silent, auth, "task", LOAD, more);
        let child = harness.command(&["run", "s.toml", "--seed", "1"]).spawn().unwrap();
        // One after another, four hundred rounds would take as many deadlines.
        ended(child, &format!("the run of a service that is silent at {silent}")).expect(code, &[reason]);
    }
}

#[test]
fn an_open_load_with_rare_arrivals_ends_when_it_is_told_to() {
    let load = "[load.open]\nrate = 0.001\nduration = \"1h\"\nmax_clients = 4\narrivals = \"constant\"";
    let harness = Harness::new(&scenario("upsert-retry", true, load));
    let child = harness.command(&["run", "s.toml", "--run-id", "r"]).spawn().unwrap();
    wait_for_lines(|| Some(harness.path().join("reports/r/run.json")), 1);
    interrupt(&child);
    ended(child, "an open load").expect(130, &["interrupted"]);
}

/// Waits for the end, which must come: a run that hangs is killed, and fails.
pub(super) fn ended(mut child: Child, what: &str) -> Ran {
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{what} did not end");
        }
        std::thread::yield_now();
    }
    Ran::of(child.wait_with_output().unwrap(), what.to_owned())
}

/// Operations that the service received, and those of the history.
pub(super) fn received_and_recorded(harness: &Harness) -> (Vec<String>, Vec<String>) {
    let received = std::fs::read_to_string(harness.path().join("received")).unwrap_or_default();
    let received = received.lines().map(str::to_owned).collect();
    let history = std::fs::read_to_string(harness.path().join("reports/r/history.jsonl")).unwrap_or_default();
    let of_line = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        value.get("op").and_then(serde_json::Value::as_u64).map(|op| op.to_string())
    };
    (received, history.lines().filter_map(of_line).collect())
}

#[test]
fn every_operation_that_was_sent_is_in_the_history_whatever_the_moment_of_the_signal() {
    // The moments differ by how much was recorded: at once, in the control, early and late in the load.
    for (signal, lines, release) in
        [("INT", 0, "last-byte"), ("TERM", 5, "last-byte"), ("INT", 30, "task"), ("TERM", 60, "last-byte")]
    {
        let load = "[load.burst]\nclients = 8\nrounds = 4000";
        let harness = served("/never", "", release, load, OBSERVED);
        let child = harness.command(&["run", "s.toml", "--run-id", "r", "--quiet"]).spawn().unwrap();
        wait_for_lines(|| Some(harness.path().join("reports/r/history.jsonl")), lines.max(1));
        send(&child, signal);
        let what = format!("SIG{signal} after {lines} lines, released by {release}");
        ended(child, &what).expect(130, &["interrupted"]);
        let (received, recorded) = received_and_recorded(&harness);
        assert!(lines == 0 || !received.is_empty(), "{what}: the service got nothing");
        let lost: Vec<&String> = received.iter().filter(|op| !recorded.contains(op)).collect();
        assert!(lost.is_empty(), "{what}: the service got {lost:?}, of which the history knows nothing");
        harness.run(&["check", "reports/r"]).expect(130, &["interrupted"]);
    }
}

pub(super) fn send(child: &Child, signal: &str) {
    let status = std::process::Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

#[test]
fn what_a_killed_harness_leaves_is_judged_as_partial() {
    for lines in [1, 50, 400] {
        let harness = Harness::new(&scenario("upsert-retry", true, ENDLESS));
        let mut child = harness.command(&["run", "s.toml", "--run-id", "r"]).spawn().unwrap();
        wait_for_lines(|| Some(harness.path().join("reports/r/history.jsonl")), lines);
        child.kill().unwrap();
        child.wait().unwrap();
        harness.run(&["check", "reports/r"]).expect(3, &["INCONCLUSIVE", "ends in the middle"]);
        // A line that was torn costs that line, and a history of which nothing is there costs all of it.
        let path = harness.path().join("reports/r/history.jsonl");
        tear(&path, 7);
        harness.run(&["check", "reports/r"]).expect(3, &["ends in the middle"]);
        std::fs::write(&path, "{\"format_ver").unwrap();
        harness.run(&["check", "reports/r"]).expect(3, &["ends in the middle"]);
        std::fs::remove_file(&path).unwrap();
        harness.run(&["check", "reports/r"]).expect(3, &["ends in the middle"]);
    }
}

/// Cuts bytes off the end.
fn tear(path: &Path, bytes: usize) {
    let mut text = std::fs::read(path).unwrap();
    text.truncate(text.len() - bytes);
    std::fs::write(path, text).unwrap();
}

#[test]
fn connections_that_cannot_be_had_are_told_before_the_run() {
    let load = "[load.burst]\nclients = 150\nrounds = 2";
    let harness = Harness::new(&scenario("upsert-retry", true, load));
    let server = super::harness::Server::start();
    let command = harness.command(&["run", "s.toml", "--mongo", &server.uri]);
    let mut limited = std::process::Command::new("/bin/sh");
    limited.arg("-c").arg(r#"ulimit -n 160; exec "$0" "$@""#).arg(command.get_program()).args(command.get_args());
    limited.current_dir(harness.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let ran = Ran::of(limited.output().unwrap(), "a run that may open 160 files".to_owned());
    ran.expect(4, &["opening 150 connections failed", "ulimit -n"]);
}
