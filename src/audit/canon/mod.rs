//! What MongoDB takes as one value, and which entries a unique index would have of a document.
//!
//! Property: two values have the same canonical bytes if and only if a unique index takes them as one. Numbers are
//! compared by value whatever their type, arrays by element, null and missing alike, text by the collation. The tests hold
//! it against the server itself, on random documents (`server_tests.rs`).
//!
//! Assumptions: none about the documents; damaged BSON reads as absent. Cost: linear in the size of the key.

mod entries;
mod number;
#[cfg(test)]
mod server_tests;
mod texts;
mod value;

pub(super) use entries::{Entry, Unindexable, entries, values_at};
pub(super) use texts::{Texts, texts_of};
pub(super) use value::{canonical, push, same};
