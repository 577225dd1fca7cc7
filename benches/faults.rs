//! Whether runs with faults accuse correct strategies, miss racy ones, or hang: the command itself, each run on an embedded server
//! of its own.
//!
//!     cargo bench --bench faults                 # 60 runs
//!     cargo bench --bench faults -- 1000         # so many; or ONLYONE_FAULT_RUNS=1000
//!     cargo bench --bench faults -- 200 failover # step-downs, killed and cut off primaries of a replica set of three alone
//!
//!     cargo bench --bench faults -- 50 partition # those with this word in their names
//!
//! Another build of the command can be named by `ONLYONE_BINARY`.
//!
//! Workloads, strategies and faults are dealt out in turn, each run with a seed of its own. The last line is for machines:
//! `false_violated` counts correct strategies that were accused (but not one that is correct only as long as clocks agree, where these
//! were moved: it is told in a line of its own), `false_holds` racy ones of which it was said that they hold, and `hung` runs that did
//! not end. A run that is inconclusive is neither, and is counted beside them for each fault.

// A benchmark prints its result, and has no one to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Runs where nobody says how many.
const USUAL: usize = 60;
/// Runs at a time: most of one is waiting.
const AT_ONCE: usize = 4;
/// A run hangs that has not ended, and recorded nothing, for so long: an operation is given up after ten seconds. How long all of it
/// takes says nothing: on a busy machine a server that is killed again and again is away for most of the time.
const HUNG_AFTER: Duration = Duration::from_secs(180);
/// Nor does one end that goes on to record for so long: more than if every operation of every round were given up.
const ENDLESS_AFTER: Duration = Duration::from_secs(3600);

/// A strategy: its workload, its name, whether the unique index stands behind it, and whether it is correct. The racy ones are
/// those of which a short burst finds the race without faults, each time.
const STRATEGIES: [(&str, &str, bool, bool); 24] = [
    ("create-or-get", "upsert-retry", true, true),
    ("create-or-get", "find-then-insert", false, false),
    ("append", "upsert-push", true, true),
    ("append", "whole-array", true, false),
    ("merge", "conditional-push", true, true),
    ("merge", "find-then-push", true, false),
    ("thread", "keyed-upsert", true, true),
    ("thread", "find-then-insert", false, false),
    ("create-or-get", "insert-first", true, true),
    ("create-or-get", "local-id", true, false),
    ("append", "save-retry", true, true),
    ("append", "push-separately", true, false),
    ("merge", "lock-collection", true, true),
    ("merge", "double-push", true, false),
    ("thread", "members-add-to-set", true, true),
    ("thread", "members-push", true, false),
    ("append", "whole-array-versioned", true, true),
    ("append", "find-then-save", false, false),
    ("append", "push-retry-guarded", true, true),
    ("create-or-get", "upsert-fresh-id", false, false),
    ("append", "sequence-in-update", true, true),
    ("create-or-get", "find-then-insert", true, false),
    ("thread", "members-versioned", true, true),
    ("thread", "unread-in-update", true, true),
];

/// Whether a strategy is correct only as long as clocks agree: a lease ends by the clock of whoever asks, so that of two requests with
/// another time one may take the lock that the other holds. With such a fault either verdict is right.
fn relies_on_clocks(strategy: &str, fault: &str) -> bool {
    strategy == "lock-collection" && fault.starts_with("clock")
}

/// A fault: what it is called here, its tables, and the members of the server's replica set.
const FAULTS: [(&str, &str, u8); 18] = [
    ("kill-mongod", "kind = \"kill-mongod\"\nat = \"300ms\"\nevery = \"3s\"", 0),
    ("kill-mongod, journal", "kind = \"kill-mongod\"\nat = \"200ms\"\nevery = \"3s\"", 0),
    ("pause-mongod", "kind = \"pause-mongod\"\nat = \"200ms\"\nevery = \"500ms\"\nfor = \"200ms\"", 0),
    ("restart-mongod", "kind = \"restart-mongod\"\nat = \"300ms\"", 0),
    (
        "fail-command, 112",
        "kind = \"fail-command\"\nat = \"100ms\"\nevery = \"400ms\"\nfor = \"200ms\"\ncode = 112\nprobability = 0.3\n\
         commands = [\"insert\", \"update\", \"findAndModify\"]",
        0,
    ),
    (
        "fail-command, 91",
        "kind = \"fail-command\"\nat = \"300ms\"\ncode = 91\ntimes = 3\n\
         commands = [\"insert\", \"update\", \"findAndModify\", \"find\"]\nlabels = [\"RetryableWriteError\"]",
        0,
    ),
    ("reset-connections", "kind = \"reset-connections\"\nat = \"100ms\"\nevery = \"300ms\"\nprobability = 0.7", 0),
    (
        "delay",
        "kind = \"delay\"\nat = \"100ms\"\nevery = \"400ms\"\nfor = \"200ms\"\ndelay = \"15ms\"\nprobability = 0.5",
        0,
    ),
    ("lost-answer", "kind = \"lost-answer\"\nat = \"100ms\"\nevery = \"500ms\"\nfor = \"300ms\"\nprobability = 0.1", 0),
    ("step-down, w: majority", "kind = \"step-down\"\nat = \"300ms\"\nfor = \"1s\"", 3),
    ("kill-mongod of three, w: majority", "kind = \"kill-mongod\"\nat = \"300ms\"\nfor = \"500ms\"", 3),
    ("kill-mongod of three, w: 1", "kind = \"kill-mongod\"\nat = \"300ms\"\nfor = \"500ms\"", 3),
    ("partition, w: majority", "kind = \"partition\"\nat = \"200ms\"\nfor = \"2s\"", 3),
    ("partition, w: 1", "kind = \"partition\"\nat = \"200ms\"\nfor = \"2s\"", 3),
    ("partition of a secondary", "kind = \"partition\"\nat = \"200ms\"\nfor = \"1s\"\ntarget = \"secondary\"", 3),
    (
        "slow-disk, journal",
        "kind = \"slow-disk\"\nat = \"100ms\"\nevery = \"600ms\"\nfor = \"400ms\"\ndelay = \"100ms\"",
        0,
    ),
    ("kill-service over HTTP", "kind = \"kill-service\"\nat = \"300ms\"\nevery = \"2s\"", 0),
    ("clock over HTTP", "kind = \"clock\"\nat = \"100ms\"\nevery = \"500ms\"\nfor = \"300ms\"\nby = \"-5m\"", 0),
];

/// What came of the runs with one fault.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    runs: usize,
    holds: usize,
    violated: usize,
    inconclusive: usize,
    struck: usize,
    false_violated: usize,
    false_holds: usize,
    hung: usize,
    broken: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = arguments.iter().find_map(|argument| argument.parse().ok());
    let variable = std::env::var("ONLYONE_FAULT_RUNS").ok().and_then(|runs| runs.parse().ok());
    let runs: usize = asked.or(variable).unwrap_or(USUAL);
    let word = arguments.iter().find(|argument| argument.starts_with(char::is_alphabetic));
    let is_meant = |(name, _, members): &&(&str, &str, u8)| match word.map(String::as_str) {
        None => true,
        Some("failover") => *members == 3,
        Some(word) => name.contains(word),
    };
    let faults: Vec<_> = FAULTS.iter().filter(is_meant).collect();
    assert!(!faults.is_empty(), "no fault is called {word:?}");
    let (next, tallies) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<&str, Tally>::new()));
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= runs {
                        break;
                    }
                    // Each strategy meets each fault: both go round, and the one is a step ahead after each round.
                    let fault = faults[(number + number / (faults.len() * STRATEGIES.len())) % faults.len()];
                    let strategy = &STRATEGIES[(number / faults.len()) % STRATEGIES.len()];
                    let ended = run(folder.path(), number, strategy, fault);
                    count(
                        tallies.lock().unwrap().entry(fault.0).or_default(),
                        (number, strategy, fault.0),
                        ended.as_ref(),
                    );
                }
            });
        }
    });
    print(&tallies.into_inner().unwrap());
}

fn scenario(
    number: usize,
    (workload, strategy, index, correct): &(&str, &str, bool, bool),
    fault: &(&str, &str, u8),
) -> String {
    let (name, tables, members) = fault;
    let concern = match *name {
        name if name.ends_with("journal") => "write_concern = \"journal\"\n",
        name if name.ends_with("w: 1") => "write_concern = \"memory\"\n",
        _ => "",
    };
    if name.ends_with("over HTTP") {
        return over_http((workload, strategy, *index), tables);
    }
    // A burst meets each of many keys once, which is where the race is to create; a steady load meets keys again and again.
    let sweep = number / (FAULTS.len() * STRATEGIES.len());
    let load = match (number + sweep) % 2 {
        _ if *workload == "thread" => "[load.burst]\nclients = [4, 16]\nrounds = 320",
        0 => "[load.burst]\nclients = [4, 16]\nrounds = 240",
        _ if !correct => "[load.burst]\nclients = [4, 16]\nrounds = 240",
        _ => "[load.closed]\nclients = 12\nduration = \"2s\"\nkeys = { uniform = { count = 12 } }",
    };
    format!(
        "name = \"{name}\"\nworkload = \"{workload}\"\n[target.mongo]\nstrategy = \"{strategy}\"\nunique_index = {index}\n{concern}\
         {load}\n[mongod]\nreplica_set = {members}\n[[fault]]\n{tables}\n[limits]\nafter_violation = \"1s\"\n"
    )
}

/// The strategy behind the reference service, which is asked as a shipped scenario does.
fn over_http((workload, strategy, index): (&str, &str, bool), tables: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/http-{workload}.toml"));
    let text = std::fs::read_to_string(file).unwrap();
    let own = text.split("[load.burst]").next().unwrap();
    let (before, after) = own.split_once(&format!("\"{workload}=")).unwrap();
    let (_, after) = after.split_once('"').unwrap();
    let index = if index { "" } else { ", \"--no-unique-index\"" };
    format!(
        "{before}\"{workload}={strategy}\"{index}{after}[load.burst]\nclients = [4, 16]\nrounds = 160\n[[fault]]\n{tables}\n\
         [limits]\nafter_violation = \"1s\"\n"
    )
}

/// The report; nothing of a run that hung.
fn run(folder: &Path, number: usize, strategy: &(&str, &str, bool, bool), fault: &(&str, &str, u8)) -> Option<Value> {
    let file = folder.join(format!("{number}.toml"));
    std::fs::write(&file, scenario(number, strategy, fault)).unwrap();
    let output = folder.join(format!("{number}.json"));
    let binary = std::env::var_os("ONLYONE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_onlyone").into());
    let mut command = Command::new(binary);
    command.arg("run").arg(&file).arg("--out").arg(folder).args(["--run-id", &format!("run-{number}")]);
    command.args(["--seed", &number.to_string(), "--quiet", "--ci", "none", "--format", "json"]);
    command.env_remove("ONLYONE_MONGO_URI").stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = command.stdout(std::fs::File::create(&output).unwrap()).spawn().unwrap();
    let history = folder.join(format!("run-{number}")).join("history.jsonl");
    let begun = Instant::now();
    let (mut recorded, mut since) = (0, begun);
    while child.try_wait().unwrap().is_none() {
        let length = std::fs::metadata(&history).map_or(0, |history| history.len());
        if length != recorded {
            (recorded, since) = (length, Instant::now());
        }
        if since.elapsed() > HUNG_AFTER || begun.elapsed() > ENDLESS_AFTER {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let report = serde_json::from_slice(&std::fs::read(&output).unwrap()).unwrap_or_default();
    // What a run of many leaves behind is large, and of no use once it is counted.
    if std::env::var_os("ONLYONE_KEEP").is_none() {
        std::fs::remove_dir_all(folder.join(format!("run-{number}"))).ok();
    }
    Some(report)
}

fn count(
    tally: &mut Tally,
    (number, strategy, fault): (usize, &(&str, &str, bool, bool), &str),
    report: Option<&Value>,
) {
    let (workload, name, index, correct) = strategy;
    tally.runs += 1;
    let told = |what: &str, report: &Value| {
        let results = report["invariants"].as_array().into_iter().flatten();
        let wrong = results.filter(|result| result["verdict"] != "holds").map(|result| {
            let text = result["witnesses"][0]["explanation"].as_str().unwrap_or_default();
            format!("{}: {} {text}", result["name"], result["reason"])
        });
        let wrong = wrong.collect::<Vec<_>>().join("; ");
        println!("{what}: run {number}, {fault}, {workload} {name} (index {index}): {} {wrong}", report["reasons"]);
    };
    let Some(report) = report else {
        tally.hung += 1;
        return told("hung", &Value::Null);
    };
    tally.struck += usize::from(report["faults"].as_array().is_some_and(|faults| !faults.is_empty()));
    match (report["verdict"].as_str(), correct) {
        (Some("holds"), true) => tally.holds += 1,
        (Some("violated"), false) => tally.violated += 1,
        (Some("holds"), false) => {
            tally.holds += 1;
            tally.false_holds += 1;
            told("false holds", report);
        }
        (Some("violated"), true) if relies_on_clocks(name, fault) => {
            tally.violated += 1;
            told("violated by its clock", report);
        }
        (Some("violated"), true) => {
            tally.violated += 1;
            tally.false_violated += 1;
            told("false violated", report);
        }
        (None, _) => {
            tally.broken += 1;
            told("no report", report);
        }
        _ => {
            tally.inconclusive += 1;
            told("inconclusive", report);
        }
    }
}

fn print(tallies: &BTreeMap<&str, Tally>) {
    println!(
        "\n{:<36} {:>5} {:>7} {:>6} {:>9} {:>13} {:>14} {:>11} {:>5}",
        "fault", "runs", "struck", "holds", "violated", "inconclusive", "false violated", "false holds", "hung"
    );
    let mut all = Tally::default();
    for (fault, one) in tallies {
        println!(
            "{fault:<36} {:>5} {:>7} {:>6} {:>9} {:>13} {:>14} {:>11} {:>5}",
            one.runs,
            one.struck,
            one.holds,
            one.violated,
            one.inconclusive,
            one.false_violated,
            one.false_holds,
            one.hung
        );
        all.runs += one.runs;
        all.struck += one.struck;
        all.inconclusive += one.inconclusive;
        all.false_violated += one.false_violated;
        all.false_holds += one.false_holds;
        all.hung += one.hung;
        all.broken += one.broken;
    }
    println!(
        "runs={} struck={} inconclusive={} false_violated={} false_holds={} hung={} broken={}",
        all.runs, all.struck, all.inconclusive, all.false_violated, all.false_holds, all.hung, all.broken
    );
}
