//! The server that a run goes to: the one named, or an embedded one of its own.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::doc;

use super::{Log, MongoLocation, SessionError};
use crate::mongod::{self, Mongod};
use crate::scenario::MongodSpec;
use crate::target::MongoUri;

/// The server of a run.
pub(crate) enum Server {
    /// One that the user named.
    Named(MongoUri),
    /// One of the run's own; it dies with the harness.
    Embedded(Box<Mongod>),
}

impl Server {
    /// Starts the embedded server, or takes the one that is named.
    pub(crate) async fn start(mongo: &MongoLocation, spec: MongodSpec, log: &Log) -> Result<Self, SessionError> {
        Self::start_with(mongo, mongod_options(spec, log)).await
    }

    /// Starts it with an oplog, which a standalone server has not, though in all else it is to be like one.
    pub(crate) async fn start_with_oplog(
        mongo: &MongoLocation,
        spec: MongodSpec,
        log: &Log,
    ) -> Result<Self, SessionError> {
        let unjournaled = spec.replica_set == 0;
        let spec = MongodSpec { replica_set: spec.replica_set.max(1), ..spec };
        Self::start_with(mongo, mongod::Options { unjournaled, ..mongod_options(spec, log) }).await
    }

    /// Starts a replica set whose members can be cut off from each other.
    pub(crate) async fn start_divisible(
        mongo: &MongoLocation,
        spec: MongodSpec,
        log: &Log,
    ) -> Result<Self, SessionError> {
        Self::start_with(mongo, mongod::Options { divisible: true, ..mongod_options(spec, log) }).await
    }

    async fn start_with(mongo: &MongoLocation, options: mongod::Options) -> Result<Self, SessionError> {
        let MongoLocation::Named(uri) = mongo else {
            return Ok(Server::Embedded(Box::new(Mongod::start(&options).await?)));
        };
        if !MongoUri::is_one(uri.expose()) {
            // It is not quoted: it may hold a password.
            return Err(SessionError::usage(anyhow::anyhow!("--mongo is not a MongoDB connection string"))
                .hint("it begins with mongodb:// or mongodb+srv://; leave it out to use the embedded server"));
        }
        Ok(Server::Named(uri.clone()))
    }

    /// Where drivers connect to.
    pub(crate) fn uri(&self) -> MongoUri {
        match self {
            Server::Named(uri) => uri.clone(),
            Server::Embedded(mongod) => MongoUri::new(mongod.uri()),
        }
    }

    /// The one of the run's own, if it is that.
    pub(super) fn embedded(&self) -> Option<&Mongod> {
        match self {
            Server::Embedded(mongod) => Some(mongod),
            Server::Named(_) => None,
        }
    }

    /// Ends when the server is lost, with the reason.
    pub(crate) async fn lost(&self) -> String {
        match self {
            Server::Embedded(mongod) => {
                let reason = mongod.ended().await.to_string();
                // The end of the server's log follows; a report wants one line.
                let first = reason.lines().next().unwrap_or_default();
                let first = first.split("; the end of its log").next().unwrap_or(first);
                format!("the server was lost in mid-run: {first}")
            }
            Server::Named(uri) => watch(uri).await,
        }
    }

    /// Stops the embedded server and waits until it is gone.
    pub(crate) async fn stop(self) -> Result<(), SessionError> {
        match self {
            Server::Named(_) => Ok(()),
            Server::Embedded(mongod) => Ok(mongod.stop().await?),
        }
    }
}

/// Asks the named server once a second; lost is a server that does not answer five times in a row.
async fn watch(uri: &MongoUri) -> String {
    const PATIENCE: u32 = 5;
    let Ok(mut options) = mongodb::options::ClientOptions::parse(uri.expose()).await else {
        return std::future::pending().await;
    };
    options.server_selection_timeout = Some(Duration::from_secs(2));
    options.max_pool_size = Some(1);
    let Ok(client) = mongodb::Client::with_options(options) else { return std::future::pending().await };
    let mut failed = 0;
    while failed < PATIENCE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let admin = client.database("admin");
        let asked = admin.run_command(doc! { "ping": 1 });
        let answered = tokio::time::timeout(Duration::from_secs(3), asked).await.is_ok_and(|answer| answer.is_ok());
        failed = if answered { 0 } else { failed + 1 };
    }
    format!("the server {uri} was lost in mid-run: it did not answer {PATIENCE} times in a row")
}

/// How the embedded server is started for this; `log` is told what takes long.
pub(crate) fn mongod_options(spec: MongodSpec, log: &Log) -> mongod::Options {
    mongod::Options { notice: Arc::clone(log), ..mongod::Options::new(spec) }
}
