//! The reference service, for real: a mongod, HTTP requests, and processes that are killed.

// The lints look at test functions only, and these are helpers of tests.
#![allow(clippy::unwrap_used, clippy::panic)]

mod chats;
mod conversations;
mod general;
mod merged;
mod processes;
mod support;
mod threads;
