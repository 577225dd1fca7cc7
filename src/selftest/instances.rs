//! [`Instances`]: several instances of one service on one database, in one process. Each has locks of its own, as several
//! processes would.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::history::Observation;
use crate::target::mongo::MongoTarget;
use crate::target::{Completion, Invocation, Preflight, Target, TargetError};

/// The instances. Clients are shared out among them; the first one prepares, observes and tears down.
pub(super) struct Instances {
    first: MongoTarget,
    others: Vec<MongoTarget>,
}

impl Instances {
    /// At least one.
    pub(super) fn new(first: MongoTarget, others: Vec<MongoTarget>) -> Self {
        Instances { first, others }
    }
}

impl Target for Instances {
    fn prepare(&self, clients: u32) -> BoxFuture<'_, Result<Preflight, TargetError>> {
        self.first.prepare(clients)
    }

    fn seed<'a>(&'a self, keys: &'a [Arc<str>]) -> BoxFuture<'a, Result<(), TargetError>> {
        self.first.seed(keys)
    }

    fn apply(&self, operation: Invocation) -> BoxFuture<'static, Completion> {
        let at = operation.client as usize % (self.others.len() + 1);
        self.others.get(at).unwrap_or(&self.first).apply(operation)
    }

    fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, TargetError>> {
        self.first.observe()
    }

    fn tear_down(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        self.first.tear_down()
    }
}
