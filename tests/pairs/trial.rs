//! One pair of requests, explored: [`explored`].

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::practice;

pub const ONLYONE: &str = env!("CARGO_BIN_EXE_onlyone");

/// The packages of Express services.
pub fn node_path() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| practice::node_packages("express", "tests/services/express/package.json"))
}

/// The packages of FastAPI services.
pub fn python_path() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    let packages = ["pymongo", "fastapi", "uvicorn"];
    INSTALLED.get_or_init(|| practice::python_packages("fastapi", &packages, "uvicorn"))
}

/// What a service is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ecosystem {
    /// Node's own HTTP server and MongoDB's driver.
    Node,
    /// Express and Mongoose.
    Express,
    /// FastAPI and MongoDB's asynchronous driver.
    FastApi,
    /// axum and MongoDB's driver for Rust.
    Axum,
}

/// Two requests: of one route, or of two.
#[derive(Debug)]
pub struct Pair {
    pub ecosystem: Ecosystem,
    pub class: &'static str,
    pub routes: &'static [&'static str],
}

impl Pair {
    /// `FastApi send+read`.
    pub fn name(&self) -> String {
        format!("{:?} {}", self.ecosystem, self.routes.join("+"))
    }
}

/// What came of an exploration.
pub struct Explored {
    pub verdict: String,
    /// How many interleavings are of which class.
    pub classes: String,
    /// The first schedule that violates.
    pub first: String,
    /// The report's own words, for a test that fails.
    pub why: String,
    pub report: Value,
}

/// A server for all explorations.
pub struct Server {
    uri: String,
    child: Child,
}

impl Server {
    pub fn start() -> Self {
        let mut command = Command::new(ONLYONE);
        command.args(["mongod", "--replica-set", "1", "--test-commands"]).env_remove("ONLYONE_MONGO_URI");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut uri = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut uri).unwrap();
        Server { uri: uri.trim().to_owned(), child }
    }
}

impl Server {
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The scenario of a pair, or of any routes of a service.
pub fn scenario(ecosystem: Ecosystem, routes: &[&str], mode: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let services = root.join("tests/services/pairs").display().to_string();
    let own = std::env::current_exe().unwrap().display().to_string();
    let command = match ecosystem {
        Ecosystem::Node => format!("[\"node\", \"{services}/app.js\"]"),
        Ecosystem::Express => format!("[\"node\", \"{services}/express.js\"]"),
        Ecosystem::FastApi => format!(
            "[\"python3\", \"-m\", \"uvicorn\", \"app:app\", \"--app-dir\", \"{services}\", \"--port\", \
             \"{{{{ service.port }}}}\", \"--log-level\", \"warning\"]"
        ),
        Ecosystem::Axum => format!("[\"{own}\", \"--ignored\", \"--exact\", \"the_service\"]"),
    };
    let (node, python) = (node_path().display(), python_path().display());
    let operation = |route: &&str| {
        let before = if ecosystem == Ecosystem::Node { "" } else { "before = { path = \"/prepare/{{ key }}\" }\n" };
        format!("[target.http.operations.{route}]\nmethod = \"POST\"\npath = \"/{route}/{{{{ key }}}}\"\n{before}")
    };
    let operations: String = routes.iter().map(operation).collect();
    let names = routes.join(" ");
    format!(
        "name = \"{}\"\nworkload = \"custom\"\n[target.http]\n{operations}[explore]\noperations = {routes:?}\nrequests = 2\n\
         [service]\ncommand = {command}\nready = \"/health\"\n\
         env = {{ PORT = \"{{{{ service.port }}}}\", MONGO_URL = \"{{{{ mongo.uri }}}}\", MODE = \"{mode}\", ROUTES = \"{names}\", PYTHONDONTWRITEBYTECODE = \"1\", NODE_PATH = \
         \"{node}\", PYTHONPATH = \"{python}\" }}\n[load.burst]\nclients = [2]\nrounds = 5\n",
        routes.join(" against ")
    )
}

/// Explores a pair, judged as if serial and by nothing else.
pub fn explored(server: &Server, pair: &Pair, mode: &str) -> Explored {
    explored_routes(server, pair.ecosystem, pair.routes, mode)
}

/// The same for any routes of a service.
pub fn explored_routes(server: &Server, ecosystem: Ecosystem, routes: &[&str], mode: &str) -> Explored {
    judged(server, &["explore", "--judge", "as-if-serial"], &scenario(ecosystem, routes, mode))
}

/// Runs a command on a scenario.
pub fn judged(server: &Server, command: &[&str], scenario: &str) -> Explored {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pair.toml");
    std::fs::write(&file, scenario).unwrap();
    let output = Command::new(ONLYONE)
        .args(command)
        .args(["--format", "json", "--quiet", "--seed", "1", "--out"])
        .arg(folder.path().join("reports"))
        .args(["--mongo", &server.uri])
        .arg(&file)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    let serial = &report["as_if_serial"];
    Explored {
        verdict: report["verdict"].as_str().unwrap_or_default().to_owned(),
        classes: classes(&report),
        first: first(&report),
        why: format!("{} {} {}", report["reasons"], serial["inconclusive"], serial["in_words"]),
        report,
    }
}

/// The first schedule that violates, or the first attempt at releasing together.
pub fn first(report: &Value) -> String {
    let explore = &report["explore"];
    match (explore["first_violation_at"].as_u64(), explore["together"]["first_at"].as_u64()) {
        (Some(at), _) => at.to_string(),
        (None, Some(at)) => format!("together {at}"),
        (None, None) => String::new(),
    }
}

/// How many interleavings are of which class.
pub fn classes(report: &Value) -> String {
    let all = report["as_if_serial"]["classes"].as_object();
    let some = all.into_iter().flatten().filter(|(_, count)| count.as_u64() > Some(0));
    some.map(|(class, count)| format!("{class} {count}")).collect::<Vec<_>>().join(", ")
}
