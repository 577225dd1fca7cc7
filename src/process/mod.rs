//! Processes that the harness starts: servers, provisioning, and the service under test.
//!
//! Nothing started here outlives the harness, also when the harness is killed without warning: see [`Supervisor`].

mod error;
mod log;
mod spec;
mod supervisor;

pub use error::ProcessError;
pub(crate) use log::{last_lines, tail};
pub use spec::{ProcessSpec, find_program};
pub use supervisor::{Process, Supervisor};
