//! `audit`, `repair` and `seed` against a real server.

mod inspection;
mod killed;
mod repair;
mod support;
