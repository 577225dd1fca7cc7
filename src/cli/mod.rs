//! The command line.

pub mod mongod;
