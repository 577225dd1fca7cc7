//! How an audit reads: how much at a time, how gently, how much memory.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::WorkProgress;

/// How an audit reads.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// Examples per kind of finding.
    pub examples: usize,
    /// Documents per batch from the server.
    pub batch_size: u32,
    /// The server gives up on a single command after this time.
    pub max_time: Duration,
    /// Rest between two batches, to stay out of the service's way.
    pub pause: Duration,
    /// Documents of this many bytes are reported; the server's limit is 16 MB.
    pub large_bytes: u64,
    /// Keys held in memory at a time (about 60 bytes each). A collection of more is read in several passes.
    pub keys_in_memory: u64,
    /// Read from a secondary where there is one.
    pub secondary: bool,
    /// Told how far it got.
    pub progress: Arc<WorkProgress>,
}

impl Default for AuditOptions {
    fn default() -> Self {
        AuditOptions {
            examples: 10,
            batch_size: 20_000,
            max_time: Duration::from_secs(600),
            pause: Duration::ZERO,
            large_bytes: 12 * 1024 * 1024,
            keys_in_memory: 1_700_000,
            secondary: false,
            progress: Arc::default(),
        }
    }
}
