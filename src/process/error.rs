//! Why a process could not be started or reached.

use std::path::PathBuf;

/// Why a process could not be started or reached.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program does not exist.
    #[error("cannot find the program `{program}`; give its full path, or add its folder to PATH")]
    NotFound {
        /// As it was asked for.
        program: String,
    },
    /// The file exists, but may not be executed.
    #[error("`{program}` cannot be executed: {reason}")]
    NotExecutable {
        /// As it was asked for.
        program: String,
        /// What it is, and what to do.
        reason: &'static str,
    },
    /// The folder in which the process is to run does not exist, or is a file.
    #[error("there is no folder `{}` to start the process in", dir.display())]
    NoFolder {
        /// As it was asked for.
        dir: PathBuf,
    },
    /// A file or folder that the process needs.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system refused.
    #[error("cannot {step}")]
    System {
        /// What was tried.
        step: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The process that kills the others when the harness dies is gone.
    #[error("the supervisor of the harness's processes has ended, so nothing more can be started safely")]
    Unsupervised,
}
