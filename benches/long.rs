//! A long run: what it takes in memory and on the disk, and how fast it is judged.
//!
//! `cargo bench --bench long -- 100000000` carries out so many operations on the store in memory, in a process of its own, and
//! judges them in another one; without a number there are 3 million. `--memory 512MB` is what the scenario allows, `--keys N` how many
//! keys there are, `--clients N` how many clients; `--kills N` is how often a shorter run is killed at a random moment, and then judged.
//! The last line is `operations=… resident_mb=… disk_bytes_per_op=… run_s=… check_s=… check_resident_mb=… kills_judged=…`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use onlyone::Verdict;
use onlyone::driver::{self, Plan, Progress, Run};
use onlyone::history::file::{Header, HistoryWriter};
use onlyone::scenario::{self, Scenario};
use onlyone::target::Target;
use onlyone::target::memory::{Lie, MemoryTarget};
use onlyone::{strategy, workload};
use rand::RngExt;
use serde_json::json;
use tokio_util::sync::CancellationToken;

const RUN_ID: &str = "long";

/// What is measured.
#[derive(Clone)]
struct Options {
    operations: u64,
    keys: u32,
    clients: u32,
    memory: String,
    kills: u32,
    /// What a child is to do, and where.
    child: Option<(String, PathBuf)>,
}

fn main() -> anyhow::Result<()> {
    let options = options()?;
    match &options.child {
        Some((what, folder)) if what == "--run" => run(&options, folder),
        Some((_, folder)) => check(folder),
        None => measure(&options),
    }
}

fn options() -> anyhow::Result<Options> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let mut options = Options {
        operations: if is_bench { 3_000_000 } else { 300_000 },
        keys: 10_000,
        clients: 64,
        memory: if is_bench { "512MB" } else { "60MB" }.to_owned(),
        kills: if is_bench { 3 } else { 1 },
        child: None,
    };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--bench" => {}
            "--memory" => options.memory = value()?,
            "--keys" => options.keys = value()?.parse()?,
            "--clients" => options.clients = value()?.parse()?,
            "--kills" => options.kills = value()?.parse()?,
            "--run" | "--check" => options.child = Some((argument.clone(), value()?.into())),
            number if !number.starts_with('-') => options.operations = number.replace('_', "").parse()?,
            other => bail!("{other} is not known"),
        }
    }
    Ok(options)
}

fn scenario(options: &Options) -> Scenario {
    let Options { operations, keys, clients, memory, .. } = options;
    let text = format!(
        "name = \"long\"\nworkload = \"create-or-get\"\n\
         [target.mongo]\nstrategy = \"upsert-retry\"\ndatabase = \"onlyone_long\"\n\
         [load.closed]\nclients = {clients}\nduration = \"24h\"\noperations = {operations}\n\
         keys = {{ uniform = {{ count = {keys} }} }}\n[limits]\nmemory = \"{memory}\"\n"
    );
    scenario::load_text(Path::new("long.toml"), text, &[], &|_| None, &strategy::names).unwrap()
}

/// Carries out the run, and leaves its folder.
fn run(options: &Options, folder: &Path) -> anyhow::Result<()> {
    let scenario = scenario(options);
    std::fs::create_dir_all(folder)?;
    let record = json!({
        "format_version": 1, "tool": "onlyone", "version": env!("CARGO_PKG_VERSION"), "run_id": RUN_ID, "seed": 7,
        "started_at": "2026-01-31T12:00:00Z", "target": "memory", "reproduce": "cargo bench --bench long",
        "scenario_file": "long.toml", "scenario": scenario::resolved_toml(&scenario)?,
        "preflight": onlyone::target::Preflight::default(), "generator": onlyone::stats::Generator::default(),
    });
    std::fs::write(folder.join("run.json"), serde_json::to_vec(&record)?)?;
    let writer = HistoryWriter::create(&folder.join("history.jsonl"), &Header::new(RUN_ID))?;
    let target = MemoryTarget::new(Lie::Honest);
    let run = Run {
        plan: Plan::new(&scenario, RUN_ID, 7),
        workload: workload::of_kind(scenario.workload, RUN_ID),
        target: Arc::new(target.clone()),
        writer: Some(writer),
        stop: CancellationToken::new(),
        progress: Arc::new(Progress::default()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (recorded, _) = runtime.block_on(driver::run(run))?;
    ensure!(recorded.write_error.is_none(), "the history was not written: {:?}", recorded.write_error);
    let observation = runtime.block_on(target.observe())?;
    let observed = json!({ "format_version": 1, "observation": observation });
    std::fs::write(folder.join("observation.json"), serde_json::to_vec(&observed)?)?;
    println!("{} {}", recorded.carried_out, peak_resident()?);
    Ok(())
}

/// Judges the run in a folder, by what `onlyone check` does.
fn check(folder: &Path) -> anyhow::Result<()> {
    let report = onlyone::check(folder)?;
    println!("{} {} {}", report.verdict(), peak_resident()?, report.reasons().join("; "));
    Ok(())
}

/// The most memory that this process had, in bytes.
fn peak_resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel does not tell")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

fn child(options: &Options, what: &str, folder: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([what, &folder.display().to_string(), &options.operations.to_string()]);
    command.args(["--memory", &options.memory, "--keys", &options.keys.to_string()]);
    command.args(["--clients", &options.clients.to_string()]);
    Ok(command)
}

/// What a child printed, and how long it took.
fn told(mut command: Command) -> anyhow::Result<(String, Duration)> {
    let begun = Instant::now();
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    Ok((String::from_utf8(output.stdout)?.trim().to_owned(), begun.elapsed()))
}

fn measure(options: &Options) -> anyhow::Result<()> {
    let root = tempfile::tempdir()?;
    let folder = root.path().join(RUN_ID);
    let (ran, run_time) = told(child(options, "--run", &folder)?)?;
    let (operations, resident) = ran.split_once(' ').context("the run told nothing")?;
    let (operations, resident): (u64, u64) = (operations.parse()?, resident.parse()?);
    let bytes = size(&folder)?;
    let per_operation = bytes as f64 / operations as f64;
    println!(
        "run: {operations} operations in {:.1} s ({:.0} per s), {} MB resident at most, {bytes} bytes on the disk: {per_operation:.1} each",
        run_time.as_secs_f64(),
        operations as f64 / run_time.as_secs_f64(),
        resident / 1_000_000
    );
    let (judged, check_time) = told(child(options, "--check", &folder)?)?;
    let (verdict, rest) = judged.split_once(' ').context("the check told nothing")?;
    let (check_resident, reasons) = rest.split_once(' ').unwrap_or((rest, ""));
    let check_resident: u64 = check_resident.parse()?;
    println!(
        "check: {verdict} in {:.1} s ({:.0} per s), {} MB resident at most {reasons}",
        check_time.as_secs_f64(),
        operations as f64 / check_time.as_secs_f64(),
        check_resident / 1_000_000
    );
    ensure!(verdict == Verdict::Holds.to_string(), "the store is honest: {verdict} {reasons}");
    ensure!(size(&folder)? == bytes, "the check left something behind");
    let judged = kill(options, root.path(), run_time)?;
    println!(
        "operations={operations} resident_mb={:.0} disk_bytes_per_op={per_operation:.1} run_s={:.1} check_s={:.1} \
         check_resident_mb={:.0} kills_judged={judged}",
        resident as f64 / 1e6,
        run_time.as_secs_f64(),
        check_time.as_secs_f64(),
        check_resident as f64 / 1e6
    );
    Ok(())
}

/// Kills shorter runs at random moments, and judges what each has left; how many could be.
fn kill(options: &Options, root: &Path, whole: Duration) -> anyhow::Result<u32> {
    // Ten million take their time, of which a part is enough.
    let options = &Options { operations: options.operations.min(10_000_000), ..options.clone() };
    let longest = whole.min(Duration::from_secs(20));
    for kill in 0..options.kills {
        let folder = root.join(format!("killed-{kill}"));
        let mut running = child(options, "--run", &folder)?.stdout(Stdio::null()).spawn()?;
        let after = longest.mul_f64(rand::rng().random_range(0.1..0.9));
        std::thread::sleep(after);
        running.kill()?;
        running.wait()?;
        let (judged, _) = told(child(options, "--check", &folder)?)?;
        println!("killed after {:.1} s: {judged}", after.as_secs_f64());
        ensure!(!judged.starts_with("violated"), "the store is honest");
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(options.kills)
}

fn size(folder: &Path) -> anyhow::Result<u64> {
    std::fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}
