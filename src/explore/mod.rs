//! Interleavings: a proxy for MongoDB's wire protocol that parks each command of a service and releases them in an
//! order it chooses.

pub mod classes;
pub mod conflict;
mod connection;
pub mod dfs;
pub mod execution;
#[cfg(test)]
mod fake;
pub mod gate;
pub mod policy;
pub mod proxy;
mod run;
pub mod schedule;
pub mod scheduler;
pub mod subject;
pub mod wire;
