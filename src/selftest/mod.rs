//! The proof that the harness can fail: planted bugs must be caught, their correct twins must not be accused.
//!
//! [`CATALOGUE`] is the table of strategies, [`Bench`] carries it out on one server by load, [`Outcome`] is what came of it. Every
//! trial is an ordinary run: the same driver, targets and checkers. [`Trials`] explores the planted routes of the reference service,
//! where it takes a fault, crafted data or other requests. There is no printing here.

mod bench;
mod catalogue;
mod instances;
mod not_planted;
mod outcome;
mod scenario;
mod trials;

pub use bench::{Bench, SelftestError, Step};
pub use catalogue::{CATALOGUE, Crowd, Plant, Planted};
pub use not_planted::{NOT_PLANTED, NotPlanted, is_known_kind, known_kinds};
pub use outcome::{BUGS_CAUGHT, Facts, Outcome, TWINS_PASS};
pub use trials::{Pair, TrialError, Trials};

#[cfg(test)]
mod tests;
