//! An answer as it came: [`RawAnswer`], for those who compare answers rather than read something from them.

/// Status, body, and where it leads, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// The header `location`, from its path on: of what was made, or where to go on.
    pub location: Option<String>,
}
