//! The HTTP target, over real connections.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod features;
mod mutants;
mod service;
#[path = "../support/mod.rs"]
mod support;
