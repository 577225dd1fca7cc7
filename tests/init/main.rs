//! Scenarios that write themselves: from curl lines and from documents that list requests to a verdict.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod curl;
mod scenario;
mod sources;
#[path = "../support/mod.rs"]
mod support;
