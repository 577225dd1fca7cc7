//! A run's life: what it goes to is started, the load is carried out, what is left is kept and judged.
//!
//! [`LoadSession`] owns the life of a load. An exploration shares the environment ([`EnvironmentSpec`]), the record
//! ([`new_record`]), the folder ([`store::Store`]) and the end ([`conclude`]). This room knows no command line and prints
//! nothing: whoever starts a session follows it as an [`Observer`].

pub(crate) mod bursts;
pub(crate) mod commit;
mod conclusion;
mod environment;
mod error;
mod evidence;
pub(crate) mod faults;
mod fresh;
mod fresh_executions;
mod in_parts;
mod interrupt;
mod load;
mod observed_key;
mod observer;
mod options;
pub(crate) mod own_invariants;
pub(crate) mod parts;
pub(crate) mod reproduce;
mod run;
mod server;
mod set_up;
mod settle;
pub(crate) mod shards;
pub(crate) mod store;

use std::time::Duration;

pub(crate) use conclusion::{Concluded, conclude, judge_again, judge_again_within, new_record};
pub(crate) use environment::{Environment, ProxyAttachment};
pub use error::SessionError;
pub(crate) use interrupt::Interrupt;
pub(crate) use observer::Observer;
pub(crate) use options::{Log, MongoLocation, Options};
pub(crate) use run::LoadSession;
pub(crate) use server::{Server, mongod_options};
pub(crate) use set_up::{EnvironmentSpec, check, is_told, needs_server};
pub(crate) use settle::wait_until_settled;

/// How long the final state and the user's own invariants may take to be read.
pub(crate) const READ_WITHIN: Duration = Duration::from_secs(120);
