//! Faults of a run: what breaks on purpose while a load goes on, when, and that it is mended again.
//!
//! [`moments`] plans, from the scenario and the seed alone; [`inject`] carries the plan out on what the environment hands it, and
//! gives back what happened. It judges nothing, and it strikes no server that the harness did not start: others are met
//! through the proxy in front of them alone.

mod clock;
mod durable;
mod inject;
mod journal;
mod moments;
mod server;
mod service;
mod way;

pub use durable::{make_durable, why_writes_survive};
pub use inject::{Equipment, inject};
pub use moments::plan_in_words;
