//! The public face of the crate: what a Rust project needs to run a scenario in its own tests.
//!
//! It stands on `session`, as `cli` does, and neither knows the other. No type of another crate is in it; `tests/face.rs`
//! reads these files and says so.

mod embedded;
mod error;
mod report;
mod scenario;
mod session;

pub use embedded::EmbeddedMongo;
pub use error::Error;
pub use report::{Finding, Latency, Operations, Proof, Report, check};
pub use scenario::Scenario;
pub use session::Session;
