//! `audit`, `repair` and `seed` against a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests are tests.
#![allow(clippy::print_stdout)] // A long run says what it saw.

mod alone;
mod anew;
mod busy;
mod command;
mod generated;
mod identity;
mod inspection;
mod interrupted;
mod killed;
mod large;
mod lively;
mod odd;
mod oracle;
mod references;
mod refused;
mod repair;
mod support;
