//! Starts what a scenario goes to and proves that it is ready. Main type: [`EnvironmentSpec`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::environment::{Environment, ProxyAttachment};
use super::fresh::{FreshRounds, Renewable, Rounds};
use super::fresh_executions::FreshExecutions;
use super::server::Server;
use super::store::Store;
use super::{MongoLocation, Options, SessionError, bursts, faults};
use crate::explore::members;
use crate::explore::proxy::{Proxy, can_stand_before};
use crate::scenario::{HttpSpec, Load, MongoSpec, NumberSpec, Scenario, ServiceSpec, TargetSpec};
use crate::scope::{Ended, Scope};
use crate::shard::Shard;
use crate::target::http::{HttpRun, HttpTarget, check_hosts, is_listening};
use crate::target::mongo::{Connected, MongoTarget, PoolOptions};
use crate::target::{
    Awaited, Delayed, Guard, MongoUri, Preflight, Renewed, Service, ServiceContext, Target, TargetError,
};
use crate::workload;

/// MongoDB's own limit on the name of a database, in bytes.
const LONGEST_DATABASE: usize = 63;

/// Refuses what the guard does not allow, before a folder is made or anything is started.
pub(crate) fn check(scenario: &Scenario, guard: &Guard) -> Result<(), TargetError> {
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

/// What it takes to make one.
pub(crate) struct EnvironmentSpec<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) options: &'a Options,
    pub(crate) run_id: &'a str,
    pub(crate) store: &'a Store,
    /// So many requests are explored: a proxy stands between them and the server. In a run, `None`.
    pub(crate) explored: Option<u32>,
    /// The port at which a service that runs already finds its database.
    pub(crate) attach: Option<u16>,
    /// Which part of the run this process has: the first shard creates and removes what all of them use.
    pub(crate) shard: Option<Shard>,
}

/// How long a service that runs already may take to come to the proxy.
const ATTACH_WITHIN: Duration = Duration::from_secs(120);

impl EnvironmentSpec<'_> {
    /// Starts what the scenario needs and proves that it is ready.
    pub(crate) async fn set_up(&self) -> Result<Environment, SessionError> {
        match &self.scenario.target {
            TargetSpec::Mongo(spec) => self.mongo(spec).await,
            TargetSpec::Http(spec) => self.http(spec).await,
        }
    }

    async fn mongo(&self, spec: &MongoSpec) -> Result<Environment, SessionError> {
        let server = self.server().await?;
        let clients = self.clients();
        let workload = self.scenario.workload;
        let uri = server.uri();
        let attachment = self.attachment(&uri).await?;
        let to = attachment.as_ref().map_or_else(|| uri.clone(), |attachment| attachment.proxy_uri.clone());
        let guard = &self.options.guard;
        let target = MongoTarget::connect(to, guard, spec.clone(), workload, clients, self.run_id).await?;
        let target = if self.follows() { target.following() } else { target };
        let target = Delayed::wrap(Arc::new(target), spec.delay);
        let preflight = prepared(&*target, clients).await?;
        Ok(Environment {
            target,
            preflight,
            display_target: uri.to_string(),
            server: Some(server),
            service: None,
            companions: Vec::new(),
            data: Some((uri, spec.database.clone())),
            made: false,
            attachment,
            fresh: None,
            fresh_executions: None,
        })
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

    /// The proxy of an exploration. A run has one where something is to break on the way to the server, and where its service is
    /// not on this machine's loopback: the server itself is offered to nobody else.
    async fn attachment(&self, uri: &MongoUri) -> Result<Option<ProxyAttachment>, SessionError> {
        let network = &self.scenario.network;
        if self.explored.is_none() && !network.is_elsewhere() && !faults::need_proxy(self.scenario) {
            return Ok(None);
        }
        // Said before anything is asked of the server: a name that must be looked up may take long to fail.
        can_stand_before(uri.expose()).map_err(|error| SessionError::usage(error).hint(
            "name the server as mongodb://HOST:PORT without TLS, or leave --mongo out: then the harness starts one of its own",
        ))?;
        let pool = PoolOptions { connections: 1, retry_writes: false, retry_reads: false };
        // Opened first: the guard looks at the server's own addresses, not at the proxy's.
        let direct = Connected::open(uri, &self.options.guard, pool).await?;
        let servers = members::of(&direct.client, uri).await;
        let at = SocketAddr::new(network.listen, self.attach.unwrap_or(0));
        let proxy = Proxy::start_at(&servers, at, &network.advertised()).await.map_err(SessionError::setup)?;
        if self.attach.is_some() {
            self.attached(&proxy).await?;
        }
        let proxy_uri = MongoUri::new(proxy.uri(uri.expose()).map_err(SessionError::usage)?);
        Ok(Some(ProxyAttachment { proxy, direct, proxy_uri }))
    }

    /// Waits until the service that runs already has come to the proxy.
    async fn attached(&self, proxy: &Proxy) -> Result<(), SessionError> {
        let came = async {
            let pause = Duration::from_millis(20);
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
            SessionError::setup(anyhow::Error::new(ended).context("the service did not come to the address that it was to use, or does not answer"))
                .hint("start it, or start it again, with that address as its database's; a service that connects lazily needs a request first")
        })
    }

    async fn server(&self) -> Result<Server, SessionError> {
        let mut spec = self.scenario.mongod;
        // An exploration lets upserts meet inside the server, which takes a fail point.
        spec.test_commands |= self.explored.is_some() || faults::need_fail_points(self.scenario);
        // A service that runs already has a database of its own.
        let observed = self.scenario.observe.mongo.as_ref().and_then(|mongo| mongo.uri.as_ref());
        let mongo = match observed.filter(|_| self.attach.is_some() && self.options.mongo.is_embedded()) {
            Some(uri) => &MongoLocation::Named(MongoUri::new(uri.expose())),
            None => &self.options.mongo,
        };
        match self.explored.is_some() && self.scenario.judging().as_if_serial {
            // What each execution wrote is read from the oplog, which a standalone server does not keep.
            true => Server::start_with_oplog(mongo, spec, &self.options.log).await,
            false if faults::need_partitions(self.scenario) => {
                Server::start_divisible(mongo, spec, &self.options.log).await
            }
            false => Server::start(mongo, spec, &self.options.log).await,
        }
    }

    async fn http(&self, spec: &HttpSpec) -> Result<Environment, SessionError> {
        // An exploration has no faults of a load. Said before anything is started.
        let clock = if self.explored.is_none() { faults::clock_library(self.scenario)? } else { None };
        let server =
            if self.attach.is_some() || needs_server(self.scenario) { Some(self.server().await?) } else { None };
        let own = server.as_ref().map(|server| (server.uri(), own_database(self.run_id, "")));
        if let (Some((uri, _)), Some(_)) = (&own, &self.scenario.service) {
            // A service is handed this server: what may not be loaded directly may not be loaded through it.
            uri.hosts().iter().try_for_each(|host| self.options.guard.check_host(host)).map_err(TargetError::from)?;
        }
        let attachment = match &own {
            Some((uri, _)) => self.attachment(uri).await?,
            None => None,
        };
        // Only the service meets the proxy: what is read by the run itself goes past it.
        let told = own.as_ref().map(|(uri, database)| {
            let service_uri = attachment.as_ref().map_or(uri, |attachment| &attachment.proxy_uri);
            (service_uri.clone(), database.clone())
        });
        let mut context = self.context(told);
        let companions = self.companions(&mut context).await?;
        // Only the service itself: what it needs beside it keeps the machine's clock.
        context.clock = clock;
        // Where starts are to meet, they do so in rounds or executions, which are judged.
        let awaited = if self.scenario.fresh.is_some() { Awaited::InTurn } else { Awaited::Together };
        let service = match &self.scenario.service {
            Some(service) => Some(Arc::new(Service::start(service, &context, awaited).await?)),
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
        let display_target = base_urls.join(", ");
        let run = self.http_run(own.clone(), base_urls, service.is_some());
        let target = HttpTarget::new(spec.clone(), run.clone(), &self.options.guard)?;
        let preflight = prepared(&target, self.clients()).await?;
        let made = service.is_some() && matches!(server, Some(Server::Named(_))) && !self.follows();
        let mut target: Arc<dyn Target> = Arc::new(target);
        let (mut fresh, mut fresh_executions) = (None, None);
        if let (Some(how), Some(service), Some((uri, database))) = (self.scenario.fresh, &service, own) {
            let renewed = Arc::new(Renewed::new(Arc::clone(&target)));
            target = Arc::clone(&renewed) as Arc<dyn Target>;
            let (clients, guard) = (self.clients(), self.options.guard.clone());
            let (http, service) = (spec.clone(), Arc::downgrade(service));
            let on = Renewable { fresh: how, clients, uri, guard, http, run, service, target: renewed };
            match self.explored {
                Some(_) => fresh_executions = Some(Arc::new(FreshExecutions { on, database })),
                None => fresh = Some(Arc::new(self.rounds(on, !made))),
            }
        }
        Ok(Environment {
            fresh,
            fresh_executions,
            target,
            preflight,
            display_target,
            server,
            service,
            companions,
            data,
            made,
            attachment,
        })
    }

    fn rounds(&self, on: Renewable, is_embedded: bool) -> FreshRounds {
        let invariants = self.scenario.invariants.clone();
        FreshRounds { on, is_embedded, invariants, rounds: tokio::sync::Mutex::new(Rounds::default()) }
    }

    /// What the requests of this run have in common.
    fn http_run(&self, mongo: Option<(MongoUri, String)>, base_urls: Vec<String>, has_service: bool) -> HttpRun {
        let ready = self.scenario.service.as_ref().and_then(|service| service.ready.clone());
        HttpRun {
            run_id: Arc::from(self.run_id),
            folder: self.folder(),
            warm_up: ready.unwrap_or_else(|| "/".to_owned()),
            together: matches!(&self.scenario.load, Load::Burst { jitter, .. } if jitter.is_zero())
                || matches!(self.scenario.load, Load::Waves { .. }),
            workload: self.scenario.workload,
            observe: self.scenario.observe.clone(),
            numbers: self.scenario.numbers.clone(),
            setup: self.scenario.setup.clone(),
            mongo,
            // An exploration looks at the final state while the service runs.
            own_service: has_service && self.explored.is_none(),
            keeps_answers: self.scenario.judging().as_if_serial
                && (self.explored.is_some() || bursts::apply(self.scenario)),
            notes: workload::blind_spots(self.scenario, self.shard.map_or(1, |shard| shard.of)),
            base_urls,
        }
    }

    /// Starts what the service needs beside it, one after another: each is told where those before it are.
    async fn companions(&self, context: &mut ServiceContext) -> Result<Vec<Service>, TargetError> {
        let mut companions = Vec::new();
        for spec in &self.scenario.companions {
            let companion = Service::start(spec, context, Awaited::Together).await?;
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
            others: BTreeMap::new(),
            clock: None,
        }
    }

    /// Folder of the scenario file, by its full path: the service's working directory may be another one.
    fn folder(&self) -> PathBuf {
        let folder = self.scenario.file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
    }
}

/// Whether something of the scenario uses the run's own server.
pub(crate) fn needs_server(scenario: &Scenario) -> bool {
    let Scenario { service, companions, observe, invariants, numbers, .. } = scenario;
    let elsewhere = observe.mongo.as_ref().is_some_and(|mongo| mongo.uri.is_some());
    matches!(scenario.target, TargetSpec::Mongo(_))
        || service.iter().chain(companions).any(|service| is_told(service, "mongo"))
        || (!elsewhere
            && (observe.mongo.is_some() || !invariants.is_empty() || numbers.iter().any(NumberSpec::has_query)))
}

/// Whether the service is told this: `mongo`, anything of the run's server; `mongo.uri`, where that is.
pub(crate) fn is_told(service: &ServiceSpec, variable: &str) -> bool {
    service.command.iter().chain(service.env.values()).any(|template| template.names(variable))
}

/// How long a target may take to be made ready: far beyond the time-outs of its own steps.
const PREPARE_WITHIN: Duration = Duration::from_secs(60);

/// Makes the target ready. An interruption drops this as a whole.
pub(super) async fn prepared(target: &dyn Target, clients: u32) -> Result<Preflight, TargetError> {
    let late = |late: Ended| TargetError::Step { step: "making the target ready".to_owned(), source: late.into() };
    Scope::new(PREPARE_WITHIN, &CancellationToken::new()).wait(target.prepare(clients)).await.map_err(late)?
}

/// The database of a run's own service, with this after its name.
pub(super) fn own_database(run_id: &str, suffix: &str) -> String {
    let plain: String = run_id.chars().map(|letter| if letter == '.' { '-' } else { letter }).collect();
    let mut name = format!("onlyone_{plain}");
    // A run id has ASCII letters only, so this cuts between two of them.
    name.truncate(LONGEST_DATABASE.saturating_sub(suffix.len()));
    name + suffix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_run_can_be_one() {
        assert_eq!(own_database("20260101-1.2", ""), "onlyone_20260101-1-2");
        assert_eq!(own_database(&"x".repeat(64), "").len(), LONGEST_DATABASE);
        let round = own_database(&"x".repeat(64), "_12");
        assert!(round.len() == LONGEST_DATABASE && round.ends_with("x_12"), "{round}");
    }
}
