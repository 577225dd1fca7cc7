//! What the cross-checks against brute force share: a builder of operations, and one line of figures for each rule.
//!
//! `cargo test --lib --test simple_rules oracle -- --nocapture | grep ^oracle` prints the table.

use std::fmt::Display;
use std::sync::Arc;

use crate::history::{Action, Operation, Outcome, Phase};

/// Says how many histories were judged as by brute force. A mismatch has failed its test before.
#[allow(clippy::print_stdout, reason = "the table of a test")]
pub(super) fn tell(rule: impl Display, holds: u64, violated: u64) {
    let histories = holds + violated;
    println!("oracle  {rule:<28} {histories:>7} histories, {violated:>6} of them violated, 0 mismatches");
}

/// An operation of the first client at the first moment.
pub(super) fn operation(
    id: u64,
    phase: Phase,
    key: impl Into<Arc<str>>,
    action: Action,
    outcome: Outcome,
) -> Operation {
    Operation { phase, ..crate::history::fixture::operation(id, key, action, [0, 1], outcome) }
}
