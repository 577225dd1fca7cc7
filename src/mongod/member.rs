//! [`Member`]: one mongod process, from the choice of its port to its first answer.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, ServerAddress};
use nix::sys::signal::Signal;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::process::{Process, ProcessError, ProcessSpec, Supervisor, tail};

use super::close::close;
use super::relay::{Cut, Relay};
use super::{MongodError, Options, replica};

/// The name of the embedded replica set.
pub(super) const REPLICA_SET: &str = "onlyone";

/// A port can be taken by others between its choice and its use.
const PORT_ATTEMPTS: u32 = 5;
/// Far beyond any start that will still succeed.
pub(super) const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How often a server that does not answer yet is asked again.
pub(super) const POLL: Duration = Duration::from_millis(5);
/// Lines of the server's log that an error shows.
const LOG_LINES: usize = 12;

/// One mongod process of a [`super::Mongod`].
#[derive(Debug)]
pub struct Member {
    port: u16,
    spec: ProcessSpec,
    data: PathBuf,
    process: Mutex<Process>,
    /// What others reach it through, where members may be cut off.
    relay: Option<Relay>,
    /// Whether, and how often, it was taken down on purpose.
    taken_down: watch::Sender<TakenDown>,
}

/// How often a member was taken down on purpose.
#[derive(Debug, Default)]
struct TakenDown {
    times: u64,
    /// It is not back yet.
    is_down: bool,
}

/// How long a server may take to end in good order.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

impl Member {
    /// Starts a server and waits until it answers.
    pub(super) async fn start(
        supervisor: &Supervisor,
        program: &std::path::Path,
        index: usize,
        options: &Options,
    ) -> Result<Member, MongodError> {
        let mut log_tail = String::new();
        for attempt in 0..PORT_ATTEMPTS {
            let port = free_port()?;
            let data = supervisor.dir().join(format!("data-{index}-{attempt}"));
            std::fs::create_dir(&data).map_err(|source| ProcessError::File { path: data.clone(), source })?;
            let log = supervisor.dir().join(format!("mongod-{index}-{attempt}.log"));
            let spec = arguments(ProcessSpec::new(program, log), port, &data, options);
            let process = Mutex::new(supervisor.spawn(&spec)?);
            let member = Member { port, spec, data, process, relay: None, taken_down: watch::Sender::default() };
            match member.wait_until_ready().await {
                Err(MongodError::Died { log, .. }) if log.to_ascii_lowercase().contains("address already in use") => {
                    log_tail = log;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(member),
            }
        }
        Err(MongodError::NoPort { attempts: PORT_ATTEMPTS, log: log_tail })
    }

    /// Waits until the server answers. A port that answers proves little: another server may have taken it. So the one
    /// that answers is asked for its data directory, which only ours has.
    async fn wait_until_ready(&self) -> Result<(), MongodError> {
        let ready = async {
            self.wait_for_port().await?;
            let refused = |source| MongodError::Refused { step: "answer a first command", source };
            let client = self.client().map_err(refused)?;
            let answer = client.database("admin").run_command(doc! { "getCmdLineOpts": 1 }).await;
            close(client).await;
            let ours = answer
                .map_err(refused)?
                .get_document("parsed")
                .and_then(|parsed| parsed.get_document("storage"))
                .and_then(|storage| storage.get_str("dbPath"))
                .is_ok_and(|path| std::path::Path::new(path) == self.data);
            if ours { Ok(()) } else { Err(self.ended().await) }
        };
        tokio::select! {
            biased;
            ready = tokio::time::timeout(READY_DEADLINE, ready) => match ready {
                Ok(ready) => ready,
                Err(_) => Err(self.not_ready("answer")),
            },
            ended = self.ended() => Err(ended),
        }
    }

    async fn wait_for_port(&self) -> Result<(), MongodError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut interval = tokio::time::interval(POLL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if let Ok(stream) = TcpStream::connect(address).await {
                // A connection to a free port of the range that outgoing connections use can meet itself.
                let itself = stream.local_addr().is_ok_and(|local| local == address);
                if !itself {
                    return Ok(());
                }
            }
        }
    }

    /// A client of this member alone.
    pub(super) fn client(&self) -> Result<Client, mongodb::error::Error> {
        let host = ServerAddress::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port: Some(self.port) };
        let options = ClientOptions::builder()
            .hosts(vec![host])
            .app_name("onlyone-mongod".to_owned())
            .direct_connection(true)
            .server_selection_timeout(READY_DEADLINE)
            .build();
        Client::with_options(options)
    }

    /// Has it carry out a command of administration, whatever its role.
    pub async fn admin(&self, step: &'static str, command: Document) -> Result<Document, MongodError> {
        let refused = |source| MongodError::Refused { step, source };
        let client = self.client().map_err(refused)?;
        let answer = client.database("admin").run_command(command).await;
        close(client).await;
        answer.map_err(refused)
    }

    /// Whether it says that it is the primary of its set, if it says anything.
    pub async fn is_primary(&self) -> Option<bool> {
        replica::is_primary(self).await
    }

    pub(super) fn not_ready(&self, expected: &'static str) -> MongodError {
        let log = tail(self.process().log(), LOG_LINES);
        MongodError::NotReady { expected, seconds: READY_DEADLINE.as_secs(), log }
    }

    /// Waits until the process ends, and says how.
    pub(super) async fn ended(&self) -> MongodError {
        let status = self.process().wait().await;
        self.died(status)
    }

    fn died(&self, status: Option<ExitStatus>) -> MongodError {
        match status {
            Some(status) => MongodError::Died { status, log: tail(self.process().log(), LOG_LINES) },
            None => MongodError::Process(ProcessError::Unsupervised),
        }
    }

    /// A handle of the current process; a restart puts another one in its place.
    fn process(&self) -> Process {
        self.slot().clone()
    }

    fn slot(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has others reach it through a relay from now on.
    pub(super) async fn relayed(mut self, cut: Arc<Cut>) -> Result<Self, MongodError> {
        self.relay = Some(Relay::start(self.port, cut).await?);
        Ok(self)
    }

    /// Its own port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host and port at which clients and other members find it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.relay.as_ref().map_or(self.port, Relay::port))
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.slot().pid()
    }

    /// Whether its process exists, be it paused.
    pub fn is_running(&self) -> bool {
        self.slot().try_exit_status().is_none()
    }

    /// Kills it without warning and waits until it is gone.
    pub async fn kill(&self) -> Result<(), MongodError> {
        Ok(self.process().kill().await?)
    }

    /// Stops its process where it is: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<(), MongodError> {
        Ok(self.slot().signal(Signal::SIGSTOP)?)
    }

    /// Lets a paused process go on.
    pub fn resume(&self) -> Result<(), MongodError> {
        Ok(self.slot().signal(Signal::SIGCONT)?)
    }

    /// Ends it on purpose, which is not taken for a loss of the server; without warning, or in good order. Returns when it is gone.
    pub async fn take_down(&self, in_good_order: bool) -> Result<(), MongodError> {
        self.taken_down.send_modify(|taken_down| {
            taken_down.times += 1;
            taken_down.is_down = true;
        });
        let process = self.process();
        let ended = if in_good_order { process.terminate(SHUTDOWN_GRACE).await } else { process.kill().await };
        Ok(ended?)
    }

    /// It is back, or never will be: from now on its end is a loss again.
    pub(super) fn is_back(&self) {
        self.taken_down.send_modify(|taken_down| taken_down.is_down = false);
    }

    /// Waits until the process ends without having been taken down, and says how.
    pub(super) async fn lost(&self) -> MongodError {
        loop {
            let mut taken_down = self.taken_down.subscribe();
            // An error means that the member is gone, and with it who asks.
            taken_down.wait_for(|taken_down| !taken_down.is_down).await.ok();
            let times = taken_down.borrow_and_update().times;
            let ended = self.ended().await;
            if taken_down.borrow_and_update().times == times {
                return ended;
            }
        }
    }

    /// Starts a member that has ended again, on the same port and data, and waits until it answers.
    pub(super) async fn restart(&self, supervisor: &Supervisor) -> Result<(), MongodError> {
        let process = supervisor.spawn(&self.spec)?;
        *self.slot() = process;
        self.wait_until_ready().await
    }
}

/// A port that is free now.
fn free_port() -> Result<u16, ProcessError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| ProcessError::System { step: "find a free loopback port", source })
}

/// The options of mongod: loopback only, nothing that costs start-up time or disk for diagnosis, a modest cache.
fn arguments(spec: ProcessSpec, port: u16, data: &std::path::Path, options: &Options) -> ProcessSpec {
    let mut spec = spec
        .args(["--bind_ip", "127.0.0.1", "--port", &port.to_string(), "--nounixsocket", "--dbpath"])
        .args([data])
        .args(["--wiredTigerCacheSizeGB", "0.5", "--setParameter", "diagnosticDataCollectionEnabled=false"]);
    if options.spec.replica_set > 0 {
        spec = spec.args(["--replSet", REPLICA_SET, "--oplogSize", "128"]);
    }
    if options.spec.test_commands || options.divisible {
        spec = spec.args(["--setParameter", "enableTestCommands=1"]);
    }
    for (name, value) in &options.parameters {
        spec = spec.args(["--setParameter", &format!("{name}={value}")]);
    }
    spec
}
