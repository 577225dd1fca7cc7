//! The embedded mongod: found or provisioned, started on a loopback port, and gone with the harness.
//!
//! [`Mongod::start`] is the way in. There is no judging and no reading of a run's data here.

mod close;
mod environment;
mod error;
mod locate;
mod member;
mod options;
mod provision;
mod relay;
mod replica;
mod server;

pub(crate) use close::close;
pub use environment::Environment;
pub use error::{MongodError, ProvisionError};
pub use locate::{Binary, locate};
pub use member::Member;
pub use options::Options;
pub use server::Mongod;
