//! The service under test: started, waited for, watched and stopped by the harness. Main type: [`Service`].
//!
//! Each instance is told a free port of its own and runs in a process group that dies with the harness. Of the harness's
//! own environment it gets a few harmless variables, so that a token of the CI job is not handed to it; everything else is
//! in the scenario's `env`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::future::select_all;
use minijinja::{Value, context};

use super::{MongoUri, TargetError};
use crate::process::{Process, ProcessSpec, Supervisor};
use crate::scenario::ServiceSpec;

/// What an instance gets of the harness's own environment.
pub const INHERITED: [&str; 9] = ["PATH", "HOME", "USER", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR", "NODE_PATH"];
/// How long an instance may take to end once it was asked to.
const GRACE: Duration = Duration::from_secs(5);
/// Time between two questions whether it is ready.
const PAUSE: Duration = Duration::from_millis(50);
/// Lines of its log that an error quotes.
const LOG_LINES: usize = 12;

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
}

/// The instances of a service.
#[derive(Debug)]
pub struct Service {
    supervisor: Supervisor,
    instances: Vec<Instance>,
}

#[derive(Debug)]
struct Instance {
    port: u16,
    process: Process,
}

impl Service {
    /// Starts all instances and waits until each is ready.
    pub async fn start(spec: &ServiceSpec, context: &ServiceContext) -> Result<Self, TargetError> {
        let failed = |error| step("starting the service", error);
        let supervisor = Supervisor::start("onlyone-service-").map_err(failed)?;
        let mut service = Service { supervisor, instances: Vec::new() };
        for number in 1..=spec.instances {
            let port = free_port().map_err(|error| step("finding a free port", error))?;
            let process = process_spec(spec, context, number, port)?;
            let process = service.supervisor.spawn(&process).map_err(failed)?;
            service.instances.push(Instance { port, process });
        }
        let deadline = Instant::now() + spec.ready_timeout;
        // The answer to the question is of no interest: only whether it is 2xx.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build();
        let client = client.map_err(|error| step("making the HTTP client", error))?;
        for instance in &service.instances {
            instance.ready(&client, &spec.ready, deadline, spec.ready_timeout).await?;
        }
        Ok(service)
    }

    /// Where the instances answer.
    pub fn base_urls(&self) -> Vec<String> {
        self.instances.iter().map(|instance| format!("http://127.0.0.1:{}", instance.port)).collect()
    }

    /// Numbers of the instances' processes.
    pub fn pids(&self) -> Vec<u32> {
        self.instances.iter().map(|instance| instance.process.pid()).collect()
    }

    /// Ends when an instance has ended, with the reason.
    pub async fn lost(&self) -> String {
        let ends = self.instances.iter().map(|instance| Box::pin(instance.process.wait()));
        let (status, index, _) = select_all(ends).await;
        let how = status.map_or_else(|| "for an unknown reason".to_owned(), |status| format!("with {status}"));
        let number = index + 1;
        format!("the service under test ended in mid-run (instance {number}, {how}): see service-{number}.log")
    }

    /// Asks all instances to end, kills those that do not, and waits until they are gone.
    pub async fn stop(self) -> Result<(), TargetError> {
        for instance in &self.instances {
            instance.process.terminate(GRACE).await.map_err(|error| step("stopping the service", error))?;
        }
        self.supervisor.stop().await.map_err(|error| step("stopping the service", error))
    }
}

impl Instance {
    async fn ready(
        &self,
        client: &reqwest::Client,
        path: &str,
        deadline: Instant,
        patience: Duration,
    ) -> Result<(), TargetError> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut last = "no answer".to_owned();
        loop {
            if let Some(status) = self.process.try_exit_status() {
                let log = tail(self.process.log());
                return Err(step("starting the service", format!("it ended with {status} before it was ready{log}")));
            }
            match client.get(&url).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => last = format!("HTTP {}", answer.status().as_u16()),
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                let log = tail(self.process.log());
                return Err(step(
                    "starting the service",
                    format!("{url} was not ready within {patience:?}: {last}{log}"),
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn process_spec(
    spec: &ServiceSpec,
    context: &ServiceContext,
    number: u32,
    port: u16,
) -> Result<ProcessSpec, TargetError> {
    let variables = variables(context, number, port)?;
    let render = |template: &crate::scenario::Template| {
        template.render(&variables).map_err(|error| step("starting the service", error))
    };
    let mut words = spec.command.iter().map(render).collect::<Result<Vec<_>, _>>()?.into_iter();
    let program = words.next().ok_or_else(|| step("starting the service", "the command is empty"))?;
    let mut process = ProcessSpec::new(program, context.logs.join(format!("service-{number}.log"))).args(words);
    process.inherit = Some(INHERITED.iter().map(Into::into).collect());
    process.dir = Some(match &spec.dir {
        Some(dir) => context.folder.join(dir),
        None => context.folder.clone(),
    });
    for (name, value) in &spec.env {
        process = process.env(name, render(value)?);
    }
    Ok(process)
}

fn variables(context: &ServiceContext, number: u32, port: u16) -> Result<Value, TargetError> {
    let onlyone = std::env::current_exe().map_err(|error| step("finding the program of the harness", error))?;
    let mongo = context.mongo.as_ref();
    Ok(context! {
        run => context! { id => context.run_id.as_str() },
        mongo => mongo.map(|(uri, database)| context! { uri => uri.with_database(database), database => database }),
        service => context! { port, instance => number },
        onlyone => onlyone.display().to_string(),
    })
}

/// A port that nothing listens on. The service binds it itself, a moment later; another process may be faster, and then
/// the service says so and ends.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The end of a log, for an error.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    if last.is_empty() { String::new() } else { format!("; the end of {}:\n{last}", log.display()) }
}

fn step(step: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TargetError {
    TargetError::Step { step: step.to_owned(), source: source.into() }
}
