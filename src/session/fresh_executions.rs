//! `[load] fresh` in an exploration: each execution begins on a database that does not exist yet. Main type:
//! [`FreshExecutions`].
//!
//! Unlike the rounds of a run, executions share the name of their database: it is dropped while its service is not there, which
//! takes nothing away that anybody still knows.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::error::in_one_line;
use super::fresh::Renewable;
use super::set_up::prepared;
use crate::explore::afresh::FreshService;
use crate::explore::subject::Launch;
use crate::history::{Cause, Observation, Outcome, Returned, Value};
use crate::scenario::Fresh;
use crate::target::mongo::{await_idle_for, drop_database};
use crate::target::{Awaited, Completion, Launched, RawAnswer, Target, TargetError};

/// What it takes to begin an execution on a new database.
pub(crate) struct FreshExecutions {
    pub(super) on: Renewable,
    /// The service's own, which the run made.
    pub(super) database: String,
}

impl FreshExecutions {
    /// Waits until the server is done with what it was asked. One that does not tell what it is at is given no time.
    async fn idle(&self) {
        let Renewable { uri, guard, .. } = &self.on;
        await_idle_for(Duration::ZERO, uri, guard, &self.database).await.ok();
    }

    async fn begin(&self, left: Option<Observation>) -> Result<(), TargetError> {
        let Renewable { clients, uri, guard, run, target, .. } = &self.on;
        self.idle().await;
        let left = match run.observe.mongo.is_some() && left.is_some() {
            // Once more, when nobody can write any more.
            true => target.current().observe().await?,
            false => left,
        };
        // Before the database is dropped: who ends the exploration from here on must not look there for what was left.
        target.retire(left);
        drop_database(uri, guard, &self.database).await?;
        let next = self.on.next_target(&self.database)?;
        let Some(service) = self.on.service.upgrade() else { return Ok(()) };
        if self.on.fresh == Fresh::Service {
            service.begin_on(&self.database);
            target.renew(next);
            return Ok(());
        }
        service.start_on(&self.database, Awaited::InTurn).await?;
        target.renew(Arc::clone(&next) as Arc<dyn Target>);
        prepared(&*next, *clients).await.map(|_| ())
    }
}

impl FreshExecutions {
    /// Instances that are started in each execution, and how, where that is part of it.
    pub(crate) fn starts(&self) -> Option<(usize, Launch)> {
        let service = self.on.service.upgrade().filter(|_| self.on.fresh == Fresh::Service)?;
        let own = self.on.service.clone();
        let launch: Launch = Arc::new(move |position| {
            let service = own.upgrade();
            let launched = async move {
                let Some(service) = service else { return Err("the service is gone".to_owned()) };
                service.launch(position).await.map_err(in_one_line)
            };
            launched.map(completion).boxed()
        });
        Some((service.instances(), launch))
    }
}

/// What came of a start, as a request's answer: an instance that has ended was not refused anything.
fn completion(launched: Result<Launched, String>) -> Completion {
    let (outcome, answer) = match launched {
        Ok(Launched::Ready) => (Outcome::Ok(Value::Document(Returned::default())), Some("ready")),
        Ok(Launched::Ended(why)) => (Outcome::Failed(Cause::new(in_one_line(why))), Some("ended")),
        Err(why) => (Outcome::Unknown(Cause::new(why)), None),
    };
    let answer = answer
        .map(|text| Arc::new(RawAnswer { status: 200, body: format!("\"{text}\"").into_bytes(), location: None }));
    Completion { outcome, connected: None, attempts: 1, answer }
}

impl FreshService for FreshExecutions {
    fn observe(&self) -> BoxFuture<'_, Result<Option<Observation>, String>> {
        async { self.on.target.current().observe().await.map_err(in_one_line) }.boxed()
    }

    fn kill(&self) -> BoxFuture<'_, Result<(), String>> {
        async {
            let service = self.on.service.upgrade().ok_or("the service is gone")?;
            service.kill().await.map_err(in_one_line)
        }
        .boxed()
    }

    fn start(&self, left: Option<Observation>) -> BoxFuture<'_, Result<(), String>> {
        async { self.begin(left).await.map_err(in_one_line) }.boxed()
    }

    fn come_to_rest(&self) -> BoxFuture<'_, ()> {
        self.idle().boxed()
    }
}
