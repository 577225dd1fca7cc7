//! Every shipped scenario that goes to MongoDB directly is run through the real binary: each must meet its own expectation.
//!
//! Those over HTTP need a service and are run by the tests of that target. Long ones are shortened with `--set`; what they
//! expect stays.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use onlyone::scenario::{self, FaultNeeds, Load, Scenario, TargetSpec};
use onlyone::strategy::names;
use onlyone::verdict::Verdict;

fn shipped() -> Vec<(PathBuf, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    // What `explore` makes certain would be a matter of luck here; the tests of that command run them.
    files.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("explore-")));
    files.sort();
    // Scenarios over HTTP may name variables of the user's environment.
    let environment = |_: &str| Some("x".to_owned());
    let read = |path: PathBuf| {
        let scenario = scenario::load(&path, &[], &environment, &names);
        scenario.ok().map(|scenario| (path, scenario))
    };
    files.into_iter().filter_map(read).filter(|(_, scenario)| matches!(scenario.target, TargetSpec::Mongo(_))).collect()
}

/// What makes it short. A race needs all its rounds: with fewer it would now and then not strike.
fn shortened(scenario: &Scenario) -> Vec<String> {
    match &scenario.load {
        Load::Burst { clients, rounds, .. } => {
            let violated = scenario.expect.verdict == Some(Verdict::Violated);
            let fewer = clients.iter().map(|clients| (*clients).min(40).to_string()).collect::<Vec<_>>().join(", ");
            let rounds = if violated { *rounds } else { (*rounds).min(30) };
            vec![format!("load.burst.rounds={rounds}"), format!("load.burst.clients=[{fewer}]")]
        }
        // A list of stages is as short as it was written.
        Load::Waves { .. } | Load::RampingClients { .. } | Load::RampingRate { .. } => Vec::new(),
        Load::Closed { .. } => vec!["load.closed.duration=1s".to_owned()],
        Load::Open { .. } => vec!["load.open.duration=1s".to_owned()],
    }
}

/// A server for all of them, stopped at the end.
struct Server {
    child: Child,
    uri: String,
}

impl Server {
    fn start() -> Self {
        use std::io::{BufRead, BufReader};
        let mut child = Command::new(env!("CARGO_BIN_EXE_onlyone"))
            .arg("mongod")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let uri = lines
            .find_map(|line| line.split_whitespace().find(|word| word.starts_with("mongodb://")).map(str::to_owned));
        Server { child, uri: uri.expect("the server prints its URI") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn run(path: &Path, scenario: &Scenario, server: &Server, out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    command.arg("run").arg(path).arg("--out").arg(out).args(["--quiet", "--ci", "none"]);
    // A server that others use is never struck.
    if !scenario.faults.iter().any(|fault| fault.kind.needs() == FaultNeeds::OwnServer) {
        command.args(["--mongo", &server.uri]);
    }
    for set in shortened(scenario) {
        command.args(["--set", &set]);
    }
    command.output().unwrap()
}

#[test]
fn every_direct_scenario_meets_its_expectation() {
    let scenarios = shipped();
    assert!(scenarios.len() >= 30, "only {} were read", scenarios.len());
    let (server, out) = (Server::start(), tempfile::tempdir().unwrap());
    let mut unmet = Vec::new();
    for (path, scenario) in &scenarios {
        let output = run(path, scenario, &server, out.path());
        let code = output.status.code();
        if code != Some(0) {
            let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            unmet.push(format!("--- {}: exit {code:?}\n{text}", path.display()));
        }
    }
    assert!(unmet.is_empty(), "{} not met:\n{}", unmet.len(), unmet.join("\n"));
}
