//! A target whose operations take longer, by a fixed time: a planted slowdown, to see that a comparison finds it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Completion, Invocation, Preflight, Target, TargetError};
use crate::history::{Observation, Sightings};

/// Waits before each operation, on the client's side: nothing of it is in the server meanwhile.
pub struct Delayed {
    inner: Arc<dyn Target>,
    delay: Duration,
}

impl Delayed {
    /// The target itself where there is no delay.
    pub fn wrap(inner: Arc<dyn Target>, delay: Duration) -> Arc<dyn Target> {
        if delay.is_zero() { inner } else { Arc::new(Delayed { inner, delay }) }
    }
}

impl Target for Delayed {
    fn prepare(&self, clients: u32) -> BoxFuture<'_, Result<Preflight, TargetError>> {
        async move {
            let mut preflight = self.inner.prepare(clients).await?;
            preflight.notes.push(format!("each operation is delayed by {:?} on purpose", self.delay));
            Ok(preflight)
        }
        .boxed()
    }

    fn seed<'a>(&'a self, keys: &'a [Arc<str>]) -> BoxFuture<'a, Result<(), TargetError>> {
        self.inner.seed(keys)
    }

    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }

    fn sightings(&self) -> Option<Sightings> {
        self.inner.sightings()
    }

    fn apply(&self, operation: Invocation) -> BoxFuture<'static, Completion> {
        let (inner, delay) = (Arc::clone(&self.inner), self.delay);
        async move {
            tokio::time::sleep(delay).await;
            inner.apply(operation).await
        }
        .boxed()
    }

    fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, TargetError>> {
        self.inner.observe()
    }

    fn tear_down(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        self.inner.tear_down()
    }
}
