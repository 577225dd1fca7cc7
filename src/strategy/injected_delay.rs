//! [`InjectedDelay`]: pauses after the commands of an operation. They widen the windows in which others can come between.

use std::time::Duration;

/// How long an operation pauses after each of its commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InjectedDelay {
    /// After a read.
    pub read: Duration,
    /// After a write.
    pub write: Duration,
}

tokio::task_local! {
    /// Pauses of the operation that runs in this task, if it has any. Strategies need not hand it on.
    static PACE: InjectedDelay;
}

/// Runs an operation at this pace.
pub async fn paced<T>(pace: InjectedDelay, operation: impl Future<Output = T>) -> T {
    if pace == InjectedDelay::default() { operation.await } else { PACE.scope(pace, operation).await }
}

/// To be called after each read.
pub(super) async fn after_read() {
    pause(|pace| pace.read).await;
}

/// To be called after each write.
pub(super) async fn after_write() {
    pause(|pace| pace.write).await;
}

async fn pause(length: impl Fn(&InjectedDelay) -> Duration) {
    // Most operations have no pace, and that is not an error.
    let length = PACE.try_with(length).unwrap_or_default();
    if !length.is_zero() {
        tokio::time::sleep(length).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_paced_operation_pauses_for_at_least_so_long() {
        let pace = InjectedDelay { read: Duration::from_millis(20), write: Duration::from_millis(30) };
        let begin = std::time::Instant::now();
        paced(pace, async {
            after_read().await;
            after_write().await;
        })
        .await;
        assert!(begin.elapsed() >= Duration::from_millis(50));
        assert!(paced(InjectedDelay::default(), async { PACE.try_with(|_| ()).is_err() }).await, "no pace is no cost");
    }
}
