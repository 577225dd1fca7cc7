//! The sums of a run that goes on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::history::{Nanos, Operation, Outcome};

/// Upper bounds of the buckets in seconds, as the semantic conventions of OpenTelemetry advise for databases.
pub(super) const BOUNDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// Seconds that the page shows.
const SHOWN: usize = 120;
/// Violations that are told one by one.
const TOLD: usize = 50;
const SECOND: Nanos = 1_000_000_000;

/// Adds up what is recorded.
#[derive(Debug, Default)]
pub struct Feed {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    shown: Snapshot,
    series: BTreeMap<(String, &'static str), Series>,
}

/// The latency of the operations of one name and outcome.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    /// Operations in each bucket, and beyond the last.
    pub(super) buckets: [u64; BOUNDS.len() + 1],
    pub(super) count: u64,
    pub(super) sum_s: f64,
}

/// What is known at a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Name of the scenario.
    pub scenario: String,
    /// Identifier of the run.
    pub run_id: String,
    /// Operations that there will be, where that is known.
    pub planned: Option<u64>,
    /// Operations so far.
    pub operations: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that are unknown.
    pub unknown: u64,
    /// Violations that are known so far: of a load those that answers alone gave away, of an exploration schedules. `null` where only
    /// the end tells.
    pub violations: Option<u64>,
    /// When each of the first of them was seen, in seconds from the start, and the operation.
    pub seen: Vec<(f64, String)>,
    /// The last seconds, oldest first.
    pub seconds: VecDeque<Second>,
    /// How it ended; absent while it goes on.
    pub ended: Option<Ended>,
}

/// One second of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Second {
    /// Its number from the start.
    pub at: u64,
    /// Operations that ended in it.
    pub operations: u64,
    /// Those of them that failed or are unknown.
    pub errors: u64,
    /// The mean of their latency in milliseconds.
    pub mean_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Operations in flight, on average: the sum of their times by the second.
    pub in_flight: f64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ended {
    /// The verdict.
    pub verdict: String,
    /// The exit code of the verdict. The process may end with another one: that of another scenario, or because something
    /// could not be written.
    pub exit_code: u8,
    /// Invariants that are violated.
    pub violated: Vec<String>,
    /// The folder of the reports.
    pub directory: String,
}

impl Feed {
    /// The feed of a run that begins, whose violations are counted as they show.
    pub fn new(scenario: &str, run_id: &str, planned: Option<u64>) -> Self {
        Feed::of(scenario, run_id, planned, Some(0))
    }

    /// The feed of an exploration that nothing but serial runs judges, when it is over.
    pub fn judged_at_the_end(scenario: &str, run_id: &str) -> Self {
        Feed::of(scenario, run_id, None, None)
    }

    fn of(scenario: &str, run_id: &str, planned: Option<u64>, violations: Option<u64>) -> Self {
        let (scenario, run_id) = (scenario.to_owned(), run_id.to_owned());
        let shown = Snapshot { scenario, run_id, planned, violations, ..Snapshot::default() };
        Feed { state: Mutex::new(State { shown, series: BTreeMap::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds operations as they are recorded; `violates` are the positions of those that gave a violation away.
    pub fn recorded(&self, operations: &[Operation], violates: &[usize]) {
        let mut state = self.state();
        for operation in operations {
            state.add(operation);
        }
        for operation in violates.iter().filter_map(|position| operations.get(*position)) {
            *state.shown.violations.get_or_insert_default() += 1;
            if state.shown.seen.len() < TOLD {
                let told = format!("{} {} on key {}", operation.id, operation.action.name(), operation.key);
                state.shown.seen.push((operation.completed as f64 / SECOND as f64, told));
            }
        }
    }

    /// So many schedules of an exploration are known to violate something; these are new, each with its second and in words.
    pub fn found(&self, violations: u64, new: &[(f64, String)]) {
        let shown = &mut self.state().shown;
        // Who counts along must never see fewer.
        shown.violations = shown.violations.max(Some(violations));
        let room = TOLD.saturating_sub(shown.seen.len());
        shown.seen.extend(new.iter().take(room).cloned());
    }

    /// Notes how it ended.
    pub fn end(&self, ended: Ended) {
        self.state().shown.ended = Some(ended);
    }

    /// What is known now.
    pub fn snapshot(&self) -> Snapshot {
        self.state().shown.clone()
    }

    /// The latency by operation and outcome.
    pub(super) fn series(&self) -> Vec<(String, &'static str, Series)> {
        self.state().series.iter().map(|((name, outcome), series)| (name.clone(), *outcome, series.clone())).collect()
    }
}

impl State {
    fn add(&mut self, operation: &Operation) {
        let took = operation.completed.saturating_sub(operation.invoked) as f64 / SECOND as f64;
        let outcome = match operation.outcome {
            Outcome::Ok(_) => "ok",
            Outcome::Failed(_) => "failed",
            Outcome::Unknown(_) => "unknown",
        };
        self.shown.operations += 1;
        self.shown.failed += u64::from(outcome == "failed");
        self.shown.unknown += u64::from(outcome == "unknown");
        let series = self.series.entry((operation.action.name().to_owned(), outcome)).or_default();
        series.buckets[BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len())] += 1;
        series.count += 1;
        series.sum_s += took;
        if let Some(second) = second(&mut self.shown.seconds, operation.completed / SECOND) {
            let before = second.operations as f64;
            second.operations += 1;
            second.errors += u64::from(outcome != "ok");
            second.mean_ms = (second.mean_ms * before + took * 1e3) / (before + 1.0);
            second.max_ms = second.max_ms.max(took * 1e3);
            second.in_flight += took;
        }
    }
}

/// The second of this number, if it is among those that are kept. Seconds in which nothing ended are there, too.
fn second(seconds: &mut VecDeque<Second>, at: u64) -> Option<&mut Second> {
    let first = seconds.front().map_or(at, |second| second.at);
    let next = seconds.back().map_or(at, |second| second.at + 1);
    // After a long silence nothing of what was there is shown any more.
    let from = next.max(at.saturating_sub(SHOWN as u64));
    seconds.extend((from..=at).map(|at| Second { at, ..Second::default() }));
    while seconds.len() > SHOWN {
        seconds.pop_front();
    }
    if at < first {
        return None;
    }
    seconds.iter_mut().rev().find(|second| second.at == at)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::history::{Action, Cause, CauseKind, OpId, Value};

    pub(in crate::live) fn operation(id: u64, invoked_ms: u64, took_ms: u64, ok: bool) -> Operation {
        let outcome = match ok {
            true => Outcome::Ok(Value::Found(None)),
            false => Outcome::Failed(Cause { kind: CauseKind::Other, message: "no".into() }),
        };
        Operation {
            id: OpId(id),
            client: 0,
            round: 0,
            phase: Default::default(),
            key: "k\"1".into(),
            action: Action::Custom("book".into()),
            intended: invoked_ms * 1_000_000,
            invoked: invoked_ms * 1_000_000,
            connected: None,
            completed: (invoked_ms + took_ms) * 1_000_000,
            attempts: 1,
            outcome,
            late: None,
        }
    }

    #[test]
    fn seconds_add_up() {
        let feed = Feed::new("s", "r", Some(4));
        let operations = [operation(1, 100, 200, true), operation(2, 100, 400, false), operation(3, 2_900, 200, true)];
        feed.recorded(&operations, &[1]);
        let shown = feed.snapshot();
        assert_eq!((shown.operations, shown.failed, shown.violations), (3, 1, Some(1)));
        assert_eq!(shown.seconds.len(), 4, "seconds without an operation are there");
        let first = shown.seconds[0];
        assert_eq!((first.operations, first.errors, first.max_ms), (2, 1, 400.0));
        assert!((first.mean_ms - 300.0).abs() < 1e-9 && (first.in_flight - 0.6).abs() < 1e-9);
        assert_eq!(shown.seen, [(0.5, "op2 book on key k\"1".to_owned())]);
        assert_eq!(shown.seconds[3].operations, 1);
    }

    #[test]
    fn only_the_last_seconds_are_kept() {
        let feed = Feed::new("s", "r", None);
        for at in [0, 1, 5_000, 4_990, 10] {
            feed.recorded(&[operation(at, at * 1_000, 1, true)], &[]);
        }
        let seconds = feed.snapshot().seconds;
        assert!(seconds.len() <= SHOWN, "{}", seconds.len());
        assert_eq!(seconds.back().map(|second| second.at), Some(5_000));
        assert_eq!(seconds.iter().map(|second| second.operations).sum::<u64>(), 2);
        assert_eq!(feed.snapshot().operations, 5);
    }
}
