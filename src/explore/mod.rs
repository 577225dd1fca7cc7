//! Interleavings: a proxy for MongoDB's wire protocol that parks each command of a service and releases them in an
//! order it chooses.

pub mod wire;
