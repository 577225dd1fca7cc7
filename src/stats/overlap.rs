//! The overlap that a run achieved, measured from its operations.
//!
//! [`concurrency`] sweeps over the intervals in which operations held a connection: waiting for one is not concurrency.
//! Intervals that only touch do not overlap. It says nothing about what happened inside the server.

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::{Concurrency, Skew};
use crate::checker::{Evidence, KeyEvidence};
use crate::history::{Action, CauseKind, Nanos, OpId, Operation, Outcome, Value};

/// What the operations alone do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// Clients that the load asked for.
    pub clients: u32,
    /// Whether all clients of a round were released together; only then is there a release skew.
    pub burst: bool,
    /// Connections that the target had, where it knows: no more operations than that can have been in flight, whatever
    /// the clocks around the client library say.
    pub connections: Option<u32>,
    /// Whether any invariant is violated; then there is no bound on the rate of violations.
    pub violated: bool,
}

/// The overlap on one key.
#[derive(Default, Clone, Copy)]
struct Trial {
    peak: u32,
    raced: bool,
}

/// The overlap of operations on some keys. That on other keys can be added, but for the peak over all keys.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Overlap {
    keys: u64,
    /// The most in flight at one moment, on whatever key; not known of a part of the keys.
    pub(crate) peak_in_flight: u32,
    peak_in_flight_same_key: u32,
    effective_trials: u64,
    race_trials: u64,
    /// Of each round of a burst, how late the first and the last were released.
    rounds: FxHashMap<u32, (i128, i128)>,
}

impl Overlap {
    /// Measures the overlap of the operations of the main phase. Where they are seen in several ways, each of which shows less
    /// than there was, what any of them shows counts. Of those that are `late`, somebody whom a view may not show had perhaps
    /// been answered before they began.
    pub fn of(views: &[Evidence<'_>], late: &FxHashSet<OpId>, conditions: Conditions) -> Self {
        let limit = conditions.connections.unwrap_or(u32::MAX);
        let mut sweep = Sweep::default();
        let mut peak_in_flight = 0;
        let mut trials: FxHashMap<&str, Trial> = FxHashMap::default();
        for evidence in views {
            // That over all keys does not follow from those of parts of them.
            if !evidence.is_part() {
                peak_in_flight = sweep.peak(evidence.operations()).max(peak_in_flight);
            }
            for index in 0..evidence.keys().len() {
                let key = evidence.key(index);
                if key.operations().len() == 0 {
                    continue;
                }
                let peak = sweep.peak(key.operations()).min(limit);
                let trial = trials.entry(key.key).or_default();
                trial.peak = peak.max(trial.peak);
                trial.raced |= peak >= 2 && could_race(&key, late, &mut sweep);
            }
        }
        // The first of several views has times that are certain, those of single shards the recorded ones.
        let timed = views.get(1..).filter(|timed| !timed.is_empty()).unwrap_or(views);
        let rounds = || lateness(timed.iter().flat_map(Evidence::operations));
        Overlap {
            keys: trials.len() as u64,
            peak_in_flight,
            peak_in_flight_same_key: trials.values().map(|trial| trial.peak).max().unwrap_or(0),
            effective_trials: trials.values().filter(|trial| trial.peak >= 2).count() as u64,
            race_trials: trials.values().filter(|trial| trial.raced).count() as u64,
            rounds: if conditions.burst { rounds() } else { FxHashMap::default() },
        }
    }

    /// Adds the overlap on other keys. The peak over all keys does not follow from those over some of them.
    pub fn join(&mut self, other: Overlap) {
        self.keys += other.keys;
        self.peak_in_flight_same_key = self.peak_in_flight_same_key.max(other.peak_in_flight_same_key);
        self.effective_trials += other.effective_trials;
        self.race_trials += other.race_trials;
        for (round, (least, most)) in other.rounds {
            let known = self.rounds.entry(round).or_insert((least, most));
            *known = (known.0.min(least), known.1.max(most));
        }
    }

    /// The figures of the report.
    pub fn concurrency(&self, conditions: Conditions) -> Concurrency {
        let limit = conditions.connections.unwrap_or(u32::MAX);
        let bounded = self.race_trials > 0 && !conditions.violated;
        Concurrency {
            clients: conditions.clients,
            keys: self.keys,
            peak_in_flight: self.peak_in_flight.min(limit),
            peak_in_flight_same_key: self.peak_in_flight_same_key,
            release_skew_us: if conditions.burst { release_skew(&self.rounds) } else { Skew::default() },
            effective_trials: self.effective_trials,
            race_trials: self.race_trials,
            violation_rate_upper_bound_95: bounded.then(|| rule_of_three(self.race_trials)),
        }
    }
}

/// Measures the overlap of operations that are all there, as [`Overlap::of`] does.
pub fn concurrency(views: &[Evidence<'_>], late: &FxHashSet<OpId>, conditions: Conditions) -> Concurrency {
    Overlap::of(views, late, conditions).concurrency(conditions)
}

/// Whether operations on the key could race: of those that got through, one that writes was in flight together with another
/// that it concerns. Where only a creation writes, an operation that began after somebody had been answered with the
/// document can no longer take part in it.
fn could_race(key: &KeyEvidence<'_>, late: &FxHashSet<OpId>, sweep: &mut Sweep) -> bool {
    let creates = |operation: &Operation| matches!(operation.action, Action::CreateOrGet { .. });
    let only_creation = key.operations().all(|operation| creates(operation) || reads(&operation.action));
    let answered = key.operations().filter(|operation| is_answered(operation)).map(Operation::returned).min();
    let until = answered.filter(|_| only_creation).unwrap_or(Nanos::MAX);
    let in_time =
        |operation: &Operation| operation.started() <= until && !(only_creation && late.contains(&operation.id));
    let racers: Vec<&Operation> =
        key.operations().filter(|operation| got_through(operation) && in_time(operation)).collect();
    racers.iter().any(|operation| !reads(&operation.action)) && sweep.peak(racers.iter().copied()) >= 2
}

fn reads(action: &Action) -> bool {
    matches!(action, Action::Get | Action::Read | Action::CheckExisting(_) | Action::ReadThread)
}

/// Whether it was answered with the document.
pub(crate) fn is_answered(operation: &Operation) -> bool {
    matches!(operation.value(), Some(Value::Document(_) | Value::Found(Some(_))))
}

/// Whether it came as far as what races: it was not turned away at the door.
fn got_through(operation: &Operation) -> bool {
    match &operation.outcome {
        Outcome::Ok(_) | Outcome::Unknown(_) => true,
        Outcome::Failed(cause) => match cause.kind {
            CauseKind::Transport(_) => false,
            _ => !matches!(cause.status(), Some(401 | 429)),
        },
    }
}

/// With no violation in `trials` trials, the probability of one per trial is below this (95 %).
fn rule_of_three(trials: u64) -> f64 {
    (3.0 / trials as f64).min(1.0)
}

/// Starts and ends of intervals, sorted apart; the buffers are used again for each key.
#[derive(Default)]
struct Sweep {
    starts: Vec<Nanos>,
    ends: Vec<Nanos>,
}

impl Sweep {
    /// The most operations in flight at one moment.
    fn peak<'a>(&mut self, operations: impl ExactSizeIterator<Item = &'a Operation> + Clone) -> u32 {
        self.starts.clear();
        self.ends.clear();
        self.starts.extend(operations.clone().map(Operation::started));
        // An operation shorter than the clock's step was in flight all the same.
        self.ends.extend(operations.map(|operation| operation.completed.max(operation.started().saturating_add(1))));
        super::nearly::sort(&mut self.starts);
        super::nearly::sort(&mut self.ends);
        let (mut ended, mut peak) = (0, 0);
        for (started, start) in (1_usize..).zip(&self.starts) {
            while self.ends.get(ended).is_some_and(|end| end <= start) {
                ended += 1;
            }
            peak = peak.max(started - ended);
        }
        u32::try_from(peak).unwrap_or(u32::MAX)
    }
}

/// How late the first and the last operation of each round were released, each relative to what was intended.
fn lateness<'a>(operations: impl Iterator<Item = &'a Operation>) -> FxHashMap<u32, (i128, i128)> {
    let mut rounds = FxHashMap::<u32, (i128, i128)>::default();
    for operation in operations {
        let late = i128::from(operation.released()) - i128::from(operation.intended);
        let (least, most) = rounds.entry(operation.round).or_insert((late, late));
        *least = late.min(*least);
        *most = late.max(*most);
    }
    rounds
}

/// Per round, the time from the first release to the last.
fn release_skew(rounds: &FxHashMap<u32, (i128, i128)>) -> Skew {
    let mut skews: Vec<u64> =
        rounds.values().map(|(least, most)| u64::try_from(most - least).unwrap_or(u64::MAX)).collect();
    skews.sort_unstable();
    let at = |index: usize| skews.get(index).map_or(0, |&skew| super::latency::micros(skew));
    Skew { p50: at(skews.len().saturating_sub(1) / 2), max: at(skews.len().saturating_sub(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{History, Phase};
    use crate::stats::timeline::tests::answered;

    /// Operations given as key, start, connection held, end.
    fn operations(rows: &[(&str, Nanos, Option<Nanos>, Nanos)]) -> Vec<Operation> {
        rows.iter()
            .map(|&(key, invoked, connected, completed)| Operation {
                key: key.into(),
                connected,
                ..answered(invoked, completed - invoked, false)
            })
            .collect()
    }

    const PLAIN: Conditions = Conditions { clients: 4, burst: false, connections: None, violated: false };

    fn measured(operations: &[Operation], conditions: Conditions) -> Concurrency {
        let history = History { operations: operations.to_vec(), ..History::default() };
        concurrency(&[Evidence::of_phase(&history, None, Phase::Main)], &FxHashSet::default(), conditions)
    }

    #[test]
    fn overlap_is_counted_per_key_and_in_all() {
        type Rows = &'static [(&'static str, Nanos, Option<Nanos>, Nanos)];
        let cases: &[(&str, Rows, (u32, u32, u64))] = &[
            ("nothing", &[], (0, 0, 0)),
            ("one", &[("a", 0, None, 9)], (1, 1, 0)),
            ("overlap", &[("a", 0, None, 9), ("a", 5, None, 12)], (2, 2, 1)),
            ("touching is not overlapping", &[("a", 0, None, 9), ("a", 9, None, 12)], (1, 1, 0)),
            ("two keys", &[("a", 0, None, 9), ("b", 5, None, 12)], (2, 1, 0)),
            ("nested", &[("a", 0, None, 90), ("a", 5, None, 12), ("a", 13, None, 20)], (2, 2, 1)),
            ("no time at all", &[("a", 5, None, 5), ("a", 5, None, 5)], (2, 2, 1)),
            ("waits for the connection", &[("a", 0, Some(1), 9), ("a", 0, Some(9), 18)], (1, 1, 0)),
            ("not in order", &[("a", 50, None, 60), ("a", 0, None, 9), ("a", 55, None, 70)], (2, 2, 1)),
        ];
        for (name, rows, expected) in cases {
            let found = measured(&operations(rows), PLAIN);
            assert_eq!(
                (found.peak_in_flight, found.peak_in_flight_same_key, found.effective_trials),
                *expected,
                "{name}"
            );
        }
    }

    #[test]
    fn one_connection_carries_one_operation_at_a_time() {
        let jitter = operations(&[("a", 0, Some(1), 10), ("a", 0, Some(9), 18)]);
        let found = measured(&jitter, Conditions { connections: Some(1), ..PLAIN });
        assert_eq!((found.peak_in_flight, found.peak_in_flight_same_key, found.effective_trials), (1, 1, 0));
        assert_eq!(found.violation_rate_upper_bound_95, None);
    }

    #[test]
    fn the_rule_of_three_needs_trials_and_no_violation() {
        let rows: Vec<String> = (0..100).map(|key| key.to_string()).collect();
        let rows: Vec<_> =
            rows.iter().flat_map(|key| [(key.as_str(), 0, None, 5), (key.as_str(), 1, None, 5)]).collect();
        let operations = operations(&rows);
        let found = measured(&operations, PLAIN);
        assert_eq!((found.keys, found.effective_trials), (100, 100));
        assert_eq!(found.violation_rate_upper_bound_95, Some(0.03));
        let found = measured(&operations, Conditions { violated: true, ..PLAIN });
        assert_eq!(found.violation_rate_upper_bound_95, None);
        assert_eq!(rule_of_three(2), 1.0);
    }

    #[test]
    fn the_release_skew_is_that_of_a_round_and_of_bursts_only() {
        let mut operations =
            operations(&[("a", 1_000, None, 9_000), ("a", 5_000, None, 9_000), ("b", 90_000, None, 99_000)]);
        for (operation, (round, intended)) in operations.iter_mut().zip([(0, 1_000), (0, 2_000), (1, 90_000)]) {
            (operation.round, operation.intended) = (round, intended);
        }
        let found = measured(&operations, Conditions { burst: true, ..PLAIN });
        assert_eq!(found.release_skew_us, Skew { p50: 0, max: 3 });
        assert_eq!(measured(&operations, PLAIN).release_skew_us, Skew::default());
    }
}
