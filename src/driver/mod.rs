//! The driver: lets operations go at the times that the load asks for, truly concurrently, and records what happened.
//!
//! It owns every task of a run. Workers share nothing on the hot path: an operation costs two clock reads and one push
//! to the worker's own buffer. It judges nothing.

mod backlog;
mod barrier;
mod closing;
mod live_violations;
mod load;
mod open;
mod plan;
mod ramp;
mod recorder;
mod rounds;
mod run;
mod silence;
mod worker;

pub use plan::Plan;
pub use recorder::{Progress, Recorded, Watcher};
pub use run::{BeforeRound, Between, DriverError, Interludes, Run, run, run_together, run_with};
