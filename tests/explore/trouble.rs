//! What dies, hangs, waits, or is not what it was.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use onlyone::explore::explorer::{Explorer, Plan};
use onlyone::explore::members;
use onlyone::explore::proxy::Proxy;
use onlyone::explore::scheduler::Timing;
use onlyone::explore::search::{Budget, Search};
use onlyone::explore::so_far::SoFar;
use onlyone::explore::subject::Operations;
use onlyone::history::{Action, Observation, Phase};
use onlyone::scenario::WorkloadKind;
use onlyone::target::mongo::MongoTarget;
use onlyone::target::{Completion, Guard, Invocation, MongoUri, Preflight, Target, TargetError};
use onlyone::workload;
use tokio_util::sync::CancellationToken;

use crate::support::{Case, command, eventually, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_or_hangs_gives_no_verdict_and_no_hang() {
    let mongod = server(0).await;
    let serve =
        "echo $$ > \"$PID_FILE\"; exec \"$0\" serve --quiet --port {{ service.port }} --database {{ mongo.database }}";
    for (signal, reason) in
        // What is stopped may be a request, or the log-in before it.
        [
            ("KILL", &["the service under test ended in mid-run"][..]),
            ("STOP", &["neither sends a command nor ends", "what comes before it"]),
        ]
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
        let told = report["reasons"].to_string();
        assert!(reason.iter().any(|reason| told.contains(reason)), "{signal}: {told}");
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
            may_reduce: false,
            before: 0,
            twice: false,
            park_answers: false,
            settle: None,
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
        explored
    });
    let explored = exploring.await.expect("no hang");
    assert!(explored.unread.is_some(), "the final state cannot be read");
    assert!(!explored.report.doubts.is_empty() && !explored.report.complete, "{:?}", explored.report);
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
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let (client, inner) = (self.client.clone(), self.inner.apply(operation));
        Box::pin(async move {
            // Not when requests run alone, and not in the first execution.
            if call > 4 && call.is_multiple_of(3) {
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
            may_reduce: false,
            before: 0,
            twice,
            park_answers: false,
            settle: None,
        };
        let keys = move |execution| workload.key(Phase::Main, execution);
        let actions = vec![Action::CreateOrGet { reversed: false }; 2];
        let subject = Operations::new(Arc::clone(&target), keys, actions);
        let so_far = Arc::new(SoFar::default());
        let explorer =
            Explorer::new(&proxy, target, &subject, &plan, CancellationToken::new()).telling(Arc::clone(&so_far), None);
        let none = |_| async { onlyone::explore::lint::Indexes::new() };
        let explored = explorer.explore(none, "x").await;
        let executions = so_far.executions.load(Ordering::Relaxed);
        let (count, operations) = (executions as usize, explored.history.operations.len());
        assert!((count..=2 * count).contains(&operations), "{operations} operations of {count} executions");
        let report = explored.report;
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
            let database = own.database("onlyone_explore");
            // Connected first: what is sent late on a busy machine is nobody's.
            database.run_command(doc! { "ping": 1 }).await.unwrap();
            tokio::spawn(async move {
                let settings = database.collection::<Document>("settings");
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
        timing: Timing { deadline: Duration::from_secs(2), quiet: Duration::from_millis(100), ..Timing::default() },
        invariants: workload.invariants(),
        warm_up: false,
        may_reduce: false,
        before: 0,
        twice: false,
        park_answers: false,
        settle: None,
    };
    let keys = move |execution| workload.key(Phase::Main, execution);
    let actions = vec![Action::CreateOrGet { reversed: false }; 2];
    let subject = Operations::new(Arc::clone(&target), keys, actions);
    let explorer = Explorer::new(&proxy, target, &subject, &plan, CancellationToken::new());
    let none = |_| async { onlyone::explore::lint::Indexes::new() };
    let exploring = tokio::time::timeout(Duration::from_secs(120), explorer.explore(none, "x"));
    let report = exploring.await.expect("no hang").report;
    assert_eq!(report.violated, 0, "{report:?}");
    assert!(report.doubts.iter().any(|doubt| doubt.contains("opens connections all the time")), "{report:?}");
    // The side work was parked and put in order like everything else.
    assert!(report.schedules.iter().any(|one| one.schedule.contains("R1.find")), "{report:?}");
    mongod.stop().await.unwrap();
}
