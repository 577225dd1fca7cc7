//! Pairs of small requests in four ecosystems, each racy and correct, judged as if serial and by nothing else: how many of the
//! races are found, and whether a correct one is accused. A few of them always, all of them with
//! `cargo test --test pairs -- --ignored --nocapture all_pairs`, which prints the table of `docs/as-if-serial.md`.

// The lints look at test functions only, and these are helpers of tests. A campaign prints its table.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod curl;
mod noise;
#[path = "../practice/mod.rs"]
mod practice;
mod service;
mod strategies;
mod trial;
mod weak;

use trial::{Ecosystem, Pair, Server, explored};

/// What is expected of a racy pair, where it is not found: why.
const MISSES: [(&str, &str); 0] = [];

const fn pair(ecosystem: Ecosystem, class: &'static str, routes: &'static [&'static str]) -> Pair {
    Pair { ecosystem, class, routes }
}

const UNIQUE: &str = "find, then insert";
const REMOVE: &str = "insert, look again, remove oneself";
const CHECK: &str = "check, then act";
const ONCE: &str = "an effect that must happen once";
const LOST: &str = "lost update";
const NUMBER: &str = "numbers and sequences";
const ERROR: &str = "an error handed on";
const MIXED: &str = "different requests";
const UPSERT: &str = "upsert without an index";
const CACHE: &str = "stale cache";

/// All pairs; a route alone meets itself.
const PAIRS: [Pair; 44] = {
    use Ecosystem::{Axum, Express, FastApi, Node};
    [
        pair(Node, UNIQUE, &["subscribe"]),
        pair(Node, ERROR, &["register"]),
        pair(Node, REMOVE, &["seat"]),
        pair(Node, CHECK, &["join"]),
        pair(Node, CHECK, &["withdraw"]),
        pair(Node, ONCE, &["webhook"]),
        pair(Node, LOST, &["like"]),
        pair(Node, LOST, &["tag"]),
        pair(Node, LOST, &["profile"]),
        pair(Node, NUMBER, &["ticket"]),
        pair(Node, NUMBER, &["invoice"]),
        pair(Node, NUMBER, &["visit"]),
        pair(Node, ERROR, &["edit"]),
        pair(Node, ERROR, &["claim"]),
        pair(Node, UPSERT, &["session"]),
        pair(Node, CACHE, &["setting"]),
        pair(Express, LOST, &["cart"]),
        pair(Express, LOST, &["visit"]),
        pair(Express, ERROR, &["edit"]),
        pair(Express, UNIQUE, &["join"]),
        pair(Express, UPSERT, &["device"]),
        pair(Express, NUMBER, &["order"]),
        pair(Express, LOST, &["toggle"]),
        pair(Express, MIXED, &["ann", "bob"]),
        pair(FastApi, CHECK, &["redeem"]),
        pair(FastApi, MIXED, &["send", "read"]),
        pair(FastApi, MIXED, &["transfer", "balance"]),
        pair(FastApi, ERROR, &["account"]),
        pair(FastApi, CHECK, &["place"]),
        pair(FastApi, ONCE, &["job"]),
        pair(FastApi, MIXED, &["name", "city"]),
        pair(FastApi, NUMBER, &["invoice"]),
        pair(FastApi, CHECK, &["vote"]),
        pair(FastApi, CHECK, &["order"]),
        pair(FastApi, UNIQUE, &["room"]),
        pair(FastApi, ERROR, &["pay"]),
        pair(Axum, UNIQUE, &["subscribe"]),
        pair(Axum, CHECK, &["withdraw"]),
        pair(Axum, LOST, &["like"]),
        pair(Axum, NUMBER, &["ticket"]),
        pair(Axum, ONCE, &["hook"]),
        pair(Axum, REMOVE, &["seat"]),
        pair(Axum, NUMBER, &["visit"]),
        pair(Axum, LOST, &["rename"]),
    ]
};

/// Not a test: the service of the pairs in Rust, started by the harness from this program.
#[test]
#[ignore = "it is a service, and runs until it is stopped"]
fn the_service() {
    let port = std::env::var("PORT").unwrap().parse().unwrap();
    let uri = std::env::var("MONGO_URL").unwrap();
    let buggy = std::env::var("MODE").unwrap() == "buggy";
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(service::serve(port, &uri, buggy));
}

/// Explores the pairs, and holds what came of them against what must come of them.
fn held_against(pairs: &[&Pair]) {
    let server = Server::start();
    let mut wrong = Vec::new();
    let (mut found, mut accused) = (0, 0);
    println!("| ecosystem | routes | class | racy | first | correct |\n|---|---|---|---|---|---|");
    for pair in pairs {
        let [racy, correct] = ["buggy", "fixed"].map(|mode| explored(&server, pair, mode));
        let expected = MISSES.iter().any(|(name, _)| *name == pair.name());
        found += u32::from(racy.verdict == "violated");
        accused += u32::from(correct.verdict == "violated");
        println!(
            "| {:?} | `{}` | {} | {} | {} | {} |",
            pair.ecosystem,
            pair.routes.join("` against `"),
            pair.class,
            racy.classes,
            racy.first,
            correct.classes
        );
        if (racy.verdict != "violated") != expected {
            wrong.push(format!("{} racy: {}", pair.name(), racy.why));
        }
        if correct.verdict != "holds" {
            wrong.push(format!("{} correct: {} {}", pair.name(), correct.verdict, correct.why));
        }
    }
    println!("\nof {} racy pairs {found} were found; of as many correct ones {accused} were accused", pairs.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// One pair of each ecosystem.
#[test]
fn a_race_of_each_ecosystem_is_found_and_its_correct_twin_is_not_accused() {
    let some = ["Node setting", "Express ann+bob", "FastApi send+read", "Axum seat"];
    let pairs: Vec<&Pair> = PAIRS.iter().filter(|pair| some.contains(&pair.name().as_str())).collect();
    assert_eq!(pairs.len(), some.len());
    held_against(&pairs);
}

#[test]
#[ignore = "takes some minutes"]
fn all_pairs() {
    held_against(&PAIRS.iter().collect::<Vec<_>>());
}
