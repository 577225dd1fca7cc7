//! [`Observer`]: follows a session while it goes on. Nothing that it does changes what is run or judged.

use std::sync::Arc;

use super::SessionError;
use crate::driver::Progress;
use crate::target::Preflight;

/// Follows a session. Its methods are called in the order in which they stand here.
pub(crate) trait Observer: Send {
    /// Everything is set up, and this was found on the way.
    fn ready(&mut self, preflight: &Preflight);

    /// The load begins, of so many operations where that is known. Whoever wants to be handed what is recorded sets itself as
    /// the watcher of `progress`.
    fn load_begins(&mut self, progress: &Arc<Progress>, operations: Option<u64>);

    /// No operation is under way any more, or the load ended with an error.
    fn load_ended(&mut self);

    /// Something failed that changes nothing of the verdict, such as removing what the run made.
    fn failed(&mut self, error: SessionError);
}
