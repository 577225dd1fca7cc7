//! Every strategy of the reference service, explored twice over HTTP: judged as if serial and by nothing else, and by the
//! workload's checkers and nothing else. It prints the table of `docs/as-if-serial.md`.

use std::process::Command;

use onlyone::scenario::WorkloadKind;
use onlyone::strategy::{Description, descriptions};
use serde_json::Value;

use super::trial::{ONLYONE, Server, classes, first};

/// What meets, and the shipped scenario of it. That of threads has nothing to expand.
const SUBJECTS: [(WorkloadKind, &str, &[&str]); 4] = [
    (WorkloadKind::CreateOrGet, "create-or-get", &["create-or-get", "create-or-get"]),
    (WorkloadKind::Append, "append", &["append", "append"]),
    (WorkloadKind::Merge, "merge", &["deliver", "deliver"]),
    (WorkloadKind::Thread, "thread", &["start-conversation", "start-conversation"]),
];

/// What one of the two said.
struct Said {
    verdict: String,
    first: String,
    classes: String,
    seconds: f64,
    /// Wrong when the same operations come one after another, too.
    serially: bool,
    why: String,
}

fn said(server: &Server, (_, workload, operations): (WorkloadKind, &str, &[&str]), how: [&str; 3]) -> Said {
    let [judge, strategy, index] = how;
    let out = tempfile::tempdir().unwrap();
    let mut command: Vec<String> =
        ["{{ onlyone }}", "serve", "--quiet", "--port", "{{ service.port }}"].map(str::to_owned).into();
    command.extend(["--database", "{{ mongo.database }}", "--strategy"].map(str::to_owned));
    command.push(format!("{workload}={strategy}"));
    command.extend((index == "no").then(|| "--no-unique-index".to_owned()));
    let sets = [
        format!("service.command={command:?}"),
        format!("explore.operations={operations:?}"),
        "service.instances=1".to_owned(),
        "expect={}".to_owned(),
    ];
    let output = Command::new(ONLYONE)
        .args(["explore", "--judge", judge, "--format", "json", "--quiet", "--seed", "1", "--max-time", "30s"])
        .args(["--requests", "2", "--mongo", server.uri(), "--out"])
        .arg(out.path())
        .args(sets.iter().flat_map(|set| ["--set", set.as_str()]))
        .arg(format!("scenarios/http-{workload}.toml"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    Said {
        verdict: report["verdict"].as_str().unwrap_or_default().to_owned(),
        first: first(&report),
        classes: classes(&report),
        seconds: report["duration_s"].as_f64().unwrap_or_default(),
        serially: report["serial_control"]["verdict"] == "violated",
        why: format!("{} {}", report["reasons"], report["as_if_serial"]["in_words"]),
    }
}

#[test]
#[ignore = "takes many minutes"]
fn every_strategy_of_the_reference_service() {
    let server = Server::start();
    let mut wrong = Vec::new();
    let only = std::env::var("ONLY").unwrap_or_default();
    println!("| operations | strategy | index | as if serial | first | s | the checkers | first | s |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for subject in SUBJECTS.into_iter().filter(|(_, workload, _)| workload.contains(&only)) {
        for Description { name, bug, .. } in descriptions(subject.0) {
            for index in ["yes", "no"] {
                let [serial, checkers] =
                    ["as-if-serial", "checkers"].map(|judge| said(&server, subject, [judge, name, index]));
                let also = if checkers.serially { ", serially, too" } else { "" };
                println!(
                    "| {} | `{name}` | {index} | {}: {} | {} | {:.1} | {}{also} | {} | {:.1} |",
                    subject.2.join(", "),
                    serial.verdict,
                    serial.classes,
                    serial.first,
                    serial.seconds,
                    checkers.verdict,
                    checkers.first,
                    checkers.seconds
                );
                let missed = checkers.verdict == "violated" && !checkers.serially && serial.verdict != "violated";
                // The checkers of HTTP do not see every bug that is planted.
                let accused = bug.is_none() && checkers.verdict == "holds" && serial.verdict == "violated";
                if missed || accused {
                    let what = if missed { "missed" } else { "accused" };
                    wrong.push(format!(
                        "{what}: {:?} {name} index {index}: {} {}",
                        subject.2, serial.verdict, serial.why
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
