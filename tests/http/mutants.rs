//! Planted bugs of create-or-get through the reference service over HTTP, with two, eight and a hundred and fifty callers: each
//! is caught by what must catch it, and the correct twins are not accused.
//!
//! Ten times each: `cargo test --test http mutants -- --ignored --nocapture`
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

use crate::support::{Ended, Server, at_once, violated};

use crate::support;

/// Callers that come together, and how often.
const CROWDS: [(u32, u32); 3] = [(2, 40), (8, 20), (150, 4)];
/// Strategies that are wrong, and what must say so; then their twins.
const STRATEGIES: [(&str, Option<&str>); 6] = [
    ("error-swallowed", Some("same-id")),
    ("return-before", Some("same-id")),
    ("stale-reads", Some("create-or-get-linearizable")),
    ("step-back", Some("somebody-served")),
    ("upsert-retry", None),
    ("insert-first", None),
];

/// The shipped scenario, with a read, against a service with this strategy.
fn run(server: &Server, strategy: &str, (clients, rounds): (u32, u32), seed: u32) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let shipped = std::fs::read_to_string("scenarios/http-create-or-get.toml").unwrap();
    let command = format!(
        "command = [\"{{{{ onlyone }}}}\", \"serve\", \"--port\", \"{{{{ service.port }}}}\", \"--database\", \
         \"{{{{ mongo.database }}}}\", \"--strategy\", \"create-or-get={strategy}\"]\n"
    );
    let (before, rest) = shipped.split_once("command = [").unwrap();
    let (_, after) = rest.split_once("]\n").unwrap();
    let (after, _) = after.split_once("[load.burst]").unwrap();
    let get =
        "[target.http.operations.get]\npath = \"/api/chats/with/{{ pair.b }}\"\noutcome = { id = \"$.chat._id\" }\n";
    let text = format!(
        "{before}{command}{after}\n{get}\n[load.burst]\nclients = {clients}\nrounds = {rounds}\n\n[expect]\nverdict = \"holds\"\n"
    );
    let path = folder.path().join("mutant.toml");
    std::fs::write(&path, text).unwrap();
    let status = "target.http.operations.create-or-get.status={ok=[200],created=[201],refused=[409]}";
    support::run(&path, &["--set", status, "--seed", &seed.to_string(), "--mongo", &server.uri], &[])
}

/// Why the run of this strategy is not judged as it must be.
fn wrong(server: &Server, strategy: &str, by: Option<&str>, crowd: (u32, u32), seed: u32) -> Option<String> {
    let ended = run(server, strategy, crowd, seed);
    let right = match by {
        Some(name) => ended.code == Some(1) && violated(&ended.report).contains(&name),
        None => ended.code == Some(0),
    };
    println!("{strategy}\t{crowd:?}\t{seed}\t{:?}\t{}", ended.code, if right { "right" } else { "WRONG" });
    (!right).then(|| format!("{strategy} {crowd:?} {seed}: {:?} {}", ended.code, ended.why()))
}

/// With each crowd, for these seeds.
fn all_are_right(seeds: std::ops::RangeInclusive<u32>) {
    let server = Server::start();
    let of_seed = |seed| STRATEGIES.into_iter().flat_map(move |planted| CROWDS.map(|crowd| (planted, crowd, seed)));
    let all: Vec<_> = seeds.flat_map(of_seed).collect();
    let wrong = at_once(&all, |((strategy, by), crowd, seed)| wrong(&server, strategy, *by, *crowd, *seed));
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    println!("{} of {} are judged as they must be", all.len() - wrong.len(), all.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn planted_bugs_are_caught_over_http_by_few_and_by_many_and_their_twins_are_not_accused() {
    all_are_right(1..=1);
}

#[test]
#[ignore = "a campaign of a quarter of an hour"]
fn each_time() {
    all_are_right(1..=10);
}
