//! From requests that somebody wrote down to a scenario that runs: each is sent a few times, one after another, and what it
//! leaves behind says what it is. Pure but for the [`Subject`] that it is given: it speaks to no server itself.

mod answers;
mod auth;
mod documents;
mod elements;
mod finding;
mod fresh;
mod graphql;
mod login;
mod made;
mod pieces;
mod probe;
mod request;
mod together;
mod values;
mod write;

pub use documents::State;
#[cfg(test)]
pub(crate) use elements::Added;
#[cfg(test)]
pub use finding::Prior;
pub use finding::{Finding, Kind, Reply, Subject};
pub use login::Login;
pub(crate) use made::TRIAL;
pub use probe::Probe;
pub(crate) use request::multipart_body;
pub use together::together;
pub use values::Pinned;
pub use write::{Origin, Plan, promise, scenario_text};
