//! The HTTP target beside other generators, and its two releases beside each other.
//!
//! Release: bursts of 100 requests at a server in this process, which notes when it has read each request to its end; the
//! spread of a burst is the time from the first to the last. Throughput: `GET /health` of `onlyone serve`, by the harness
//! with its full history on disk, by oha and by wrk, in turn, with the same number of connections; a ratio is the median of
//! those of the turns. A generator that is not installed is named with what installs it, its ratio is `none`, and the
//! benchmark fails. `-- release` or `-- throughput` measures that alone.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]
#![allow(clippy::cast_precision_loss, clippy::panic, reason = "a benchmark")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use onlyone::driver::{self, Plan, Progress, Run};
use onlyone::history::file::{Header, HistoryWriter};
use onlyone::scenario::{self, Load, ObserveSpec, Scenario};
use onlyone::target::http::{HttpRun, HttpTarget};
use onlyone::target::{Guard, Target};
use onlyone::{strategy, workload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
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
        mongo: None,
        own_service: false,
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

/// When the requests of each key had been read to their end.
type Arrivals = Arc<Mutex<BTreeMap<String, Vec<Instant>>>>;

/// A bare server on a thread of its own. It notes when a request has been read to its end, and answers a burst when all
/// of it is there: what the answers cost is not part of the spread.
fn noting_server() -> (String, Arrivals) {
    let arrivals = Arrivals::default();
    let (sender, receiver) = std::sync::mpsc::channel();
    let noted = Arc::clone(&arrivals);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            let complete = Arc::new(Notify::new());
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(connection(stream, Arc::clone(&noted), Arc::clone(&complete)));
            }
        });
    });
    (receiver.recv().unwrap(), arrivals)
}

/// One request of a connection, as far as it has been read.
#[derive(Default)]
struct Reading {
    bytes: Vec<u8>,
    /// Its key and its length, once its head is there.
    head: Option<(Option<String>, usize)>,
}

impl Reading {
    fn take_in(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.head.is_none()
            && let Some(end) = self.bytes.windows(4).position(|window| window == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let key = head.split_once("?key=").and_then(|(_, rest)| rest.split(' ').next()).map(str::to_owned);
            self.head = Some((key, end + 4 + length.map_or(0, |length| length.parse::<usize>().unwrap())));
        }
    }

    fn is_whole(&self) -> bool {
        self.head.as_ref().is_some_and(|(_, whole)| self.bytes.len() >= *whole)
    }
}

/// The head is looked into when it comes, so that all that is left for the last byte is to note when it was read.
async fn connection(mut stream: TcpStream, arrivals: Arrivals, complete: Arc<Notify>) {
    stream.set_nodelay(true).unwrap();
    let (mut reading, mut chunk) = (Reading::default(), [0_u8; 4096]);
    loop {
        let Ok(read @ 1..) = stream.read(&mut chunk).await else { return };
        let at = Instant::now();
        reading.take_in(&chunk[..read]);
        if !reading.is_whole() {
            continue;
        }
        if let (Some(key), _) = std::mem::take(&mut reading).head.unwrap() {
            let waiting = complete.notified();
            tokio::pin!(waiting);
            waiting.as_mut().enable();
            let count = {
                let mut arrivals = arrivals.lock().unwrap();
                let times = arrivals.entry(key).or_default();
                times.push(at);
                times.len()
            };
            if count == BURST { complete.notify_waiters() } else { waiting.await }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Spreads of the bursts of a turn in microseconds, as the server saw them.
async fn spreads(url: &str, arrivals: &Arrivals, release: &str) -> Vec<f64> {
    arrivals.lock().unwrap().clear();
    let operation = "path = \"/note?key={{ key }}\"\njson = { who = \"{{ client.user }}\", op = \"{{ op.id }}\" }";
    let load = format!("[load.burst]\nclients = {BURST}\nrounds = {ROUNDS}");
    let mut scenario = scenario(url, operation, &load);
    if let scenario::TargetSpec::Http(http) = &mut scenario.target {
        http.release = if release == "task" { scenario::Release::Task } else { scenario::Release::LastByte };
    }
    carry_out(&scenario).await;
    let arrivals = arrivals.lock().unwrap();
    assert_eq!(arrivals.len(), ROUNDS);
    let spreads = arrivals.values().map(|times| {
        assert_eq!(times.len(), BURST);
        let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        last.duration_since(*first).as_secs_f64() * 1e6
    });
    spreads.collect()
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
    let (url, arrivals) = noting_server();
    let (mut tasks, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..RELEASE_TURNS {
        tasks.extend(spreads(&url, &arrivals, "task").await);
        bytes.extend(spreads(&url, &arrivals, "last-byte").await);
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
