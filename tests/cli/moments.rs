//! A run that is ended at any moment, whatever its load: what was sent is in the history, and the folder can be judged.
//!
//! The campaign: `cargo test --test cli any_moment -- --ignored --nocapture --test-threads 1`, a hundred moments of each load
//! for a signal and fifty for a death; `ONLYONE_TEST_ROUNDS` says another number.

#![allow(clippy::print_stdout, reason = "a campaign says how far it is")]

use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::harness::{Harness, Server, scenario, wait_for_lines};
use super::life::{OBSERVED, ended, received_and_recorded, send, served};

/// Every kind of load, each longer than any moment.
const LOADS: [(&str, &str); 4] = [
    ("burst", "[load.burst]\nclients = 8\nrounds = 100000"),
    ("waves", "[load.waves]\nsizes = [8, 4]\nrounds = 50000"),
    ("closed", "[load.closed]\nclients = 8\nduration = \"1h\"\nkeys = { uniform = { count = 5000 } }"),
    ("open", "[load.open]\nrate = 500\nduration = \"1h\"\nmax_clients = 16\nkeys = { uniform = { count = 5000 } }"),
];
/// From when the run has its folder, or its first operation.
const LONGEST: Duration = Duration::from_millis(1500);

fn rounds(default: u64) -> u64 {
    std::env::var("ONLYONE_TEST_ROUNDS").ok().map_or(default, |text| text.parse().unwrap())
}

/// A run with its folder at `reports/r`, left alone until this moment. Before it has one, a signal is that of any process.
fn begun(harness: &Harness, more: &[&str], (from, moment): (From, Duration)) -> Child {
    let arguments = [&["run", "s.toml", "--quiet"], more].concat();
    let child = harness.command(&arguments).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !harness.path().join("reports/r").exists() {
        assert!(Instant::now() < deadline, "the run did not begin");
        std::thread::yield_now();
    }
    if from == From::FirstOperation {
        wait_for_lines(|| Some(harness.path().join("reports/r/history.jsonl")), 2);
    }
    std::thread::sleep(moment);
    child
}

/// A database of its own: a run that is killed leaves what it made.
fn database() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("target.mongo.database='onlyone_{}'", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The flags of a run on this server.
fn on<'a>(server: &'a Server, database: &'a str) -> [&'a str; 6] {
    ["--run-id", "r", "--mongo", &server.uri, "--set", database]
}

/// What a moment is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Folder,
    FirstOperation,
}

/// A moment, also before there is anything to end.
fn moment(random: &mut ChaCha8Rng) -> (From, Duration) {
    let from = if random.random() { From::Folder } else { From::FirstOperation };
    (from, Duration::from_micros(random.random_range(0..LONGEST.as_micros() as u64)))
}

/// The folder gives the verdict again, if the run came as far as having one.
fn judged_again(harness: &Harness, codes: &[i32], what: &str) {
    if !harness.path().join("reports/r/run.json").exists() {
        return;
    }
    let again = harness.run(&["check", "reports/r"]);
    assert!(again.code.is_some_and(|code| codes.contains(&code)), "{what}: {}", again.shown());
}

/// How many operations the service received.
fn ended_by_a_signal(harness: &Harness, more: &[&str], signal: &str, moment: (From, Duration), what: &str) -> usize {
    let what = format!("{what}, SIG{signal} after {moment:?}");
    let child = begun(harness, more, moment);
    send(&child, signal);
    let ran = ended(child, &what);
    assert_eq!(ran.code, Some(130), "{what}: {}", ran.shown());
    let (received, recorded) = received_and_recorded(harness);
    let lost: Vec<&String> = received.iter().filter(|op| !op.is_empty() && !recorded.contains(op)).collect();
    assert!(lost.is_empty(), "{what}: {lost:?} of {} were sent, and are not in the history", received.len());
    judged_again(harness, &[130], &what);
    println!("{what}: {} received, {} recorded", received.len(), recorded.len());
    received.len()
}

fn ended_by_death(harness: &Harness, more: &[&str], moment: (From, Duration), what: &str) {
    let what = format!("{what}, killed after {moment:?}");
    let mut child = begun(harness, more, moment);
    child.kill().unwrap();
    child.wait().unwrap();
    judged_again(harness, &[3], &what);
    println!("{what}");
}

#[test]
#[ignore = "a campaign of an hour"]
fn any_moment_of_any_load_can_be_the_last() {
    let (server, mut random) = (Server::start(), ChaCha8Rng::seed_from_u64(1));
    for (load, text) in LOADS {
        let mut received = 0;
        for round in 0..rounds(100) {
            let signal = ["INT", "TERM"][usize::from(round % 2 == 1)];
            let over_http = served("/never", "", "last-byte", text, OBSERVED);
            received += ended_by_a_signal(
                &over_http,
                &["--run-id", "r"],
                signal,
                moment(&mut random),
                &format!("{load} over HTTP"),
            );
            let direct = Harness::new(&scenario("upsert-retry", true, text));
            ended_by_a_signal(
                &direct,
                &on(&server, &database()),
                signal,
                moment(&mut random),
                &format!("{load} directly"),
            );
        }
        assert!(received > 0, "{load}: no moment came after the first request");
        for _ in 0..rounds(50) {
            let over_http = served("/never", "", "last-byte", text, OBSERVED);
            ended_by_death(&over_http, &["--run-id", "r"], moment(&mut random), &format!("{load} over HTTP"));
            let direct = Harness::new(&scenario("upsert-retry", true, text));
            ended_by_death(&direct, &on(&server, &database()), moment(&mut random), &format!("{load} directly"));
        }
    }
}
