//! The driver and the checkers together, on stores in memory: exact, without a server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use onlyone::checker::judge;
use onlyone::driver::{self, Plan, Progress, Run};
use onlyone::history::file::{self, Header, HistoryWriter};
use onlyone::history::{Cause, History, Observation, Outcome, Phase};
use onlyone::scenario::{self, Load, Scenario};
use onlyone::target::Target;
use onlyone::target::memory::{Lie, MemoryTarget};
use onlyone::verdict::{Invariant, Verdict};
use onlyone::{strategy, workload};
use tokio_util::sync::CancellationToken;

fn scenario(load: &str) -> Scenario {
    let text =
        format!("name = \"t\"\nworkload = \"create-or-get\"\n[target.mongo]\nstrategy = \"upsert-retry\"\n{load}\n");
    scenario::load_text(Path::new("t.toml"), text, &[], &|_| None, &strategy::names)
        .unwrap_or_else(|e| panic!("{}", e.render(false)))
}

async fn execute(load: &str, target: &MemoryTarget, stop: CancellationToken) -> (History, Option<Observation>, u64) {
    let (run, _) = prepared(load, target, stop);
    let (recorded, dropped) = driver::run(run).await.unwrap();
    (recorded.history, target.observe().await.unwrap(), dropped)
}

fn prepared(load: &str, target: &MemoryTarget, stop: CancellationToken) -> (Run, Arc<Progress>) {
    let scenario = scenario(load);
    let progress = Arc::new(Progress::default());
    let run = Run {
        plan: Plan::new(&scenario, "r", 7),
        workload: workload::of_kind(scenario.workload, "r"),
        target: Arc::new(target.clone()),
        writer: None,
        stop,
        progress: Arc::clone(&progress),
    };
    (run, progress)
}

const BURST: &str = "[load.burst]\nclients = 8\nrounds = 20";

async fn violated(lie: Lie) -> Vec<Invariant> {
    let (history, observation, _) = execute(BURST, &MemoryTarget::new(lie), CancellationToken::new()).await;
    let invariants = workload::of_kind(scenario(BURST).workload, "r").invariants();
    let results = judge(&history, observation.as_ref(), Phase::Main, &invariants);
    results.into_iter().filter(|result| result.verdict == Verdict::Violated).map(|result| result.name).collect()
}

#[tokio::test]
async fn an_honest_store_is_never_accused_and_every_lie_is_caught() {
    use Invariant::{CreatedOnce, InsertFieldsIntact, NoLeakedErrors, SameId, SingleDocument};
    assert_eq!(violated(Lie::Honest).await, []);
    let cases = [
        (Lie::CheckThenAct, SingleDocument),
        (Lie::WrongId, SameId),
        (Lie::AlwaysCreated, CreatedOnce),
        (Lie::LeakedError, NoLeakedErrors),
        (Lie::LostWrite, SingleDocument),
        (Lie::Overwritten, InsertFieldsIntact),
    ];
    for (lie, invariant) in cases {
        let found = violated(lie).await;
        assert!(found.contains(&invariant), "{lie:?}: {found:?}");
    }
}

#[tokio::test]
async fn rounds_go_on_for_so_long_after_a_violation_was_answered() {
    let rounds = |rounds: u32, patience: &str| {
        format!("[load.burst]\nclients = 2\nrounds = {rounds}\n[limits]\nafter_violation = \"{patience}\"")
    };
    let closed = "[load.closed]\nclients = 2\nduration = \"1h\"\noperations = 9000\n\
        keys = { uniform = { count = 7 } }\n[limits]\nafter_violation = \"0s\"";
    // So many rounds that the recorder is sure to see the first before the last has begun.
    for (load, lie, early) in [
        (rounds(1_000_000, "0s"), Lie::WrongId, true),
        (rounds(5_000, "0s"), Lie::Honest, false),
        (rounds(5_000, "1h"), Lie::WrongId, false),
        (closed.to_owned(), Lie::WrongId, false),
    ] {
        let (run, _) = prepared(&load, &MemoryTarget::new(lie), CancellationToken::new());
        let planned = run.plan.operations().unwrap();
        let (recorded, _) = driver::run(run).await.unwrap();
        let carried_out = recorded.history.phase(Phase::Main).len() as u64;
        assert_eq!((recorded.ended_early, carried_out < planned), (early, early), "{load} {lie:?}: {carried_out}");
        assert!(!recorded.history.interrupted, "nobody interrupted it");
    }
}

#[tokio::test]
async fn every_load_sends_what_it_promises() {
    let cases = [
        ("[load.burst]\nclients = [2, 5]\nrounds = 4", 2 * 2 + 2 * 5),
        ("[load.waves]\nsizes = [1, 1, 5]\nrounds = 3", 21),
        ("[load.closed]\nclients = 3\nduration = \"1h\"\noperations = 500\nkeys = { uniform = { count = 7 } }", 500),
    ];
    for (load, expected) in cases {
        let (history, _, _) = execute(load, &MemoryTarget::new(Lie::Honest), CancellationToken::new()).await;
        assert_eq!(history.phase(Phase::Main).len(), expected, "{load}");
        assert_eq!(history.phase(Phase::Control).len(), 20, "{load}");
        assert!(!history.partial && !history.interrupted, "{load}");
    }
}

#[tokio::test]
async fn who_comes_alone_shows_that_something_was_left_where_the_last_rounds_end_in_refusals() {
    for (load, lie, closing) in [
        ("[load.burst]\nclients = [1, 2]\nrounds = 4", Lie::StepsBack, true),
        // In the last of these one comes alone, and is served.
        ("[load.burst]\nclients = [2, 1]\nrounds = 4", Lie::StepsBack, false),
        ("[load.burst]\nclients = [1, 2]\nrounds = 4", Lie::Honest, false),
        ("[load.waves]\nsizes = [2, 2]\nrounds = 2", Lie::StepsBack, true),
        ("[load.waves]\nsizes = [1, 2]\nrounds = 2", Lie::StepsBack, false),
    ] {
        let (run, _) = prepared(load, &MemoryTarget::new(lie), CancellationToken::new());
        let planned = run.plan.operations().unwrap();
        let (recorded, _) = driver::run(run).await.unwrap();
        let main = recorded.history.phase(Phase::Main);
        assert_eq!(main.len() as u64, planned + u64::from(closing), "{load} {lie:?}");
        assert!(!recorded.ended_early && !recorded.history.interrupted, "{load} {lie:?}");
        let last = main.last().unwrap();
        let alone = main.iter().filter(|operation| operation.key == last.key).count() == 1;
        assert!(last.is_ok() || !closing, "{load} {lie:?}: {last:?}");
        assert_eq!(last.id.0, 20 + main.len() as u64 - 1, "{load} {lie:?}");
        assert!(alone || !closing, "{load} {lie:?}");
    }
}

#[tokio::test]
async fn an_open_load_starts_at_computed_times_and_counts_what_it_could_not_send() {
    let load = "[load.open]\nrate = 1000\nduration = \"200ms\"\nmax_clients = 50\narrivals = \"constant\"";
    let (history, _, dropped) = execute(load, &MemoryTarget::new(Lie::Honest), CancellationToken::new()).await;
    let main = history.phase(Phase::Main);
    assert_eq!(main.len() as u64 + dropped, 200);
    let first = main[0].intended - 1_000_000 * (main[0].id.0 - 20);
    assert!(main.iter().all(|op| op.intended == first + 1_000_000 * (op.id.0 - 20)), "a start was not computed");
    // Nobody answers: all but the clients' first operations are dropped.
    let load = "[load.open]\nrate = 1000\nduration = \"100ms\"\nmax_clients = 5\n[limits]\noperation_deadline = \"1s\"\ndrain = \"10ms\"";
    let silent = MemoryTarget::new(Lie::NeverAnswers);
    let (history, _, dropped) = execute(load, &silent, CancellationToken::new()).await;
    assert_eq!(history.phase(Phase::Main).len(), 5);
    assert!(dropped > 20, "{dropped}");
}

#[tokio::test]
async fn arrivals_of_a_rate_that_changes_start_at_computed_times() {
    let load = "[load.stages]\narrivals = \"constant\"\nmax_clients = 200\nrate = [{ target = 1000, duration = \"200ms\" }, \
        { target = 500, duration = \"0s\" }, { target = 500, duration = \"100ms\" }]";
    let (run, _) = prepared(load, &MemoryTarget::new(Lie::Honest), CancellationToken::new());
    let (recorded, dropped) = driver::run(run).await.unwrap();
    let main = recorded.history.phase(Phase::Main);
    // 0 to 1,000 a second in 0.2 s is a hundred; then fifty more, two milliseconds apart.
    assert_eq!(main.len() as u64 + dropped, 150);
    let marks = recorded.stages.unwrap();
    assert_eq!((marks.dropped.len(), marks.dropped.iter().sum::<u64>()), (3, dropped));
    for operation in main {
        let number = (operation.id.0 - 20) as f64;
        let due_ms = if number < 100.0 { (number / 2_500.0).sqrt() * 1e3 } else { 200.0 + (number - 100.0) * 2.0 };
        let found = (operation.intended - marks.begun_ns[0]) as f64 / 1e6;
        assert!((found - due_ms).abs() < 1e-3, "{}: {found} instead of {due_ms}", operation.id);
    }
}

#[tokio::test]
async fn clients_that_change_over_time_work_in_their_shifts_only() {
    // Two, up to six in 200 ms; two again from 300 ms on.
    let load = "[load.stages]\nstart = 2\nkeys = { uniform = { count = 50 } }\nclients = [{ target = 6, duration = \"200ms\" }, \
        { target = 6, duration = \"100ms\" }, { target = 2, duration = \"0s\" }, { target = 2, duration = \"100ms\" }]";
    let (run, _) = prepared(load, &MemoryTarget::new(Lie::Honest), CancellationToken::new());
    let (recorded, _) = driver::run(run).await.unwrap();
    let marks = recorded.stages.unwrap();
    assert_eq!((marks.begun_ns.len(), marks.dropped.len()), (1, 0));
    let main = recorded.history.phase(Phase::Main);
    let of = |client| main.iter().filter(move |operation| operation.client == client);
    let since = |operation: &onlyone::history::Operation| (operation.intended - marks.begun_ns[0]) as f64 / 1e6;
    for (client, from, to) in [(0, 0.0, 400.0), (1, 0.0, 400.0), (2, 50.0, 300.0), (4, 150.0, 300.0), (5, 200.0, 300.0)]
    {
        assert!(of(client).count() > 0, "client {client} did nothing");
        assert!(
            of(client).all(|operation| (from..to).contains(&since(operation))),
            "client {client} worked at another time"
        );
    }
    let numbers: std::collections::BTreeSet<_> = main.iter().map(|operation| operation.id).collect();
    assert_eq!(numbers.len(), main.len(), "a number came twice");
}

#[tokio::test]
async fn an_operation_without_an_answer_is_unknown_and_its_client_goes_on_as_another() {
    let load = "[load.burst]\nclients = 2\nrounds = 2\n[limits]\noperation_deadline = \"50ms\"\ndrain = \"10ms\"";
    let (history, _, _) = execute(load, &MemoryTarget::new(Lie::NeverAnswers), CancellationToken::new()).await;
    let main = history.phase(Phase::Main);
    assert_eq!(main.len(), 4);
    assert!(main.iter().all(|op| op.is_unknown() && op.late.is_none()), "{main:?}");
    assert!(main.iter().all(|op| op.completed - op.invoked >= 50_000_000));
    let clients: std::collections::BTreeSet<u32> = main.iter().map(|op| op.client).collect();
    assert_eq!(clients.len(), 4, "each client must be new after an unknown outcome");
}

#[tokio::test]
async fn a_late_answer_is_attached_and_shortens_nothing() {
    let load = "[load.burst]\nclients = 2\nrounds = 1\n[limits]\noperation_deadline = \"50ms\"\ndrain = \"1m\"";
    let target = MemoryTarget::new(Lie::NeverAnswers);
    let (mut run, progress) = prepared(load, &target, CancellationToken::new());
    // One operation keeps the run going until the other is recorded as unknown; the drain waits for both.
    run.plan.limits.serial_control = 0;
    let letter = tokio::spawn(async move {
        while progress.unknown.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        target.let_go();
    });
    let (recorded, _) = driver::run(run).await.unwrap();
    letter.await.unwrap();
    let main = recorded.history.phase(Phase::Main);
    assert_eq!(main.len(), 2);
    for op in main {
        assert!(op.is_unknown() && op.returned() == u64::MAX);
        let late = op.late.as_ref().expect("the answer came after the deadline");
        assert!(matches!(late.outcome, Outcome::Ok(_)) && late.completed > op.completed);
    }
}

#[tokio::test]
async fn an_interrupted_run_drains_and_marks_what_is_open_unknown() {
    let load = "[load.burst]\nclients = 3\nrounds = 50\n[limits]\ndrain = \"20ms\"";
    let target = MemoryTarget::new(Lie::NeverAnswers);
    let stop = CancellationToken::new();
    let (run, progress) = prepared(load, &target, stop.clone());
    let stopper = tokio::spawn(async move {
        // The control is through; the first round is in flight, and stays there.
        while progress.operations.load(Ordering::Relaxed) < 20 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    let (recorded, _) = driver::run(run).await.unwrap();
    stopper.await.unwrap();
    let history = recorded.history;
    assert!(history.interrupted && !history.partial);
    let main = history.phase(Phase::Main);
    assert!(main.len() <= 3, "{}", main.len());
    for op in main {
        assert_eq!(op.outcome, Outcome::Unknown(Cause::new("no answer before the run ended early")));
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_operations() {
    let load = "[load.closed]\nclients = 3\nduration = \"1h\"\noperations = 300";
    let asked = |history: &History| {
        let of = |op: &onlyone::history::Operation| (op.id, op.key.clone(), op.action.clone());
        history.operations.iter().map(of).take(200).collect::<Vec<_>>()
    };
    let (first, _, _) = execute(load, &MemoryTarget::new(Lie::Honest), CancellationToken::new()).await;
    let (again, _, _) = execute(load, &MemoryTarget::new(Lie::Honest), CancellationToken::new()).await;
    assert_eq!(asked(&first), asked(&again));
    assert!(matches!(scenario(load).load, Load::Closed { .. }));
}

#[tokio::test]
async fn nothing_is_asked_after_a_first_round_that_there_is_not() {
    for (rounds, asked) in [(1, false), (2, true)] {
        let load = format!("[load.burst]\nclients = 2\nrounds = {rounds}");
        let (run, _) = prepared(&load, &MemoryTarget::new(Lie::Honest), CancellationToken::new());
        let was_asked = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&was_asked);
        let first_use: driver::Between = Box::new(move || Box::pin(async move { told.store(true, Ordering::Relaxed) }));
        let interludes = driver::Interludes { first_use: Some(first_use), before_load: None, before_rounds: None };
        let (recorded, _) = driver::run_with(run, interludes).await.unwrap();
        assert_eq!(was_asked.load(Ordering::Relaxed), asked, "{rounds} rounds");
        assert_eq!(recorded.history.phase(Phase::Main).len(), 2 * rounds);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn something_is_done_before_each_round_of_a_burst_and_an_error_of_it_ends_the_load() {
    for (fails_at, carried_out) in [(9, 4), (3, 2)] {
        let (run, _) = prepared(
            "[load.burst]\nclients = [2, 3]\nrounds = 4",
            &MemoryTarget::new(Lie::Honest),
            CancellationToken::new(),
        );
        let begun = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = Arc::clone(&begun);
        let before: driver::BeforeRound = Arc::new(move || {
            let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
            Box::pin(async move { if number == fails_at { Err("no database".to_owned()) } else { Ok(()) } })
        });
        let interludes = driver::Interludes { before_rounds: Some(before), ..driver::Interludes::default() };
        let (recorded, _) = driver::run_with(run, interludes).await.unwrap();
        let rounds: std::collections::BTreeSet<u32> =
            recorded.history.phase(Phase::Main).iter().map(|operation| operation.round).collect();
        assert_eq!(rounds.len(), carried_out, "{rounds:?}");
        let aborted = (fails_at == 3).then(|| "no database".to_owned());
        assert_eq!(recorded.aborted, aborted);
    }
}

#[tokio::test]
async fn a_load_that_is_longer_than_its_memory_is_on_the_disk_and_is_all_there() {
    let load = "[load.closed]\nclients = 4\nduration = '10m'\noperations = 4000\nkeys = { uniform = { count = 7 } }\n\
        [limits]\nmemory = '1MB'\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let (run, progress) = prepared(load, &MemoryTarget::new(Lie::Honest), CancellationToken::new());
    let run = Run { writer: Some(HistoryWriter::create(&path, &Header::new("r")).unwrap()), ..run };
    let (recorded, _) = driver::run(run).await.unwrap();
    assert!(recorded.divided && recorded.history.operations.is_empty());
    assert_eq!(recorded.carried_out, 4000);
    let (_, history) = file::read(&path).unwrap();
    assert_eq!(history.phase(Phase::Main).len(), 4000);
    assert_eq!(history.operations.len() as u64, progress.operations.load(Ordering::Relaxed));
    assert!(!history.partial && file::is_divided(&path).unwrap());
}
