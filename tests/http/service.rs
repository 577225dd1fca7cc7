//! The HTTP target against services that misbehave, over real connections: what happened is told, nobody is accused
//! wrongly, and nothing holds.

// The lints look at test functions only, and these are helpers of tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::{report, run_below};

/// What a service does with the request of this number.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// Answers as it should.
    Correct,
    /// Does its work and answers long after the client has given up.
    Late,
    /// Does its work and closes the connection without a word.
    Closes,
    /// Does its work and closes in the middle of the body.
    BreaksOff,
    /// Answers 200 with an error, after having done its work.
    ErrorBody,
    /// Answers 200 with a page.
    Html,
    /// Answers 200 with more than is read.
    Huge,
    /// The same, in chunks.
    HugeChunks,
    /// Answers before it has read the body.
    Eager,
}

/// A correct store behind a manner of answering.
struct Service {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Misbehaves on each request whose number the rule selects.
    fn start(manner: Manner, rule: fn(usize) -> bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ids, seen) = (Arc::new(Mutex::new(HashMap::new())), Arc::new(Mutex::new(Vec::new())));
        let requests = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (ids, seen) = (Arc::clone(&ids), Arc::clone(&requests));
                std::thread::spawn(move || connection(stream.unwrap(), manner, rule, &ids, &seen));
            }
        });
        Service { port, seen }
    }
}

type Ids = Mutex<HashMap<String, usize>>;

/// Answers the requests of one connection until it ends.
fn connection(mut stream: TcpStream, manner: Manner, rule: fn(usize) -> bool, ids: &Ids, seen: &Mutex<Vec<String>>) {
    let (mut buffer, mut unread) = (Vec::new(), 0);
    while let Some((head, body)) = request(&mut stream, &mut buffer, (manner == Manner::Eager).then_some(&mut unread)) {
        if !head.starts_with("POST /chats") {
            reply(&mut stream, "200 OK", "{\"token\":\"tok-of-the-run\"}");
            continue;
        }
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(format!("{head}\n{body}"));
            seen.len()
        };
        let key = head.split("&key=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let (id, created) = {
            let mut ids = ids.lock().unwrap();
            let next = ids.len();
            let created = !ids.contains_key(&key);
            (*ids.entry(key).or_insert(next), created)
        };
        let good = format!("{{\"chat\":{{\"_id\":\"id-{id}\"}},\"created\":{created}}}");
        match if rule(number) { manner } else { Manner::Correct } {
            Manner::Correct | Manner::Eager => reply(&mut stream, "200 OK", &good),
            Manner::Late => {
                std::thread::sleep(Duration::from_millis(1500));
                reply(&mut stream, "200 OK", &good);
            }
            Manner::Closes => return,
            Manner::BreaksOff => {
                let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"chat\":";
                // The client may be gone already.
                stream.write_all(half.as_bytes()).ok();
                return;
            }
            Manner::ErrorBody => reply(&mut stream, "200 OK", "{\"error\":\"tok-of-the-run went wrong\"}"),
            Manner::Huge => reply(&mut stream, "200 OK", &format!("{{\"chat\":\"{}\"}}", "x".repeat(9 << 20))),
            Manner::HugeChunks => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
                let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
                // The client goes when it has had enough.
                stream.write_all(head.as_bytes()).ok();
                while stream.write_all(chunk.as_bytes()).is_ok() {}
                return;
            }
            Manner::Html => reply(&mut stream, "200 OK", "<!doctype html><title>Welcome</title>"),
        }
    }
}

/// Head and body of the next request. An eager service does not wait for the body: `eager` counts its bytes, which are
/// thrown away when they come.
fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>, mut eager: Option<&mut usize>) -> Option<(String, String)> {
    let mut chunk = [0_u8; 4096];
    loop {
        if let Some(unread) = eager.as_deref_mut() {
            let dropped = (*unread).min(buffer.len());
            buffer.drain(..dropped);
            *unread -= dropped;
        }
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
            let length: usize = length.unwrap_or(0);
            if let Some(unread) = eager {
                buffer.drain(..end + 4);
                *unread = length;
                return Some((head, String::new()));
            }
            if buffer.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&buffer[end + 4..end + 4 + length]).into_owned();
                buffer.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        match stream.read(&mut chunk) {
            Ok(read @ 1..) => buffer.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
}

fn reply(stream: &mut TcpStream, status: &str, body: &str) {
    let kind = if body.starts_with('<') { "text/html" } else { "application/json" };
    let text = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // The client may be gone already.
    stream.write_all(text.as_bytes()).ok();
}

/// A scenario for such a service; `more` goes before the operations.
fn scenario(folder: &Path, port: u16, more: &str, rest: &str) -> std::path::PathBuf {
    let text = format!(
        "name = 'a service of its own kind'\nworkload = 'create-or-get'\n[target.http]\n\
         base_urls = ['http://127.0.0.1:{port}']\ntimeout = '400ms'\n{more}\n\
         [target.http.operations.create-or-get]\npath = '/chats?op={{{{ op.id }}}}&key={{{{ key }}}}'\n\
         json = {{ key = '{{{{ key }}}}' }}\noutcome = {{ id = '$.chat._id', created = '$.created' }}\n{rest}\n\
         [load.burst]\nclients = 8\nrounds = 6\n[limits]\nserial_control = 4\ndrain = '3s'\n"
    );
    let path = folder.join("scenario.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Every file that a run left behind, as one text.
fn everything(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => text.push_str(&everything(&path)),
            false => text.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap())),
        }
    }
    text
}

#[test]
fn a_service_that_misbehaves_is_never_accused_and_never_holds() {
    let every_third: fn(usize) -> bool = |number| number % 3 == 0;
    let cases = [
        (Manner::Late, "no answer within 400ms"),
        (Manner::Closes, "answer"),
        (Manner::BreaksOff, "broke off"),
        (Manner::ErrorBody, "no identifier at $.chat._id"),
        (Manner::Html, "not JSON (text/html)"),
        (Manner::Huge, "HTTP 200, and the body is larger than 8 MiB"),
        (Manner::HugeChunks, "HTTP 200, and the body is larger than 8 MiB"),
    ];
    for release in ["task", "last-byte"] {
        for (manner, told) in cases {
            let folder = tempfile::tempdir().unwrap();
            let service = Service::start(manner, every_third);
            let path = scenario(folder.path(), service.port, &format!("release = '{release}'"), "");
            let output = run_below(folder.path(), &path, &[]);
            let report = report(&output);
            let what = format!("{manner:?} {release}: {}", report["reasons"]);
            assert_eq!(report["verdict"], "inconclusive", "{what}");
            assert_eq!(output.status.code(), Some(3), "{what}");
            assert!(report["reasons"].to_string().contains(told), "{what}");
            let stats = &report["operations"]["create-or-get"];
            assert!(stats["unknown"].as_u64().unwrap() >= 10 && stats["ok"].as_u64().unwrap() > 10, "{what} {stats}");
        }
    }
}

#[test]
fn a_service_that_behaves_holds_on_its_responses_alone() {
    for release in ["task", "last-byte"] {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start(Manner::Correct, |_| false);
        let path = scenario(folder.path(), service.port, &format!("release = '{release}'"), "");
        let output = run_below(folder.path(), &path, &[]);
        let report = report(&output);
        assert_eq!(report["verdict"], "holds", "{report}");
        assert!(report["invariants"].to_string().contains("only responses were judged"), "{}", report["invariants"]);
        assert_eq!(report["operations"]["create-or-get"]["ok"], 48);
        assert_eq!(service.seen.lock().unwrap().len(), 48 + 4, "each operation is sent once");
    }
}

/// Attempts of the operations in a stored history.
fn attempts(folder: &Path) -> Vec<u64> {
    let history = everything(folder);
    let lines = history.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line.get("outcome").is_some()).map(|line| line["attempts"].as_u64().unwrap_or(1)).collect()
}

#[test]
fn retries_are_attempts_and_no_doubt_is_lost() {
    for release in ["task", "last-byte"] {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start(Manner::Closes, |number| number % 3 == 0);
        let path = scenario(folder.path(), service.port, &format!("retries = 5\nrelease = '{release}'"), "");
        let output = run_below(folder.path(), &path, &[]);
        let report = report(&output);
        assert_eq!(report["verdict"], "holds", "{release}: {report}");
        let attempts = attempts(&folder.path().join("reports"));
        assert!(attempts.contains(&2), "{release}: {attempts:?}");
        let sent = service.seen.lock().unwrap().len() as u64;
        assert_eq!(attempts.iter().sum::<u64>(), sent, "{release}: every sending is an attempt");
    }
}

#[test]
fn retries_that_are_used_up_leave_the_operation_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(Manner::Closes, |_| true);
    let path = scenario(folder.path(), service.port, "retries = 2", "");
    let output = run_below(folder.path(), &path, &[]);
    let report = report(&output);
    assert_eq!((&report["verdict"], output.status.code()), (&"inconclusive".into(), Some(3)), "{report}");
    let attempts = attempts(&folder.path().join("reports"));
    assert!(!attempts.is_empty() && attempts.iter().all(|attempts| *attempts == 3), "{attempts:?}");
}

#[test]
fn an_answer_before_its_request_is_complete_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(Manner::Eager, |_| true);
    let path = scenario(folder.path(), service.port, "release = 'last-byte'", "");
    // Time for the service to answer too early in, also where it shares one processor with its clients.
    let report = report(&run_below(folder.path(), &path, &["--set", "load.burst.jitter=50ms"]));
    assert!(report["preflight"]["notes"].to_string().contains("before their request was complete"), "{report}");
    assert_ne!(report["verdict"], "violated", "{report}");
}

#[test]
fn secrets_are_in_no_file_and_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(Manner::ErrorBody, |number| number % 3 == 0);
    let auth = "auth.login = { request = { path = '/login', json = { user = '{{ client.user }}', password = '${LOGIN_PW}' } }, token = '$.token' }\n\
                auth.headers = { X-Api-Key = 'literal-api-key' }";
    let path = scenario(folder.path(), service.port, auth, "");
    let output = Command::new(env!("CARGO_BIN_EXE_onlyone"))
        .args(["run", "--out"])
        .arg(folder.path().join("reports"))
        .arg(&path)
        .env("LOGIN_PW", "hunter2-of-the-run")
        .output()
        .unwrap();
    let mut text = everything(&folder.path().join("reports"));
    text.push_str(&String::from_utf8_lossy(&output.stdout));
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    for secret in ["hunter2-of-the-run", "literal-api-key", "tok-of-the-run"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let seen = service.seen.lock().unwrap().join("\n");
    assert!(seen.contains("authorization: Bearer tok-of-the-run") && seen.contains("x-api-key: literal-api-key"));
}

#[test]
fn a_host_that_is_not_this_machine_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = scenario(folder.path(), 1, "", "");
    let output = run_below(folder.path(), &path, &["--set", "target.http.base_urls=['http://example.net']"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{errors}");
    assert!(errors.contains("--allow-target example.net"), "{errors}");
    let output = run_below(folder.path(), &path, &[]);
    assert_eq!(output.status.code(), Some(4), "nothing listens there");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot reach the service at http://127.0.0.1:1"));
}

/// A correct service in Python, behind TLS.
const TLS: &str = r#"
import json, ssl, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
ids, lock = {}, threading.Lock()
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
        with lock:
            created = key not in ids
            self.answer({"chat": {"_id": ids.setdefault(key, "id-" + key)}, "created": created})
    def log_message(self, *arguments): pass
ThreadingHTTPServer.daemon_threads = True
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// An authority, and a certificate of it for 127.0.0.1.
const CERTIFICATES: &str = "set -e
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=practice -keyout ca.key -out ca.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr
printf 'subjectAltName=IP:127.0.0.1' > extensions
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout other.key -out other.pem
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.pem";

#[test]
fn a_private_authority_is_trusted_only_when_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("service.py"), TLS).unwrap();
    let made = Command::new("sh").args(["-c", CERTIFICATES]).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut service = Command::new("python3")
        .arg("service.py")
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(service.stdout.take().unwrap()), &mut line).unwrap();
    let url = format!("target.http.base_urls=['https://127.0.0.1:{}']", line.trim());
    let path = scenario(folder.path(), 1, "", "");
    let trusted = run_below(folder.path(), &path, &["--set", &url, "--set", "target.http.tls.ca=ca.pem"]);
    let unknown = run_below(folder.path(), &path, &["--set", &url]);
    let wrong = run_below(folder.path(), &path, &["--set", &url, "--set", "target.http.tls.ca=other.pem"]);
    let none = run_below(folder.path(), &path, &["--set", &url, "--set", "target.http.tls.ca=server.key"]);
    let missing = run_below(folder.path(), &path, &["--set", &url, "--set", "target.http.tls.ca=gone.pem"]);
    service.kill().unwrap();
    service.wait().unwrap();
    let trusted = report(&trusted);
    assert_eq!(trusted["verdict"], "holds", "{trusted}");
    let cases = [
        (unknown, ["UnknownIssuer", "name its authority in `target.http.tls.ca`"]),
        (wrong, ["UnknownIssuer", "it is not the one in `target.http.tls.ca` (other.pem)"]),
        (none, ["reading the certificates in", "there is none in it, in PEM"]),
        (missing, ["gone.pem", "No such file"]),
    ];
    for (output, told) in cases {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{errors}");
        assert!(told.iter().all(|told| errors.contains(told)), "{told:?}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_when_asked_for() {
    let keys = Arc::new(Mutex::new(std::collections::HashSet::new()));
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| async move {
        assert_eq!(request.version(), axum::http::Version::HTTP_2);
        let key = request.uri().query().unwrap_or_default().split("key=").nth(1).unwrap_or_default().to_owned();
        let created = keys.lock().unwrap().insert(key.clone());
        axum::Json(serde_json::json!({ "chat": { "_id": format!("id-{key}") }, "created": created }))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let folder = tempfile::tempdir().unwrap();
    let path = scenario(folder.path(), port, "http2 = true", "");
    let out = folder.path().to_owned();
    let output = tokio::task::spawn_blocking(move || run_below(&out, &path, &[])).await.unwrap();
    let report = report(&output);
    assert_eq!(report["verdict"], "holds", "{report}");
}
