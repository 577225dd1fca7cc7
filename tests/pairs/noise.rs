//! Correct services whose answers and documents are full of what changes from run to run: none of them may be accused, not
//! even on a machine that is busy with something else.

use std::sync::atomic::{AtomicBool, Ordering};

use super::trial::{Ecosystem, Server, explored_routes};

/// What each service is noisy with: tokens, salts, durations, counters, caches, work after the answer and beside it, answers
/// that read back, lists in any order, identifiers, limits, entity tags, logs, what expires, what is made anew.
#[rustfmt::skip]
const KINDS: [(Ecosystem, &[&str]); 3] = [
    (Ecosystem::Node, &[
        "token", "salt", "duration", "shortid", "uuid", "lot", "amount", "counter", "cached", "readback", "afterwards",
        "times", "acl", "order", "password", "count", "lastwins", "log", "nested", "ref",
    ]),
    (Ecosystem::Express, &[
        "stamped", "rotation", "ratelimit", "hits", "ttl", "etag", "requestlog", "jitter", "queued", "heartbeat",
        "health", "preference", "share",
    ]),
    (Ecosystem::FastApi, &["webtoken", "pbkdf", "elapsed", "background", "sampled", "lease", "event", "page"]),
];

/// What need not hold, and why.
const OPEN: [&str; 6] = [
    // The service goes on after its answer, so that what it does then is at no request's end.
    "afterwards",
    "jitter",
    "queued",
    "background",
    // An answer counts what all requests have left so far.
    "count",
    "page",
];

/// Two loops that keep two processors busy, as long as this lives.
struct Busy(std::sync::Arc<AtomicBool>);

impl Busy {
    fn start() -> Self {
        let end = std::sync::Arc::new(AtomicBool::new(false));
        for _ in 0..2 {
            let end = std::sync::Arc::clone(&end);
            std::thread::spawn(move || {
                while !end.load(Ordering::Relaxed) {
                    std::hint::spin_loop()
                }
            });
        }
        Busy(end)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Explores each kind so often. A correct service is never accused, and mostly told to hold.
fn runs(kinds: &[(Ecosystem, &str)], times: usize) {
    let server = Server::start();
    let mut wrong = Vec::new();
    println!("| ecosystem | kind | holds | inconclusive | not compared |\n|---|---|---|---|---|");
    for (ecosystem, kind) in kinds {
        let (mut holds, mut inconclusive, mut left_out) = (0, Vec::new(), String::new());
        for run in 0..times {
            let explored = explored_routes(&server, *ecosystem, &[kind], "fixed");
            left_out = explored.report["as_if_serial"]["not_compared"].to_string();
            match explored.verdict.as_str() {
                "holds" => holds += 1,
                "violated" => wrong.push(format!("{kind}, run {run}: {}", explored.why)),
                _ => inconclusive.push(explored.why),
            }
        }
        inconclusive.sort();
        inconclusive.dedup();
        if holds * 2 <= times && !OPEN.contains(kind) {
            wrong.push(format!("{kind} holds {holds} times of {times}: {inconclusive:?}"));
        }
        println!("| {ecosystem:?} | {kind} | {holds} of {times} | {} | {left_out} |", inconclusive.join("; "));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn noisy_answers_and_documents_are_not_accused() {
    let (node, express, fast) = (Ecosystem::Node, Ecosystem::Express, Ecosystem::FastApi);
    runs(&[(node, "token"), (node, "duration"), (node, "afterwards"), (express, "rotation"), (fast, "sampled")], 1);
}

#[test]
#[ignore = "takes half an hour, and needs the whole machine"]
fn every_kind_of_noise_twenty_times_beside_two_busy_loops() {
    let _busy = Busy::start();
    let times = std::env::var("TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(20);
    let only = std::env::var("ONLY").unwrap_or_default();
    let all = KINDS.iter().flat_map(|(ecosystem, kinds)| kinds.iter().map(|kind| (*ecosystem, *kind)));
    let wanted = all.filter(|(_, kind)| only.is_empty() || only.split(',').any(|one| one == *kind));
    runs(&wanted.collect::<Vec<_>>(), times);
}
