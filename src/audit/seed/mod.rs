//! Practice databases: documents of a profile's shape, with defects whose number is known.

mod documents;
mod write;

pub use documents::SeedSpec;
pub use write::{Seeded, seed, seed_watched};
