//! Interleavings on a real MongoDB: counted, violated, held, replayed, predicted; and what is said when something dies.

// The lint looks at test functions only, and these are helpers of tests.
#![allow(clippy::unwrap_used, clippy::panic)]

mod command;
mod own;
#[path = "../practice/mod.rs"]
mod practice;
mod searches;
mod so_far;
mod support;
mod trouble;
