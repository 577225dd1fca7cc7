//! `audit`, `repair` and `seed` against a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests are tests.

mod busy;
mod command;
mod identity;
mod inspection;
mod killed;
mod repair;
mod support;
