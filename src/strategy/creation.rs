//! How each strategy brings a document into being, as data: what a lint can hold against the indexes before a run.

/// One way in which documents come into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Creation {
    /// The operation that does it.
    pub operation: &'static str,
    /// The command.
    pub how: How,
    /// A duplicate-key error on the key does not reach the caller.
    pub handles_duplicate_key: bool,
}

/// The command that brings a document into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// An insert of a document with this key.
    Insert {
        /// The field.
        key: &'static str,
    },
    /// An upsert.
    Upsert {
        /// Fields that the filter compares with one value.
        pinned: &'static [&'static str],
        /// Fields that it compares in another way.
        others: &'static [&'static str],
    },
}

pub(super) const fn insert(operation: &'static str, key: &'static str, handles_duplicate_key: bool) -> Creation {
    Creation { operation, how: How::Insert { key }, handles_duplicate_key }
}

pub(super) const fn upsert(
    operation: &'static str,
    pinned: &'static [&'static str],
    handles_duplicate_key: bool,
) -> Creation {
    Creation { operation, how: How::Upsert { pinned, others: &[] }, handles_duplicate_key }
}
