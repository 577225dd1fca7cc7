//! `audit`, `repair` and `seed` against a real server.

mod inspection;
mod repair;
mod support;
