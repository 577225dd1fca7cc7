//! What a run goes to: the server, the service under test, the target. Main type: [`Place`].

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::CliError;
use super::args::Common;
use super::error::in_one_line;
use super::run::TEAR_DOWN_WITHIN;
use super::server::Server;
use super::store::Store;
use crate::explore::members;
use crate::explore::proxy::{Proxy, can_stand_before};
use crate::scenario::{HttpSpec, Load, NumberSpec, Scenario, ServiceSpec, TargetSpec};
use crate::scope::{Ended, Scope};
use crate::shard::Shard;
use crate::target::http::{HttpRun, HttpTarget, check_hosts, is_listening};
use crate::target::mongo::{Connected, Identity, MongoTarget, PoolOptions, Queries, await_idle};
use crate::target::{Delayed, Guard, MongoUri, Preflight, Service, ServiceContext, Target, TargetError};
use crate::workload;

/// MongoDB's own limit on the name of a database, in bytes.
const LONGEST_DATABASE: usize = 63;

/// Refuses what the guard does not allow, before a folder is made or anything is started.
pub(super) fn check(scenario: &Scenario, guard: &Guard) -> Result<(), TargetError> {
    match &scenario.target {
        TargetSpec::Mongo(spec) => Ok(guard.check_database(&spec.database)?),
        TargetSpec::Http(http) => {
            check_hosts(&http.base_urls, guard)?;
            let network = &scenario.network;
            guard.check_host(&network.listen.to_string())?;
            guard.check_host(&network.service)?;
            let uri = scenario.observe.mongo.as_ref().and_then(|mongo| mongo.uri.as_ref());
            let hosts = uri.map(|uri| MongoUri::new(uri.expose()).hosts()).unwrap_or_default();
            Ok(hosts.iter().try_for_each(|host| guard.check_host(host))?)
        }
    }
}

/// Everything that a run goes to, started and ready.
pub(super) struct Place {
    pub(super) target: Arc<dyn Target>,
    pub(super) preflight: Preflight,
    /// The target in `run.json`, without secrets.
    pub(super) shown: String,
    server: Option<Server>,
    service: Option<Arc<Service>>,
    /// What was started beside it.
    companions: Vec<Service>,
    /// Where the run's own data is, or what is observed.
    data: Option<(MongoUri, String)>,
    /// A database that the run made for its service, on a server that was there before.
    made: bool,
    /// What stands between it and the server, in an exploration.
    pub(super) between: Option<Between>,
}

/// A proxy between the server and what is explored.
pub(super) struct Between {
    pub(super) proxy: Proxy,
    /// To the server itself, past the proxy.
    pub(super) direct: Connected,
    through: MongoUri,
}

/// What was lost in mid-run.
pub(super) struct Lost {
    /// In words.
    pub(super) reason: String,
    /// The database is still there to be read.
    pub(super) readable: bool,
}

/// What it takes to make one.
pub(super) struct Setting<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) common: &'a Common,
    pub(super) guard: &'a Guard,
    pub(super) run_id: &'a str,
    pub(super) store: &'a Store,
    /// So many requests are explored: a proxy stands between them and the server. In a run, `None`.
    pub(super) explored: Option<u32>,
    /// The port at which a service that runs already finds its database.
    pub(super) attach: Option<u16>,
    /// Which part of the run this process has: the first shard creates and removes what all of them use.
    pub(super) shard: Option<Shard>,
}

/// How long a service that runs already may take to come to the proxy.
const ATTACH_WITHIN: std::time::Duration = std::time::Duration::from_secs(120);

impl Setting<'_> {
    /// Starts what the scenario needs and proves that it is ready.
    pub(super) async fn set_up(&self) -> Result<Place, CliError> {
        match &self.scenario.target {
            TargetSpec::Mongo(spec) => {
                let server = self.server().await?;
                let clients = self.clients();
                let workload = self.scenario.workload;
                let uri = server.uri();
                let between = self.between(&uri).await?;
                let to = between.as_ref().map_or_else(|| uri.clone(), |between| between.through.clone());
                let target = MongoTarget::connect(to, self.guard, spec.clone(), workload, clients, self.run_id).await?;
                let target = if self.follows() { target.following() } else { target };
                let target = Delayed::wrap(Arc::new(target), spec.delay);
                let preflight = prepared(&*target, clients).await?;
                Ok(Place {
                    target,
                    preflight,
                    shown: uri.to_string(),
                    server: Some(server),
                    service: None,
                    companions: Vec::new(),
                    data: Some((uri, spec.database.clone())),
                    made: false,
                    between,
                })
            }
            TargetSpec::Http(spec) => self.http(spec).await,
        }
    }

    /// The most operations of this process that can be in flight.
    fn clients(&self) -> u32 {
        let all = self.explored.unwrap_or_else(|| self.scenario.load.clients());
        self.shard.map_or(all, |shard| u32::try_from(shard.share(all.into())).unwrap_or(all))
    }

    /// Whether another shard creates and removes what this one uses.
    fn follows(&self) -> bool {
        self.shard.is_some_and(|shard| !shard.leads())
    }

    /// The proxy of an exploration. A run has one where its service is not on this machine's loopback: the server itself is
    /// offered to nobody else.
    async fn between(&self, uri: &MongoUri) -> Result<Option<Between>, CliError> {
        let network = &self.scenario.network;
        if self.explored.is_none() && !network.is_elsewhere() {
            return Ok(None);
        }
        // Said before anything is asked of the server: a name that must be looked up may take long to fail.
        can_stand_before(uri.expose()).map_err(|error| CliError::usage(error).hint(
            "name the server as mongodb://HOST:PORT without TLS, or leave --mongo out: then the harness starts one of its own",
        ))?;
        let pool = PoolOptions { connections: 1, retry_writes: false, retry_reads: false };
        // Opened first: the guard looks at the server's own addresses, not at the proxy's.
        let direct = Connected::open(uri, self.guard, pool).await?;
        let servers = members::of(&direct.client, uri).await;
        let at = std::net::SocketAddr::new(network.listen, self.attach.unwrap_or(0));
        let proxy = Proxy::start_at(&servers, at, &network.advertised()).await.map_err(CliError::setup)?;
        if self.attach.is_some() {
            self.attached(&proxy).await?;
        }
        let through = MongoUri::new(proxy.uri(uri.expose()).map_err(CliError::usage)?);
        Ok(Some(Between { proxy, direct, through }))
    }

    /// Waits until the service that runs already has come to the proxy.
    async fn attached(&self, proxy: &Proxy) -> Result<(), CliError> {
        let came = async {
            let pause = std::time::Duration::from_millis(20);
            while !proxy.was_used() {
                tokio::time::sleep(pause).await;
            }
            // Many a service comes to its database first, and answers when that is done.
            for url in self.scenario.target.http().iter().flat_map(|http| &http.base_urls) {
                while !is_listening(url).await {
                    tokio::time::sleep(pause).await;
                }
            }
        };
        Scope::new(ATTACH_WITHIN, &CancellationToken::new()).wait(came).await.map_err(|ended| {
            CliError::setup(anyhow::Error::new(ended).context("the service did not come to the address that it was to use, or does not answer"))
                .hint("start it, or start it again, with that address as its database's; a service that connects lazily needs a request first")
        })
    }

    async fn server(&self) -> Result<Server, CliError> {
        let mut spec = self.scenario.mongod;
        // An exploration lets upserts meet inside the server, which takes a fail point.
        spec.test_commands |= self.explored.is_some();
        // A service that runs already has a database of its own.
        let observed = self.scenario.observe.mongo.as_ref().and_then(|mongo| mongo.uri.as_ref());
        let named = match observed.filter(|_| self.attach.is_some() && self.common.mongo == "embedded") {
            Some(uri) => uri.expose(),
            None => self.common.mongo.as_str(),
        };
        match self.explored.is_some() && self.scenario.judging().as_if_serial {
            // What each execution wrote is read from the oplog, which a standalone server does not keep.
            true => Server::start_with_oplog(named, spec, self.common.quiet).await,
            false => Server::start(named, spec, self.common.quiet).await,
        }
    }

    async fn http(&self, spec: &HttpSpec) -> Result<Place, CliError> {
        let server =
            if self.attach.is_some() || needs_server(self.scenario) { Some(self.server().await?) } else { None };
        let own = server.as_ref().map(|server| (server.uri(), own_database(self.run_id)));
        if let (Some((uri, _)), Some(_)) = (&own, &self.scenario.service) {
            // A service is handed this server: what may not be loaded directly may not be loaded through it.
            uri.hosts().iter().try_for_each(|host| self.guard.check_host(host)).map_err(TargetError::from)?;
        }
        let between = match &own {
            Some((uri, _)) => self.between(uri).await?,
            None => None,
        };
        // Only the service meets the proxy: what is read by the run itself goes past it.
        let told = own.as_ref().map(|(uri, database)| {
            (between.as_ref().map_or_else(|| uri.clone(), |between| between.through.clone()), database.clone())
        });
        let mut context = self.context(told);
        let companions = self.companions(&mut context).await?;
        let service = match &self.scenario.service {
            Some(service) => Some(Arc::new(Service::start(service, &context).await?)),
            None => None,
        };
        let base_urls = match &service {
            Some(service) if spec.base_urls.is_empty() => service.base_urls(),
            _ => spec.base_urls.clone(),
        };
        let observed = self.scenario.observe.mongo.as_ref();
        let data = match observed.and_then(|mongo| Some((mongo.uri.as_ref()?, mongo.database.clone()?))) {
            Some((uri, database)) => Some((MongoUri::new(uri.expose()), database)),
            None => own.clone(),
        };
        let run = HttpRun {
            run_id: Arc::from(self.run_id),
            folder: self.folder(),
            warm_up: self
                .scenario
                .service
                .as_ref()
                .and_then(|service| service.ready.clone())
                .unwrap_or_else(|| "/".to_owned()),
            together: matches!(&self.scenario.load, Load::Burst { jitter, .. } if jitter.is_zero())
                || matches!(self.scenario.load, Load::Waves { .. }),
            workload: self.scenario.workload,
            observe: self.scenario.observe.clone(),
            numbers: self.scenario.numbers.clone(),
            setup: self.scenario.setup.clone(),
            mongo: own.clone(),
            // An exploration looks at the final state while the service runs.
            own_service: service.is_some() && self.explored.is_none(),
            keeps_answers: self.scenario.judging().as_if_serial
                && (self.explored.is_some() || super::bursts::apply(self.scenario)),
            notes: workload::blind_spots(self.scenario, self.shard.map_or(1, |shard| shard.of)),
            base_urls: base_urls.clone(),
        };
        let target = HttpTarget::new(spec.clone(), run, self.guard)?;
        let preflight = prepared(&target, self.clients()).await?;
        let made = service.is_some() && matches!(server, Some(Server::Named(_))) && !self.follows();
        let shown = base_urls.join(", ");
        Ok(Place { target: Arc::new(target), preflight, shown, server, service, companions, data, made, between })
    }

    /// Starts what the service needs beside it, one after another: each is told where those before it are.
    async fn companions(&self, context: &mut ServiceContext) -> Result<Vec<Service>, TargetError> {
        let mut companions = Vec::new();
        for spec in &self.scenario.companions {
            let companion = Service::start(spec, context).await?;
            let url = companion.base_urls().into_iter().next();
            context.others.extend(spec.name.clone().zip(url));
            companions.push(companion);
        }
        Ok(companions)
    }

    fn context(&self, mongo: Option<(MongoUri, String)>) -> ServiceContext {
        ServiceContext {
            run_id: self.run_id.to_owned(),
            mongo,
            folder: self.folder(),
            logs: self.store.directory.clone(),
            host: self.scenario.network.service.clone(),
            others: std::collections::BTreeMap::new(),
        }
    }

    /// Folder of the scenario file, by its full path: the service's working directory may be another one.
    fn folder(&self) -> std::path::PathBuf {
        let folder = self.scenario.file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
    }
}

/// Whether something of the scenario uses the run's own server.
pub(super) fn needs_server(scenario: &Scenario) -> bool {
    let Scenario { service, companions, observe, invariants, numbers, .. } = scenario;
    let elsewhere = observe.mongo.as_ref().is_some_and(|mongo| mongo.uri.is_some());
    matches!(scenario.target, TargetSpec::Mongo(_))
        || service.iter().chain(companions).any(|service| is_told(service, "mongo"))
        || (!elsewhere
            && (observe.mongo.is_some() || !invariants.is_empty() || numbers.iter().any(NumberSpec::has_query)))
}

/// Whether the service is told this: `mongo`, anything of the run's server; `mongo.uri`, where that is.
pub(super) fn is_told(service: &ServiceSpec, variable: &str) -> bool {
    service.command.iter().chain(service.env.values()).any(|template| template.names(variable))
}

/// How long a target may take to be made ready: far beyond the time-outs of its own steps.
const PREPARE_WITHIN: std::time::Duration = std::time::Duration::from_secs(60);

/// How long the server may take to say who it is: an election takes its time.
const IDENTITY_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// Makes the target ready. An interruption drops this as a whole.
async fn prepared(target: &dyn Target, clients: u32) -> Result<Preflight, TargetError> {
    let late = |late: Ended| TargetError::Step { step: "making the target ready".to_owned(), source: late.into() };
    Scope::new(PREPARE_WITHIN, &CancellationToken::new()).wait(target.prepare(clients)).await.map_err(late)?
}

/// The database of a run's own service.
fn own_database(run_id: &str) -> String {
    let plain: String = run_id.chars().map(|letter| if letter == '.' { '-' } else { letter }).collect();
    let mut name = format!("onlyone_{plain}");
    // A run id has ASCII letters only, so this cuts between two of them.
    name.truncate(LONGEST_DATABASE);
    name
}

impl Place {
    /// Ends when the server or the service is lost.
    pub(super) async fn lost(&self) -> Lost {
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
    pub(super) async fn quiesce(&mut self, scenario: &Scenario) -> Result<(), TargetError> {
        if scenario.observe.http.is_some() {
            return Ok(());
        }
        let service = self.service.take().and_then(Arc::into_inner);
        for service in service.into_iter().chain(std::mem::take(&mut self.companions)) {
            service.stop().await?;
        }
        Ok(())
    }

    /// The service under test, where the run started it.
    pub(super) fn service(&self) -> Option<Arc<Service>> {
        self.service.clone()
    }

    /// Whether the run's requests are the first that its service gets, on a database of its own; then waits until the service
    /// is done with what it does at its start, such as building indexes.
    pub(super) async fn await_first_use(&self, scenario: &Scenario, guard: &Guard, stop: &CancellationToken) -> bool {
        let is_own = self.service.is_some()
            && self.server.is_some()
            && scenario.observe.mongo.as_ref().is_none_or(|mongo| mongo.uri.is_none());
        let Some((uri, database)) = self.data.as_ref().filter(|_| is_own) else { return false };
        // A server that does not tell what it is at is given no time.
        matches!(Scope::new(IDENTITY_WITHIN, stop).wait(await_idle(uri, guard, database)).await, Ok(Ok(())))
    }

    /// Who the server is. One that does not tell is told by what else fails.
    pub(super) async fn identity(&self, guard: &Guard, stop: &CancellationToken) -> Option<Identity> {
        let (uri, _) = self.data.as_ref()?;
        Scope::new(IDENTITY_WITHIN, stop).wait(Identity::of(uri, guard)).await.ok()?.ok()?
    }

    /// The user's own invariants, ready to be carried out again and again; none where there are none.
    pub(super) async fn open_queries(
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
    pub(super) fn data(&self) -> Option<&(MongoUri, String)> {
        self.data.as_ref()
    }

    /// A client that reads the service's data, and which database that is; or why there is none, in words.
    pub(super) async fn reader(&self, guard: &Guard) -> Result<(mongodb::Client, String), String> {
        let (uri, database) = self.data.as_ref().ok_or("where the service keeps its data is not known")?;
        let pool = PoolOptions { connections: 1, retry_writes: false, retry_reads: true };
        let connected = Connected::open(uri, guard, pool).await.map_err(in_one_line)?;
        Ok((connected.client, database.clone()))
    }

    /// Removes what the run made, unless the server or the service was lost, and stops what was started. What fails is said
    /// and changes nothing: the run is recorded.
    pub(super) async fn end(self, guard: &Guard, lost: bool) -> Vec<CliError> {
        let mut failed = Vec::new();
        let never = CancellationToken::new();
        let within = Scope::new(TEAR_DOWN_WITHIN, &never);
        let late = |what: &str, ended: Ended| CliError::setup(anyhow::Error::new(ended).context(what.to_owned()));
        if !lost {
            match within.wait(self.tear_down(guard)).await {
                Ok(removed) => failed.extend(removed.err().map(CliError::from)),
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
        match &self.data {
            Some((uri, database)) if self.made && database.starts_with("onlyone_") => {
                crate::target::mongo::drop_database(uri, guard, database).await
            }
            _ => Ok(()),
        }
    }

    /// Stops what was started.
    async fn stop(self) -> Result<(), CliError> {
        // Whoever still holds it is an exploration that has ended with an error; the service ends with that.
        for service in self.service.and_then(Arc::into_inner).into_iter().chain(self.companions) {
            service.stop().await?;
        }
        drop(self.between);
        match self.server {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_run_can_be_one() {
        assert_eq!(own_database("20260101-1.2"), "onlyone_20260101-1-2");
        assert_eq!(own_database(&"x".repeat(64)).len(), LONGEST_DATABASE);
    }
}
