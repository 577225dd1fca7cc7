//! What the tests of services share: the command on a scenario, a server for several runs, the packages of the services.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "each test uses some of it")]

#[path = "../practice/mod.rs"]
pub mod practice;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// What the command is: another build of it can be named, to see what that says.
pub fn binary() -> PathBuf {
    std::env::var_os("ONLYONE_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_onlyone").into(), PathBuf::from)
}

/// The folder of the project.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A server or a service that says in its first line where it is; it dies with this value.
pub struct Running {
    pub child: Child,
    pub url: String,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(arguments).env_remove("ONLYONE_MONGO_URI").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let found = line.split_whitespace().find(|word| word.contains("://"));
        Running { child, url: found.unwrap_or_else(|| panic!("{line:?}")).to_owned() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A server for several runs; it dies with this value.
pub struct Server {
    _running: Running,
    pub uri: String,
}

impl Server {
    /// A replica set of one, which has transactions and change streams.
    pub fn start() -> Self {
        let running = Running::start(&["mongod", "--replica-set", "1"]);
        assert!(running.url.starts_with("mongodb://127.0.0.1:"), "{:?}", running.url);
        Server { uri: running.url.clone(), _running: running }
    }
}

/// The command on a stranger's machine, in this folder.
pub fn onlyone(folder: &Path, arguments: &[&str]) -> Output {
    command(arguments).current_dir(folder).env_remove("DATABASE_URL").output().unwrap()
}

/// The reference service as a stranger's: a command that listens where it is told, and keeps its data where it is told.
pub fn reference_service(options: &str) -> String {
    let binary = binary().display().to_string();
    format!("exec {binary} serve --quiet --port $PORT --mongo $MONGODB_URI --database onlyone_app {options}")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The report that the output is.
#[track_caller]
pub fn report(output: &Output) -> Value {
    Ended::of(output).report().1
}

/// The command, in the project's folder, without a server from the environment.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(project()).env_remove("ONLYONE_MONGO_URI").stdin(Stdio::null());
    command
}

/// `onlyone run` of a scenario, whose reports go below this folder.
pub fn run_below(folder: &Path, scenario: &Path, flags: &[&str]) -> Output {
    let mut command = command(&["run", "--quiet", "--format", "json", "--out"]);
    command.arg(folder.join("reports")).arg(scenario).args(flags).output().unwrap()
}

/// What a run of a scenario ends with.
pub struct Ended {
    pub code: Option<i32>,
    /// `report.json`; null where there is none.
    pub report: Value,
    pub errors: String,
}

impl Ended {
    pub fn of(output: &Output) -> Self {
        let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Ended { code: output.status.code(), report, errors: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    /// The report, which must be there.
    #[track_caller]
    pub fn report(self) -> (Option<i32>, Value) {
        assert!(self.report.is_object(), "no report: {}", self.errors);
        (self.code, self.report)
    }

    pub fn verdict(&self) -> &str {
        self.report["verdict"].as_str().unwrap_or("none")
    }

    /// Why it ended so, on one line.
    pub fn why(&self) -> String {
        let invariants = self.report["invariants"].as_array().into_iter().flatten();
        let wrong = invariants.filter(|result| result["verdict"] != "holds");
        let wrong: Vec<String> = wrong
            .map(|result| format!("{}: {} {}", result["name"], result["reason"], result["witnesses"][0]["explanation"]))
            .collect();
        let why = format!("{} {} {}", self.report["reasons"], wrong.join("; "), self.errors.trim());
        let line = why.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().take(700).collect()
    }
}

/// `onlyone run` of a scenario.
pub fn run(scenario: &Path, more: &[&str], environment: &[(&str, &str)]) -> Ended {
    carried_out("run", scenario, more, environment)
}

/// `onlyone run` or `explore` of a scenario, to its report.
pub fn carried_out(what: &str, scenario: &Path, more: &[&str], environment: &[(&str, &str)]) -> Ended {
    let out = tempfile::tempdir().unwrap();
    let mut command = command(&[what, "--quiet", "--format", "json", "--out"]);
    command.arg(out.path()).arg(scenario);
    if !more.contains(&"--seed") {
        command.args(["--seed", "1"]);
    }
    Ended::of(&command.args(more).envs(environment.iter().copied()).output().unwrap())
}

/// Names of the invariants that are violated.
pub fn violated(report: &Value) -> Vec<&str> {
    let results = report["invariants"].as_array().unwrap().iter();
    results.filter(|result| result["verdict"] == "violated").map(|result| result["name"].as_str().unwrap()).collect()
}

/// Carries out several pieces of work at once, as runs wait more than they compute, and gives what came of each in their order.
///
/// `ONLYONE_AT_ONCE` says how many; by default twice as many as there are processors.
pub fn at_once<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let asked = std::env::var("ONLYONE_AT_ONCE").ok().map(|text| text.parse().unwrap());
    let workers: usize =
        asked.unwrap_or_else(|| 2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    // None at all would leave everything undone, and every test content.
    let workers = workers.clamp(1, items.len().max(1));
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(take)).collect();
        running
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    assert_eq!(done.len(), items.len(), "pieces of work that were done");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The result of an invariant.
pub fn result<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["invariants"].as_array().unwrap().iter().find(|result| result["name"] == name).unwrap()
}

/// Where the packages of the services in Node.js are: Express, Mongoose, and MongoDB's driver, which comes with it.
pub fn node_path() -> PathBuf {
    practice::node_packages("express", project().join("tests/services/express/package.json").to_str().unwrap())
}

/// The search path for programs, with Node.js on it.
pub fn path_with_node() -> std::ffi::OsString {
    practice::path_with_node()
}

/// Where the packages of the services in Python are.
pub fn python_path() -> PathBuf {
    practice::python_packages("python", &["pymongo"], "pymongo")
}
