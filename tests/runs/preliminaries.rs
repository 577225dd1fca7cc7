//! Requests that come first, each against a service that counts them: the set-up once per run, `before` once per key, a
//! log-in behind a form, by any header, once for all; and names in JSON that are templates.

// The lints look at test functions only, and these are helpers of tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{report, run_below};

/// A service in Python alone. Posts are made first, and then liked; whoever likes shows what the mode asks for.
const SERVICE: &str = r#"
import json, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs
port, mode = int(sys.argv[1]), sys.argv[2]
lock, posts, likes, seen = threading.Lock(), {}, {}, {"setup": 0, "login": 0, "posts": 0}
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, body, headers={}, kind="application/json"):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        if self.path == "/login":
            page = "<form><input type='hidden' name='_csrf' value='c-7'></form>"
            return self.answer(200, page, {"Set-Cookie": "form=f1"}, "text/html")
        if self.path == "/counts":
            return self.answer(200, {"documents": [{"_id": "counts", **seen}]})
        if self.path.startswith("/likes/"):
            key = self.path[7:]
            return self.answer(200, {"documents": [{"_id": key, "likes": likes.get(posts.get(key), 0)}]})
        self.answer(200, {})
    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with lock:
            if self.path == "/setup":
                seen["setup"] += 1
                return self.answer(201, {"room": "r1"}) if mode != "refuses" else self.answer(500, {})
            if self.path == "/login":
                seen["login"] += 1
                form = {name: values[0] for name, values in parse_qs(text).items()}
                if form.get("_csrf") != "c-7" or "form=f1" not in self.headers.get("Cookie", ""):
                    return self.answer(403, {"error": "forged"})
                return self.answer(200, {"token": "tok-" + form["user"]})
            body = json.loads(text)
            if self.path == "/rooms/r1/posts":
                seen["posts"] += 1
                posts[body["title"]] = "p%d" % seen["posts"]
                return self.answer(201, {"id": posts[body["title"]]}, {"Location": "/posts/p%d" % seen["posts"]})
            if mode == "guarded" and self.headers.get("X-Token") != "tok-" + body["who"]:
                return self.answer(401, {"error": "who are you?"})
            if mode == "once" and self.headers.get("Authorization") != "Token tok-all":
                return self.answer(401, {"error": "who are you?"})
            if self.headers.get("X-Place") != self.path:
                return self.answer(404, {"error": "no such place"})
            if body.get("like-" + self.path.split("/")[-1]) != 1:
                return self.answer(422, {"error": "not this post"})
            post = self.path.split("/")[-1]
            likes[post] = likes.get(post, 0) + 1
            self.answer(200, {"id": post})
    def log_message(self, *arguments): pass
class Server(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 256
Server(("127.0.0.1", port), Handler).serve_forever()
"#;

fn run(folder: &Path, mode: &str, http: &str) -> Output {
    std::fs::write(folder.join("service.py"), SERVICE).unwrap();
    let text = format!(
        r#"name = 'requests that come first'
workload = 'custom'
[[setup]]
path = '/setup'
json = {{ run = '{{{{ run.id }}}}' }}
capture = {{ room = '$.room' }}
[target.http]
timeout = '10s'
{http}
[target.http.operations.like]
before = {{ path = '/rooms/{{{{ setup.room }}}}/posts', json = {{ title = '{{{{ key }}}}' }}, capture = {{ post = '$.id', place = 'header:location' }} }}
path = '/posts/{{{{ before.post }}}}'
headers = {{ X-Place = '{{{{ before.place }}}}' }}
json = {{ "like-{{{{ before.post }}}}" = 1, who = '{{{{ client.user }}}}' }}
[service]
command = ['python3', 'service.py', '{{{{ service.port }}}}', '{mode}']
ready = '/'
[observe.http]
path = '/likes/{{{{ key }}}}'
documents = '$.documents[*]'
[[invariant]]
name = 'every like is counted'
per = 'key'
value = '$.likes'
expect = 'like.acknowledged'
[load.burst]
clients = 6
rounds = 8
[limits]
serial_control = 4
"#
    );
    let path = folder.join("scenario.toml");
    std::fs::write(&path, text).unwrap();
    run_below(folder, &path, &["--run-id", "one"])
}

#[test]
fn what_comes_first_is_captured_and_named_in_paths_bodies_and_headers() {
    let form = "_csrf = '{{ login.csrf }}', user = '{{ client.user }}'";
    let before = "before = { method = 'GET', path = '/login', capture = { csrf = 'field:_csrf' } }, token = '$.token'";
    let each = format!(
        "auth.login = {{ {before}, header = 'X-Token', scheme = '', request = {{ path = '/login', form = {{ {form} }} }} }}"
    );
    let once = format!(
        "auth.login = {{ {before}, per = 'once', scheme = 'Token', request = {{ path = '/login', form = {{ _csrf = '{{{{ login.csrf }}}}', user = 'all' }} }} }}"
    );
    for (mode, http, accepted) in
        [("open", "", true), ("guarded", &each, true), ("once", &once, true), ("guarded", "", false)]
    {
        let folder = tempfile::tempdir().unwrap();
        let report = report(&run(folder.path(), mode, http));
        let stats = &report["operations"]["like"];
        assert_eq!(stats["ok"] == stats["attempted"], accepted, "{mode}, {http}: {stats} {}", report["reasons"]);
        assert_eq!(report["verdict"] == "holds", accepted, "{mode}, {http}: {}", report["invariants"]);
    }
}

#[test]
fn a_set_up_that_fails_ends_the_run_before_its_first_operation() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "refuses", "");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{errors}");
    assert!(errors.contains("[[setup]]") && errors.contains("HTTP 500"), "{errors}");
}

/// A diary of lines, whose door is opened by a cookie and a token for machines; the mode is what it does wrong.
const DIARY: &str = r#"
import json, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs
port, mode = int(sys.argv[1]), sys.argv[2]
lock, diaries, seen = threading.Lock(), {}, {"tokens": 0}
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, body, headers={}):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        page = self.path.split("/")[-1]
        self.answer(200, {"found": [diaries[page]]} if page in diaries else {})
    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with lock:
            if self.path == "/enter":
                return self.answer(200, {}, {"Set-Cookie": "door=d7; Path=/"})
            if self.path == "/oauth/token":
                asked = {name: values[0] for name, values in parse_qs(text).items()}
                if asked != {"grant_type": "client_credentials", "client_id": "me", "client_secret": "s3"}:
                    return self.answer(401, {"error": "invalid_client"})
                seen["tokens"] += 1
                return self.answer(200, {"access_token": "a1"}) if seen["tokens"] == 1 else self.answer(429, {})
            if "door=d7" not in self.headers.get("Cookie", "") or self.headers.get("X-Door") != "d7":
                return self.answer(403, {"error": "the door is closed"})
            if self.headers.get("Authorization") != "Bearer a1":
                return self.answer(401, {"error": "who are you?"})
            body = json.loads(text)
            if self.path == "/diaries":
                return self.answer(201, {"shelf": "of-" + body["title"]})
            if self.path == "/pages":
                return self.answer(201, {"page": "page-" + body["shelf"]})
            name = self.path.split("/")[-1]
            page = diaries.setdefault(name, {"_id": name, "lines": [], "writers": {}})
            lines, line, many = page["lines"], {"text": body["line"]}, len(page["lines"]) > 1
            if mode == "loses" and many: pass
            elif mode == "reorders": lines.insert(0, line)
            else: lines.append(line)
            if mode == "repeats" and many: lines.append(line)
            if mode == "invents" and many: lines.append({"text": "line 999999"})
            page["writers"][body["line"]] = True
            self.answer(201, {})
    def log_message(self, *arguments): pass
class Server(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 256
Server(("127.0.0.1", port), Handler).serve_forever()
"#;

/// Names of the invariants that a run of the service found violated. Each of them must have been judged.
fn broken_by(mode: &str, elements: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("service.py"), DIARY).unwrap();
    let text = format!(
        r#"name = 'a diary'
workload = 'custom'
[[setup]]
path = '/enter'
capture = {{ door = 'cookie:door' }}
[target.http]
timeout = '10s'
cookies = true
[target.http.auth.login]
per = 'once'
token = '$.access_token'
request = {{ path = '/oauth/token', form = {{ grant_type = 'client_credentials', client_id = 'me', client_secret = 's3' }} }}
[target.http.auth.headers]
X-Door = '{{{{ setup.door }}}}'
[[target.http.operations.write.before]]
path = '/diaries'
json = {{ title = '{{{{ key }}}}' }}
capture = {{ shelf = '$.shelf' }}
[[target.http.operations.write.before]]
path = '/pages'
json = {{ shelf = '{{{{ before.shelf }}}}' }}
capture = {{ page = '$.page' }}
[target.http.operations.write]
path = '/pages/{{{{ before.page }}}}'
json = {{ line = 'line {{{{ op.id }}}}' }}
[service]
command = ['python3', 'service.py', '{{{{ service.port }}}}', '{mode}']
ready = '/'
[observe.http]
path = '/pages/{{{{ before.page }}}}'
documents = '$.found[*]'
elements = {{ {elements} }}
[load.burst]
clients = 4
rounds = 6
"#
    );
    let path = folder.path().join("scenario.toml");
    std::fs::write(&path, text).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    run.args(["run", "--quiet", "--format", "json", "--out"]).arg(folder.path().join("reports")).arg(path);
    let report = report(&run.env_remove("ONLYONE_MONGO_URI").output().unwrap());
    assert_eq!(report["reasons"], serde_json::json!([]), "{mode}: {}", report["operations"]);
    let of = |verdict: &str| -> Vec<String> {
        let all = report["invariants"].as_array().unwrap().iter().filter(|one| one["verdict"] == verdict);
        all.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let (violated, held) = (of("violated"), of("holds"));
    assert_eq!(violated.len() + held.len(), report["invariants"].as_array().unwrap().len(), "{mode}: {report}");
    violated
}

#[test]
fn what_is_left_behind_is_judged_over_http_after_a_cookie_a_token_for_machines_and_two_requests() {
    let lines = "in = '$.lines[*].text', is = 'line {{ op.id }}', order = true";
    for (mode, broken) in [
        ("right", None),
        ("loses", Some("no-lost-elements")),
        ("repeats", Some("no-duplicate-elements")),
        ("invents", Some("no-phantom-elements")),
        ("reorders", Some("element-order")),
    ] {
        assert_eq!(broken_by(mode, lines), Vec::from_iter(broken), "{mode}");
    }
    // The names of an object.
    assert_eq!(broken_by("right", "in = '$.writers', is = 'line {{ op.id }}'"), Vec::<String>::new());
}
