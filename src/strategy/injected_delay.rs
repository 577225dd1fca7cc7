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
    static DELAY: InjectedDelay;
}

/// Runs an operation with these pauses.
pub async fn delayed<T>(delay: InjectedDelay, operation: impl Future<Output = T>) -> T {
    if delay == InjectedDelay::default() { operation.await } else { DELAY.scope(delay, operation).await }
}

/// To be called after each read.
pub(super) async fn after_read() {
    pause(|delay| delay.read).await;
}

/// To be called after each write.
pub(super) async fn after_write() {
    pause(|delay| delay.write).await;
}

async fn pause(length: impl Fn(&InjectedDelay) -> Duration) {
    // Most operations have no delay, and that is not an error.
    let length = DELAY.try_with(length).unwrap_or_default();
    if !length.is_zero() {
        tokio::time::sleep(length).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_delayed_operation_pauses_for_at_least_so_long() {
        let delay = InjectedDelay { read: Duration::from_millis(20), write: Duration::from_millis(30) };
        let begin = std::time::Instant::now();
        delayed(delay, async {
            after_read().await;
            after_write().await;
        })
        .await;
        assert!(begin.elapsed() >= Duration::from_millis(50));
        assert!(
            delayed(InjectedDelay::default(), async { DELAY.try_with(|_| ()).is_err() }).await,
            "no delay is no cost"
        );
    }
}
