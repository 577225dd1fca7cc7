//! What the reports of a long run cost: its figures are made up, the program that writes them is the real one.
//!
//! Makes the folder of a run of N operations, has `onlyone report` write its reports again, and prints the time, the
//! memory and the sizes. `cargo bench --bench reports -- --operations N`; 5,000,000 when not given.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use nix::sys::resource::{UsageWho, getrusage};
use onlyone::history::{Action, Id, OpId, Operation, Outcome, Phase, Returned, Value};
use onlyone::report::{FORMAT_VERSION, Report, from_json, write_all};
use onlyone::stats::{Clock, LatencyStats};

/// The n-th of operations that take from 0.4 to 40 ms and end 25 µs apart.
fn operation(n: u64) -> Operation {
    let invoked = n * 25_000;
    let spread = n.wrapping_mul(6_364_136_223_846_793_005) >> 44;
    let answer = Returned { id: Some(Id::parse("x")), created: Some(n.is_multiple_of(100)), ..Returned::default() };
    Operation {
        id: OpId(n),
        client: u32::try_from(n % 150).unwrap(),
        round: 0,
        phase: Phase::Main,
        key: "a_b".into(),
        action: Action::CreateOrGet { reversed: false },
        intended: invoked,
        invoked,
        connected: None,
        completed: invoked + 400_000 + spread * spread / 30_000,
        attempts: 1,
        outcome: Outcome::Ok(Value::Document(answer)),
        late: None,
    }
}

fn report(stats: &LatencyStats) -> Report {
    let bare = serde_json::json!({
        "format_version": FORMAT_VERSION, "tool": "onlyone", "version": "0", "run_id": "long", "scenario": "long",
        "seed": 1, "verdict": "holds", "exit_code": 0, "partial": false, "reproduce": "onlyone run long.toml",
        "invariants": [], "operations": {}, "throughput_per_s": stats.throughput_per_s(),
        "concurrency": {
            "clients": 150, "keys": 1000, "peak_in_flight": 150, "peak_in_flight_same_key": 9,
            "release_skew_us": { "p50": 0, "max": 0 }, "effective_trials": 1000
        },
        "duration_s": stats.duration_s(), "thresholds": [], "generator": { "cpu_s": 0.0, "max_rss_bytes": 0 },
        "preflight": onlyone::target::Preflight::default(),
    });
    let report = from_json(bare.to_string().as_bytes()).unwrap();
    Report { operations: stats.operations(), over_time: stats.timeline().figures(), ..report }
}

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--operations").skip(1);
    let operations: u64 = arguments.next().map_or(5_000_000, |count| count.parse().unwrap());
    let mut stats = LatencyStats::new(Clock::Service).unwrap();
    (0..operations).for_each(|n| stats.record(&operation(n)));
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path(), &report(&stats), Some((&stats, SystemTime::now()))).unwrap();
    let started = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    let status = command.arg("report").arg(folder.path()).stdout(Stdio::null()).status().unwrap();
    let seconds = started.elapsed().as_secs_f64();
    assert!(status.success(), "{status}");
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() / 1024;
    println!("{operations} operations: {seconds:.2} s, {peak} MiB");
    for file in ["report.json", "report.html", "junit.xml", "summary.md", "latency.hlog", "latency.hgrm"] {
        println!("  {file}: {} bytes", std::fs::metadata(folder.path().join(file)).unwrap().len());
    }
}
