//! [`Fleet`]: several instances of the service, each a process with a port of its own, on one database.
//!
//! A lock in the memory of one instance is unknown to the others, as in production. The instances die with the fleet,
//! and with the harness.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use futures::future::select_all;

use super::ServiceError;
use crate::process::{Process, ProcessError, ProcessSpec, Supervisor, tail};

/// What the instances are.
#[derive(Debug, Clone)]
pub struct FleetSpec {
    /// The program of an instance: it prints its URL as a line once it can be reached.
    pub program: OsString,
    /// Its arguments; `--port PORT` follows them.
    pub args: Vec<OsString>,
    /// Its secrets, which no list of processes shows.
    pub env: BTreeMap<OsString, OsString>,
    /// The first port; the others follow it. 0 is any free one for each.
    pub port: u16,
    /// How many.
    pub instances: u16,
}

/// Several instances. Dropping it kills them in the background; [`Fleet::stop`] does so and waits.
#[derive(Debug)]
pub struct Fleet {
    supervisor: Supervisor,
    instances: Vec<Instance>,
}

#[derive(Debug)]
struct Instance {
    process: Process,
    url: String,
}

/// How often the log of an instance that starts is read.
const POLL: Duration = Duration::from_millis(5);
/// Lines of a log that an error shows.
const LOG_LINES: usize = 12;

impl Fleet {
    /// Starts the instances and waits until each can be reached. An instance gives up by itself when it cannot reach
    /// its server, so that nothing here needs a deadline.
    pub async fn start(spec: &FleetSpec) -> Result<Self, ServiceError> {
        let last = spec.port.checked_add(spec.instances.saturating_sub(1));
        let too_many = ServiceError::Ports { port: spec.port, instances: spec.instances };
        if spec.port != 0 && last.is_none() {
            return Err(too_many);
        }
        let supervisor = Supervisor::start("onlyone-serve-")?;
        let mut processes = Vec::new();
        for index in 0..spec.instances {
            let port = if spec.port == 0 { 0 } else { spec.port + index };
            let log = supervisor.dir().join(format!("instance-{}.log", index + 1));
            let mut process = ProcessSpec::new(&spec.program, log).args(spec.args.iter().cloned());
            process = process.args(["--port".to_owned(), port.to_string()]);
            process.env.clone_from(&spec.env);
            processes.push(supervisor.spawn(&process)?);
        }
        let mut instances = Vec::new();
        for (index, process) in processes.into_iter().enumerate() {
            let url = announced(&process, index).await?;
            instances.push(Instance { process, url });
        }
        Ok(Fleet { supervisor, instances })
    }

    /// Where they are.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.instances.iter().map(|instance| instance.url.as_str())
    }

    /// Waits until an instance ends by itself, and says how.
    pub async fn ended(&self) -> ServiceError {
        let ends = self.instances.iter().map(|instance| Box::pin(instance.process.wait()));
        let (_status, index, _others) = select_all(ends).await;
        ended(&self.instances[index].process, index)
    }

    /// Kills them, and returns when they are gone.
    pub async fn stop(self) -> Result<(), ServiceError> {
        Ok(self.supervisor.stop().await?)
    }
}

/// Waits for the line with the URL.
async fn announced(process: &Process, index: usize) -> Result<String, ServiceError> {
    loop {
        // Asked before the log is read, so that the last words of a process that has ended are not missed.
        let over = process.try_exit_status().is_some();
        let log = read(process.log())?;
        let complete = log.rsplit_once('\n').map_or("", |(complete, _)| complete);
        if let Some(url) = complete.lines().find(|line| line.starts_with("http://")) {
            return Ok(url.to_owned());
        }
        if over {
            return Err(ended(process, index));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn ended(process: &Process, index: usize) -> ServiceError {
    ServiceError::Ended { instance: index + 1, log: tail(process.log(), LOG_LINES) }
}

fn read(log: &Path) -> Result<String, ProcessError> {
    let bytes = std::fs::read(log).map_err(|source| ProcessError::File { path: log.to_owned(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
