//! [`Mongod`]: the embedded server, standalone or a replica set.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use futures::future::try_join_all;

use crate::process::Supervisor;
use crate::scenario::MongodSpec;

use super::{Binary, Environment, Member, MongodError, locate, replica};

/// How the embedded server is to be started.
#[derive(Clone)]
pub struct Options {
    /// What a scenario says of it.
    pub spec: MongodSpec,
    /// Further parameters of the server, by name.
    pub parameters: BTreeMap<String, String>,
    /// Where a mongod comes from.
    pub environment: Environment,
    /// Is told before something that takes long, such as the installation.
    pub notice: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Options {
    /// Options of a scenario, in the environment of this process, without notices.
    pub fn new(spec: MongodSpec) -> Self {
        Options { spec, parameters: BTreeMap::new(), environment: Environment::of_process(), notice: Arc::new(|_| {}) }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("spec", &self.spec)
            .field("parameters", &self.parameters)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

/// The embedded server. Dropping it kills it and removes its data, in the background; [`Mongod::stop`] does so and waits.
#[derive(Debug)]
pub struct Mongod {
    supervisor: Supervisor,
    binary: Binary,
    members: Vec<Member>,
    replica_set: bool,
}

impl Mongod {
    /// Finds a mongod, starts it with an empty private data directory, and waits until it can be written to.
    pub async fn start(options: &Options) -> Result<Mongod, MongodError> {
        let count = options.spec.replica_set;
        if !matches!(count, 0 | 1 | 3) {
            return Err(MongodError::Members { members: count });
        }
        let binary = locate(&options.environment, &*options.notice).await?;
        let supervisor = Supervisor::start("onlyone-mongod-")?;
        let indexes = 0..usize::from(count.max(1));
        let starting = indexes.map(|index| Member::start(&supervisor, &binary.path, index, options));
        let members = try_join_all(starting).await?;
        if count > 0 {
            replica::initiate(&members).await?;
        }
        Ok(Mongod { supervisor, binary, members, replica_set: count > 0 })
    }

    /// The address that drivers connect to.
    pub fn uri(&self) -> String {
        let hosts: Vec<String> = self.members.iter().map(Member::address).collect();
        let options = if self.replica_set { format!("?replicaSet={}", replica::NAME) } else { String::new() };
        format!("mongodb://{}/{options}", hosts.join(","))
    }

    /// Its processes: one, or those of the replica set.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The server's version: `6.0.5`.
    pub fn version(&self) -> &str {
        &self.binary.version
    }

    /// The program that runs, and who named it.
    pub fn binary(&self) -> &Binary {
        &self.binary
    }

    /// Its private directory, which holds data and logs.
    pub fn dir(&self) -> &Path {
        self.supervisor.dir()
    }

    /// Starts a member that was killed again, on the same port and data, and waits until it answers.
    pub async fn restart(&self, member: &Member) -> Result<(), MongodError> {
        if member.is_running() {
            member.kill().await?;
        }
        member.restart(&self.supervisor).await
    }

    /// Waits until a member ends that nobody stopped, and says how it ended.
    pub async fn ended(&self) -> MongodError {
        let ends = self.members.iter().map(|member| Box::pin(member.ended()));
        futures::future::select_all(ends).await.0
    }

    /// Kills it, removes its data, and returns when that is done.
    pub async fn stop(self) -> Result<(), MongodError> {
        Ok(self.supervisor.stop().await?)
    }
}

/// The last lines of a log; what cannot be read is said in their place, because this goes into an error.
pub(super) fn tail(log: &Path, lines: usize) -> String {
    match std::fs::read(log) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
        Err(error) => format!("(cannot read {}: {error})", log.display()),
    }
}
