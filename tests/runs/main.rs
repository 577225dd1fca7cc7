//! Runs and explorations from end to end, each of a service or a scenario of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod as_if_serial;
mod evidence;
mod kinds;
mod namespaces;
mod places;
mod preliminaries;
mod relational;
mod run_faults;
mod scenario_mutants;
mod scenarios_run;
#[path = "../support/mod.rs"]
mod support;
mod truth;
