//! Interleavings: a proxy for MongoDB's wire protocol that parks each command of a service and releases them in an
//! order it chooses.

mod afterwards;
pub mod bursts;
mod capture;
mod carry;
mod catalogue;
pub mod chance;
pub mod classes;
pub mod comparison;
pub mod conflict;
mod connection;
pub mod dfs;
pub mod diagram;
mod evidence;
pub mod execution;
pub mod explorer;
#[cfg(test)]
mod fake;
mod first_use;
pub mod gate;
mod hub;
pub mod indexes;
mod judging;
mod lane;
pub mod lint;
mod locks;
pub mod members;
pub mod outcome;
pub mod pairs;
pub mod policy;
mod polling;
pub mod predict;
pub mod proxy;
mod run;
pub mod schedule;
pub mod scheduler;
pub mod search;
mod searches;
mod serial_runs;
mod spent;
mod stored;
pub mod subject;
mod survey;
pub(crate) mod together;
pub mod watch;
pub mod wire;
