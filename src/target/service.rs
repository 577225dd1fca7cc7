//! The service under test: started, waited for, watched and stopped by the harness. Main type: [`Service`].
//!
//! Each instance is told a free port of its own and runs in a process group that dies with the harness. Of the harness's
//! own environment it gets a few harmless variables, so that a token of the CI job is not handed to it; everything else is
//! in the scenario's `env`.

mod clock;
mod env_file;
mod port;
mod restart;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use minijinja::{Value, context};

pub use self::clock::ClockLibrary;
use self::port::Reservation;
use self::restart::Restarts;
pub use self::restart::{Awaited, Launched};
use super::{MongoUri, TargetError};
use crate::process::{Process, ProcessSpec, Supervisor, last_lines};
use crate::scenario::{PortKind, ServiceSpec};

/// What an instance gets of the harness's own environment.
pub const INHERITED: [&str; 9] = ["PATH", "HOME", "USER", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR", "NODE_PATH"];
/// How long an instance may take to end once it was asked to.
const GRACE: Duration = Duration::from_secs(5);
/// Time between two questions whether it is ready.
const PAUSE: Duration = Duration::from_millis(50);
/// Lines of its log that an error quotes.
const LOG_LINES: usize = 12;
/// How many ports an instance is given in turn, when another process is faster each time.
const PORTS: usize = 5;
const STARTING: &str = "starting the service";

/// What the templates of `[service]` are filled in with.
#[derive(Debug, Clone)]
pub struct ServiceContext {
    /// The run.
    pub run_id: String,
    /// The run's server and database, if it has one.
    pub mongo: Option<(MongoUri, String)>,
    /// Folder of the scenario file.
    pub folder: PathBuf,
    /// Where the logs go.
    pub logs: PathBuf,
    /// The host at which services answer.
    pub host: String,
    /// The services that were started before, by name: where each answers.
    pub others: BTreeMap<String, String>,
    /// What moves its clock, where that is asked for.
    pub clock: Option<ClockLibrary>,
}

/// The instances of a service.
#[derive(Debug)]
pub struct Service {
    /// What it is called, in logs and errors.
    name: String,
    supervisor: Supervisor,
    instances: Vec<Instance>,
    restarts: Restarts,
}

#[derive(Debug)]
struct Instance {
    /// Held until it is ready.
    port: Reservation,
    process: Process,
    /// Where it answers, once it is ready.
    url: String,
    /// Where its part of the log begins.
    log_from: u64,
}

/// What came of waiting for an instance.
enum Start {
    Ready,
    /// It ended because another process has its port; the end of its log.
    PortTaken(String),
}

/// How instances are started.
struct Starter<'a> {
    spec: &'a ServiceSpec,
    context: &'a ServiceContext,
    client: reqwest::Client,
    deadline: Instant,
}

impl Service {
    /// Starts all instances and waits until each is ready, also where they are awaited only until they listen: where one answers
    /// is known no earlier.
    pub async fn start(spec: &ServiceSpec, context: &ServiceContext, awaited: Awaited) -> Result<Self, TargetError> {
        let client = http_client()?;
        let supervisor = Supervisor::start("onlyone-service-").map_err(|error| step(STARTING, error))?;
        let name = spec.name.clone().unwrap_or_else(|| "service".to_owned());
        let restarts = Restarts::new(spec, context);
        let mut service = Service { name, supervisor, instances: Vec::new(), restarts };
        let in_turn = awaited == Awaited::InTurn;
        let mut starter = Starter { spec, context, client, deadline: Instant::now() + spec.ready_timeout };
        for number in 1..=spec.instances {
            let mut instance = starter.launch(&service.supervisor, number, &[])?;
            if in_turn {
                starter.deadline = Instant::now() + spec.ready_timeout;
                starter.surely_ready(&service.supervisor, number, &mut instance).await?;
            }
            service.instances.push(instance);
        }
        for (number, instance) in (1..).zip(&mut service.instances).filter(|_| !in_turn) {
            starter.surely_ready(&service.supervisor, number, instance).await?;
        }
        Ok(service)
    }

    /// Where the instances answer.
    pub fn base_urls(&self) -> Vec<String> {
        self.instances.iter().map(|instance| instance.url.clone()).collect()
    }

    /// Whether one of its processes holds a connection to this port; `None` where the system does not tell.
    pub fn is_connected_to(&self, port: u16) -> Option<bool> {
        let told = self.processes().iter().map(|process| port::connects(process.pid(), port)).collect::<Vec<_>>();
        told.into_iter().collect::<Option<Vec<bool>>>().map(|told| told.contains(&true))
    }

    /// The end of the first instance's log, for an error.
    pub fn quoted_log(&self) -> String {
        self.instances.first().map(|instance| instance.quoted(&instance.log())).unwrap_or_default()
    }

    /// Numbers of the instances' processes.
    pub fn pids(&self) -> Vec<u32> {
        self.processes().iter().map(Process::pid).collect()
    }

    /// Ends when an instance has ended, with the reason.
    pub async fn lost(&self) -> String {
        let (index, status) = self.ended().await;
        let how = status.map_or_else(|| "for an unknown reason".to_owned(), |status| format!("with {status}"));
        let (number, name) = (index + 1, &self.name);
        let what = if name == "service" { "the service under test".to_owned() } else { format!("`{name}`") };
        format!("{what} ended in mid-run (instance {number}, {how}): see {name}-{number}.log")
    }

    /// Asks all instances to end, kills those that do not, and waits until they are gone.
    pub async fn stop(self) -> Result<(), TargetError> {
        for process in self.processes() {
            process.terminate(GRACE).await.map_err(|error| step("stopping the service", error))?;
        }
        self.supervisor.stop().await.map_err(|error| step("stopping the service", error))
    }
}

impl Starter<'_> {
    /// Starts an instance on a port of its own. A port that is held until the service listens can be taken by nobody else;
    /// a service that does not set `SO_REUSEADDR` can listen only on one that is let go before: that is done once a port was
    /// tried in vain.
    fn launch(&self, supervisor: &Supervisor, number: u32, tried: &[u16]) -> Result<Instance, TargetError> {
        let mut port = Reservation::other_than(tried).map_err(|error| step("finding a free port", error))?;
        if !tried.is_empty() {
            port.let_go();
        }
        self.launch_at(supervisor, number, port)
    }

    /// Waits until an instance is ready, which is launched again at another port where its own was taken.
    async fn surely_ready(
        &self,
        supervisor: &Supervisor,
        number: u32,
        instance: &mut Instance,
    ) -> Result<(), TargetError> {
        let mut tried = Vec::new();
        while let Start::PortTaken(log) = self.ready(instance).await? {
            tried.push(instance.port.port());
            if tried.len() >= PORTS {
                let ports = tried.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
                return Err(step(STARTING, format!("another process took its port each time ({ports}){log}")));
            }
            *instance = self.launch(supervisor, number, &tried)?;
        }
        instance.port.let_go();
        Ok(())
    }

    fn launch_at(&self, supervisor: &Supervisor, number: u32, port: Reservation) -> Result<Instance, TargetError> {
        let mut process = process_spec(self.spec, self.context, number, port.port())?;
        if let Some(library) = &self.context.clock {
            process = library.told(process, &clock::file(supervisor.dir(), number))?;
        }
        let log_from = std::fs::metadata(&process.log).map_or(0, |log| log.len());
        let process = supervisor.spawn(&process).map_err(|error| step(STARTING, error))?;
        let url = format!("http://{}:{}", self.context.host, port.port());
        Ok(Instance { port, process, url, log_from })
    }

    /// Waits until an instance answers 2xx, or has ended.
    async fn ready(&self, instance: &mut Instance) -> Result<Start, TargetError> {
        if self.spec.port == PortKind::None {
            // Nobody can ask it; that it ends early is seen when something waits for it.
            return Ok(Start::Ready);
        }
        let given = instance.url.clone();
        let path = self.spec.ready.as_deref().unwrap_or("/");
        let mut last = "no answer".to_owned();
        loop {
            if let Some(status) = instance.process.try_exit_status() {
                let log = instance.log();
                if port::says_taken(&log) {
                    return Ok(Start::PortTaken(instance.quoted(&log)));
                }
                let log = instance.quoted(&log);
                return Err(step(STARTING, format!("it ended with {status} before it was ready{log}")));
            }
            let listens = match self.spec.port {
                PortKind::Given => vec![given.clone()],
                PortKind::Found => port::listeners(instance.process.pid(), instance.port.port()),
                PortKind::None => Vec::new(),
            };
            for base in listens {
                let asked = self.client.get(format!("{base}{path}")).send();
                match tokio::time::timeout_at(self.deadline.into(), asked).await.ok().and_then(Result::ok) {
                    Some(answer) if answer.status().is_success() || self.spec.ready.is_none() => {
                        if base == given {
                            instance.no_stranger()?;
                        } else if is_database(answer).await {
                            // A server that the service started for itself.
                            continue;
                        }
                        instance.url = base;
                        return Ok(Start::Ready);
                    }
                    Some(answer) => last = format!("HTTP {}", answer.status().as_u16()),
                    None => {}
                }
            }
            if Instant::now() >= self.deadline {
                instance.no_stranger()?;
                let (patience, log) = (self.spec.ready_timeout, instance.quoted(&instance.log()));
                let hint = match last.as_str() {
                    "no answer" if self.spec.port == PortKind::Found => {
                        ": no process of the service listens on a port that speaks HTTP"
                    }
                    "no answer" => ": nothing answers there; does the service listen on {{ service.port }}?",
                    "HTTP 404" => ": the service answers, but has no such path; is `service.ready` right?",
                    _ => "",
                };
                let why = format!(
                    "{given}{path} was not ready within {patience:?} (`service.ready_timeout`): {last}{hint}{log}"
                );
                return Err(step(STARTING, why));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Instance {
    /// An error if another process answers in place of the service: then the run would judge that one.
    fn no_stranger(&self) -> Result<(), TargetError> {
        let port = self.port.port();
        match port::stranger(port, self.process.pid()) {
            None => Ok(()),
            Some(who) => {
                let log = self.quoted(&self.log());
                let why = format!("port {port} is answered by {who}, which the harness did not start{log}");
                Err(step(STARTING, why))
            }
        }
    }

    /// What it has said since it was started.
    fn log(&self) -> String {
        let bytes = std::fs::read(self.process.log()).unwrap_or_default();
        let from = usize::try_from(self.log_from).unwrap_or(usize::MAX).min(bytes.len());
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }

    /// The end of a log, for an error.
    fn quoted(&self, log: &str) -> String {
        let last = last_lines(log, LOG_LINES);
        if last.is_empty() { String::new() } else { format!("; the end of {}:\n{last}", self.process.log().display()) }
    }
}

/// Whether a database answered: MongoDB does so to HTTP as well.
async fn is_database(answer: reqwest::Response) -> bool {
    let short = answer.content_length().is_some_and(|length| length < 4096);
    short && answer.text().await.is_ok_and(|text| text.contains("MongoDB over HTTP"))
}

/// Asks instances whether they are ready.
fn http_client() -> Result<reqwest::Client, TargetError> {
    // The answer to the question is of no interest: only whether it is 2xx.
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build();
    client.map_err(|error| step("making the HTTP client", error))
}

fn process_spec(
    spec: &ServiceSpec,
    context: &ServiceContext,
    number: u32,
    port: u16,
) -> Result<ProcessSpec, TargetError> {
    let variables = variables(context, number, port)?;
    let render =
        |template: &crate::scenario::Template| template.render(&variables).map_err(|error| step(STARTING, error));
    let mut words = spec.command.iter().map(render).collect::<Result<Vec<_>, _>>()?.into_iter();
    let program = words.next().ok_or_else(|| step(STARTING, "the command is empty"))?;
    let name = spec.name.as_deref().unwrap_or("service");
    let mut process = ProcessSpec::new(program, context.logs.join(format!("{name}-{number}.log"))).args(words);
    process.inherit = (!spec.inherit).then(|| INHERITED.iter().map(Into::into).collect());
    let folder = spec.dir.as_ref().map_or_else(|| context.folder.clone(), |dir| context.folder.join(dir));
    if let Some(file) = &spec.env_file {
        for (variable, value) in env_file::read(&folder.join(file))? {
            process = process.env(variable, value);
        }
    }
    process.dir = Some(folder);
    for (name, value) in &spec.env {
        process = process.env(name, render(value)?);
    }
    Ok(process)
}

fn variables(context: &ServiceContext, number: u32, port: u16) -> Result<Value, TargetError> {
    let onlyone = std::env::current_exe().map_err(|error| step("finding the program of the harness", error))?;
    let mongo = context.mongo.as_ref();
    let services: BTreeMap<&str, Value> = context
        .others
        .iter()
        .map(|(name, url)| (name.as_str(), context! { url, port => url.rsplit(':').next() }))
        .collect();
    Ok(context! {
        run => context! { id => context.run_id.as_str() },
        mongo => mongo.map(|(uri, database)| context! { uri => uri.with_database(database), database => database }),
        service => context! { host => context.host.as_str(), port, instance => number },
        services => services,
        onlyone => onlyone.display().to_string(),
    })
}

fn step(step: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TargetError {
    TargetError::Step { step: step.to_owned(), source: source.into() }
}
