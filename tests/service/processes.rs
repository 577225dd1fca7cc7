//! `onlyone serve` as a process: one instance and several, its outputs, and its end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use onlyone::mongod::Mongod;
use serde_json::json;

use super::chats::burst;
use super::support::{Api, mongod};

/// Far beyond what a loaded machine needs; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(60);

fn serve(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    command.arg("serve").args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("ONLYONE_MONGO_URI").env_remove("ONLYONE_SERVE_PASSWORD");
    command
}

fn on(mongod: &Mongod, args: &[&str]) -> Command {
    let mut command = serve(args);
    command.env("ONLYONE_MONGO_URI", mongod.uri());
    command
}

/// Starts it and waits for its URLs.
fn started(mut command: Command, instances: usize) -> (Child, Vec<String>) {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let urls: Vec<String> = lines.take(instances).map(Result::unwrap).collect();
    assert!(urls.len() == instances && urls.iter().all(|url| url.starts_with("http://127.0.0.1:")), "{urls:?}");
    (child, urls)
}

/// Ends it as Ctrl-C does; its exit code and what it wrote to stderr.
fn interrupted(mut child: Child) -> (Option<i32>, String) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

/// The processes whose command line has this word.
fn processes_with(word: &str) -> Vec<String> {
    let found = Command::new("ps").args(["-ww", "-eo", "stat=,args="]).output().unwrap();
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    text.lines().filter(|line| line.contains(word) && !line.starts_with('Z')).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_in_memory_holds_in_one_process_and_not_in_two() {
    let mongod = mongod().await;
    let racy = ["--strategy", "create-or-get=lock-in-memory", "--unique-index", "false", "--delay", "read=100ms"];
    let (one, urls) = started(on(&mongod, &[&racy[..], &["--database", "onlyone_one"]].concat()), 1);
    let apis: Vec<Api> = urls.iter().map(|url| Api::new(url)).collect();
    assert_eq!(burst(&apis, "p").await.1.len(), 1);

    let (two, urls) =
        started(on(&mongod, &[&racy[..], &["--database", "onlyone_two", "--instances", "2"]].concat()), 2);
    let apis: Vec<Api> = urls.iter().map(|url| Api::new(url)).collect();
    assert_eq!(burst(&apis, "p").await.1.len(), 2, "each instance creates one");
    // A token of one instance is good at the other.
    let ann = apis[0].user("ann").await;
    ann.at(&urls[1]).get("/api/chats/with/bob").await.refuses(404, "no such chat");

    for (child, strategy) in [(one, "lock-in-memory"), (two, "lock-in-memory")] {
        let (code, text) = interrupted(child);
        assert_eq!(code, Some(0), "{text}");
        for part in ["practice target", "loopback only", strategy, "without unique indexes", "it stays"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_serve_leaves_neither_instances_nor_its_server() {
    let word = format!("onlyone_killed_{}", std::process::id());
    let (mut child, urls) = started(serve(&["--instances", "2", "--database", &word, "--pool", "2"]), 2);
    let health = Api::new(&urls[1]).get("/health").await;
    assert_eq!(health.body["status"], "ok");
    // The embedded server's folder is named by the banner's port only; its process is a child of the one killed.
    let family = Command::new("ps").args(["-o", "pid=", "--ppid", &child.id().to_string()]).output().unwrap();
    let family: Vec<String> = String::from_utf8_lossy(&family.stdout).split_whitespace().map(str::to_owned).collect();
    assert!(family.len() >= 3, "two instances and a mongod at least: {family:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let begin = Instant::now();
    let alive = |pid: &String| {
        let found = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
        let state = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        !state.is_empty() && !state.starts_with('Z')
    };
    while !processes_with(&word).is_empty() || family.iter().any(alive) {
        assert!(begin.elapsed() < DEADLINE, "left behind: {:?}", processes_with(&word));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_ends_takes_the_service_down_with_an_error() {
    let mongod = mongod().await;
    let (mut child, _urls) = started(on(&mongod, &["--instances", "2", "--pool", "2", "--quiet"]), 2);
    let found =
        Command::new("ps").args(["-ww", "-o", "pid=,args=", "--ppid", &child.id().to_string()]).output().unwrap();
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    let instance = found.lines().find(|line| line.contains("--port")).unwrap();
    let pid: i32 = instance.split_whitespace().next().unwrap().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4), "{text}");
    assert!(text.contains("ended by itself"), "{text}");
    mongod.stop().await.unwrap();
}

#[test]
fn wrong_usage_is_explained_and_secrets_are_not_shown() {
    let unreachable = "mongodb://ann:swordfish@127.0.0.1:1/";
    let cases: [(&[&str], i32, &str); 9] = [
        (&["--strategy", "create-or-get=upsrt"], 2, "it has: find-then-insert, create-then-fill"),
        (&["--strategy", "creat=upsert"], 2, "there are: create-or-get"),
        (&["--strategy", "upsert"], 2, "WORKLOAD=STRATEGY"),
        (&["--delay", "reads=2ms"], 2, "there are `read` and `write`"),
        (&["--instances", "0"], 2, "instances"),
        (&["--mongo", unreachable], 4, "cannot reach mongodb://127.0.0.1:1"),
        (&["--mongo", unreachable, "--instances", "2"], 4, "cannot reach mongodb://127.0.0.1:1"),
        (&["--mongo", "mongodb://ann:swordfish@db.example.net/"], 4, "--allow-target db.example.net"),
        (&["--mongo", unreachable, "--database", "production"], 4, "--allow-database production"),
    ];
    for (args, code, part) in cases {
        let output = serve(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(part) && !text.contains("swordfish") && output.stdout.is_empty(), "{args:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_and_the_connection_string_stay_out_of_process_lists() {
    let mongod = mongod().await;
    let mut command = on(&mongod, &["--instances", "2", "--pool", "2"]);
    command.env("ONLYONE_SERVE_PASSWORD", "swordfish-in-env");
    let (child, urls) = started(command, 2);
    assert!(processes_with("swordfish-in-env").is_empty());
    let api = Api::new(&urls[1]);
    api.post("/login", json!({ "user": "ann" })).await.refuses(401, "password");
    assert_eq!(api.post("/login", json!({ "user": "ann", "password": "swordfish-in-env" })).await.status, 200);
    let (code, text) = interrupted(child);
    assert!(code == Some(0) && !text.contains("swordfish"), "{text}");
    mongod.stop().await.unwrap();
}
