//! `onlyone` fires truly concurrent operations at a MongoDB-backed service, directly or over HTTP, and proves that only
//! one document came of it.

pub mod assess;
pub mod audit;
pub mod checker;
pub mod cli;
pub mod driver;
pub mod explain;
pub mod explore;
pub mod fault;
pub mod history;
pub mod import;
pub mod init;
pub mod lint;
pub mod live;
pub mod mongod;
pub mod process;
pub mod report;
pub mod scenario;
pub mod scope;
pub mod selftest;
pub mod serial;
pub mod service;
pub(crate) mod session;
pub mod shard;
pub mod stats;
pub mod strategy;
pub mod target;
pub mod verdict;
pub mod workload;
