//! What the tests of this folder share: a server, an exploration of a strategy, the command.

use std::sync::Arc;
use std::time::Duration;

use mongodb::Client;
use onlyone::explore::explorer::{Explorer, Plan};
use onlyone::explore::outcome::Exploration;
use onlyone::explore::proxy::Proxy;
use onlyone::explore::scheduler::Timing;
use onlyone::explore::search::{Budget, Search};
use onlyone::explore::subject::Operations;
use onlyone::explore::{indexes, members};
use onlyone::history::{Action, Phase};
use onlyone::mongod::{Mongod, Options};
use onlyone::scenario::{MongoSpec, MongodSpec, WorkloadKind};
use onlyone::target::mongo::MongoTarget;
use onlyone::target::{Guard, MongoUri, Target};
use onlyone::verdict::Invariant;
use onlyone::workload;
use tokio_util::sync::CancellationToken;

pub async fn server(replica_set: u8) -> Mongod {
    Mongod::start(&Options::new(MongodSpec { replica_set, test_commands: false })).await.unwrap()
}

/// What is explored in a test.
pub struct Case {
    pub strategy: &'static str,
    pub unique_index: bool,
    pub requests: u32,
    pub search: Search,
    pub twice: bool,
    pub park_answers: bool,
}

impl Case {
    pub fn new(strategy: &'static str, unique_index: bool, requests: u32) -> Self {
        Case { strategy, unique_index, requests, search: Search::Exhaustive, twice: false, park_answers: false }
    }

    pub fn spec(&self) -> MongoSpec {
        MongoSpec {
            strategy: self.strategy.to_owned(),
            unique_index: self.unique_index,
            database: "onlyone_explore".to_owned(),
            pool: None,
            write_concern: None,
            delay: Duration::ZERO,
            retry_writes: false,
            retry_reads: false,
        }
    }

    pub async fn explore(&self, mongod: &Mongod, run: &str) -> Exploration {
        self.explore_by(mongod, run, None, |explorer| explorer).await
    }

    /// The same with only these invariants, by an explorer that is set up further.
    pub async fn explore_by(
        &self,
        mongod: &Mongod,
        run: &str,
        invariants: Option<Vec<Invariant>>,
        adjust: impl for<'e> FnOnce(Explorer<'e>) -> Explorer<'e>,
    ) -> Exploration {
        let uri = MongoUri::new(mongod.uri());
        let direct = Client::with_uri_str(mongod.uri()).await.unwrap();
        let proxy = Proxy::start(&members::of(&direct, &uri).await).await.unwrap();
        let spec = self.spec();
        let through = MongoUri::new(proxy.uri(uri.expose()).unwrap());
        let target =
            MongoTarget::connect(through, &Guard::default(), spec, WorkloadKind::CreateOrGet, self.requests, run)
                .await
                .unwrap();
        target.prepare(self.requests).await.unwrap();
        let target: Arc<dyn Target> = Arc::new(target);
        let workload = workload::of_kind(WorkloadKind::CreateOrGet, run);
        let plan = Plan {
            search: self.search.clone(),
            budget: Budget::default(),
            seed: 1,
            reduce: None,
            timing: Timing { deadline: Duration::from_secs(5), ..Timing::default() },
            invariants: invariants.unwrap_or_else(|| workload.invariants()),
            warm_up: false,
            may_reduce: false,
            before: 0,
            twice: self.twice,
            park_answers: self.park_answers,
            settle: None,
        };
        let actions = vec![Action::CreateOrGet { reversed: false }; self.requests as usize];
        let keys = move |execution| workload.key(Phase::Main, execution);
        let subject = Operations::new(Arc::clone(&target), keys, actions);
        let explorer =
            Explorer::new(&proxy, target, &subject, &plan, CancellationToken::new()).on_server(direct.clone());
        let read = |namespaces| async move { indexes::read(&direct, namespaces).await };
        adjust(explorer).explore(read, "onlyone explore x.toml").await
    }
}

/// Runs the command on a shipped scenario and returns its exit code and `report.json`.
pub fn command(arguments: &[&str]) -> (Option<i32>, serde_json::Value) {
    command_with(arguments, &[])
}

/// Runs the command on a scenario with these variables in its environment.
pub fn command_with(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, serde_json::Value) {
    let out = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_onlyone"))
        .args(["explore", "--format", "json", "--quiet", "--out"])
        .arg(out.path())
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("ONLYONE_MONGO_URI")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// Waits for something that has to happen; far longer than a loaded machine needs.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let begin = std::time::Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < Duration::from_secs(120), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
