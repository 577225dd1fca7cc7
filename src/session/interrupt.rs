//! [`Interrupt`]: what ends a run before its time.

use tokio_util::sync::CancellationToken;

/// What an interruption asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    /// Stop issuing, drain, check, report.
    pub(crate) stop: CancellationToken,
    /// Stop at once.
    pub(crate) kill: CancellationToken,
}
