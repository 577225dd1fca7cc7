//! Processes of the harness, for real: nothing that it starts may outlive it.

// The lints look at test functions only, and these are helpers of tests. A process that is left alone on purpose is
// never waited for.
#![allow(clippy::unwrap_used, clippy::zombie_processes)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use onlyone::process::{ProcessError, ProcessSpec, Supervisor};

/// Far beyond what a loaded machine needs; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(30);

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process exists and is more than an entry that waits to be collected.
fn is_alive(pid: &str) -> bool {
    let found = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
    let state = String::from_utf8(found.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

fn shell(supervisor: &Supervisor, script: &str) -> ProcessSpec {
    ProcessSpec::new("sh", supervisor.dir().join("log")).args(["-c", script])
}

/// Two processes, the second a child of the first; their numbers end up in the log.
const FAMILY: &str = "sleep 1000 & echo $$ $!; wait";

fn family(log: &Path) -> Vec<String> {
    eventually("the family writes its numbers", || std::fs::read_to_string(log).is_ok_and(|text| text.ends_with('\n')));
    std::fs::read_to_string(log).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_killed_harness_leaves_no_process_and_no_directory() {
    let mut harness = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_harness_that_is_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(harness.stdout.take().unwrap()).lines();
    let told = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("started ").map(str::to_owned)).unwrap();
    let words: Vec<&str> = told.split('|').collect();
    let [dir, stranger, parent, child] = words[..] else { panic!("{told}") };
    assert!(is_alive(parent) && is_alive(child) && Path::new(dir).exists());

    harness.kill().unwrap();
    harness.wait().unwrap();
    eventually("the process is gone", || !is_alive(parent));
    eventually("its child is gone", || !is_alive(child));
    eventually("the directory is gone", || !Path::new(dir).exists());

    // A child that the harness started by other means lives on: it did not hold the pipe open.
    assert!(is_alive(stranger));
    assert!(Command::new("kill").args(["-KILL", stranger]).status().unwrap().success());
}

#[tokio::test]
#[ignore = "the process that `a_killed_harness_leaves_no_process_and_no_directory` starts and kills"]
async fn the_harness_that_is_killed() {
    let supervisor = Supervisor::start("onlyone-test-").unwrap();
    let spec = shell(&supervisor, FAMILY);
    let process = supervisor.spawn(&spec).unwrap();
    let stranger = Command::new("sleep").arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let family = family(process.log());
    assert_eq!(family[0], process.pid().to_string());
    // The test framework may have written the test's name on the same line.
    let told = format!("\nstarted {}|{}|{}", supervisor.dir().display(), stranger.id(), family.join("|"));
    std::io::Write::write_all(&mut std::io::stdout(), format!("{told}\n").as_bytes()).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn dropping_the_supervisor_kills_and_removes() {
    let supervisor = Supervisor::start("onlyone-test-").unwrap();
    let process = supervisor.spawn(&shell(&supervisor, FAMILY)).unwrap();
    let family = family(process.log());
    let dir = supervisor.dir().to_owned();
    drop(supervisor);
    process.wait().await.unwrap();
    eventually("the family and the directory are gone", || !family.iter().any(|pid| is_alive(pid)) && !dir.exists());
}

#[tokio::test]
async fn stopping_waits_until_paused_and_stubborn_processes_are_gone() {
    let supervisor = Supervisor::start("onlyone-test-").unwrap();
    let paused = supervisor.spawn(&shell(&supervisor, "sleep 1000")).unwrap();
    paused.signal(Signal::SIGSTOP).unwrap();
    let stubborn = supervisor.spawn(&shell(&supervisor, "trap '' TERM; echo; sleep 1000; sleep 1000")).unwrap();
    eventually("the trap is set", || std::fs::read_to_string(stubborn.log()).is_ok_and(|text| !text.is_empty()));
    stubborn.signal(Signal::SIGTERM).unwrap();
    let dir = supervisor.dir().to_owned();
    supervisor.stop().await.unwrap();
    assert!(!dir.exists());
    assert!(paused.try_exit_status().is_some() && stubborn.try_exit_status().is_some());
}

#[tokio::test]
async fn a_process_that_ends_is_known_and_takes_its_children_along() {
    let supervisor = Supervisor::start("onlyone-test-").unwrap();
    let process = supervisor.spawn(&shell(&supervisor, "sleep 1000 & echo $!; exit 7")).unwrap();
    assert_eq!(process.wait().await.unwrap().code(), Some(7));
    assert_eq!(process.try_exit_status().unwrap().code(), Some(7));
    let children = family(process.log());
    eventually("its child is gone", || !is_alive(&children[0]));
    // Its number may belong to a stranger by now.
    process.signal(Signal::SIGKILL).unwrap();
    supervisor.stop().await.unwrap();
}

#[tokio::test]
async fn terminating_asks_first_and_kills_after_the_grace() {
    let cases = [("trap 'exit 3' TERM; echo; while :; do sleep 0.01; done", Some(3), DEADLINE)];
    let stubborn = [("trap '' TERM; echo; while :; do sleep 0.01; done", None, Duration::from_millis(50))];
    for (script, code, grace) in cases.into_iter().chain(stubborn) {
        let supervisor = Supervisor::start("onlyone-test-").unwrap();
        let process = supervisor.spawn(&shell(&supervisor, script)).unwrap();
        family(process.log());
        process.terminate(grace).await.unwrap();
        assert_eq!(process.try_exit_status().unwrap().code(), code, "{script}");
        supervisor.stop().await.unwrap();
    }
}

#[tokio::test]
async fn arguments_environment_and_directory_arrive_unchanged() {
    let supervisor = Supervisor::start("onlyone-test-").unwrap();
    let mut spec = shell(&supervisor, r#"printf '%s|' "$@" "$SECRET" "$(pwd -P)"; cat; echo 2>&1 end >&2"#)
        .args(["name", "a b", "$HOME", "'\"", "*", "-n"])
        .env("SECRET", "x;y");
    spec.dir = Some(supervisor.dir().to_owned());
    let process = supervisor.spawn(&spec).unwrap();
    assert!(process.wait().await.unwrap().success());
    let dir = supervisor.dir().canonicalize().unwrap();
    let expected = format!("a b|$HOME|'\"|*|-n|x;y|{}|end\n", dir.display());
    assert_eq!(std::fs::read_to_string(process.log()).unwrap(), expected);
    supervisor.stop().await.unwrap();
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_an_error_not_an_exit() {
    let supervisor = Supervisor::start("onlyone-test-").unwrap();
    let log = supervisor.dir().join("log");
    std::fs::write(supervisor.dir().join("plain"), "").unwrap();
    for program in ["onlyone-no-such-program", "/no/such/program"] {
        let refused = supervisor.spawn(&ProcessSpec::new(program, &log));
        assert!(matches!(&refused, Err(ProcessError::NotFound { program: named }) if named == program), "{refused:?}");
    }
    for file in ["plain", "."] {
        let program = supervisor.dir().join(file);
        let refused = supervisor.spawn(&ProcessSpec::new(program.to_str().unwrap(), &log));
        assert!(matches!(&refused, Err(ProcessError::NotExecutable { .. })), "{refused:?}");
    }
    supervisor.stop().await.unwrap();
}
