//! The HTTP target: any service, asked as its scenario says. The main type is [`HttpTarget`].
//!
//! It knows no workload: templates are filled in from an operation's action, key, client and number, and JSONPaths read
//! the answer. Requests go through reqwest, or, for a release by the last byte, through a writer of its own.

mod answer;
mod client;
mod effects;
mod fixtures;
mod http_client;
mod login;
mod messages;
mod observe;
mod path;
mod prior;
pub mod probe;
mod redactor;
mod release;
mod request;
mod samples;
mod value;
mod variables;
mod wire;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use rustc_hash::FxHashSet;

use self::http_client::{HttpClient, Transport};
use super::{Completion, Guard, Invocation, MongoUri, Preflight, Staged, Target, TargetError};
use crate::history::{DocumentSightings, Exchange, Observation, Sightings};
use crate::scenario::{HttpSpec, NumberSpec, ObserveSpec, PriorSpec, Release, WorkloadKind};

pub(crate) use answer::stamp_of;
pub use request::describe;

/// What a run says of its service, besides the scenario.
#[derive(Debug, Clone)]
pub struct HttpRun {
    /// The run.
    pub run_id: Arc<str>,
    /// Folder of the scenario file.
    pub folder: PathBuf,
    /// The instances, used in turn.
    pub base_urls: Vec<String>,
    /// What the warm-up asks for, if the target does not say.
    pub warm_up: String,
    /// All clients of a round are let go at one moment: no random offsets.
    pub together: bool,
    /// What its documents are follows from this.
    pub workload: WorkloadKind,
    /// Where the final state is read.
    pub observe: ObserveSpec,
    /// Requests that come first, once.
    pub setup: Vec<PriorSpec>,
    /// The user's own rules about numbers.
    pub numbers: Vec<NumberSpec>,
    /// The run's own server and database, if it has one.
    pub mongo: Option<(MongoUri, String)>,
    /// The service is the harness's own, and has ended before the final state is read.
    pub own_service: bool,
    /// Answers are handed on as they came.
    pub keeps_answers: bool,
    /// What the run does not show.
    pub notes: Vec<String>,
}

/// A service over HTTP.
pub struct HttpTarget {
    client: Arc<HttpClient>,
    run: HttpRun,
    guard: Guard,
    /// What the last reading of the final state saw besides the documents.
    observed: std::sync::Mutex<(Vec<Exchange>, DocumentSightings)>,
}

impl HttpTarget {
    /// Makes the client. Hosts that are not this machine must have been allowed.
    pub fn new(spec: HttpSpec, run: HttpRun, guard: &Guard) -> Result<Self, TargetError> {
        check_hosts(&run.base_urls, guard)?;
        let transport = match spec.release {
            Release::Task => Transport::Client(client::build(&spec, &run.folder)?),
            Release::LastByte => Transport::Raw(run.base_urls.iter().map(|_| http_client::Pool::default()).collect()),
        };
        let before = prior::PerKey::of(&spec, &run);
        let client = HttpClient {
            redactor: redactor::Redactor::new(spec.secrets()),
            samples: samples::Samples::new(spec.operations.len()),
            bases: run.base_urls.iter().map(|url| http_client::Base::new(url)).collect(),
            run_id: Arc::clone(&run.run_id),
            operations: spec.operations.iter().map(|(name, one)| (name.clone(), Arc::new(one.clone()))).collect(),
            spec,
            transport,
            logins: login::Logins::default(),
            priors: prior::Priors::new(run.setup.clone(), before),
            left: effects::Left::new(run.observe.elements()),
            releases: release::Releases::new(run.together),
            keys: std::sync::Mutex::new(FxHashSet::default()),
            answered: std::sync::Mutex::default(),
            open: AtomicU64::new(0),
            own_operations: AtomicU64::new(0),
            of_threads: run.workload == WorkloadKind::Thread,
            fixtures: fixtures::Fixtures::default(),
            keeps_answers: run.keeps_answers,
            abandoned: AtomicU64::new(0),
        };
        Ok(HttpTarget { client: Arc::new(client), run, guard: guard.clone(), observed: std::sync::Mutex::default() })
    }
}

/// Refuses instances on hosts that were not allowed.
pub fn check_hosts(base_urls: &[String], guard: &Guard) -> Result<(), TargetError> {
    for url in base_urls {
        let parsed = reqwest::Url::parse(url).ok();
        let host = parsed.as_ref().and_then(reqwest::Url::host_str).unwrap_or_default();
        guard.check_host(host.trim_start_matches('[').trim_end_matches(']'))?;
    }
    Ok(())
}

/// Whether something accepts connections where an instance is said to be.
pub async fn is_listening(base_url: &str) -> bool {
    tokio::net::TcpStream::connect(http_client::Base::new(base_url).address()).await.is_ok()
}

impl Target for HttpTarget {
    fn seed<'a>(&'a self, keys: &'a [Arc<str>]) -> BoxFuture<'a, Result<(), TargetError>> {
        self.client.seed(keys).boxed()
    }

    fn prepare(&self, clients: u32) -> BoxFuture<'_, Result<Preflight, TargetError>> {
        async move {
            self.client.set_up().await?;
            let warm_up = self.client.spec.warm_up.as_deref().unwrap_or(&self.run.warm_up);
            let ready = self.client.warm_up(clients, warm_up).await?;
            let mut notes = self.run.notes.clone();
            notes.push(match self.client.spec.release {
                Release::Task => "released by task: each client sends its request when the gate opens".to_owned(),
                Release::LastByte => {
                    "released by the last byte: the rest of each request was sent before the gate opened".to_owned()
                }
            });
            let instances = match self.run.base_urls.len() {
                1 => String::new(),
                several => format!(" ({several} instances in turn)"),
            };
            let retries = self.client.spec.retries;
            Ok(Preflight {
                topology: Some(format!("service at {}{instances}", self.run.base_urls.join(", "))),
                retries: [(format!("retries ({retries})"), retries > 0)].into(),
                connections_ready: ready,
                notes,
                ..Preflight::default()
            })
        }
        .boxed()
    }

    fn captured(&self) -> std::collections::BTreeMap<String, String> {
        self.client.priors.of_setup()
    }

    fn was_killed(&self) {
        self.client.abandoned.store(0, std::sync::atomic::Ordering::Relaxed);
    }

    fn has_preliminaries(&self) -> bool {
        self.client.priors.are_per_key() || self.client.spec.auth.login.is_some()
    }

    fn preliminaries<'a>(&'a self, operations: &'a [Invocation]) -> BoxFuture<'a, Result<(), TargetError>> {
        self.client.preliminaries(operations).boxed()
    }

    fn apply(&self, operation: Invocation) -> BoxFuture<'static, Completion> {
        let client = Arc::clone(&self.client);
        async move { client.apply(operation).await }.boxed()
    }

    fn make_ready(&self, operation: Invocation) -> BoxFuture<'static, BoxFuture<'static, Completion>> {
        let client = Arc::clone(&self.client);
        client.make_ready(operation).boxed()
    }

    fn stages(&self) -> bool {
        true
    }

    fn stage(&self, operation: Invocation) -> BoxFuture<'static, Staged> {
        let client = Arc::clone(&self.client);
        async move { client.stage(operation).await }.boxed()
    }

    fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, TargetError>> {
        async move { effects::attach(self, observe::final_state(self).await?).await }.boxed()
    }

    fn sightings(&self) -> Option<Sightings> {
        let (observed, documents) = self.observed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answers = self.client.samples.all().into_iter().chain(observed).collect();
        Some(Sightings { answers, documents })
    }

    fn notes(&self) -> Vec<String> {
        let early = self.client.releases.early.load(Ordering::Relaxed);
        let early = (early > 0).then(|| {
            format!(
                "{early} answers came before their request was complete: the service did not wait for the last byte"
            )
        });
        early.into_iter().collect()
    }

    fn tear_down(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        // What the service wrote is the service's; the run's own database is dropped with the run's own server.
        futures::future::ready(Ok(())).boxed()
    }
}
