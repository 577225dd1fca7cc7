//! As if serial: judging interleavings without an invariant.
//!
//! *Property*: the outcome of an execution (answers, and what it left in the documents) equals, up to what is made anew each
//! time, the outcome of the same requests one after another, in some order. The serial behaviour of the thing under test is
//! its own specification, as in Line-Up (Burckhardt, Dern, Musuvathi, Tan: PLDI 2010).
//!
//! *Assumptions*: the same requests in the same order give the same outcome up to section "normalisation" of
//! `docs/as-if-serial.md`; nobody else writes the documents; every request of an execution is started before any is let go, so
//! that every order is allowed.
//!
//! *Soundness*: an anomaly proves that some interleaving has an effect that no order has. It does not prove that anybody minds.
//! *Completeness*: only for these requests, on this state, for the interleavings that were carried out, and outside of the
//! places that are not compared; all of them are told.
//!
//! *Cost*: an outcome is put into a canonical form in time that grows with its size and, for values that nothing tells apart,
//! with their permutations up to a bound. Outcomes go in, a judgement comes out: no clock, no network.

mod canon;
mod changes;
mod classes;
mod faulted;
mod judge;
mod learn;
mod masks;
mod nearest;
mod normal;
mod outcome;
mod place;
mod sequences;
mod shapes;
mod value;
mod words;

#[cfg(test)]
mod corpus_tests;

pub(crate) use classes::sorted;
pub use classes::{Class, Classes};
pub use judge::{Judge, Judged, Judgement, Settings, sentences};
pub use nearest::Difference;
pub use outcome::{Answer, Change, Outcome, Sample};
pub use place::Pattern;
pub use value::Value;
pub(crate) use words::of_mixed;
