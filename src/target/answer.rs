//! An answer as it came: [`RawAnswer`], for those who compare answers rather than read something from them.

/// Status and body, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}
