//! How fast schedules are carried out: create-or-get by find, then insert, through the proxy, on an embedded MongoDB.
//!
//! Growth with the requests comes first; the last line is for machines. Searches by chance repeat schedules, so that the
//! figure is that of many executions, not of six.

// A benchmark prints its result, and has no one to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use mongodb::Client;
use onlyone::explore::explorer::{Explorer, Plan};
use onlyone::explore::lint::Indexes;
use onlyone::explore::members;
use onlyone::explore::proxy::Proxy;
use onlyone::explore::scheduler::Timing;
use onlyone::explore::search::{Budget, Search};
use onlyone::explore::subject::Operations;
use onlyone::history::{Action, Phase};
use onlyone::mongod::{Mongod, Options};
use onlyone::report::ExploreReport;
use onlyone::scenario::{MongoSpec, MongodSpec, WorkloadKind};
use onlyone::target::mongo::MongoTarget;
use onlyone::target::{Guard, MongoUri, Target};
use onlyone::workload;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() {
    let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: false })).await.unwrap();
    println!("{:>8} {:>10} {:>9} {:>14} {:>14}", "requests", "executions", "seconds", "executions/s", "interleavings");
    for requests in 1..=5 {
        let begin = std::time::Instant::now();
        let report = explore(&mongod, requests, Search::Exhaustive, &format!("all{requests}")).await;
        let total = report.total.map_or("-".to_owned(), |total| total.to_string());
        let seconds = begin.elapsed().as_secs_f64();
        println!("{requests:>8} {:>10} {seconds:>9.2} {:>14.0} {total:>14}", report.explored, report.schedules_per_s);
    }
    let rate = explore(&mongod, 2, Search::Random, "rate").await.schedules_per_s;
    println!("schedules_per_s={rate:.0}");
    mongod.stop().await.unwrap();
}

async fn explore(mongod: &Mongod, requests: u32, search: Search, run: &str) -> ExploreReport {
    let uri = MongoUri::new(mongod.uri());
    let direct = Client::with_uri_str(mongod.uri()).await.unwrap();
    let proxy = Proxy::start(&members::of(&direct, &uri).await).await.unwrap();
    let spec = MongoSpec {
        strategy: "find-then-insert".to_owned(),
        unique_index: false,
        database: "onlyone_bench".to_owned(),
        pool: None,
        retry_writes: false,
        retry_reads: false,
        delay: std::time::Duration::ZERO,
    };
    let through = MongoUri::new(proxy.uri(uri.expose()).unwrap());
    let target =
        MongoTarget::connect(through, &Guard::default(), spec, WorkloadKind::CreateOrGet, requests, run).await.unwrap();
    target.prepare(requests).await.unwrap();
    let target: Arc<dyn Target> = Arc::new(target);
    let workload = workload::of_kind(WorkloadKind::CreateOrGet, run);
    let plan = Plan {
        search,
        budget: Budget::default(),
        seed: 1,
        reduce: None,
        timing: Timing::default(),
        invariants: workload.invariants(),
        warm_up: false,
    };
    let keys = move |execution| workload.key(Phase::Main, execution);
    let actions = vec![Action::CreateOrGet { reversed: false }; requests as usize];
    let subject = Operations::new(Arc::clone(&target), keys, actions);
    let explorer = Explorer::new(&proxy, target, &subject, &plan, CancellationToken::new());
    let none = |_| async { Indexes::new() };
    explorer.explore(none, "").await.unwrap().report
}
