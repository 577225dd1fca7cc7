//! Services that are correct, each in a way of its own, and the defects of some: `tests/services/kinds`.
//!
//! The campaign has each of them run twenty times beside two busy loops:
//! `cargo test --test kinds -- --ignored --nocapture`
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use support::{Ended, Server, carried_out, node_path, path_with_node};

/// The one that is wrong by itself.
const WRONG: &str = "no-dedupe";
/// Runs of each kind in the campaign.
const RUNS: u64 = 20;

fn kinds() -> Vec<(String, PathBuf)> {
    let folder = support::project().join("tests/services/kinds");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let scenarios = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let mut kinds: Vec<(String, PathBuf)> =
        scenarios.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)).collect();
    kinds.sort();
    kinds
}

fn run(server: &Server, kind: &str, mode: &str, more: &[&str]) -> Ended {
    let path = support::project().join(format!("tests/services/kinds/{kind}.toml"));
    let (packages, programs) = (node_path(), path_with_node());
    let environment = [("MODE", mode), ("NODE_PATH", packages.to_str().unwrap()), ("PATH", programs.to_str().unwrap())];
    carried_out("run", &path, &[&["--mongo", server.uri.as_str()], more].concat(), &environment)
}

#[test]
fn every_kind_of_correct_service_holds() {
    let server = Server::start();
    let kinds = kinds();
    assert!(kinds.len() >= 26, "{}", kinds.len());
    let mut wrong = Vec::new();
    for (kind, _) in kinds.iter().filter(|(kind, _)| kind != WRONG) {
        let ended = run(&server, kind, "", &[]);
        // A machine that is busy with something else may have let nothing overlap, which is said, and never a violation.
        let ended = if ended.verdict() == "inconclusive" { run(&server, kind, "", &["--seed", "2"]) } else { ended };
        if ended.code != Some(0) {
            wrong.push(format!("{kind}: {} {}", ended.verdict(), ended.why()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn their_defects_are_caught() {
    let server = Server::start();
    for (kind, mode, more, by) in [
        ("refused-quoting", "racy", vec![], "single-document"),
        ("step-back", "racy", vec![], "somebody-served"),
        ("versioned", "racy", vec![], "custom:every fan is counted"),
        (WRONG, "", vec![], "custom:one stall of a name"),
        // Three seconds are more than what is waited for by itself.
        ("later", "", vec!["--set", "service.env.LATER='600000'", "--set", "limits.max_unknown=100%"], ""),
    ] {
        let ended = run(&server, kind, mode, &more);
        match by {
            "" => assert_eq!((ended.code, ended.verdict()), (Some(3), "inconclusive"), "{kind}: {}", ended.why()),
            by => assert!(
                ended.code == Some(1) && support::violated(&ended.report).contains(&by),
                "{kind}: {} {}",
                ended.verdict(),
                ended.why()
            ),
        }
    }
    let ended = run(&server, WRONG, "", &[]);
    assert_eq!(ended.report["serial_control"]["verdict"], "violated", "{}", ended.why());
}

#[test]
fn what_is_stored_later_than_usual_is_waited_for_as_long_as_the_scenario_says() {
    let server = Server::start();
    let later =
        ["--set", "service.env.LATER='2500'", "--set", "observe.mongo.within=30s", "--set", "load.burst.rounds=4"];
    let ended = run(&server, "later", "", &later);
    assert_eq!((ended.code, ended.verdict()), (Some(0), "holds"), "{}", ended.why());
}

/// Two threads that do nothing but keep a processor busy.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..2 {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || while !stop.load(Ordering::Relaxed) {});
        }
        Busy(stop)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "a campaign of half an hour"]
fn no_kind_is_accused_beside_two_busy_loops() {
    let (server, _busy) = (Server::start(), Busy::start());
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut accused = Vec::new();
    for (kind, _) in kinds().iter().filter(|(kind, _)| kind != WRONG) {
        let mut of_kind: BTreeMap<String, u64> = BTreeMap::new();
        for seed in 1..=RUNS {
            let ended = run(&server, kind, "", &["--seed", &seed.to_string()]);
            *of_kind.entry(ended.verdict().to_owned()).or_default() += 1;
            match ended.verdict() {
                "holds" => {}
                "inconclusive" => println!("  {kind} {seed}: {}", ended.why()),
                _ => accused.push(format!("{kind} {seed}: {} {}", ended.verdict(), ended.why())),
            }
        }
        println!("{kind}: {of_kind:?}");
        of_kind.into_iter().for_each(|(verdict, count)| *counts.entry(verdict).or_default() += count);
    }
    let all: u64 = counts.values().sum();
    println!("all: {counts:?} of {all}");
    assert!(accused.is_empty(), "{accused:#?}");
    let inconclusive = counts.get("inconclusive").copied().unwrap_or_default();
    assert!(inconclusive * 100 <= all, "{inconclusive} of {all} are inconclusive");
}
