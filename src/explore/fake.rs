//! In-memory requests for tests: programs that send commands to a store without a network, through the same gates.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use mongodb::bson::{RawDocumentBuf, rawdoc};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::explorer::{Explorer, Plan};
use super::gate::{Event, Parked, Replied, StepId};
use super::proxy::Proxy;
use super::scheduler::{Scheduler, Timing};
use super::search::{Budget, Search};
use super::subject::{Launch, Operations, Subject};
use super::wire::message::tests::msg;
use super::wire::{Command, Message, Reply};
use crate::history::{Action, Cause, Outcome, Returned, Value};
use crate::target::memory::{Lie, MemoryTarget};
use crate::target::{Completion, Target};

/// The store: documents per key, each the number of who wrote it.
#[derive(Clone)]
pub(super) struct Store {
    sender: mpsc::UnboundedSender<Event>,
    documents: Arc<Mutex<HashMap<String, Vec<usize>>>>,
    next: Arc<AtomicU64>,
    pub(super) lock: Arc<tokio::sync::Mutex<()>>,
}

impl Store {
    /// Sends a command: parked, carried out when it is released, answered when the answer is delivered.
    pub(super) async fn call<T>(
        &self,
        command: RawDocumentBuf,
        act: impl FnOnce(&mut Vec<usize>) -> (T, RawDocumentBuf),
        key: &str,
    ) -> T {
        let command = Command::parse(&Message::parse(&msg(0, &command, &[])).unwrap()).unwrap();
        let step = StepId(self.next.fetch_add(1, Ordering::Relaxed));
        let (gate, opened) = oneshot::channel();
        self.sender.send(Event::Parked(Parked { step, command: Arc::new(command), gate })).ok();
        opened.await.ok();
        let (value, reply) = act(self.documents.lock().unwrap().entry(key.to_owned()).or_default());
        let reply = Reply::parse(&Message::parse(&msg(0, &reply, &[])).unwrap());
        let (gate, opened) = oneshot::channel();
        self.sender.send(Event::Replied(Replied { step, reply, gate })).ok();
        opened.await.ok();
        value
    }

    pub(super) async fn find(&self, key: &str) -> Option<usize> {
        let command = rawdoc! { "find": "chats", "filter": { "k": key }, "$db": "app" };
        self.call(
            command,
            |documents| {
                let first = documents.first().copied();
                let batch = first
                    .map_or_else(|| rawdoc! { "firstBatch": [] }, |by| rawdoc! { "firstBatch": [{ "by": by as i64 }] });
                (first, rawdoc! { "ok": 1, "cursor": batch })
            },
            key,
        )
        .await
    }

    pub(super) async fn insert(&self, key: &str, by: usize) -> usize {
        let command = rawdoc! { "insert": "chats", "documents": [{ "k": key }], "$db": "app" };
        self.call(
            command,
            |documents| {
                documents.push(by);
                (by, rawdoc! { "ok": 1, "n": 1 })
            },
            key,
        )
        .await
    }

    /// Who wrote first, without a command.
    pub(super) fn first_of(&self, key: &str) -> Option<usize> {
        self.documents.lock().unwrap().get(key).and_then(|documents| documents.first().copied())
    }

    pub(super) fn count(&self, key: &str) -> usize {
        self.documents.lock().unwrap().get(key).map_or(0, Vec::len)
    }
}

/// What a request does.
pub(super) type Program = fn(Store, String, usize) -> BoxFuture<'static, usize>;

pub(super) struct Fake {
    pub(super) store: Store,
    program: Program,
    requests: usize,
}

impl Fake {
    /// A subject and the scheduler that its commands are told to.
    pub(super) fn new(requests: usize, program: Program) -> (Fake, Scheduler) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let store =
            Store { sender: sender.clone(), documents: Arc::default(), next: Arc::default(), lock: Arc::default() };
        let timing = Timing {
            deadline: Duration::from_secs(2),
            stall: Duration::from_millis(100),
            quiet: Duration::from_millis(20),
            start: Duration::from_secs(2),
            steps: 100,
        };
        (Fake { store, program, requests }, Scheduler::new((sender, receiver), timing))
    }

    /// How many documents an execution left.
    pub(super) fn documents(&self, execution: u32) -> usize {
        self.store.count(&key(execution))
    }
}

fn key(execution: u32) -> String {
    format!("k{execution}")
}

impl Subject for Fake {
    fn requests(&self) -> usize {
        self.requests
    }

    fn class(&self, _request: usize) -> usize {
        0
    }

    fn start(&self, execution: u32, request: usize) -> BoxFuture<'static, Completion> {
        let ended = (self.program)(self.store.clone(), key(execution), request);
        async move {
            let by = ended.await;
            let outcome = match by {
                usize::MAX => Outcome::Failed(Cause::new("failed")),
                _ => Outcome::Ok(Value::Document(Returned::default())),
            };
            Completion { outcome, connected: None, attempts: 1, answer: None }
        }
        .boxed()
    }
}

/// Check, then act.
pub(super) fn find_then_insert(store: Store, key: String, by: usize) -> BoxFuture<'static, usize> {
    async move {
        match store.find(&key).await {
            Some(by) => by,
            None => store.insert(&key, by).await,
        }
    }
    .boxed()
}

/// What an exploration needs, of requests that reach a store in memory which never answers.
pub(super) struct Bench {
    proxy: Proxy,
    target: Arc<dyn Target>,
    subject: Operations,
    pub(super) plan: Plan,
}

impl Bench {
    /// Requests that are waited for so long.
    pub(super) async fn silent(deadline: Duration) -> Self {
        let proxy = Proxy::start(&["127.0.0.1:1".to_owned()]).await.unwrap();
        let target: Arc<dyn Target> = Arc::new(MemoryTarget::new(Lie::NeverAnswers));
        let actions = vec![Action::CreateOrGet { reversed: false }; 2];
        let subject = Operations::new(Arc::clone(&target), |execution| format!("{execution}").into(), actions);
        let plan = Plan {
            search: Search::Exhaustive,
            budget: Budget::default(),
            seed: 1,
            reduce: None,
            timing: Timing { deadline, ..Timing::default() },
            invariants: Vec::new(),
            warm_up: true,
            may_reduce: false,
            before: 0,
            twice: false,
            park_answers: false,
            settle: None,
        };
        Bench { proxy, target, subject, plan }
    }

    /// With so many instances that are started in each execution.
    pub(super) fn with_starts(mut self, starts: usize, launch: Launch) -> Self {
        self.subject = self.subject.with_starts(starts, launch);
        self
    }

    pub(super) fn explorer(&self, stop: CancellationToken) -> Explorer<'_> {
        Explorer::new(&self.proxy, Arc::clone(&self.target), &self.subject, &self.plan, stop)
    }
}
