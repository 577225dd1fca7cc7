//! `onlyone` fires truly concurrent operations at a MongoDB-backed service, directly or over HTTP, and proves that only
//! one document came of it.

pub mod checker;
pub mod driver;
pub mod cli;
pub mod history;
pub mod mongod;
pub mod process;
pub mod report;
pub mod scenario;
pub mod strategy;
pub mod stats;
pub mod target;
pub mod verdict;
pub mod workload;
