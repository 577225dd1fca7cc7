//! How fast the checkers judge: synthetic create-or-get histories of 1 and 10 million operations on one core.
//!
//! Each key is a correct burst of 150 callers. Counted is all that a judgement does with a history in memory, grouping
//! by key included; making the history is not. The last line is `ops_per_s=… ops_per_s_1m=…`.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use onlyone::checker::{Budget, Evidence, checker_of, guarded, judge};
use onlyone::history::{
    Action, History, Id, Observation, Observed, OpId, Operation, Outcome, Phase, Returned, Source, Value,
};
use onlyone::verdict::{Invariant, Verdict};

const BURST: u64 = 150;

const INVARIANTS: [Invariant; 7] = [
    Invariant::SingleDocument,
    Invariant::ZeroDuplicates,
    Invariant::SameId,
    Invariant::CreatedOnce,
    Invariant::CreateOrGetLinearizable,
    Invariant::NoLeakedErrors,
    Invariant::InsertFieldsIntact,
];

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` passes no `--bench`: one small history shows that the benchmark works.
    if !std::env::args().any(|argument| argument == "--bench") {
        measure(15_000)?;
        return Ok(());
    }
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().context("cannot pin the checkers to one thread")?;
    let small = measure(1_000_000)?;
    let large = measure(10_000_000)?;
    println!("ops_per_s={large:.0} ops_per_s_1m={small:.0}");
    Ok(())
}

/// Judges a history of so many operations; returns operations per second.
fn measure(operations: u64) -> anyhow::Result<f64> {
    let (history, observation) = synthetic(operations);
    println!("{operations} operations, {} documents", observation.documents.len());

    let start = Instant::now();
    let results = judge(&history, Some(&observation), Phase::Main, &INVARIANTS);
    let whole = start.elapsed();
    for result in &results {
        ensure!(result.verdict == Verdict::Holds, "{} must hold: {:?}", result.name, result.reason);
        ensure!(result.checked > 0, "{} checked nothing", result.name);
    }

    let start = Instant::now();
    let evidence = Evidence::of_phase(&history, Some(&observation), Phase::Main);
    line("grouping by key", start.elapsed());
    for invariant in &INVARIANTS {
        let checker = checker_of(invariant).with_context(|| format!("{invariant} has no checker"))?;
        let start = Instant::now();
        guarded(checker.as_ref(), &evidence, Budget::default());
        line(&invariant.to_string(), start.elapsed());
    }
    line("judge, all together", whole);
    Ok(operations as f64 / whole.as_secs_f64())
}

fn line(what: &str, took: Duration) {
    println!("  {what:<28} {:>9.1} ms", took.as_secs_f64() * 1000.0);
}

/// Correct bursts: the first caller of each key creates, all others are answered with its document.
fn synthetic(operations: u64) -> (History, Observation) {
    let mut history = History::default();
    history.operations.reserve_exact(usize::try_from(operations).unwrap_or_default());
    let mut documents = Vec::new();
    let mut key: Arc<str> = Arc::from("");
    for op in 0..operations {
        let (round, client) = (op / BURST, op % BURST);
        let creator = OpId(round * BURST);
        let mut id = [0; 12];
        id[4..].copy_from_slice(&round.to_be_bytes());
        if client == 0 {
            key = Arc::from(format!("user{:08}_user{:08}", 2 * round, 2 * round + 1));
            documents.push(Observed {
                id: Id::from(id),
                key: key.clone(),
                stored_key: Some(key.clone()),
                created_by: Some(creator),
                missing: Vec::new(),
                fields: serde_json::Value::Null,
            });
        }
        history.operations.push(operation(op, round, client, &key, Id::from(id), creator));
    }
    let observation = Observation { source: Source::Memory, quiescent: true, documents };
    (history, observation)
}

fn operation(op: u64, round: u64, client: u64, key: &Arc<str>, id: Id, creator: OpId) -> Operation {
    let intended = round * 10_000_000;
    let answer =
        Returned { id: Some(id), created: Some(client == 0), created_by: Some(creator), ..Returned::default() };
    Operation {
        id: OpId(op),
        client: u32::try_from(client).unwrap_or_default(),
        round: u32::try_from(round).unwrap_or_default(),
        phase: Phase::Main,
        key: key.clone(),
        action: Action::CreateOrGet { reversed: client % 2 == 1 },
        intended,
        invoked: intended + client * 100,
        connected: None,
        completed: intended + 1_000_000 + (op * 7919) % 3_000_000,
        attempts: 1,
        outcome: Outcome::Ok(Value::Document(answer)),
        late: None,
    }
}
