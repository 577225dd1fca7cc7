//! What is explored: a number of requests that come together on one fresh key per execution.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;

use crate::history::{Action, OpId, Phase};
use crate::target::{Completion, Invocation, Target};
use crate::workload::Requests;

/// Requests that are started together, again and again.
pub trait Subject: Send + Sync {
    /// How many requests an execution has, starts included.
    fn requests(&self) -> usize;

    /// Requests of one class are interchangeable: they differ in nothing but in who sends them.
    fn class(&self, request: usize) -> usize;

    /// How many of them are starts of instances, with what these send then: the first ones.
    fn starts(&self) -> usize {
        0
    }

    /// Sends a request. Every execution works on a key of its own.
    fn start(&self, execution: u32, request: usize) -> BoxFuture<'static, Completion>;
}

/// Starts an instance, by its position: what came of it when it is ready, or has ended.
pub type Launch = Arc<dyn Fn(usize) -> BoxFuture<'static, Completion> + Send + Sync>;

/// The operations of a scenario, on any target: strategies through a driver, or a service over HTTP.
pub struct Operations {
    target: Arc<dyn Target>,
    keys: Arc<dyn Fn(u32) -> Arc<str> + Send + Sync>,
    act: Arc<dyn Fn(u32, usize) -> Action + Send + Sync>,
    /// Requests of an execution; fewer where there are too many interleavings of all.
    active: AtomicUsize,
    /// Requests that operations are numbered for.
    requests: usize,
    seeded: bool,
    /// Instances that are started in each execution, and how.
    starts: usize,
    launch: Option<Launch>,
    /// Requests of which only their own part is left, by execution and position.
    ready: Mutex<HashMap<(u32, usize), BoxFuture<'static, Completion>>>,
}

impl Operations {
    /// One request per action. `keys` names the key of an execution.
    pub fn new(
        target: Arc<dyn Target>,
        keys: impl Fn(u32) -> Arc<str> + Send + Sync + 'static,
        actions: Vec<Action>,
    ) -> Self {
        let requests = actions.len();
        let act = move |_, request: usize| actions[request].clone();
        Operations {
            target,
            keys: Arc::new(keys),
            act: Arc::new(act),
            active: AtomicUsize::new(requests),
            requests,
            seeded: false,
            starts: 0,
            launch: None,
            ready: Mutex::default(),
        }
    }

    /// So many instances are started in each execution, before the requests that go to them.
    pub fn with_starts(mut self, starts: usize, launch: Launch) -> Self {
        (self.starts, self.launch) = (starts, Some(launch));
        // Operations go to the instances in turn by their numbers: so a request goes to the same one in every execution.
        self.requests = self.requests.next_multiple_of(starts.max(1));
        self
    }

    /// Requests without the starts.
    pub(super) fn own_requests(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// The key of an execution.
    pub(super) fn key(&self, execution: u32) -> Arc<str> {
        (self.keys)(execution)
    }

    /// What a participant does, by name.
    pub(super) fn name(&self, position: usize) -> String {
        match position.checked_sub(self.starts) {
            Some(request) => (self.act)(0, request).name().to_owned(),
            None => "start".to_owned(),
        }
    }

    /// The requests of a workload, each of which may act on what the execution's key names.
    pub fn of_requests(target: Arc<dyn Target>, requests: &Requests, count: u32) -> Self {
        let (keys, actions) = (requests.clone(), requests.clone());
        let act =
            move |execution, request: usize| actions.action(execution, u32::try_from(request).unwrap_or(u32::MAX));
        Operations {
            target,
            keys: Arc::new(move |execution| keys.key(execution)),
            act: Arc::new(act),
            active: AtomicUsize::new(count as usize),
            requests: count as usize,
            seeded: requests.are_seeded(),
            starts: 0,
            launch: None,
            ready: Mutex::default(),
        }
    }

    /// Keys of executions from this one on whose documents must be there before the requests; none where nothing must.
    pub(super) fn keys_to_seed(&self, executions: std::ops::Range<u32>) -> Vec<Arc<str>> {
        if self.seeded { executions.map(|execution| (self.keys)(execution)).collect() } else { Vec::new() }
    }

    /// Goes on with the first of the requests alone.
    pub(super) fn reduce_to(&self, requests: usize) {
        self.active.store(requests, Ordering::Relaxed);
    }

    /// What comes before a request's own part, such as a log-in.
    pub(super) fn make_ready(
        &self,
        execution: u32,
        request: usize,
    ) -> BoxFuture<'static, BoxFuture<'static, Completion>> {
        self.target.make_ready(self.invocation(execution, request))
    }

    /// Keeps what is left of a request for its start.
    pub(super) fn keep_ready(&self, execution: u32, request: usize, rest: BoxFuture<'static, Completion>) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).insert((execution, request), rest);
    }

    /// The operations of these executions.
    pub(super) fn invocations(&self, executions: std::ops::Range<u32>) -> Vec<Invocation> {
        let of_one = |execution| (self.starts..Subject::requests(self)).map(move |request| (execution, request));
        executions.flat_map(of_one).map(|(execution, request)| self.invocation(execution, request)).collect()
    }

    /// The operation that a request of an execution stands for. A start is none.
    pub fn invocation(&self, execution: u32, position: usize) -> Invocation {
        let request = position.saturating_sub(self.starts);
        let number = u64::from(execution) * self.requests as u64 + request as u64;
        Invocation {
            id: OpId(number),
            client: u32::try_from(request).unwrap_or(u32::MAX),
            phase: Phase::Main,
            key: (self.keys)(execution),
            action: (self.act)(execution, request),
        }
    }
}

impl Subject for Operations {
    fn requests(&self) -> usize {
        self.starts + self.own_requests()
    }

    fn starts(&self) -> usize {
        self.starts
    }

    fn class(&self, request: usize) -> usize {
        if self.starts > 0 {
            // Each belongs to an instance, and what that remembers differs.
            return request;
        }
        let own = (self.act)(0, request);
        let alike = |other: &usize| match ((self.act)(0, *other), &own) {
            // What is said differs, and nothing looks at it; who names the pair first may matter.
            (Action::Append(one), Action::Append(other)) => one.path == other.path,
            (Action::Deliver(one), Action::Deliver(other)) => {
                (one.content, one.path, one.via) == (other.content, other.path, other.via)
            }
            (one, other) => one == *other,
        };
        (0..self.requests).find(alike).unwrap_or(request)
    }

    fn start(&self, execution: u32, request: usize) -> BoxFuture<'static, Completion> {
        if let Some(launch) = self.launch.as_ref().filter(|_| request < self.starts) {
            return launch(request);
        }
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).remove(&(execution, request));
        ready.unwrap_or_else(|| self.target.apply(self.invocation(execution, request)))
    }
}
