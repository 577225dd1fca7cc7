//! Interleavings on a real MongoDB: counted, violated, held, replayed, predicted; and what is said when the server dies.

// The lint looks at test functions only, and these are helpers of tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use onlyone::explore::explorer::{Explorer, Plan};
use onlyone::explore::outcome::Exploration;
use onlyone::explore::proxy::Proxy;
use onlyone::explore::scheduler::Timing;
use onlyone::explore::search::{Budget, Search};
use onlyone::explore::subject::Operations;
use onlyone::explore::{indexes, members};
use onlyone::history::{Action, Observation, Phase};
use onlyone::mongod::{Mongod, Options};
use onlyone::scenario::{MongoSpec, MongodSpec, WorkloadKind};
use onlyone::target::mongo::MongoTarget;
use onlyone::target::{Completion, Guard, Invocation, MongoUri, Preflight, Target, TargetError};
use onlyone::verdict::Verdict;
use onlyone::workload;
use tokio_util::sync::CancellationToken;

async fn server(replica_set: u8) -> Mongod {
    Mongod::start(&Options::new(MongodSpec { replica_set, test_commands: false })).await.unwrap()
}

/// What is explored in a test.
struct Case {
    strategy: &'static str,
    unique_index: bool,
    requests: u32,
    search: Search,
    twice: bool,
}

impl Case {
    fn new(strategy: &'static str, unique_index: bool, requests: u32) -> Self {
        Case { strategy, unique_index, requests, search: Search::Exhaustive, twice: false }
    }

    fn spec(&self) -> MongoSpec {
        MongoSpec {
            strategy: self.strategy.to_owned(),
            unique_index: self.unique_index,
            database: "onlyone_explore".to_owned(),
            pool: None,
            delay: Duration::ZERO,
            retry_writes: false,
            retry_reads: false,
        }
    }

    async fn explore(&self, mongod: &Mongod, run: &str) -> Exploration {
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
            invariants: workload.invariants(),
            warm_up: false,
            twice: self.twice,
        };
        let actions = vec![Action::CreateOrGet { reversed: false }; self.requests as usize];
        let keys = move |execution| workload.key(Phase::Main, execution);
        let subject = Operations::new(Arc::clone(&target), keys, actions);
        let explorer =
            Explorer::new(&proxy, target, &subject, &plan, CancellationToken::new()).on_server(direct.clone());
        let read = |namespaces| async move { indexes::read(&direct, namespaces).await };
        explorer.explore(read, "onlyone explore x.toml").await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_interleaving_is_explored_and_judged() {
    let mongod = server(0).await;
    // Strategy, unique index, requests, interleavings, how many of them violate what.
    type Row = (&'static str, bool, u32, u64, u64, &'static str, &'static [&'static str]);
    let table: [Row; 9] = [
        ("find-then-insert", false, 2, 6, 4, "single-document", &["check-then-act"]),
        ("find-then-insert", true, 2, 6, 4, "no-leaked-errors", &["check-then-act"]),
        ("create-then-fill", true, 2, 16, 6, "insert-fields-intact", &["check-then-act"]),
        ("upsert-set", true, 2, 2, 2, "insert-fields-intact", &[]),
        ("local-id", true, 2, 2, 2, "same-id", &[]),
        ("insert-first", true, 2, 2, 0, "", &[]),
        ("upsert-retry", true, 2, 2, 0, "", &[]),
        ("find-then-insert", false, 3, 66, 60, "single-document", &["check-then-act"]),
        ("find-then-insert", false, 4, 1176, 1152, "single-document", &["check-then-act"]),
    ];
    for (number, (strategy, index, requests, total, violated, invariant, lint)) in table.into_iter().enumerate() {
        let explored = Case::new(strategy, index, requests).explore(&mongod, &format!("t{number}")).await;
        let report = &explored.report;
        let name = format!("{strategy}, index {index}, {requests} requests: {report:?}");
        assert!(report.complete && report.doubts.is_empty(), "{name}");
        assert_eq!(report.total, Some(total), "{name}");
        assert_eq!(report.lint.iter().map(|finding| finding.rule.as_str()).collect::<Vec<_>>(), lint, "{name}");
        if requests == 2 {
            assert_eq!((report.explored, report.violated), (total, violated), "{name}");
        } else {
            assert_eq!(report.violated_interleavings, Some(violated), "{name}");
            assert!(report.reduced && report.explored < total / 4, "{name}");
        }
        let Some(smallest) = &report.smallest else {
            assert_eq!(violated, 0, "{name}");
            continue;
        };
        assert!(smallest.reproduced && smallest.requests == 2, "{name}");
        assert!(report.first_violation_at.is_some_and(|first| first <= 10), "{name}");
        let named = |result: &onlyone::report::ScheduleResult| {
            result.invariants.iter().any(|found| found.to_string() == invariant)
        };
        assert!(report.schedules.iter().filter(|result| result.verdict == Verdict::Violated).all(named), "{name}");
    }
    mongod.stop().await.unwrap();
}

/// Runs the command on a shipped scenario and returns its exit code and `report.json`.
fn command(arguments: &[&str]) -> (Option<i32>, serde_json::Value) {
    let out = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_onlyone"))
        .args(["explore", "--format", "json", "--quiet", "--out"])
        .arg(out.path())
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("ONLYONE_MONGO_URI")
        .output()
        .unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[test]
fn the_command_reports_what_the_shipped_scenarios_say() {
    let racy = "scenarios/explore-find-then-insert.toml";
    let cases: [(&[&str], i32, &str, u64); 11] = [
        (&["scenarios/explore-direct-find-then-insert.toml"], 0, "violated", 4),
        (&["scenarios/explore-direct-find-then-insert-indexed.toml"], 0, "violated", 4),
        (&["scenarios/explore-direct-upsert-retry.toml"], 0, "holds", 0),
        (&[racy, "--operations", "create-or-get", "--requests", "2"], 0, "violated", 4),
        (&["scenarios/explore-thread-authorise-then-act.toml"], 0, "violated", 1),
        (&["scenarios/explore-merge-find-then-push.toml"], 0, "violated", 4),
        (&[racy], 0, "violated", 4),
        (&[racy, "--set", "expect.verdict=\"holds\""], 1, "violated", 4),
        (&["scenarios/explore-find-then-insert-indexed.toml"], 0, "violated", 4),
        (&["scenarios/explore-upsert-retry.toml"], 0, "holds", 0),
        (&[racy, "--schedule", "1 2 1 2", "--times", "5"], 0, "violated", 1),
    ];
    for (arguments, code, verdict, violated) in cases {
        let (status, report) = command(arguments);
        assert_eq!(status, Some(code), "{arguments:?} {report}");
        assert_eq!(report["verdict"], verdict, "{arguments:?}");
        assert_eq!(report["explore"]["violated"], violated, "{arguments:?}");
    }
    let wrong: [&[&str]; 6] = [
        // The proxy reads what passes.
        &["scenarios/explore-direct-upsert-retry.toml", "--mongo", "mongodb+srv://cluster.example/"],
        &[racy, "--mongo", "mongodb://127.0.0.1:1/?tls=true"],
        &["scenarios/explore-upsert-retry.toml", "--schedule", "R1"],
        &[racy, "--operations", "append"],
        &["scenarios/explore-thread-recompute-key.toml", "--set", "explore.operations=[\"deliver\"]"],
        // A service that is not started by the harness cannot be given the proxy.
        &[racy, "--set", "service.env={}"],
    ];
    for arguments in wrong {
        assert_eq!(command(arguments).0, Some(2), "{arguments:?}");
    }
}

#[test]
fn races_of_every_workload_are_found_by_one_of_the_first_schedules() {
    let cases = [
        ("append-whole-array", "no-lost-messages"),
        ("merge-find-then-push", "merge-once"),
        ("thread-recompute-key", "members-exact"),
        ("thread-authorise-then-act", "admins-only"),
    ];
    for (name, invariant) in cases {
        let (status, report) = command(&[&format!("scenarios/explore-{name}.toml")]);
        let explore = &report["explore"];
        assert_eq!(status, Some(0), "{name}: {report}");
        assert!(explore["first_violation_at"].as_u64().is_some_and(|first| first <= 10), "{name}: {explore}");
        assert_eq!(explore["complete"], true, "{name}: {explore}");
        assert_eq!(explore["smallest"]["reproduced"], true, "{name}: {explore}");
        assert!(explore["smallest"]["invariants"].to_string().contains(invariant), "{name}: {explore}");
    }
    // Their correct twins hold in every interleaving; and a start may meet an expansion to the same set.
    let twins: [(&str, &[&str]); 4] = [
        ("append-whole-array", &["target.mongo.strategy=upsert-push", "expect={}"]),
        ("merge-find-then-push", &["target.mongo.strategy=conditional-push", "expect={}"]),
        ("thread-recompute-key", &["target.mongo.strategy=keyed-upsert", "expect={}"]),
        (
            "thread-authorise-then-act",
            &[
                "target.mongo.strategy=keyed-upsert",
                "explore.operations=[\"expand-thread\",\"start-conversation\"]",
                "expect={}",
            ],
        ),
    ];
    for (name, overrides) in twins {
        let path = format!("scenarios/explore-{name}.toml");
        let arguments: Vec<&str> =
            [path.as_str()].into_iter().chain(overrides.iter().flat_map(|set| ["--set", set])).collect();
        let (status, report) = command(&arguments);
        assert_eq!((status, &report["explore"]["complete"]), (Some(0), &true.into()), "{arguments:?}: {report}");
    }
}

/// Waits for something that has to happen; far longer than a loaded machine needs.
async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let begin = std::time::Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < Duration::from_secs(120), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_or_hangs_gives_no_verdict_and_no_hang() {
    let mongod = server(0).await;
    let serve =
        "echo $$ > \"$PID_FILE\"; exec \"$0\" serve --quiet --port {{ service.port }} --database {{ mongo.database }}";
    for (signal, reason) in
        [("KILL", "the service under test ended in mid-run"), ("STOP", "neither sends a command nor ends")]
    {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let sets = [
            format!("service.command=[\"sh\", \"-c\", {serve:?}, \"{{{{ onlyone }}}}\"]"),
            format!("service.env.PID_FILE={:?}", pid_file.display().to_string()),
            "limits.operation_deadline=\"1s\"".to_owned(),
        ];
        // Schedules are drawn at random, of which there are far too many to be through before the signal comes.
        let fixed = ["scenarios/explore-upsert-retry.toml", "--search", "random", "--max-schedules", "1000000"];
        let mut arguments: Vec<String> = fixed.map(str::to_owned).into();
        arguments.extend(["--mongo".to_owned(), mongod.uri(), "--run-id".to_owned(), format!("signal-{signal}")]);
        arguments.extend(sets.into_iter().flat_map(|set| ["--set".to_owned(), set]));
        let exploring =
            tokio::task::spawn_blocking(move || command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
        let chats = Client::with_uri_str(mongod.uri()).await.unwrap().database(&format!("onlyone_signal-{signal}"));
        let chats = chats.collection::<Document>("chats");
        eventually("schedules are under way", || async {
            exploring.is_finished() || chats.estimated_document_count().await.unwrap() > 20
        })
        .await;
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        let status = std::process::Command::new("kill").args([&format!("-{signal}"), pid.trim()]).status().unwrap();
        assert!(status.success(), "{signal}: {pid}");
        let (status, report) = exploring.await.unwrap();
        assert_eq!(status, Some(3), "{signal}: {report}");
        assert_eq!(report["verdict"], "inconclusive", "{signal}: {report}");
        assert!(report["reasons"].to_string().contains(reason), "{signal}: {}", report["reasons"]);
    }
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn upserts_released_together_race_in_the_server() {
    let mongod = server(0).await;
    let explored = Case::new("upsert", false, 2).explore(&mongod, "together").await;
    let report = &explored.report;
    assert_eq!((report.explored, report.total, report.violated), (2, Some(2), 0), "{report:?}");
    assert_eq!(report.lint[0].rule, "upsert-without-unique-index");
    let together = report.together.as_ref().unwrap();
    // The race is the server's choice. When it does not strike, the lint keeps the verdict from holding.
    assert_eq!(together.violated == 0, !report.doubts.is_empty(), "{report:?}");
    let explored = Case::new("upsert-retry", true, 2).explore(&mongod, "indexed").await;
    assert_eq!(explored.report.together.unwrap().violated, 0);
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn upserts_that_are_made_to_meet_race_for_certain() {
    let spec = MongodSpec { replica_set: 0, test_commands: true };
    let mongod = Mongod::start(&Options::new(spec)).await.unwrap();
    for (strategy, index, violated) in [("upsert", false, true), ("upsert", true, false)] {
        let explored = Case::new(strategy, index, 2).explore(&mongod, &format!("meeting-{index}")).await;
        let report = &explored.report;
        let together = report.together.as_ref().unwrap();
        let expected = if violated { together.attempts } else { 0 };
        assert_eq!(together.violated, expected, "{report:?}");
        assert!(together.attempts > 0 && report.notes.iter().any(|note| note.contains("made to meet")) == violated);
    }
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_carried_out_twice_are_compared() {
    let mongod = server(0).await;
    let explored = Case { twice: true, ..Case::new("find-then-insert", false, 2) }.explore(&mongod, "twice").await;
    let report = &explored.report;
    assert_eq!((report.explored, report.violated, report.complete), (6, 4, true), "{report:?}");
    let repeated = report.repeated.unwrap();
    assert!(repeated.times >= 6 && repeated.same == repeated.times, "{report:?}");
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_poll_for_a_lock_are_explored_to_the_end() {
    let mongod = server(0).await;
    let explored = Case::new("lock-collection", true, 2).explore(&mongod, "polls").await;
    let report = &explored.report;
    assert!(report.complete && report.violated == 0 && report.doubts.is_empty(), "{report:?}");
    assert!(report.notes.iter().any(|note| note.contains("a request polls (insert ")), "{report:?}");
    assert!(report.schedules.iter().all(|one| one.verdict == Verdict::Holds), "{report:?}");
    mongod.stop().await.unwrap();
}

#[test]
fn a_lock_shorter_than_its_work_is_named_and_its_twin_is_not() {
    let scenario = "scenarios/explore-merge-find-then-push.toml";
    for (strategy, status, named) in [("lock-expires", 0, true), ("lock-collection", 0, false)] {
        let strategy = format!("target.mongo.strategy={strategy}");
        let (code, report) = command(&[scenario, "--set", &strategy, "--set", "expect={}", "--max-schedules", "60"]);
        let lint = report["explore"]["lint"].to_string();
        assert_eq!(lint.contains("lock-ttl-too-short"), named, "{strategy} {status} {code:?}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_replays_the_same_violation_every_time() {
    let mongod = server(0).await;
    let replay = Search::Replay { schedule: "1 2 1 2".parse().unwrap(), times: 100 };
    let explored = Case { search: replay, ..Case::new("find-then-insert", false, 2) }.explore(&mongod, "replay").await;
    let repeated = explored.report.repeated.unwrap();
    assert_eq!((repeated.times, repeated.same), (100, 100));
    assert_eq!((explored.report.explored, explored.report.violated), (1, 1));
    let misfit = Search::Replay { schedule: "1 1 1".parse().unwrap(), times: 1 };
    let explored = Case { search: misfit, ..Case::new("find-then-insert", false, 2) }.explore(&mongod, "misfit").await;
    assert!(explored.report.doubts.iter().any(|doubt| doubt.contains("does not fit")), "{:?}", explored.report);
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_by_chance_find_the_race_and_say_how_sure_they_are() {
    let mongod = server(0).await;
    for (run, search) in [("pct", Search::Pct { depth: 2 }), ("random", Search::Random)] {
        let explored = Case { search, ..Case::new("find-then-insert", false, 2) }.explore(&mongod, run).await;
        let report = &explored.report;
        assert!(report.violated > 0 && !report.complete && report.total.is_none(), "{report:?}");
        assert_eq!(report.bound.as_deref().is_some_and(|bound| bound.contains("1/8")), run == "pct", "{report:?}");
    }
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_for_each_other_are_told_of() {
    let mongod = server(0).await;
    let explored = Case::new("lock-in-memory", true, 2).explore(&mongod, "lock").await;
    let report = &explored.report;
    assert!(report.violated == 0 && !report.complete, "{report:?}");
    assert!(report.doubts.iter().any(|doubt| doubt.contains("wait for each other")), "{report:?}");
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_set_is_explored_through_the_proxy_alone() {
    let mongod = server(3).await;
    let explored = Case::new("find-then-insert", false, 2).explore(&mongod, "members").await;
    assert_eq!((explored.report.explored, explored.report.violated), (6, 4), "{:?}", explored.report);

    // A driver that knows the proxy alone finds all members there, and transactions, cursors and sessions work.
    let uri = MongoUri::new(mongod.uri());
    let direct = Client::with_uri_str(mongod.uri()).await.unwrap();
    let servers = members::of(&direct, &uri).await;
    assert_eq!(servers.len(), 3);
    let proxy = Proxy::start(&servers).await.unwrap();
    let through = proxy.uri(&mongod.uri()).unwrap();
    let client = Client::with_uri_str(format!("{through}&readPreference=secondaryPreferred")).await.unwrap();
    let documents = client.database("onlyone_explore").collection::<Document>("documents");
    documents.insert_many((0..5000).map(|number| doc! { "n": number })).await.unwrap();
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    documents.insert_one(doc! { "n": -1 }).session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
    let mut cursor = documents.find(doc! { "n": { "$gte": 0 } }).batch_size(100).await.unwrap();
    while cursor.advance().await.unwrap() {}
    assert!(proxy.complaints().is_empty(), "{:?}", proxy.complaints());
    proxy.stop().await;
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_mid_exploration_gives_no_verdict_and_no_hang() {
    let mongod = server(0).await;
    let search = Search::Random;
    let case = Case { search, ..Case::new("upsert-retry", true, 2) };
    let exploring = tokio::time::timeout(Duration::from_secs(120), async {
        let uri = MongoUri::new(mongod.uri());
        let direct = Client::with_uri_str(mongod.uri()).await.unwrap();
        let proxy = Proxy::start(&members::of(&direct, &uri).await).await.unwrap();
        let spec = case.spec();
        let through = MongoUri::new(proxy.uri(uri.expose()).unwrap());
        let target = MongoTarget::connect(through, &Guard::default(), spec, WorkloadKind::CreateOrGet, 2, "killed")
            .await
            .unwrap();
        target.prepare(2).await.unwrap();
        let target: Arc<dyn Target> = Arc::new(target);
        let workload = workload::of_kind(WorkloadKind::CreateOrGet, "killed");
        let plan = Plan {
            search: Search::Random,
            budget: Budget { executions: Some(100_000), ..Budget::default() },
            seed: 1,
            reduce: None,
            timing: Timing { deadline: Duration::from_secs(2), ..Timing::default() },
            invariants: workload.invariants(),
            warm_up: false,
            twice: false,
        };
        let under_way = Arc::new(tokio::sync::Notify::new());
        let told = Arc::clone(&under_way);
        let keys = move |execution| {
            if execution > 20 {
                told.notify_one();
            }
            workload.key(Phase::Main, execution)
        };
        let actions = vec![Action::CreateOrGet { reversed: false }; 2];
        let subject = Operations::new(Arc::clone(&target), keys, actions);
        let explorer = Explorer::new(&proxy, target, &subject, &plan, CancellationToken::new());
        let killed = async {
            under_way.notified().await;
            mongod.members()[0].kill().await.unwrap();
        };
        let none = |_| async { onlyone::explore::lint::Indexes::new() };
        let (explored, ()) = tokio::join!(explorer.explore(none, "x"), killed);
        explored.map(|explored| explored.report)
    });
    match exploring.await.expect("no hang") {
        // The final state cannot be read.
        Err(_) => {}
        Ok(report) => assert!(!report.doubts.is_empty() && !report.complete, "{report:?}"),
    }
}

/// A service that looks at something else now and then.
struct Fickle {
    client: Client,
    inner: MongoTarget,
    calls: std::sync::atomic::AtomicU32,
}

impl Target for Fickle {
    fn prepare(&self, clients: u32) -> BoxFuture<'_, Result<Preflight, TargetError>> {
        self.inner.prepare(clients)
    }

    fn apply(&self, operation: Invocation) -> BoxFuture<'static, Completion> {
        let call = self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (client, inner) = (self.client.clone(), self.inner.apply(operation));
        Box::pin(async move {
            // Not when requests run alone, and not in the first execution.
            if call > 4 && call % 3 == 0 {
                client.database("onlyone_explore").collection::<Document>("settings").find_one(doc! {}).await.unwrap();
            }
            inner.await
        })
    }

    fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, TargetError>> {
        self.inner.observe()
    }

    fn tear_down(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        self.inner.tear_down()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_deterministic_is_told_of() {
    let mongod = server(0).await;
    for twice in [false, true] {
        let uri = MongoUri::new(mongod.uri());
        let direct = Client::with_uri_str(mongod.uri()).await.unwrap();
        let proxy = Proxy::start(&members::of(&direct, &uri).await).await.unwrap();
        let through = proxy.uri(uri.expose()).unwrap();
        let (spec, kind, run) =
            (Case::new("upsert-retry", true, 2).spec(), WorkloadKind::CreateOrGet, format!("fickle-{twice}"));
        let inner =
            MongoTarget::connect(MongoUri::new(through.clone()), &Guard::default(), spec, kind, 2, &run).await.unwrap();
        inner.prepare(2).await.unwrap();
        let client = Client::with_uri_str(through).await.unwrap();
        let target: Arc<dyn Target> = Arc::new(Fickle { client, inner, calls: 0.into() });
        let workload = workload::of_kind(kind, &run);
        let plan = Plan {
            search: Search::Exhaustive,
            budget: Budget { together: 0, ..Budget::default() },
            seed: 1,
            reduce: None,
            timing: Timing { deadline: Duration::from_secs(5), ..Timing::default() },
            invariants: workload.invariants(),
            warm_up: false,
            twice,
        };
        let keys = move |execution| workload.key(Phase::Main, execution);
        let actions = vec![Action::CreateOrGet { reversed: false }; 2];
        let subject = Operations::new(Arc::clone(&target), keys, actions);
        let explorer = Explorer::new(&proxy, target, &subject, &plan, CancellationToken::new());
        let none = |_| async { onlyone::explore::lint::Indexes::new() };
        let report = explorer.explore(none, "x").await.unwrap().report;
        assert!(!report.complete, "{report:?}");
        assert!(report.doubts.iter().any(|doubt| doubt.contains("not deterministic")), "{report:?}");
    }
    mongod.stop().await.unwrap();
}

/// A service that makes a client of its own for every request, and looks at a collection in the background.
struct Wasteful {
    through: String,
    inner: MongoTarget,
}

impl Target for Wasteful {
    fn prepare(&self, clients: u32) -> BoxFuture<'_, Result<Preflight, TargetError>> {
        self.inner.prepare(clients)
    }

    fn apply(&self, operation: Invocation) -> BoxFuture<'static, Completion> {
        let (through, inner) = (self.through.clone(), self.inner.apply(operation));
        Box::pin(async move {
            let own = Client::with_uri_str(through).await.unwrap();
            tokio::spawn(async move {
                let settings = own.database("onlyone_explore").collection::<Document>("settings");
                settings.find_one(doc! { "name": "colours" }).await.ok();
            });
            inner.await
        })
    }

    fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, TargetError>> {
        self.inner.observe()
    }

    fn tear_down(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        self.inner.tear_down()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn extra_connections_and_side_work_are_inconclusive_and_accuse_nobody() {
    let mongod = server(0).await;
    let uri = MongoUri::new(mongod.uri());
    let direct = Client::with_uri_str(mongod.uri()).await.unwrap();
    let proxy = Proxy::start(&members::of(&direct, &uri).await).await.unwrap();
    let through = proxy.uri(uri.expose()).unwrap();
    let spec = Case::new("upsert-retry", true, 2).spec();
    let kind = WorkloadKind::CreateOrGet;
    let inner =
        MongoTarget::connect(MongoUri::new(through.clone()), &Guard::default(), spec, kind, 2, "waste").await.unwrap();
    inner.prepare(2).await.unwrap();
    let target: Arc<dyn Target> = Arc::new(Wasteful { through, inner });
    let workload = workload::of_kind(kind, "waste");
    let plan = Plan {
        search: Search::Exhaustive,
        budget: Budget { together: 4, ..Budget::default() },
        seed: 1,
        reduce: None,
        timing: Timing { deadline: Duration::from_secs(2), ..Timing::default() },
        invariants: workload.invariants(),
        warm_up: false,
        twice: false,
    };
    let keys = move |execution| workload.key(Phase::Main, execution);
    let actions = vec![Action::CreateOrGet { reversed: false }; 2];
    let subject = Operations::new(Arc::clone(&target), keys, actions);
    let explorer = Explorer::new(&proxy, target, &subject, &plan, CancellationToken::new());
    let none = |_| async { onlyone::explore::lint::Indexes::new() };
    let exploring = tokio::time::timeout(Duration::from_secs(120), explorer.explore(none, "x"));
    let report = exploring.await.expect("no hang").unwrap().report;
    assert_eq!(report.violated, 0, "{report:?}");
    assert!(report.doubts.iter().any(|doubt| doubt.contains("opens connections all the time")), "{report:?}");
    // The side work was parked and put in order like everything else.
    assert!(report.schedules.iter().any(|one| one.schedule.contains("R1.find")), "{report:?}");
    mongod.stop().await.unwrap();
}
