//! Progress on stderr: one line that redraws itself on a terminal, one line per ten seconds elsewhere.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::driver::Progress;

/// Shows progress until it is dropped.
pub(super) struct ProgressLine {
    task: JoinHandle<()>,
    bar: Option<ProgressBar>,
}

impl ProgressLine {
    /// Starts showing. `expected` is the number of operations, where the load fixes it.
    pub(super) fn start(progress: Arc<Progress>, expected: Option<u64>, terminal: bool, quiet: bool) -> Self {
        let bar = (terminal && !quiet).then(|| bar(expected));
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            let started = Instant::now();
            match (shown, quiet) {
                (Some(bar), _) => redraw(&bar, &progress, started).await,
                (None, false) => heartbeat(&progress, expected, started).await,
                (None, true) => {}
            }
        });
        ProgressLine { task, bar }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(expected: Option<u64>) -> ProgressBar {
    let template = match expected {
        Some(_) => "{spinner} {bar:30} {pos}/{len} operations  {msg}",
        None => "{spinner} {pos} operations  {msg}",
    };
    let bar = ProgressBar::with_draw_target(expected, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

async fn redraw(bar: &ProgressBar, progress: &Progress, started: Instant) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        bar.set_position(progress.operations.load(Ordering::Relaxed));
        bar.set_message(summary(progress, started));
        bar.tick();
    }
}

async fn heartbeat(progress: &Progress, expected: Option<u64>, started: Instant) {
    let mut ticks = tokio::time::interval(Duration::from_secs(10));
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let operations = progress.operations.load(Ordering::Relaxed);
        let of = expected.map(|expected| format!(" of {expected}")).unwrap_or_default();
        let line = format!("{operations}{of} operations  {}\n", summary(progress, started));
        // There is nowhere left to report that stderr is closed.
        std::io::stderr().write_all(line.as_bytes()).ok();
    }
}

/// `8,320/s  2 failed  1 unknown  4 violations so far`.
fn summary(progress: &Progress, started: Instant) -> String {
    let operations = progress.operations.load(Ordering::Relaxed);
    let rate = operations as f64 / started.elapsed().as_secs_f64().max(0.001);
    let mut text = format!("{rate:.0}/s");
    for (count, name) in [(&progress.failed, "failed"), (&progress.unknown, "unknown")] {
        let count = count.load(Ordering::Relaxed);
        if count > 0 {
            text.push_str(&format!("  {count} {name}"));
        }
    }
    match progress.violations.load(Ordering::Relaxed) {
        0 => text.push_str("  no violation so far"),
        1 => text.push_str("  1 violation so far"),
        count => text.push_str(&format!("  {count} violations so far")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_errors_and_violations() {
        let progress = Progress::default();
        let shown = || summary(&progress, Instant::now());
        progress.operations.store(40, Ordering::Relaxed);
        assert!(shown().ends_with("/s  no violation so far"), "{}", shown());
        progress.failed.store(2, Ordering::Relaxed);
        progress.unknown.store(1, Ordering::Relaxed);
        progress.violations.store(1, Ordering::Relaxed);
        assert!(shown().ends_with("/s  2 failed  1 unknown  1 violation so far"), "{}", shown());
    }
}
