//! Interleavings: a proxy for MongoDB's wire protocol that parks each command of a service and releases them in an
//! order it chooses.

pub mod chance;
pub mod classes;
pub mod conflict;
mod connection;
pub mod dfs;
pub mod diagram;
mod evidence;
pub mod execution;
pub mod explorer;
#[cfg(test)]
mod fake;
pub mod gate;
pub mod indexes;
pub mod lint;
pub mod members;
pub mod outcome;
pub mod policy;
pub mod predict;
pub mod proxy;
mod run;
pub mod schedule;
pub mod scheduler;
pub mod search;
pub mod subject;
pub mod wire;
