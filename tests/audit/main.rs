//! `audit`, `repair` and `seed` against a real server.

mod command;
mod inspection;
mod killed;
mod repair;
mod support;
