//! The HTTP target beside other generators, and its two releases beside each other.
//!
//! Release: bursts of 100 requests at a server in Python (`benches/noting.py`), which notes when each request was complete
//! at its socket; the spread of a burst is the time from the first to the last. Throughput: `GET /health` of `onlyone serve`, by the harness
//! with its full history on disk, by oha and by wrk, in turn, with the same number of connections; a ratio is the median of
//! those of the turns. A generator that is not installed is named with what installs it, its ratio is `none`, and the
//! benchmark fails. `-- release` or `-- throughput` measures that alone.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]
#![allow(clippy::cast_precision_loss, clippy::panic, reason = "a benchmark")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use onlyone::driver::{self, Plan, Progress, Run};
use onlyone::history::file::{Header, HistoryWriter};
use onlyone::scenario::{self, Load, ObserveSpec, Scenario};
use onlyone::target::http::{HttpRun, HttpTarget};
use onlyone::target::{Guard, Target};
use onlyone::{strategy, workload};
use tokio_util::sync::CancellationToken;

const BURST: usize = 100;
/// Short turns, so that both releases meet the machine in the same state.
const ROUNDS: usize = 10;
const RELEASE_TURNS: usize = 16;
const CONNECTIONS: usize = 64;
const SECONDS: u64 = 4;
const TURNS: usize = 5;
/// What installs the others.
const OHA: &str = "cargo install oha --locked --root target/tools";
const WRK: &str = "apt-get install wrk";

fn scenario(url: &str, operation: &str, load: &str) -> Scenario {
    let text = format!(
        "name = \"bench\"\nworkload = \"custom\"\n[target.http]\nbase_urls = [\"{url}\"]\n\
         [target.http.operations.one]\n{operation}\n{load}\n[limits]\nserial_control = 0\n"
    );
    scenario::load_text(Path::new("bench"), text, &[], &|_| None, &strategy::names)
        .unwrap_or_else(|error| panic!("{}", error.render(false)))
}

/// Carries a scenario out as `onlyone run` does; operations that succeeded, and how long it took.
async fn carry_out(scenario: &Scenario) -> (usize, Duration) {
    let spec = scenario.target.http().unwrap().clone();
    let run = HttpRun {
        workload: onlyone::scenario::WorkloadKind::CreateOrGet,
        run_id: Arc::from("bench"),
        folder: ".".into(),
        base_urls: spec.base_urls.clone(),
        warm_up: "/health".to_owned(),
        together: matches!(scenario.load, Load::Burst { .. }),
        observe: ObserveSpec::default(),
        numbers: Vec::new(),
        setup: Vec::new(),
        mongo: None,
        own_service: false,
        keeps_answers: false,
        notes: Vec::new(),
    };
    let target: Arc<dyn Target> = Arc::new(HttpTarget::new(spec, run, &Guard::default()).unwrap());
    target.prepare(scenario.load.clients()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let writer = HistoryWriter::create(&directory.path().join("history.jsonl"), &Header::new("bench")).unwrap();
    let run = Run {
        plan: Plan::new(scenario, "bench", 1),
        workload: workload::of_scenario(scenario, "bench"),
        target,
        writer: Some(writer),
        stop: CancellationToken::new(),
        progress: Arc::new(Progress::default()),
    };
    let started = Instant::now();
    let (recorded, _) = driver::run(run).await.unwrap();
    let took = started.elapsed();
    let operations = &recorded.history.operations;
    let ok = operations.iter().filter(|operation| operation.is_ok()).count();
    assert_eq!(ok, operations.len(), "{:?}", operations.iter().find(|operation| !operation.is_ok()));
    (ok, took)
}

/// A bare server in a process of its own, which notes when a request reached its socket, by the kernel's own clock, and
/// answers a burst when all of it is there: neither its reading nor its answers are part of the spread. It runs at the lowest
/// priority, so that it does not take a processor from the release that it measures.
struct Noting(Child, String);

impl Noting {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/noting.py");
        let mut child = Command::new("nice")
            .args(["-n", "19", "python3"])
            .arg(script)
            .arg(BURST.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let port = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        Noting(child, format!("http://127.0.0.1:{port}"))
    }

    /// Spreads of the bursts since the last question, in microseconds.
    fn spreads(&self) -> Vec<f64> {
        let mut stream = TcpStream::connect(self.1.trim_start_matches("http://")).unwrap();
        stream.write_all(b"GET /spreads HTTP/1.1\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Spreads of the bursts of a turn in microseconds, as the server saw them.
async fn spreads(server: &Noting, release: &str) -> Vec<f64> {
    let operation = "path = \"/note?key={{ key }}\"\njson = { who = \"{{ client.user }}\", op = \"{{ op.id }}\" }";
    let load = format!("[load.burst]\nclients = {BURST}\nrounds = {ROUNDS}");
    let mut scenario = scenario(&server.1, operation, &load);
    if let scenario::TargetSpec::Http(http) = &mut scenario.target {
        http.release = if release == "task" { scenario::Release::Task } else { scenario::Release::LastByte };
    }
    carry_out(&scenario).await;
    let spreads = server.spreads();
    assert_eq!(spreads.len(), ROUNDS);
    spreads
}

/// The reference service, ended with this value.
struct Serve(Child);

impl Serve {
    fn start() -> (Self, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_onlyone"))
            .args(["serve", "--quiet"])
            .env_remove("ONLYONE_MONGO_URI")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.find_map(|line| line.ok().filter(|line| line.starts_with("http://"))).unwrap();
        (Serve(child), url)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
        self.0.wait().ok();
    }
}

async fn ours(url: &str) -> f64 {
    let load = format!("[load.closed]\nclients = {CONNECTIONS}\nduration = \"{SECONDS}s\"");
    let (operations, took) = carry_out(&scenario(url, "method = \"GET\"\npath = \"/health\"", &load)).await;
    operations as f64 / took.as_secs_f64()
}

fn oha(url: &str) -> Option<f64> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/oha");
    let program = if own.exists() { own } else { "oha".into() };
    let (connections, seconds) = (CONNECTIONS.to_string(), format!("{SECONDS}s"));
    let arguments = ["--no-tui", "--output-format", "json", "-c", &connections, "-z", &seconds];
    let output = Command::new(program).args(arguments).arg(format!("{url}/health")).output().ok()?;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    json["summary"]["requestsPerSec"].as_f64()
}

fn wrk(url: &str) -> Option<f64> {
    let (connections, seconds) = (format!("-c{CONNECTIONS}"), format!("-d{SECONDS}s"));
    let output =
        Command::new("wrk").args(["-t2", &connections, &seconds]).arg(format!("{url}/health")).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:")?.trim().parse().ok())
}

/// The median of ours over theirs, turn by turn: what slows the machine down slows both of a turn down.
fn ratio(own: &[f64], theirs: &[f64], name: &str, install: &str) -> Option<f64> {
    if theirs.len() < own.len() {
        println!("{name} is not installed, or did not run: nothing to compare with. Install it: {install}");
        return None;
    }
    Some(median(own.iter().zip(theirs).map(|(own, theirs)| own / theirs).collect()))
}

fn shown(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "none".to_owned(), |ratio| format!("{ratio:.2}"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let only = std::env::args().nth(1).filter(|only| only == "release" || only == "throughput");
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let release = if wanted("release") { releases().await } else { String::new() };
    let (rates, compared) = if wanted("throughput") { throughput().await } else { (String::new(), true) };
    println!("{}", format!("{rates} {release}").trim());
    if compared { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The two releases in turn, in `name=value` pairs.
async fn releases() -> String {
    let server = Noting::start();
    let (mut tasks, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..RELEASE_TURNS {
        tasks.extend(spreads(&server, "task").await);
        bytes.extend(spreads(&server, "last-byte").await);
    }
    let bursts = tasks.len();
    let (task, last_byte) = (median(tasks), median(bytes));
    println!(
        "release of {BURST}, {bursts} bursts each: task {task:.0} us, last byte {last_byte:.0} us (median spread)"
    );
    let ratio = task / last_byte;
    format!("release_ratio={ratio:.1} task_spread_us={task:.0} last_byte_spread_us={last_byte:.0}")
}

/// The generators in turn, in `name=value` pairs, and whether there was all to compare with.
async fn throughput() -> (String, bool) {
    let (serve, url) = Serve::start();
    let (mut own, mut ohas, mut wrks) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 1..=TURNS {
        own.push(ours(&url).await);
        ohas.extend(oha(&url));
        wrks.extend(wrk(&url));
        let rate = |rates: &[f64]| rates.get(turn - 1).map_or("none".to_owned(), |rate| format!("{rate:.0}/s"));
        println!("throughput, turn {turn}: ours {}, oha {}, wrk {}", rate(&own), rate(&ohas), rate(&wrks));
    }
    drop(serve);
    let (oha, wrk) = (ratio(&own, &ohas, "oha", OHA), ratio(&own, &wrks, "wrk", WRK));
    let (oha_ratio, wrk_ratio, own) = (shown(oha), shown(wrk), median(own));
    let rates = format!("oha_ratio={oha_ratio} wrk_ratio={wrk_ratio} requests_per_s={own:.0}");
    (rates, oha.is_some() && wrk.is_some())
}
