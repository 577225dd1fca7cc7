//! How fast schedules are carried out, and what they find: the command itself, on embedded MongoDB servers.
//!
//!     cargo bench --bench explore             # growth with requests and commands; executions per second
//!     cargo bench --bench explore -- serial   # what as if serial costs beside the checkers, and the share of each part
//!     cargo bench --bench explore -- answers  # what parked answers cost
//!     cargo bench --bench explore -- races    # the first schedule that violates, beside bursts of a stress test
//!
//! The last line is for machines. Of all, `schedules_per_s` is that of two requests of two commands each on the reference service
//! over HTTP; of what as if serial costs, `as_if_serial_ratio` is the worst of the ratios. The search of the first is
//! a random walk, so that the figure is that of many executions, not of six.

// A benchmark prints its result, and has no one to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::process::Command;

use serde_json::Value;

/// Races of two requests: what it is called, and the scenario.
const RACES: [(&str, &str); 6] = [
    ("create-or-get, find then insert", "direct-find-then-insert"),
    ("the same over HTTP", "find-then-insert"),
    ("append, whole array", "append-whole-array"),
    ("merge, find then push", "merge-find-then-push"),
    ("group, key worked out after joining", "thread-recompute-key"),
    ("authorisation, looked up before acting", "thread-authorise-then-act"),
];
/// Bursts of a stress test.
const BURSTS: &str = "200";

fn main() {
    let asked = |name: &str| std::env::args().any(|argument| argument == name);
    match () {
        () if asked("races") => races(),
        () if asked("serial") => as_if_serial(),
        () if asked("answers") => parked_answers(),
        () => {
            as_if_serial();
            speed();
        }
    }
}

/// Explorations of the reference service over HTTP, of which the time with as if serial is held against that without: a strategy
/// that is racy and one that is correct.
const COMPARED: [(&str, &str, &[&str]); 6] = [
    ("racy, all interleavings of two", "find-then-insert", &["--requests", "2"]),
    ("racy, all interleavings of three", "find-then-insert", &["--requests", "3"]),
    ("racy, a random walk of 300", "find-then-insert", &["--search", "random", "--max-schedules", "300"]),
    ("racy, a random walk of 2000", "find-then-insert", &["--search", "random", "--max-schedules", "2000"]),
    ("correct, all interleavings of two", "upsert-retry", &["--requests", "2"]),
    ("correct, all interleavings of three", "upsert-retry", &["--requests", "3"]),
];

/// Seconds of an exploration: the sum of its parts.
fn seconds(report: &Value) -> f64 {
    report["explore"]["spent"].as_object().into_iter().flatten().filter_map(|(_, seconds)| seconds.as_f64()).sum()
}

/// `executions 61 %, serial-runs 20 %`
fn shares(report: &Value) -> String {
    let all = seconds(report);
    let mut parts: Vec<(&String, f64)> = (report["explore"]["spent"].as_object().into_iter().flatten())
        .filter_map(|(part, seconds)| Some((part, seconds.as_f64()?)))
        .collect();
    parts.sort_by(|one, other| other.1.total_cmp(&one.1));
    let share = |(part, seconds): &(&String, f64)| format!("{part} {:.0} %", 100.0 * seconds / all);
    parts.iter().map(share).collect::<Vec<_>>().join(", ")
}

/// The same without the final state, of which one that is wrong is waited for a second to come right.
fn busy_seconds(report: &Value) -> f64 {
    seconds(report) - report["explore"]["spent"]["final-state"].as_f64().unwrap_or_default()
}

/// What as if serial costs: beside the checkers, and alone, when each request is sent once more after each execution. In
/// brackets, the ratio without the final state.
fn as_if_serial() {
    println!("\n{:<36} {:>9} {:>9} {:>15} {:>9} {:>15}", "exploration", "checkers", "both", "", "alone", "");
    let (mut most, mut parts) = (0.0_f64, Vec::new());
    for (name, scenario, arguments) in COMPARED {
        let explored = |judge: &str| explore(scenario, &[arguments, ["--judge", judge].as_slice()].concat());
        let [checkers, both, alone] = ["checkers", "both", "as-if-serial"].map(explored);
        let ratio = |report: &Value| seconds(report) / seconds(&checkers);
        let shown =
            |report: &Value| format!("{:.2}x ({:.2}x)", ratio(report), busy_seconds(report) / busy_seconds(&checkers));
        println!(
            "{name:<36} {:>8.2}s {:>8.2}s {:>15} {:>8.2}s {:>15}",
            seconds(&checkers),
            seconds(&both),
            shown(&both),
            seconds(&alone),
            shown(&alone)
        );
        most = most.max(ratio(&both));
        parts.push(format!(
            "{name}\n    checkers: {}\n    both:     {}\n    alone:    {}",
            shares(&checkers),
            shares(&both),
            shares(&alone)
        ));
    }
    println!("\n{}", parts.join("\n"));
    println!("as_if_serial_ratio={most:.2}");
}

/// How many more interleavings there are when answers are parked as well, and how long they take.
fn parked_answers() {
    println!("{:>18} {:>8} {:>22} {:>22}", "commands a request", "requests", "executions", "seconds");
    for (strategy, commands, requests) in [
        ("upsert-retry", "1", "2"),
        ("find-then-insert", "2", "2"),
        ("find-then-insert", "2", "3"),
        ("create-then-fill", "3", "2"),
    ] {
        let strategy = format!("target.mongo.strategy={strategy}");
        let [at_once, parked] = ["false", "true"].map(|park| {
            let park = format!("explore.park_answers={park}");
            explore("direct-find-then-insert", &["--requests", requests, "--set", &strategy, "--set", &park])
        });
        let of = |report: &Value| (report["explore"]["explored"].as_u64().unwrap_or_default(), seconds(report));
        let ((few, fast), (many, slow)) = (of(&at_once), of(&parked));
        println!(
            "{commands:>18} {requests:>8} {:>22} {:>22}",
            format!("{few} -> {many}"),
            format!("{fast:.2} -> {slow:.2}")
        );
    }
}

/// Explores a shipped scenario; its report.
fn explore(scenario: &str, arguments: &[&str]) -> Value {
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_onlyone"))
        .args(["explore", "--format", "json", "--quiet", "--seed", "1", "--set", "expect={}", "--out"])
        .arg(out.path())
        .arg(format!("scenarios/explore-{scenario}.toml"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("ONLYONE_MONGO_URI")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(report["explore"].is_object(), "{scenario}: {}", String::from_utf8_lossy(&output.stderr));
    report
}

fn speed() {
    println!(
        "{:>18} {:>8} {:>13} {:>10} {:>12} {:>14}",
        "commands a request", "requests", "interleavings", "executions", "executions/s", "seconds in all"
    );
    let growth = [("upsert-retry", "1", 5), ("find-then-insert", "2", 4), ("create-then-fill", "3", 3)];
    for (strategy, commands, most) in growth {
        for requests in 2..=most {
            let strategy = format!("target.mongo.strategy={strategy}");
            let requests = requests.to_string();
            let arguments = ["--requests", &requests, "--set", &strategy];
            let report = explore("direct-find-then-insert", &arguments);
            let (found, seconds) = (&report["explore"], report["duration_s"].as_f64().unwrap_or_default());
            let total = found["total"].as_u64().map_or("-".to_owned(), |total| total.to_string());
            let (executions, rate) = (found["explored"].as_u64().unwrap(), found["schedules_per_s"].as_f64().unwrap());
            println!("{commands:>18} {requests:>8} {total:>13} {executions:>10} {rate:>12.0} {seconds:>14.2}");
        }
    }
    let walk = ["--search", "random", "--max-schedules", "2000"];
    let rate = |scenario| {
        let report = explore(scenario, &walk);
        let own = report["generator"]["cpu_s"].as_f64().unwrap_or_default() * 1e6 / 2000.0;
        (report["explore"]["schedules_per_s"].as_f64().unwrap(), own)
    };
    let ((direct, direct_cpu), (http, http_cpu)) = (rate("direct-find-then-insert"), rate("find-then-insert"));
    println!("a random walk of 2000 executions: direct {direct:.0}/s, the harness's own CPU {direct_cpu:.0} us each;");
    println!("reference service over HTTP {http:.0}/s, own CPU {http_cpu:.0} us each");
    println!("schedules_per_s={http:.0} direct_schedules_per_s={direct:.0} own_cpu_us={http_cpu:.0}");
}

fn races() {
    println!("{:<40} {:>16} {:>18} {:>22}", "race", "first schedule", "violated of all", "bursts of 2 violated");
    for (name, scenario) in RACES {
        let report = explore(scenario, &[]);
        let found = &report["explore"];
        let number = |value: &Value| value.as_u64().map_or("-".to_owned(), |number| number.to_string());
        let violated = match found["violated_interleavings"].as_u64() {
            Some(violated) => violated.to_string(),
            None => number(&found["violated"]),
        };
        let all = format!("{violated} of {}", number(&found["total"]));
        let stress = explore(scenario, &["--search", "stress", "--max-schedules", BURSTS]);
        let struck =
            format!("{} of {}", number(&stress["explore"]["violated"]), number(&stress["explore"]["explored"]));
        println!("{name:<40} {:>16} {all:>18} {struck:>22}", number(&found["first_violation_at"]));
    }
}
