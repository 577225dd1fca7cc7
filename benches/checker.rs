//! How fast the checkers judge: synthetic create-or-get histories of 1 and 10 million operations on one core.
//!
//! Each key is a correct burst of 150 callers. Counted is all that a judgement does with a history in memory, grouping
//! by key included; making the history is not. A history in which every caller made its own document shows what violations
//! cost. The last line is `ops_per_s=… ops_per_s_1m=… ops_per_s_append=… ops_per_s_elements=… ops_per_s_numbers=…`; the last
//! three are of 1 million operations.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use onlyone::checker::{Budget, Evidence, checker_of, guarded, judge};
use onlyone::history::{
    Action, History, Id, Observation, Observed, OpId, Operation, Outcome, Phase, Returned, Source, Value,
};
use onlyone::verdict::{Invariant, Verdict};

#[path = "checker/append.rs"]
mod append;
#[path = "checker/effects.rs"]
mod effects;

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
        measure(15_000, Verdict::Holds)?;
        measure(15_000, Verdict::Violated)?;
        effects::measure(15_000)?;
        return Ok(());
    }
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().context("cannot pin the checkers to one thread")?;
    let small = measure(1_000_000, Verdict::Holds)?;
    measure(1_000_000, Verdict::Violated)?;
    let large = measure(10_000_000, Verdict::Holds)?;
    let append = append::measure(1_000_000)?;
    let (elements, numbers) = effects::measure(1_000_000)?;
    println!(
        "ops_per_s={large:.0} ops_per_s_1m={small:.0} ops_per_s_append={append:.0} ops_per_s_elements={elements:.0} \
         ops_per_s_numbers={numbers:.0}"
    );
    Ok(())
}

/// Judges a history of so many operations, all of it correct or none of it; returns operations per second.
fn measure(operations: u64, verdict: Verdict) -> anyhow::Result<f64> {
    let (history, observation) = synthetic(operations, verdict == Verdict::Holds);
    println!("{operations} operations, {} documents, {verdict}", observation.documents.len());

    let start = Instant::now();
    let results = judge(&history, Some(&observation), Phase::Main, &INVARIANTS);
    let whole = start.elapsed();
    ensure!(
        Verdict::combine(results.iter().map(|result| result.verdict)) == verdict,
        "expected {verdict}: {results:?}"
    );
    for result in &results {
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

/// Bursts. In correct ones the first caller of each key creates, and all others are answered with its document; otherwise
/// each caller creates a document of its own.
fn synthetic(operations: u64, correct: bool) -> (History, Observation) {
    let mut history = History::default();
    history.operations.reserve_exact(usize::try_from(operations).unwrap_or_default());
    let mut documents = Vec::new();
    let mut key: Arc<str> = Arc::from("");
    for op in 0..operations {
        let (round, client) = (op / BURST, op % BURST);
        let creator = OpId(if correct { round * BURST } else { op });
        let mut id = [0; 12];
        id[4..].copy_from_slice(&creator.0.to_be_bytes());
        if client == 0 {
            key = Arc::from(format!("user{:08}_user{:08}", 2 * round, 2 * round + 1));
        }
        if creator == OpId(op) {
            documents.push(Observed {
                id: Id::from(id),
                key: key.clone(),
                stored_key: Some(key.clone()),
                created_by: Some(creator),
                missing: Vec::new(),
                messages: Vec::new(),
                last_message: None,
                thread: None,
                fields: serde_json::Value::Null,
            });
        }
        history.operations.push(operation(OpId(op), &key, Id::from(id), creator));
    }
    let observation = Observation { source: Source::Memory, quiescent: true, documents, ..Observation::default() };
    (history, observation)
}

fn operation(op: OpId, key: &Arc<str>, id: Id, creator: OpId) -> Operation {
    let (round, client) = (op.0 / BURST, op.0 % BURST);
    let intended = round * 10_000_000;
    let answer =
        Returned { id: Some(id), created: Some(op == creator), created_by: Some(creator), ..Returned::default() };
    Operation {
        id: op,
        client: u32::try_from(client).unwrap_or_default(),
        round: u32::try_from(round).unwrap_or_default(),
        phase: Phase::Main,
        key: key.clone(),
        action: Action::CreateOrGet { reversed: client % 2 == 1 },
        intended,
        invoked: intended + client * 100,
        connected: None,
        completed: intended + 1_000_000 + (op.0 * 7919) % 3_000_000,
        attempts: 1,
        outcome: Outcome::Ok(Value::Document(answer)),
        late: None,
    }
}
