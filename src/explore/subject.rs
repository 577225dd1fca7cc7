//! What is explored: a number of requests that come together on one fresh key per execution.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::history::{Action, OpId, Phase};
use crate::target::{Completion, Invocation, Target};

/// Requests that are started together, again and again.
pub trait Subject: Send + Sync {
    /// How many requests an execution has.
    fn requests(&self) -> usize;

    /// Requests of one class are interchangeable: they differ in nothing but in who sends them.
    fn class(&self, request: usize) -> usize;

    /// Sends a request. Every execution works on a key of its own.
    fn start(&self, execution: u32, request: usize) -> BoxFuture<'static, Completion>;
}

/// The operations of a scenario, on any target: strategies through a driver, or a service over HTTP.
pub struct Operations {
    target: Arc<dyn Target>,
    keys: Arc<dyn Fn(u32) -> Arc<str> + Send + Sync>,
    actions: Vec<Action>,
}

impl Operations {
    /// One request per action. `keys` names the key of an execution.
    pub fn new(
        target: Arc<dyn Target>,
        keys: impl Fn(u32) -> Arc<str> + Send + Sync + 'static,
        actions: Vec<Action>,
    ) -> Self {
        Operations { target, keys: Arc::new(keys), actions }
    }

    /// The operation that a request of an execution stands for.
    pub fn invocation(&self, execution: u32, request: usize) -> Invocation {
        let number = u64::from(execution) * self.actions.len() as u64 + request as u64;
        Invocation {
            id: OpId(number),
            client: u32::try_from(request).unwrap_or(u32::MAX),
            phase: Phase::Main,
            key: (self.keys)(execution),
            action: self.actions[request].clone(),
        }
    }
}

impl Subject for Operations {
    fn requests(&self) -> usize {
        self.actions.len()
    }

    fn class(&self, request: usize) -> usize {
        let alike = |action: &Action| match (action, &self.actions[request]) {
            // What is said differs, and nothing looks at it; who names the pair first may matter.
            (Action::Append(one), Action::Append(other)) => one.path == other.path,
            (one, other) => one == other,
        };
        self.actions.iter().position(alike).unwrap_or(request)
    }

    fn start(&self, execution: u32, request: usize) -> BoxFuture<'static, Completion> {
        self.target.apply(self.invocation(execution, request))
    }
}
