//! Interleavings: a proxy for MongoDB's wire protocol that parks each command of a service and releases them in an
//! order it chooses.

mod connection;
pub mod gate;
pub mod proxy;
pub mod wire;
