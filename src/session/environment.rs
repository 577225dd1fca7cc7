//! What a run goes to: the server, the service under test, the target. Main type: [`Environment`].

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::SessionError;
use super::error::in_one_line;
use super::fresh::FreshRounds;
use super::fresh_executions::FreshExecutions;
use super::server::Server;
use crate::explore::proxy::Proxy;
use crate::fault::Equipment;
use crate::scenario::Scenario;
use crate::scope::{Ended, Scope};
use crate::target::mongo::{Connected, Identity, PoolOptions, Queries, await_idle, drop_database};
use crate::target::{Guard, MongoUri, Preflight, Service, Target, TargetError};

/// How long it may take to remove what the run made, and to stop what it started.
const TEAR_DOWN_WITHIN: Duration = Duration::from_secs(20);

/// How long the server may take to say who it is: an election takes its time.
const IDENTITY_WITHIN: Duration = Duration::from_secs(30);

/// Everything that a run goes to, started and ready.
pub(crate) struct Environment {
    pub(crate) target: Arc<dyn Target>,
    pub(crate) preflight: Preflight,
    /// The target in `run.json`, without secrets.
    pub(crate) display_target: String,
    pub(super) server: Option<Server>,
    pub(super) service: Option<Arc<Service>>,
    /// What was started beside it.
    pub(super) companions: Vec<Service>,
    /// Where the run's own data is, or what is observed.
    pub(super) data: Option<(MongoUri, String)>,
    /// A database that the run made for its service, on a server that was there before.
    pub(super) made: bool,
    /// What makes each round begin on a new database, where that is asked for.
    pub(super) fresh: Option<Arc<FreshRounds>>,
    /// What makes each execution of an exploration do so.
    pub(super) fresh_executions: Option<Arc<FreshExecutions>>,
    /// What stands between it and the server, in an exploration.
    pub(crate) attachment: Option<ProxyAttachment>,
}

/// A proxy between the server and what is explored.
pub(crate) struct ProxyAttachment {
    pub(crate) proxy: Proxy,
    /// To the server itself, past the proxy.
    pub(crate) direct: Connected,
    pub(super) proxy_uri: MongoUri,
}

/// What was lost in mid-run.
pub(crate) struct Lost {
    /// In words.
    pub(crate) reason: String,
    /// The database is still there to be read.
    pub(crate) readable: bool,
}

impl Environment {
    /// Ends when the server or the service is lost.
    pub(crate) async fn lost(&self) -> Lost {
        let server = async {
            match &self.server {
                Some(server) => server.lost().await,
                None => std::future::pending().await,
            }
        };
        let service = async {
            let ends: Vec<_> =
                self.service.as_deref().into_iter().chain(&self.companions).map(|one| Box::pin(one.lost())).collect();
            match ends.is_empty() {
                true => std::future::pending().await,
                false => futures::future::select_all(ends).await.0,
            }
        };
        tokio::select! {
            reason = server => Lost { reason, readable: false },
            reason = service => Lost { reason, readable: true },
        }
    }

    /// Stops the service, if what is left to do does not need it: then nothing of it is at work when the final state is
    /// read.
    pub(crate) async fn quiesce(&mut self, scenario: &Scenario) -> Result<(), TargetError> {
        if scenario.observe.http.is_some() {
            return Ok(());
        }
        let service = self.service.take().and_then(Arc::into_inner);
        for service in service.into_iter().chain(std::mem::take(&mut self.companions)) {
            service.stop().await?;
        }
        Ok(())
    }

    /// What faults are carried out on.
    pub(super) fn equipment(&self) -> Equipment<'_> {
        Equipment {
            mongod: self.server.as_ref().and_then(Server::embedded),
            proxy: self.attachment.as_ref().map(|attachment| &attachment.proxy),
            service: self.service.as_deref(),
        }
    }

    /// The service under test, where the run started it.
    pub(crate) fn service(&self) -> Option<Arc<Service>> {
        self.service.clone()
    }

    /// What makes each execution of an exploration begin on a new database, where that is asked for.
    pub(crate) fn fresh_executions(&self) -> Option<Arc<FreshExecutions>> {
        self.fresh_executions.clone()
    }

    /// Whether the run's requests are the first that its service gets, on a database of its own; then waits until the service
    /// is done with what it does at its start, such as building indexes.
    pub(crate) async fn await_first_use(&self, scenario: &Scenario, guard: &Guard, stop: &CancellationToken) -> bool {
        let is_own = self.service.is_some()
            && self.server.is_some()
            && scenario.observe.mongo.as_ref().is_none_or(|mongo| mongo.uri.is_none());
        let Some((uri, database)) = self.data.as_ref().filter(|_| is_own) else { return false };
        // A server that does not tell what it is at is given no time.
        matches!(Scope::new(IDENTITY_WITHIN, stop).wait(await_idle(uri, guard, database)).await, Ok(Ok(())))
    }

    /// Who the server is. One that does not tell is told by what else fails.
    pub(crate) async fn identity(&self, guard: &Guard, stop: &CancellationToken) -> Option<Identity> {
        let (uri, _) = self.data.as_ref()?;
        Scope::new(IDENTITY_WITHIN, stop).wait(Identity::of(uri, guard)).await.ok()?.ok()?
    }

    /// The user's own invariants, ready to be carried out again and again; none where there are none.
    pub(crate) async fn open_queries(
        &self,
        guard: &Guard,
        scenario: &Scenario,
        run_id: &str,
    ) -> Result<Option<Queries>, TargetError> {
        match &self.data {
            Some((uri, database)) if !scenario.invariants.is_empty() => {
                Queries::open(uri, guard, database, run_id, self.target.captured()).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Where the run's own data is, or what is observed.
    pub(crate) fn data(&self) -> Option<&(MongoUri, String)> {
        self.data.as_ref()
    }

    /// A client that reads the service's data, and which database that is; or why there is none, in words.
    pub(crate) async fn reader(&self, guard: &Guard) -> Result<(mongodb::Client, String), String> {
        let (uri, database) = self.data.as_ref().ok_or("where the service keeps its data is not known")?;
        let pool = PoolOptions { connections: 1, retry_writes: false, retry_reads: true };
        let connected = Connected::open(uri, guard, pool).await.map_err(in_one_line)?;
        Ok((connected.client, database.clone()))
    }

    /// Removes what the run made, unless the server or the service was lost, and stops what was started. What fails is said
    /// and changes nothing: the run is recorded.
    pub(crate) async fn end(self, guard: &Guard, lost: bool) -> Vec<SessionError> {
        let mut failed = Vec::new();
        let never = CancellationToken::new();
        let within = Scope::new(TEAR_DOWN_WITHIN, &never);
        let late = |what: &str, ended: Ended| SessionError::setup(anyhow::Error::new(ended).context(what.to_owned()));
        if !lost {
            match within.wait(self.tear_down(guard)).await {
                Ok(removed) => failed.extend(removed.err().map(SessionError::from)),
                Err(ended) => failed.push(late("cannot remove what the run made", ended)),
            }
        }
        match within.wait(self.stop()).await {
            Ok(stopped) => failed.extend(stopped.err()),
            Err(ended) => failed.push(late("cannot stop what the run started", ended)),
        }
        failed
    }

    /// Removes what the run made.
    async fn tear_down(&self, guard: &Guard) -> Result<(), TargetError> {
        self.target.tear_down().await?;
        if let Some(fresh) = &self.fresh {
            fresh.tear_down().await?;
        }
        match &self.data {
            Some((uri, database)) if self.made && database.starts_with("onlyone_") => {
                drop_database(uri, guard, database).await
            }
            _ => Ok(()),
        }
    }

    /// Stops what was started.
    async fn stop(self) -> Result<(), SessionError> {
        // Whoever still holds it is an exploration that has ended with an error; the service ends with that.
        for service in self.service.and_then(Arc::into_inner).into_iter().chain(self.companions) {
            service.stop().await?;
        }
        drop(self.attachment);
        match self.server {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }
}
