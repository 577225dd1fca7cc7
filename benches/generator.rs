//! The generator beside a bare loop over the same driver: what do history, histograms and checks cost?
//!
//! Both carry out the same create-or-get operations with the same number of clients on the same embedded server, in
//! turn, several times; the ratios of the medians are printed last. `cargo bench --bench generator -- --operations N`
//! sets the length of each turn.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]
#![allow(clippy::cast_precision_loss, clippy::panic, reason = "a benchmark")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use mongodb::Collection;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use onlyone::checker::judge;
use onlyone::driver::{self, Plan, Progress, Run};
use onlyone::history::Phase;
use onlyone::history::file::{Header, HistoryWriter};
use onlyone::mongod::{Mongod, Options};
use onlyone::scenario::{self, Scenario, TargetSpec};
use onlyone::stats::{self, Clock, LatencyStats};
use onlyone::target::mongo::MongoTarget;
use onlyone::target::{Guard, MongoUri, Target};
use onlyone::{strategy, workload};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;

const CLIENTS: u32 = 64;
const KEYS: u32 = 1000;
const TURNS: usize = 11;

/// What one turn took.
#[derive(Clone, Copy)]
struct Cost {
    cpu_us_per_operation: f64,
    operations_per_s: f64,
}

fn scenario(operations: u64) -> Scenario {
    let text = format!(
        "name = \"generator\"\nworkload = \"create-or-get\"\n\
         [target.mongo]\nstrategy = \"upsert-retry\"\ndatabase = \"onlyone_bench\"\n\
         [load.closed]\nclients = {CLIENTS}\nduration = \"10m\"\noperations = {operations}\n\
         keys = {{ uniform = {{ count = {KEYS} }} }}\n[limits]\nserial_control = 0\n"
    );
    scenario::load_text(Path::new("bench"), text, &[], &|_| None, &strategy::names).unwrap()
}

fn cost(operations: u64, cpu_before: f64, started: Instant) -> Cost {
    let seconds = started.elapsed().as_secs_f64();
    let cpu = stats::usage().unwrap().cpu_s - cpu_before;
    Cost { cpu_us_per_operation: cpu * 1e6 / operations as f64, operations_per_s: operations as f64 / seconds }
}

/// The harness as a run uses it: driver, history on disk, histograms, overlap, checks.
async fn ours(mongod: &Mongod, scenario: &Scenario, operations: u64, turn: usize) -> Cost {
    let run_id = format!("bench-{turn}");
    let TargetSpec::Mongo(spec) = &scenario.target else { panic!("the benchmark's scenario goes to MongoDB") };
    let uri = MongoUri::new(mongod.uri());
    let target =
        MongoTarget::connect(uri, &Guard::default(), spec.clone(), scenario.workload, CLIENTS, &run_id).await.unwrap();
    target.prepare(CLIENTS).await.unwrap();
    let target: Arc<dyn Target> = Arc::new(target);
    let directory = tempfile::tempdir().unwrap();
    let writer = HistoryWriter::create(&directory.path().join("history.jsonl"), &Header::new(&run_id)).unwrap();
    let work = workload::of_kind(scenario.workload, &run_id);
    let invariants = work.invariants();
    let (cpu, started) = (stats::usage().unwrap().cpu_s, Instant::now());
    let run = Run {
        plan: Plan::new(scenario, &run_id, turn as u64),
        workload: work,
        target: Arc::clone(&target),
        writer: Some(writer),
        stop: CancellationToken::new(),
        progress: Arc::new(Progress::default()),
    };
    let (recorded, _) = driver::run(run).await.unwrap();
    let cost_of_run = started.elapsed();
    let latency = LatencyStats::of(Clock::Service, &recorded.history.operations).unwrap();
    let results = judge(&recorded.history, None, Phase::Main, &invariants);
    assert_eq!(latency.operations().values().map(|stats| stats.ok).sum::<u64>(), operations);
    assert!(results.iter().all(|result| result.violations == 0));
    // Checks count as work; throughput is that of the load.
    let mut cost = cost(operations, cpu, started);
    cost.operations_per_s = operations as f64 / cost_of_run.as_secs_f64();
    target.tear_down().await.unwrap();
    cost
}

/// The same operations with nothing around them.
async fn bare(mongod: &Mongod, operations: u64, turn: usize) -> Cost {
    let mut options = mongodb::options::ClientOptions::parse(mongod.uri()).await.unwrap();
    options.min_pool_size = Some(CLIENTS);
    options.max_pool_size = Some(CLIENTS);
    options.max_connecting = Some(CLIENTS);
    options.retry_writes = Some(false);
    options.retry_reads = Some(false);
    let client = mongodb::Client::with_options(options).unwrap();
    let database = client.database("onlyone_bench");
    let chats: Collection<Document> = database.collection(&format!("bare_{turn}"));
    let options = mongodb::options::IndexOptions::builder().unique(true).sparse(true).build();
    let index = mongodb::IndexModel::builder().keys(doc! { "participantsKey": 1 }).options(options).build();
    chats.create_index(index).await.unwrap();
    client.warm_connection_pool().await;
    let left = Arc::new(AtomicI64::new(i64::try_from(operations).unwrap()));
    let (cpu, started) = (stats::usage().unwrap().cpu_s, Instant::now());
    let clients = (0..CLIENTS).map(|client| {
        let (left, chats) = (Arc::clone(&left), chats.clone());
        tokio::spawn(async move {
            let mut random = ChaCha8Rng::seed_from_u64(u64::from(client));
            while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                one(&chats, client, turn, &mut random).await;
            }
        })
    });
    futures::future::try_join_all(clients).await.unwrap();
    let cost = cost(operations, cpu, started);
    chats.drop().await.unwrap();
    cost
}

async fn one(chats: &Collection<Document>, client: u32, turn: usize, random: &mut ChaCha8Rng) {
    let comment = mongodb::bson::Bson::String("bench".to_owned());
    let read = random.random_bool(0.15);
    let number = random.random_range(0..KEYS);
    let (a, b) = (format!("rbench{turn}-p{number}a"), format!("rbench{turn}-p{number}b"));
    let filter = doc! { "participantsKey": format!("{a}_{b}") };
    if read {
        chats.find_one(filter).comment(comment).await.unwrap();
        return;
    }
    let fields = doc! {
        "participants": [a, b],
        "createdBy": format!("client-{client}"),
        "createdByOp": i64::from(client),
        "createdAt": DateTime::now(),
        "status": "active",
    };
    let updated = chats
        .find_one_and_update(filter, doc! { "$setOnInsert": fields })
        .upsert(true)
        .return_document(ReturnDocument::After)
        .comment(comment)
        .await;
    assert!(updated.unwrap().is_some());
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let given = arguments.iter().position(|argument| argument == "--operations");
    let operations = given.map_or(100_000, |position| arguments[position + 1].parse().unwrap());
    let scenario = scenario(operations);
    let mongod = Mongod::start(&Options::new(scenario.mongod)).await.unwrap();
    let (mut cpu_ratios, mut throughput_ratios) = (Vec::new(), Vec::new());
    println!("{operations} operations a turn, {CLIENTS} clients, {KEYS} keys");
    for turn in 0..=TURNS {
        // The order alternates, so that a drift of the machine favours neither.
        let (our, bare) = if turn % 2 == 0 {
            let our = ours(&mongod, &scenario, operations, turn).await;
            (our, bare(&mongod, operations, turn).await)
        } else {
            let bare = bare(&mongod, operations, turn).await;
            (ours(&mongod, &scenario, operations, turn).await, bare)
        };
        let label = if turn == 0 { "warm-up" } else { "turn" };
        println!(
            "{label} {turn}: ours {:.1} us of CPU per operation, {:.0}/s; bare {:.1} us, {:.0}/s",
            our.cpu_us_per_operation, our.operations_per_s, bare.cpu_us_per_operation, bare.operations_per_s
        );
        if turn > 0 {
            cpu_ratios.push(our.cpu_us_per_operation / bare.cpu_us_per_operation);
            throughput_ratios.push(our.operations_per_s / bare.operations_per_s);
        }
    }
    mongod.stop().await.unwrap();
    println!("cpu_ratio={:.3} throughput_ratio={:.3}", median(cpu_ratios), median(throughput_ratios));
}
