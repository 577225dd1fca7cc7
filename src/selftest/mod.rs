//! The proof that the harness can fail: planted bugs must be caught, their correct twins must not be accused.
//!
//! [`CATALOGUE`] is the table, [`Bench`] carries it out on one server, [`Outcome`] is what came of it. Every trial is an
//! ordinary run: the same driver, targets and checkers. There is no printing here.

mod bench;
mod catalogue;
mod instances;
mod not_planted;
mod outcome;

pub use bench::{Bench, SelftestError, Step};
pub use catalogue::{CATALOGUE, Crowd, Plant, Planted};
pub use not_planted::{NOT_PLANTED, NotPlanted};
pub use outcome::{BUGS_CAUGHT, Facts, Outcome, TWINS_PASS};

#[cfg(test)]
mod tests;
