//! [`Mongod`]: the embedded server, standalone or a replica set.

use std::path::Path;
use std::sync::Arc;

use futures::future::try_join_all;

use crate::process::Supervisor;

use super::member::REPLICA_SET;
use super::relay::Cut;
use super::{Binary, Member, MongodError, Options, locate, replica};

/// The embedded server. Dropping it kills it and removes its data, in the background; [`Mongod::stop`] does so and waits.
#[derive(Debug)]
pub struct Mongod {
    supervisor: Supervisor,
    binary: Binary,
    members: Vec<Member>,
    replica_set: bool,
    /// The members that are cut off from the others.
    cut: Arc<Cut>,
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
        let mut members = try_join_all(starting).await?;
        let cut = Arc::new(Cut::default());
        if options.divisible {
            members = try_join_all(members.into_iter().map(|member| member.relayed(Arc::clone(&cut)))).await?;
        }
        if count > 0 {
            replica::initiate(&members, options).await?;
        }
        Ok(Mongod { supervisor, binary, members, replica_set: count > 0, cut })
    }

    /// The address that drivers connect to.
    pub fn uri(&self) -> String {
        let hosts: Vec<String> = self.members.iter().map(Member::address).collect();
        let options = if self.replica_set { format!("?replicaSet={}", REPLICA_SET) } else { String::new() };
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

    /// Starts a member again that was taken down, on the same port and data, and waits until the whole set is well.
    pub async fn bring_back(&self, member: &Member) -> Result<(), MongodError> {
        let back = async {
            member.restart(&self.supervisor).await?;
            self.await_whole().await
        };
        let back = back.await;
        member.is_back();
        back
    }

    /// Cuts a member off from the others, both ways: open connections between them are closed, and no new ones come about. Clients
    /// reach it as before. Of a set that was not started to be [divisible](Options::divisible) nothing is cut.
    pub fn cut_off(&self, member: &Member) {
        self.cut.send_replace(vec![member.port()]);
    }

    /// Lets all members reach each other again, and waits until the whole set is well.
    pub async fn join_again(&self) -> Result<(), MongodError> {
        self.cut.send_replace(Vec::new());
        self.await_whole().await
    }

    /// Waits until the set has a primary and all other members follow it; a standalone server is whole when it answers.
    pub async fn await_whole(&self) -> Result<(), MongodError> {
        match self.replica_set {
            true => replica::await_whole(&self.members).await,
            false => Ok(()),
        }
    }

    /// The member that can be written to now, if there is one; a standalone server is its own.
    pub async fn primary(&self) -> Option<&Member> {
        match self.replica_set {
            true => replica::primary(&self.members).await,
            false => self.members.first(),
        }
    }

    /// Waits until a member ends that nobody stopped or took down, and says how it ended.
    pub async fn ended(&self) -> MongodError {
        let ends = self.members.iter().map(|member| Box::pin(member.lost()));
        futures::future::select_all(ends).await.0
    }

    /// Kills it, removes its data, and returns when that is done.
    pub async fn stop(self) -> Result<(), MongodError> {
        Ok(self.supervisor.stop().await?)
    }
}
