//! Why the service cannot be started or goes down.

use crate::process::ProcessError;
use crate::target::TargetError;

/// Why the service cannot be started or goes down.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Its server cannot be used.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A unique index was not asked for, and is there.
    #[error(
        "the collection `{collection}` of the database `{database}` has a unique index on `{field}`, which was not asked for"
    )]
    UniqueIndex {
        /// Where.
        database: String,
        /// Of what.
        collection: String,
        /// On what.
        field: String,
    },
    /// The port cannot be listened on.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// Which.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// More instances than ports.
    #[error("{instances} instances from port {port} on need ports above 65535")]
    Ports {
        /// The first port.
        port: u16,
        /// How many.
        instances: u16,
    },
    /// It stopped answering.
    #[error("the service stopped listening")]
    Serve(#[source] std::io::Error),
    /// An instance cannot be started or stopped.
    #[error("cannot run an instance of the service")]
    Process(#[from] ProcessError),
    /// A task that was cut off before the start cannot be carried out again.
    #[error("cannot carry out a task that was cut off: {0}")]
    Recovery(String),
    /// An instance ended by itself.
    #[error("instance {instance} ended by itself; the end of its log:\n{log}")]
    Ended {
        /// Which, counted from 1.
        instance: usize,
        /// The last lines of its log.
        log: String,
    },
}
