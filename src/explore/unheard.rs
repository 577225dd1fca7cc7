//! Writes that nobody waits for (`w: 0`): they may be on their way when the request that sent them has been answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// How long a command may take to come to the proxy that was sent before its request was answered, on another connection.
pub(super) const OVERTAKEN: Duration = Duration::from_millis(3);

/// Those that pass, while they are with the server.
#[derive(Debug, Default)]
pub(super) struct Unheard {
    under_way: watch::Sender<usize>,
    any: AtomicBool,
}

impl Unheard {
    /// One has come.
    pub(super) fn meet(&self) {
        self.any.store(true, Ordering::Relaxed);
    }

    /// Whether one ever has.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// One is sent to the server, and is with it until what is returned is dropped.
    pub(super) fn begin(&self) -> UnderWay {
        self.under_way.send_modify(|count| *count += 1);
        UnderWay(self.under_way.clone())
    }

    /// Waits until those that were sent before have been carried out. Where there never was one, nothing is waited for.
    pub(super) async fn end(&self) {
        if self.any() {
            tokio::time::sleep(OVERTAKEN).await;
            // It ends with an error only where there is nobody left to send one.
            self.under_way.subscribe().wait_for(|count| *count == 0).await.ok();
        }
    }
}

/// One that is with the server.
pub(super) struct UnderWay(watch::Sender<usize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn only_what_is_with_the_server_is_waited_for() {
        let unheard = Unheard::default();
        assert!(unheard.end().now_or_never().is_some(), "nobody ever sent one");
        unheard.meet();
        let (one, other) = (unheard.begin(), unheard.begin());
        drop(one);
        let waiting = tokio::time::timeout(OVERTAKEN * 10, unheard.end()).await;
        assert!(waiting.is_err(), "one is still there");
        drop(other);
        unheard.end().await;
    }
}
