//! A server and the service for trials: started before, stopped after. Main type: [`Stage`].

use std::path::Path;

use anyhow::Context;

use super::args::Sources;
use super::subject::Tried;
use crate::cli::CliError;
use crate::cli::args::MONGO_ENV;
use crate::cli::options::log;
use crate::import::Sample;
use crate::init::{Finding, Kind, Origin, Plan, TRIAL, scenario_text};
use crate::scenario::{self, MongodSpec, Scenario, ServiceSpec};
use crate::session::store::fresh_run_id;
use crate::session::{MongoLocation, Server};
use crate::strategy;
use crate::target::http::check_hosts;
use crate::target::http::probe::PlainClient;
use crate::target::mongo::{Connected, PoolOptions, drop_database, used_replica_set};
use crate::target::{Awaited, Guard, MongoUri, Service, ServiceContext};

/// Variables by which services are told the address of their database.
const USUAL: [&str; 17] = [
    "MONGODB_URI",
    "MONGODB_URL",
    "MONGO_URI",
    "MONGO_URL",
    "MONGO_DB_URI",
    "MONGO_DB_URL",
    "MONGO_CONNECTION_STRING",
    "MONGODB_CONNECTION_STRING",
    "MONGO_DETAILS",
    "MONGO_DSN",
    "ATLAS_URI",
    "DATABASE_URI",
    "DATABASE_URL",
    "DB_CONNECTION",
    "DB_URI",
    "DB_URL",
    "SPRING_DATA_MONGODB_URI",
];
/// What the trials go to.
pub(super) struct Stage {
    origin: Origin,
    url: String,
    server: Option<Server>,
    /// The database that the service is given, of these trials alone.
    database: String,
    service: Option<Service>,
    connected: Option<Connected>,
    client: PlainClient,
    /// Where the service's log is, as long as the trials go on.
    logs: Option<tempfile::TempDir>,
}

impl Stage {
    /// Starts the service, or reaches the one that runs.
    pub(super) async fn start(
        sources: &Sources,
        samples: &[Sample],
        mongo: &str,
        guard: &Guard,
        quiet: bool,
    ) -> Result<Self, CliError> {
        if sources.command.is_empty() {
            return Self::reach(samples, mongo, guard).await;
        }
        let variables = variables(&sources.env, &|name| std::env::var(name).ok());
        let dir = std::env::current_dir().map_err(CliError::setup)?.display().to_string();
        let origin = Origin::Command { command: sources.command.clone(), dir, variables, replica_set: false };
        let spec = provisional(&origin, samples)?.service;
        let spec = spec.ok_or_else(|| CliError::setup(anyhow::anyhow!("the scenario has no service")))?;
        let (client, logs) = (PlainClient::new()?, tempfile::tempdir().map_err(CliError::setup)?);
        // Whatever the service uses must be there.
        let plain = MongodSpec { replica_set: 0, test_commands: false };
        let server = Server::start_with_oplog(&MongoLocation::of(mongo), plain, &log(quiet)).await?;
        let mut stage = Stage {
            origin,
            url: String::new(),
            server: Some(server),
            database: format!("{TRIAL}{}", fresh_run_id()),
            service: None,
            connected: None,
            client,
            logs: Some(logs),
        };
        match stage.bring_up(&spec, guard).await {
            Ok(()) => Ok(stage),
            Err(error) => {
                // What went wrong first is what is said.
                stage.stop(guard).await.ok();
                Err(error)
            }
        }
    }

    /// Starts the service, and reaches its database.
    async fn bring_up(&mut self, spec: &ServiceSpec, guard: &Guard) -> Result<(), CliError> {
        let (Some(server), Some(logs)) = (&self.server, &self.logs) else { return Ok(()) };
        let context = ServiceContext {
            run_id: "init".to_owned(),
            mongo: Some((server.uri(), self.database.clone())),
            folder: Path::new(".").to_owned(),
            logs: logs.path().to_owned(),
            host: "127.0.0.1".to_owned(),
            others: std::collections::BTreeMap::new(),
            clock: None,
        };
        let started = Service::start(spec, &context, Awaited::Together).await;
        // The error names the log.
        if let Some(logs) = self.logs.take_if(|_| started.is_err()) {
            drop(logs.keep());
        }
        let service = started.map_err(|error| {
            CliError::from(error).hint("the command after `--` must start the service in the foreground, and be done with it in time; it is told a free PORT and its database's address, and everything of this shell's environment")
        })?;
        self.url = service.base_urls().into_iter().next().unwrap_or_default();
        self.service = Some(service);
        let pool = PoolOptions { connections: 1, retry_writes: false, retry_reads: true };
        self.connected = Some(Connected::open(&server.uri(), guard, pool).await?);
        Ok(())
    }

    /// A service that runs already: its address is that of the requests.
    async fn reach(samples: &[Sample], mongo: &str, guard: &Guard) -> Result<Self, CliError> {
        let url = samples.iter().find_map(|sample| sample.origin.clone()).ok_or_else(|| {
            CliError::usage(anyhow::anyhow!("the source does not say where the service is"))
                .hint("let the harness start it: give its command after `--`, as in `-- node server.js`")
        })?;
        check_hosts(std::slice::from_ref(&url), guard)?;
        let named = (mongo != "embedded").then(|| MongoUri::new(mongo));
        let connected = match &named {
            Some(uri) => {
                let pool = PoolOptions { connections: 1, retry_writes: false, retry_reads: true };
                Some(Connected::open(uri, guard, pool).await?)
            }
            None => None,
        };
        let database = named.is_some().then(|| MONGO_ENV.to_owned());
        Ok(Stage {
            origin: Origin::Running { url: url.clone(), database },
            url,
            server: None,
            database: String::new(),
            service: None,
            connected,
            client: PlainClient::new()?,
            logs: None,
        })
    }

    /// What the trials see.
    pub(super) fn subject(&self) -> Tried {
        Tried {
            client: self.client.clone(),
            url: self.url.clone(),
            database: self.connected.as_ref().map(|connected| connected.client.clone()),
            own: self.server.is_some().then(|| self.database.clone()),
            whole_server: matches!(self.server, Some(Server::Embedded(_))) || self.server.is_none(),
        }
    }

    /// Where the service comes from, for the scenario; and whether it needs a replica set, by what it did in the trials.
    pub(super) async fn origin(&self) -> Result<Origin, CliError> {
        let mut origin = self.origin.clone();
        if let (Origin::Command { replica_set, .. }, Some(Server::Embedded(_)), Some(connected)) =
            (&mut origin, &self.server, &self.connected)
        {
            *replica_set = used_replica_set(&connected.client)
                .await
                .context("cannot ask the server what was used of it")
                .map_err(CliError::setup)?;
        }
        Ok(origin)
    }

    /// An error if the service never came to its database: then nothing that was seen means anything.
    pub(super) fn must_have_been_used(&self, findings: &[Finding]) -> Result<(), CliError> {
        let (Some(server), Some(service)) = (&self.server, &self.service) else { return Ok(()) };
        let Origin::Command { variables, .. } = &self.origin else { return Ok(()) };
        let seen = findings
            .iter()
            .any(|finding| finding.made.is_some() || matches!(finding.kind, Kind::Insert | Kind::Change));
        let hosts = server.uri().hosts();
        let port = hosts.iter().find_map(|host| host.rsplit_once(':')?.1.parse().ok());
        if seen || port.and_then(|port| service.is_connected_to(port)) != Some(false) {
            return Ok(());
        }
        let answered: Vec<String> = findings
            .iter()
            .map(|finding| {
                format!("{} → HTTP {}", finding.sample.route(), finding.statuses.first().copied().unwrap_or_default())
            })
            .collect();
        Err(CliError::setup(anyhow::anyhow!(
            "the service did not connect to the server that it was given ({}){}",
            answered.join(", "),
            service.quoted_log()
        ))
        .hint(format!(
            "name the variable by which it is told its database: --env NAME (these were set: {})",
            variables.join(", ")
        )))
    }

    /// Stops what was started, and removes what was made on a server that stays. What fails first is said, when all of it was
    /// tried.
    pub(super) async fn stop(self, guard: &Guard) -> Result<(), CliError> {
        let service = match self.service {
            Some(service) => service.stop().await.map_err(CliError::from),
            None => Ok(()),
        };
        drop(self.connected);
        let dropped = match &self.server {
            Some(Server::Named(uri)) => drop_database(uri, guard, &self.database).await.map_err(CliError::from),
            _ => Ok(()),
        };
        let server = match self.server {
            Some(server) => server.stop().await,
            None => Ok(()),
        };
        drop(self.logs);
        service.and(dropped).and(server)
    }
}

/// Variables to set: what the user names, and the usual ones, except those that hold the address of something else.
fn variables(named: &[String], environment: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let is_free = |name: &&&str| environment(name).is_none_or(|value| value.is_empty() || value.starts_with("mongodb"));
    let usual = USUAL.iter().filter(is_free).map(|name| (*name).to_owned());
    let mut all: Vec<String> = named.iter().cloned().chain(usual).collect();
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|name| seen.insert(name.clone()));
    all
}

/// A scenario of these requests as they are, from which the service is started.
fn provisional(origin: &Origin, samples: &[Sample]) -> Result<Scenario, CliError> {
    let findings = samples.iter().take(1).cloned().map(Finding::untried).collect();
    let plan = Plan {
        name: "trials".to_owned(),
        origin: origin.clone(),
        login: None,
        findings,
        custom: true,
        left_out: Vec::new(),
    };
    loaded(Path::new("trials.toml"), &scenario_text(&plan), &[])
}

/// Reads a scenario that was just written.
pub(super) fn loaded(path: &Path, text: &str, overrides: &[String]) -> Result<Scenario, CliError> {
    let environment = |name: &str| std::env::var(name).ok();
    Ok(scenario::load_text(path, text.to_owned(), overrides, &environment, &strategy::names)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_something_else_is_left_alone() {
        let environment = |name: &str| match name {
            "DATABASE_URL" => Some("postgres://h/x".to_owned()),
            "MONGO_URL" => Some("mongodb://h/x".to_owned()),
            _ => None,
        };
        let names = variables(&["STORE".to_owned(), "MONGO_URL".to_owned()], &environment);
        assert!(!names.contains(&"DATABASE_URL".to_owned()));
        assert_eq!(names[..2], ["STORE", "MONGO_URL"]);
        assert_eq!(names.iter().filter(|name| *name == "MONGO_URL").count(), 1);
    }
}
