//! Progress on stderr: one line that redraws itself on a terminal, one line per ten seconds elsewhere.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::audit::{WorkDone, WorkProgress};
use crate::driver::Progress;
use crate::explore::so_far::SoFar;

/// How far it goes, as far as that is known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extent {
    /// How many there will be.
    pub(super) count: Option<u64>,
    /// How long it goes on at most.
    pub(super) time: Option<Duration>,
}

impl Extent {
    /// The share that is done, and the time that is left.
    fn left(self, done: u64, elapsed: Elapsed) -> Option<(f64, Duration)> {
        let by_count = self.count.filter(|count| *count > 0 && done > 0).map(|count| {
            let share = (done as f64 / count as f64).min(1.0);
            (share, elapsed.counting.mul_f64((1.0 - share) / share.max(1e-9)))
        });
        let by_time = self
            .time
            .filter(|time| !time.is_zero())
            .zip(elapsed.timed)
            .map(|(time, gone)| ((gone.as_secs_f64() / time.as_secs_f64()).min(1.0), time.saturating_sub(gone)));
        // Whatever is reached first ends it.
        [by_count, by_time].into_iter().flatten().max_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// `40 %  12 s left`.
    fn told(self, done: u64, elapsed: Elapsed) -> String {
        self.left(done, elapsed)
            .map_or_else(String::new, |(share, left)| format!("  {:.0} %  {} left", share * 100.0, time(left)))
    }
}

/// The time that has gone by.
#[derive(Debug, Clone, Copy)]
struct Elapsed {
    /// Since anything could be counted.
    counting: Duration,
    /// Since the time runs that ends it; none if it does not run yet.
    timed: Option<Duration>,
}

/// The trials of a self-test.
#[derive(Debug, Default)]
pub(super) struct Trials {
    done: AtomicU64,
    now: Mutex<String>,
}

impl Trials {
    /// So many are over, and this one is under way.
    pub(super) fn set(&self, done: usize, now: String) {
        self.done.store(done as u64, Ordering::Relaxed);
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

/// When it is known what violates in an exploration: what only serial runs judge waits for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// All of it on the way.
    OnTheWay,
    /// Some of it on the way.
    AlsoAtTheEnd,
    /// Nothing on the way.
    AtTheEnd,
}

impl Known {
    /// What is known so far.
    fn told(self, so_far: &SoFar) -> String {
        match (self, so_far.violated.load(Ordering::Relaxed)) {
            (Known::AtTheEnd, _) => "  judged at the end".to_owned(),
            (Known::AlsoAtTheEnd, 0) => "  judged at the end, too".to_owned(),
            (Known::AlsoAtTheEnd | Known::OnTheWay, count) => violations(count),
        }
    }
}

/// What is counted.
#[derive(Debug, Clone)]
pub(super) enum Counted {
    /// Operations of a run.
    Operations(Arc<Progress>),
    /// Executions of an exploration.
    Schedules(Arc<SoFar>, Known),
    /// The work of an audit, a repair or a seed, stage by stage.
    Work(Arc<WorkProgress>),
    /// The trials of a self-test.
    Trials(Arc<Trials>),
}

/// How long a command runs before it tells off a terminal how far it got.
const FIRST_HEARTBEAT: Duration = Duration::from_secs(2);

/// How often it tells that from then on.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Shows progress until it is dropped.
pub(super) struct ProgressLine {
    task: JoinHandle<()>,
    bar: Option<ProgressBar>,
}

impl ProgressLine {
    /// Starts showing.
    pub(super) fn start(counted: Counted, extent: Extent, terminal: bool, quiet: bool) -> Self {
        let bar = (terminal && !quiet).then(|| bar(&counted, extent.count));
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            let started = Instant::now();
            match (shown, quiet) {
                (Some(bar), _) => redraw(&bar, &counted, extent, started).await,
                (None, false) => heartbeat(&counted, extent, started).await,
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

fn bar(counted: &Counted, expected: Option<u64>) -> ProgressBar {
    let name = counted.name();
    let template = match (counted, expected) {
        (Counted::Work(_), _) => "{spinner} {bar:30} {msg}".to_owned(),
        (_, Some(_)) => format!("{{spinner}} {{bar:30}} {{pos}}/{{len}} {name}  {{msg}}"),
        (_, None) => format!("{{spinner}} {{pos}} {name}  {{msg}}"),
    };
    let bar = ProgressBar::with_draw_target(expected, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

async fn redraw(bar: &ProgressBar, counted: &Counted, extent: Extent, started: Instant) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        if let Counted::Work(progress) = counted {
            let now = progress.now();
            let (done, total) = now.as_ref().map_or((0, None), |now| (now.done, now.total));
            bar.set_length(total.unwrap_or(done).max(done).max(1));
            bar.set_position(done);
            bar.set_message(work(now.as_ref()));
        } else {
            let done = counted.count();
            bar.set_position(done);
            let elapsed = counted.elapsed(started);
            bar.set_message(format!("{}{}", counted.summary(elapsed), counted.left(extent, done, elapsed)));
        }
        bar.tick();
    }
}

async fn heartbeat(counted: &Counted, extent: Extent, started: Instant) {
    let first = if matches!(counted, Counted::Work(_)) { FIRST_HEARTBEAT } else { HEARTBEAT };
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + first, HEARTBEAT);
    loop {
        ticks.tick().await;
        let line = match counted {
            Counted::Work(progress) => format!("{}\n", work(progress.now().as_ref())),
            counted => {
                let of = extent.count.map(|expected| format!(" of {expected}")).unwrap_or_default();
                let done = counted.count();
                let elapsed = counted.elapsed(started);
                let left = counted.left(extent, done, elapsed);
                format!("{done}{of} {}  {}{left}\n", counted.name(), counted.summary(elapsed))
            }
        };
        // There is nowhere left to report that stderr is closed.
        std::io::stderr().write_all(line.as_bytes()).ok();
    }
}

impl Counted {
    fn name(&self) -> &'static str {
        match self {
            Counted::Operations(_) => "operations",
            Counted::Schedules(..) => "schedules",
            Counted::Work(_) => "steps",
            Counted::Trials(_) => "trials",
        }
    }

    fn count(&self) -> u64 {
        match self {
            Counted::Operations(progress) => progress.operations.load(Ordering::Relaxed),
            Counted::Schedules(so_far, _) => so_far.executions.load(Ordering::Relaxed),
            Counted::Work(progress) => progress.now().map_or(0, |now| now.done),
            Counted::Trials(trials) => trials.done.load(Ordering::Relaxed),
        }
    }

    /// What has gone by, if the line was there from this moment on.
    fn elapsed(&self, shown: Instant) -> Elapsed {
        match self {
            // What comes before the first operation is no time of the operations, and the serial control none of the load.
            Counted::Operations(progress) => Elapsed {
                counting: progress.begun.get().map_or(Duration::ZERO, Instant::elapsed),
                timed: progress.load_begun.get().map(Instant::elapsed),
            },
            _ => Elapsed { counting: shown.elapsed(), timed: Some(shown.elapsed()) },
        }
    }

    /// `40 %  12 s left`, or what is done instead when the time has no part in it any more.
    fn left(&self, extent: Extent, done: u64, elapsed: Elapsed) -> String {
        match self {
            Counted::Schedules(so_far, _) if !so_far.is_searching() => "  judging what was found".to_owned(),
            _ => extent.told(done, elapsed),
        }
    }

    /// `8320/s  2 failed  1 unknown  4 violations so far`.
    fn summary(&self, elapsed: Elapsed) -> String {
        let rate = self.count() as f64 / elapsed.counting.as_secs_f64().max(0.001);
        match self {
            Counted::Operations(progress) => format!("{rate:.0}/s{}", outcomes(progress)),
            Counted::Schedules(so_far, known) => format!("{rate:.0}/s{}", known.told(so_far)),
            Counted::Work(_) => format!("{rate:.0}/s"),
            Counted::Trials(trials) => trials.now.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// `1200 of 30000 documents of `chats` read  400/s  72 s left`.
fn work(now: Option<&WorkDone>) -> String {
    let Some(now) = now else { return "connecting".to_owned() };
    let of = now.total.map(|total| format!(" of {total}")).unwrap_or_default();
    let left = now.left().map(|left| format!("  {} left", time(left))).unwrap_or_default();
    let found = match now.found {
        None => String::new(),
        Some(0) => "  nothing found so far".to_owned(),
        Some(found) => format!("  {found} found so far"),
    };
    format!("{}{of} {}  {:.0}/s{found}{left}", now.done, now.what, now.rate())
}

fn time(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
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
    text.push_str(&violations(progress.violations.load(Ordering::Relaxed)));
    text
}

fn violations(count: u64) -> String {
    match count {
        0 => "  no violation so far".to_owned(),
        1 => "  1 violation so far".to_owned(),
        count => format!("  {count} violations so far"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_tells_its_rate_and_what_is_left() {
        let now = |done, total, seconds| WorkDone {
            what: "documents of `chats` read".to_owned(),
            done,
            total,
            elapsed: Duration::from_secs(seconds),
            found: None,
        };
        for (now, expected) in [
            (now(400, Some(30_000), 1), "400 of 30000 documents of `chats` read  400/s  74 s left"),
            (now(1, Some(1_000), 60), "1 of 1000 documents of `chats` read  0/s  16 h 39 min left"),
            (now(7, None, 1), "7 documents of `chats` read  7/s"),
        ] {
            assert_eq!(work(Some(&now)), expected);
        }
        assert_eq!(work(None), "connecting");
        let looking = |found| work(Some(&WorkDone { found: Some(found), ..now(400, Some(30_000), 1) }));
        assert_eq!(looking(0), "400 of 30000 documents of `chats` read  400/s  nothing found so far  74 s left");
        assert_eq!(looking(3), "400 of 30000 documents of `chats` read  400/s  3 found so far  74 s left");
    }

    #[test]
    fn an_exploration_tells_what_is_known_so_far() {
        let so_far = Arc::new(SoFar::default());
        so_far.executions.store(40, Ordering::Relaxed);
        let shown = |known| {
            let counted = Counted::Schedules(Arc::clone(&so_far), known);
            assert_eq!(counted.count(), 40);
            let text = counted.summary(counted.elapsed(Instant::now()));
            text.split_once("/s  ").map(|(_, known)| known.to_owned()).unwrap()
        };
        let all = [Known::OnTheWay, Known::AlsoAtTheEnd, Known::AtTheEnd];
        assert_eq!(all.map(shown), ["no violation so far", "judged at the end, too", "judged at the end"]);
        so_far.violated.store(2, Ordering::Relaxed);
        assert_eq!(all.map(shown), ["2 violations so far", "2 violations so far", "judged at the end"]);
    }

    #[test]
    fn when_the_search_is_over_no_time_is_left_of_it() {
        let so_far = Arc::new(SoFar::default());
        let counted = Counted::Schedules(Arc::clone(&so_far), Known::AtTheEnd);
        let extent = Extent { count: None, time: Some(Duration::from_secs(60)) };
        let elapsed = Elapsed { counting: Duration::from_secs(30), timed: Some(Duration::from_secs(30)) };
        assert_eq!(counted.left(extent, 7, elapsed), "  50 %  30 s left");
        so_far.set_searching(false);
        assert_eq!(counted.left(extent, 7, elapsed), "  judging what was found");
        // Another exploration of the same target goes on.
        so_far.set_searching(true);
        assert_eq!(counted.left(extent, 7, elapsed), "  50 %  30 s left");
    }

    #[test]
    fn what_is_left_follows_from_what_is_reached_first() {
        let seconds = Duration::from_secs;
        let told = |count, time: Option<u64>, done, elapsed| {
            let elapsed = Elapsed { counting: seconds(elapsed), timed: Some(seconds(elapsed)) };
            Extent { count, time: time.map(seconds) }.told(done, elapsed)
        };
        assert_eq!(told(Some(300), None, 100, 10), "  33 %  20 s left");
        assert_eq!(told(None, Some(60), 7, 15), "  25 %  45 s left");
        assert_eq!(told(Some(1_000), Some(60), 10, 30), "  50 %  30 s left");
        assert_eq!(told(Some(20), Some(60), 10, 6), "  50 %  6 s left");
        assert_eq!(told(Some(300), None, 0, 10), "");
        assert_eq!(told(None, None, 5, 10), "");
        // The load has not begun.
        let elapsed = Elapsed { counting: seconds(10), timed: None };
        assert_eq!(Extent { count: None, time: Some(seconds(60)) }.told(7, elapsed), "");
    }

    #[test]
    fn progress_tells_errors_and_violations() {
        let progress = Arc::new(Progress::default());
        let counted = Counted::Operations(Arc::clone(&progress));
        let shown = || counted.summary(counted.elapsed(Instant::now()));
        progress.operations.store(40, Ordering::Relaxed);
        assert!(shown().ends_with("/s  no violation so far"), "{}", shown());
        progress.failed.store(2, Ordering::Relaxed);
        progress.unknown.store(1, Ordering::Relaxed);
        progress.violations.store(1, Ordering::Relaxed);
        assert!(shown().ends_with("/s  2 failed  1 unknown  1 violation so far"), "{}", shown());
    }
}
