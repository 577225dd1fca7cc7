//! Progress on stderr: one line that redraws itself on a terminal, one line per ten seconds elsewhere.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::driver::Progress;

/// What is counted.
#[derive(Debug, Clone)]
pub(super) enum Counted {
    /// Operations of a run.
    Operations(Arc<Progress>),
    /// Executions of an exploration, which is judged when it is over.
    Schedules(Arc<AtomicU64>),
}

/// Shows progress until it is dropped.
pub(super) struct ProgressLine {
    task: JoinHandle<()>,
    bar: Option<ProgressBar>,
}

impl ProgressLine {
    /// Starts showing. `expected` is how many there will be, where that is known.
    pub(super) fn start(counted: Counted, expected: Option<u64>, terminal: bool, quiet: bool) -> Self {
        let bar = (terminal && !quiet).then(|| bar(counted.name(), expected));
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            let started = Instant::now();
            match (shown, quiet) {
                (Some(bar), _) => redraw(&bar, &counted, started).await,
                (None, false) => heartbeat(&counted, expected, started).await,
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

fn bar(name: &str, expected: Option<u64>) -> ProgressBar {
    let position = match expected {
        Some(_) => "{bar:30} {pos}/{len}",
        None => "{pos}",
    };
    let template = format!("{{spinner}} {position} {name}  {{msg}}");
    let bar = ProgressBar::with_draw_target(expected, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

async fn redraw(bar: &ProgressBar, counted: &Counted, started: Instant) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        bar.set_position(counted.count());
        bar.set_message(counted.summary(started));
        bar.tick();
    }
}

async fn heartbeat(counted: &Counted, expected: Option<u64>, started: Instant) {
    let mut ticks = tokio::time::interval(Duration::from_secs(10));
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let of = expected.map(|expected| format!(" of {expected}")).unwrap_or_default();
        let line = format!("{}{of} {}  {}\n", counted.count(), counted.name(), counted.summary(started));
        // There is nowhere left to report that stderr is closed.
        std::io::stderr().write_all(line.as_bytes()).ok();
    }
}

impl Counted {
    fn name(&self) -> &'static str {
        match self {
            Counted::Operations(_) => "operations",
            Counted::Schedules(_) => "schedules",
        }
    }

    fn count(&self) -> u64 {
        match self {
            Counted::Operations(progress) => progress.operations.load(Ordering::Relaxed),
            Counted::Schedules(count) => count.load(Ordering::Relaxed),
        }
    }

    /// `8320/s  2 failed  1 unknown  4 violations so far`.
    fn summary(&self, started: Instant) -> String {
        let rate = self.count() as f64 / started.elapsed().as_secs_f64().max(0.001);
        match self {
            Counted::Operations(progress) => format!("{rate:.0}/s{}", outcomes(progress)),
            Counted::Schedules(_) => format!("{rate:.0}/s"),
        }
    }
}

fn outcomes(progress: &Progress) -> String {
    let mut text = String::new();
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
        let progress = Arc::new(Progress::default());
        let counted = Counted::Operations(Arc::clone(&progress));
        let shown = || counted.summary(Instant::now());
        progress.operations.store(40, Ordering::Relaxed);
        assert!(shown().ends_with("/s  no violation so far"), "{}", shown());
        progress.failed.store(2, Ordering::Relaxed);
        progress.unknown.store(1, Ordering::Relaxed);
        progress.violations.store(1, Ordering::Relaxed);
        assert!(shown().ends_with("/s  2 failed  1 unknown  1 violation so far"), "{}", shown());
    }
}
