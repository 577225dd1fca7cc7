//! The reference chat service: a practice target over HTTP, built from the same strategies as the direct target.
//!
//! [`Service`] connects and prepares its database, [`Listening`] answers requests, [`Fleet`] runs several as processes of
//! their own. It listens on loopback only. Its log-in is a toy, and by default everything in it can be made racy: it is
//! something to practise on, and nothing to deploy.

mod auth;
mod body;
mod chats;
mod conversations;
mod error;
mod fleet;
mod json;
mod listen;
mod merged;
mod openapi;
mod page;
mod planted;
mod refusal;
mod settings;
mod state;
mod tasks;
mod threads;

pub use error::ServiceError;
pub use fleet::{Fleet, FleetSpec};
pub use listen::Listening;
pub use planted::{Mutant, Planted, all as planted_routes, of_id as planted_route};
pub use settings::{BadChoice, Secret, Settings, Strategies};
pub use state::Service;
