//! What a scenario can say of a service over HTTP, each against a service that is started for it: cookies, the final
//! state through the service itself, keys of a client's own, a server that was there before, and ports that are taken.

// The lints look at test functions only, and these are helpers of tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::{Running, report, run_below};

/// A service in Python alone: a log-in that sets a cookie, chats in memory, and a route that lists them.
const SERVICE: &str = r#"
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
port, mode = int(sys.argv[1]), sys.argv[2]
chats, lock, tickets, visitors = {}, threading.Lock(), set(), [0, 0]
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, body, cookies=()):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for cookie in cookies:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/chats":
            key = parse_qs(url.query)["key"][0]
            self.answer(200, {"chats": [{"_id": id} for id in chats.get(key, [])]})
        else:
            self.answer(200, {})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/login":
            return self.answer(200, {}, ["sid=session-of-" + body["user"] + "; Path=/; HttpOnly", "theme=dark"])
        if mode == "dies":
            visitors[0] += 1
            if visitors[0] > 30: os._exit(3)
        if mode == "cookies":
            cookies = self.headers.get_all("Cookie") or []
            if cookies != ["sid=session-of-" + body["user"] + "; theme=dark"]:
                return self.answer(401, {"error": "who are you?"})
        if mode == "visits":
            # Each answer hands out a new ticket, which is good for one request.
            with lock:
                ticket = self.headers["Cookie"]
                if ticket not in tickets if ticket else visitors[0] == 6:
                    return self.answer(401, {"error": "no ticket"})
                tickets.discard(ticket)
                visitors[0] += not ticket
                visitors[1] += 1
                tickets.add("ticket=number-%d" % visitors[1])
                handed = ["ticket=number-%d; Max-Age=60" % visitors[1]]
        else:
            handed = []
        with lock:
            created = body["key"] not in chats
            if created:
                # One that stores twice gives the same answers as one that does not.
                chats[body["key"]] = ["id-%d-%d" % (len(chats), n) for n in range(2 if mode == "twice" else 1)]
            self.answer(200, {"id": chats[body["key"]][0], "created": created}, handed)
    def log_message(self, *arguments): pass
class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    # Without it, a port that is bound by anyone cannot be listened on.
    allow_reuse_address = mode != "exclusive"
server = Server(("127.0.0.1", port), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// A scenario with that service in this mode; `http` goes into `[target.http]`, `rest` to the end.
fn scenario(folder: &Path, mode: &str, http: &str, rest: &str) -> PathBuf {
    std::fs::write(folder.join("service.py"), SERVICE).unwrap();
    let text = format!(
        "name = 'what a scenario can say'\nworkload = 'create-or-get'\n[target.http]\ntimeout = '10s'\n{http}\n\
         [target.http.operations.create-or-get]\npath = '/chats'\n\
         json = {{ key = '{{{{ key }}}}', user = '{{{{ client.user }}}}' }}\n\
         outcome = {{ id = '$.id', created = '$.created' }}\n\
         [service]\ncommand = ['python3', 'service.py', '{{{{ service.port }}}}', '{mode}']\nready = '/'\n{rest}\n\
         [load.burst]\nclients = 6\nrounds = 8\n[limits]\nserial_control = 4\n"
    );
    let path = folder.join("scenario.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn onlyone(folder: &Path, scenario: &Path, flags: &[&str]) -> Output {
    run_below(folder, scenario, &[&["--run-id", "one"], flags].concat())
}

/// The operations of a stored run.
fn operations(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("reports/one/history.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line.get("action").is_some()).collect()
}

#[test]
fn cookies_are_kept_per_user_and_sent_again() {
    let login = "auth.login = { request = { path = '/login', json = { user = '{{ client.user }}' } } }";
    // Each answer hands out a ticket for the next request: so to six clients, and to nobody who forgets it.
    let cases =
        [("cookies", login, true), ("cookies", "", false), ("visits", "cookies = true", true), ("visits", "", false)];
    for (mode, http, accepted) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = scenario(folder.path(), mode, http, "");
        let report = report(&onlyone(folder.path(), &path, &[]));
        let stats = &report["operations"]["create-or-get"];
        assert!(report["verdict"] == "holds" || !accepted, "{mode}, {http}: {}", report["reasons"]);
        assert_ne!(report["verdict"], "violated", "{mode}, {http}: {}", report["invariants"]);
        assert_eq!(stats["ok"] == stats["attempted"], accepted, "{mode}, {http}: {stats}");
    }
}

#[test]
fn the_final_state_is_read_through_the_service() {
    let observe = "[observe.http]\npath = '/chats?key={{ key }}'\ndocuments = '$.chats[*]'";
    let cases = [("once", observe, "holds", 0), ("twice", observe, "violated", 1), ("twice", "", "holds", 0)];
    for (mode, observe, wanted, code) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = scenario(folder.path(), mode, "", observe);
        let output = onlyone(folder.path(), &path, &[]);
        let report = report(&output);
        assert_eq!(report["verdict"], wanted, "{mode} {observe}: {}", report["invariants"]);
        assert_eq!(output.status.code(), Some(code), "{mode} {observe}: {}", report["reasons"]);
        let invariants = report["invariants"].to_string();
        assert_eq!(invariants.contains("only responses were judged"), observe.is_empty(), "{invariants}");
        if code == 1 {
            assert!(invariants.contains("id-0-1") || invariants.contains("-1\""), "the documents found: {invariants}");
        }
    }
}

#[test]
fn a_private_key_is_one_clients_own_and_a_shared_one_is_everyones() {
    let folder = tempfile::tempdir().unwrap();
    let path = scenario(folder.path(), "once", "", "");
    let operation = |name: &str, keys: &str| {
        format!(
            "[target.http.operations.{name}]\npath = '/chats'\nkeys = '{keys}'\n\
             json = {{ key = '{{{{ key }}}}', user = '{{{{ client.user }}}}' }}\noutcome = {{ id = '$.id' }}\n"
        )
    };
    let text = std::fs::read_to_string(&path).unwrap().replace("create-or-get'\n", "custom'\n");
    let (before, after) = text.split_once("[target.http.operations.create-or-get]").unwrap();
    let (_, after) = after.split_once("[service]").unwrap();
    let operations_text = operation("own", "private") + &operation("common", "shared");
    std::fs::write(&path, format!("{before}{operations_text}[service]{after}")).unwrap();
    let report = report(&onlyone(folder.path(), &path, &[]));
    // Nothing says what must hold.
    assert_eq!(report["verdict"], "inconclusive", "{report}");
    let reasons = report["reasons"].to_string();
    assert!(reasons.contains("a custom workload without an invariant of its own"), "{reasons}");
    let mut clients: BTreeMap<(String, String), BTreeSet<u64>> = BTreeMap::new();
    for operation in operations(folder.path()) {
        let action = operation["action"].to_string();
        let name = if action.contains("own") { "own" } else { "common" };
        let key = operation["key"].as_str().unwrap().to_owned();
        clients.entry((name.to_owned(), key)).or_default().insert(operation["client"].as_u64().unwrap());
    }
    let of = |wanted: &str| -> Vec<usize> {
        clients.iter().filter(|((name, _), _)| name == wanted).map(|(_, clients)| clients.len()).collect()
    };
    let (own, common) = (of("own"), of("common"));
    assert!(own.len() >= 8 && own.iter().all(|count| *count == 1), "{clients:?}");
    assert!(common.iter().any(|count| *count > 1), "{clients:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_on_a_named_server_is_judged_there_and_leaves_nothing() {
    let mongod = Running::start(&["mongod"]);
    let uri = mongod.url.clone();
    let client = mongodb::Client::with_uri_str(&uri).await.unwrap();
    client.database("chatapp").collection("chats").insert_one(mongodb::bson::doc! { "mine": 1 }).await.unwrap();
    for (file, wanted) in [("http-create-or-get", "holds"), ("http-create-or-get-race", "violated")] {
        let folder = tempfile::tempdir().unwrap();
        let path = PathBuf::from(format!("scenarios/{file}.toml"));
        let (place, flags) = (folder.path().to_owned(), ["--mongo".to_owned(), uri.clone()]);
        let run = move || onlyone(&place, &path, &flags.each_ref().map(String::as_str));
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let report = report(&output);
        assert_eq!(report["verdict"], wanted, "{file}: {report}");
        assert_eq!(output.status.code(), Some(0), "{file}: {}", report["reasons"]);
        let left = client.list_database_names().await.unwrap();
        assert!(left.iter().all(|name| !name.starts_with("onlyone_")), "{file}: {left:?}");
    }
    let mine = client.database("chatapp").collection::<mongodb::bson::Document>("chats");
    assert_eq!(mine.count_documents(mongodb::bson::doc! {}).await.unwrap(), 1, "what was there before is untouched");
    drop(mongod);
}

#[test]
fn a_service_that_cannot_share_its_port_is_given_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = scenario(folder.path(), "exclusive", "", "");
    let report = report(&onlyone(folder.path(), &path, &[]));
    assert_eq!(report["verdict"], "holds", "{report}");
    let log = std::fs::read_to_string(folder.path().join("reports/one/service-1.log")).unwrap();
    assert!(log.contains("Address already in use"), "the first port was held: {log}");
}

#[test]
fn a_service_whose_port_is_always_taken_is_an_error_that_names_the_ports() {
    let folder = tempfile::tempdir().unwrap();
    let path = scenario(folder.path(), "once", "", "");
    let command = "service.command=['sh', '-c', 'echo Error: listen EADDRINUSE: {{ service.port }} >&2; exit 1']";
    let output = onlyone(folder.path(), &path, &["--set", command]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{errors}");
    assert!(errors.contains("another process took its port each time") && errors.contains("EADDRINUSE"), "{errors}");
    let log = std::fs::read_to_string(folder.path().join("reports/one/service-1.log")).unwrap();
    assert_eq!(log.lines().collect::<BTreeSet<_>>().len(), 5, "five different ports: {log}");
}

#[test]
fn a_service_of_ones_own_that_dies_in_mid_run_never_holds() {
    for release in ["task", "last-byte"] {
        let folder = tempfile::tempdir().unwrap();
        let path = scenario(folder.path(), "dies", &format!("release = '{release}'"), "");
        let mut service = Command::new("python3")
            .args(["service.py", "0", "dies"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(service.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, after) = text.split_once("[service]").unwrap();
        let (_, after) = after.split_once("[load.burst]").unwrap();
        let urls = format!("[target.http]\nbase_urls = ['http://127.0.0.1:{}']", port.trim());
        std::fs::write(&path, format!("{}[load.burst]{after}", before.replace("[target.http]", &urls))).unwrap();
        let output = onlyone(folder.path(), &path, &["--set", "limits.max_unknown=1.0"]);
        assert_eq!(service.wait().unwrap().code(), Some(3));
        let report = report(&output);
        assert_eq!(
            (&report["verdict"], output.status.code()),
            (&"inconclusive".into(), Some(3)),
            "{release}: {report}"
        );
        let reasons = report["reasons"].to_string();
        assert!(reasons.contains("the service was gone when the run ended"), "{release}: {reasons}");
    }
}

/// Tells another process its port, and goes on without ever listening.
const SILENT: &str = r"
import socket, sys, time
with socket.create_connection(('127.0.0.1', int(sys.argv[2]))) as told:
    told.sendall(sys.argv[1].encode())
time.sleep(600)
";

#[test]
fn an_answer_of_a_process_that_the_harness_did_not_start_is_not_taken_for_the_services() {
    let folder = tempfile::tempdir().unwrap();
    let path = scenario(folder.path(), "once", "", "");
    std::fs::write(folder.path().join("silent.py"), SILENT).unwrap();
    let waiting = TcpListener::bind("127.0.0.1:0").unwrap();
    let told = waiting.local_addr().unwrap().port();
    // This process is the stranger: it listens where the service should.
    std::thread::spawn(move || {
        let mut port = String::new();
        waiting.accept().unwrap().0.read_to_string(&mut port).unwrap();
        let strange = TcpListener::bind(("127.0.0.1", port.parse::<u16>().unwrap())).unwrap();
        for stream in strange.incoming() {
            let (mut stream, mut request) = (stream.unwrap(), [0_u8; 4096]);
            let read = stream.read(&mut request).unwrap();
            assert!(read > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        }
    });
    let command = format!("service.command=['python3', 'silent.py', '{{{{ service.port }}}}', '{told}']");
    let output = onlyone(folder.path(), &path, &["--set", &command]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{errors}");
    let stranger = format!("is answered by process {} (", std::process::id());
    assert!(errors.contains(&stranger) && errors.contains("which the harness did not start"), "{errors}");
}
