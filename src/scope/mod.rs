//! [`Scope`]: how long a wait may take, and what ends it before. Every wait of a run on a network, a process or a timer is
//! made inside one.

mod rest;

use std::time::Duration;

pub use rest::{Reached, Rest};
use tokio_util::sync::CancellationToken;

/// The limits of a wait.
#[derive(Debug, Clone)]
pub struct Scope {
    within: Duration,
    stop: CancellationToken,
}

/// Why a wait ended without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Its time is up.
    #[error("it did not end within {0:?}")]
    Deadline(Duration),
    /// It was told to stop.
    #[error("it was interrupted")]
    Stopped,
}

impl Scope {
    /// Waits of at most this long, which `stop` ends at once.
    pub fn new(within: Duration, stop: &CancellationToken) -> Self {
        Scope { within, stop: stop.clone() }
    }

    /// What the future gives, if it does in time. It is dropped otherwise.
    pub async fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Ended> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Ended::Stopped),
            waited = tokio::time::timeout(self.within, future) => waited.map_err(|_| Ended::Deadline(self.within)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_by_itself_by_its_deadline_or_by_a_stop() {
        let stop = CancellationToken::new();
        let scope = Scope::new(Duration::from_millis(30), &stop);
        assert_eq!(scope.wait(std::future::ready(7)).await, Ok(7));
        let waited = scope.wait(std::future::pending::<()>());
        assert_eq!(waited.await, Err(Ended::Deadline(Duration::from_millis(30))));
        let patient = Scope::new(Duration::from_secs(3600), &stop);
        let (stopped, ()) = tokio::join!(patient.wait(std::future::pending::<()>()), async { stop.cancel() });
        assert_eq!(stopped, Err(Ended::Stopped));
        assert_eq!(scope.wait(std::future::ready(7)).await, Err(Ended::Stopped), "nothing begins after a stop");
    }
}
