//! Latency, throughput and errors over time, in a bounded number of intervals.
//!
//! [`Timeline`] starts with short intervals. When there would be too many, it joins them in pairs and goes on with twice
//! the length, so that a long run costs no more memory than a short one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::IntervalStats;
use super::latency::{micros, record};
use crate::history::{Nanos, Operation, Outcome};

const MAX_INTERVALS: u64 = 64;
/// Short enough that a run of a third of a second has a course, and blocks to estimate its noise from.
const FIRST_LENGTH: Nanos = 10_000_000;

/// One stretch of the run, by the time of completion.
#[derive(Debug, Clone, Default)]
pub struct Interval {
    /// Answered operations.
    pub answered: u64,
    /// Failed and unknown operations.
    pub errors: u64,
    /// Latency in nanoseconds, per operation and outcome.
    pub histograms: BTreeMap<(Cow<'static, str>, &'static str), Histogram<u32>>,
}

/// The intervals of a run.
#[derive(Debug)]
pub struct Timeline {
    pub(super) empty: Histogram<u32>,
    pub(super) length: Nanos,
    pub(super) intervals: BTreeMap<u64, Interval>,
}

impl Timeline {
    /// Starts with nothing; `empty` is what each histogram starts as, and resizes itself.
    pub(super) fn new(mut empty: Histogram<u32>) -> Self {
        empty.auto(true);
        Timeline { empty, length: FIRST_LENGTH, intervals: BTreeMap::new() }
    }

    /// Has intervals that are long enough for this moment. Where they are so from the beginning, fewer are made.
    pub(super) fn reach(&mut self, moment: Nanos) {
        while moment / self.length >= MAX_INTERVALS && self.length < Nanos::MAX / 2 {
            self.double();
        }
    }

    /// Which interval a moment is in that was reached.
    pub(super) fn position(&self, moment: Nanos) -> usize {
        usize::try_from(moment / self.length).unwrap_or(usize::MAX)
    }

    pub(super) fn record(&mut self, operation: &Operation, label: &'static str, latency: Option<Nanos>) {
        self.reach(operation.completed);
        let interval = self.intervals.entry(operation.completed / self.length).or_default();
        if !matches!(operation.outcome, Outcome::Ok(_)) {
            interval.errors += 1;
        }
        if let Some(latency) = latency {
            interval.answered += 1;
            let key = (operation.action.label(), label);
            record(interval.histograms.entry(key).or_insert_with(|| self.empty.clone()), latency, 1);
        }
    }

    pub(super) fn double(&mut self) {
        self.length *= 2;
        for (index, interval) in std::mem::take(&mut self.intervals) {
            let joined = self.intervals.entry(index / 2).or_default();
            joined.answered += interval.answered;
            joined.errors += interval.errors;
            for (key, histogram) in interval.histograms {
                match joined.histograms.get_mut(&key) {
                    None => {
                        joined.histograms.insert(key, histogram);
                    }
                    Some(sum) => {
                        for recorded in histogram.iter_recorded() {
                            record(sum, recorded.value_iterated_to(), recorded.count_at_value());
                        }
                    }
                }
            }
        }
    }

    /// Length of each interval in nanoseconds; the last one that was begun may be cut short by the end of the run.
    pub fn length(&self) -> Nanos {
        self.length
    }

    /// Each interval that has something in it, and its start since the start of the run.
    pub fn intervals(&self) -> impl Iterator<Item = (Nanos, &Interval)> {
        self.intervals.iter().map(|(index, interval)| (index.saturating_mul(self.length), interval))
    }

    /// The figures of the report.
    pub fn figures(&self) -> Vec<IntervalStats> {
        self.intervals().map(|(start, interval)| self.figure(start, interval)).collect()
    }

    fn figure(&self, start: Nanos, interval: &Interval) -> IntervalStats {
        let mut all = Histogram::<u64>::new_from(&self.empty);
        all.auto(true);
        for recorded in interval.histograms.values().flat_map(|histogram| histogram.iter_recorded()) {
            record(&mut all, recorded.value_iterated_to(), u64::from(recorded.count_at_value()));
        }
        let at = |quantile| if all.is_empty() { 0 } else { micros(all.value_at_quantile(quantile)) };
        IntervalStats {
            start_s: start as f64 / 1e9,
            length_s: self.length as f64 / 1e9,
            answered: interval.answered,
            errors: interval.errors,
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: at(1.0),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::history::{Action, Cause, Returned, Value};
    use crate::stats::{Clock, LatencyStats};

    /// A create-or-get that was answered `latency` nanoseconds after it was invoked.
    pub(in crate::stats) fn answered(invoked: Nanos, latency: Nanos, created: bool) -> Operation {
        let returned = Returned { created: Some(created), ..Returned::default() };
        operation(invoked, invoked + latency, Outcome::Ok(Value::Document(returned)))
    }

    /// A create-or-get that was given up `latency` nanoseconds after it was invoked.
    pub(in crate::stats) fn unknown(invoked: Nanos, latency: Nanos) -> Operation {
        operation(invoked, invoked + latency, Outcome::Unknown(Cause::new("no answer")))
    }

    fn operation(invoked: Nanos, completed: Nanos, outcome: Outcome) -> Operation {
        crate::history::fixture::operation(
            invoked,
            "a:b",
            Action::CreateOrGet { reversed: false },
            [invoked, completed],
            outcome,
        )
    }

    #[test]
    fn a_long_run_keeps_every_operation_in_few_intervals() {
        let mut stats = LatencyStats::new(Clock::Service).unwrap();
        for second in 0..7_200_u64 {
            stats.record(&answered(second * 1_000_000_000, 1_000_000 + second * 1_000, second == 0));
            stats.record(&unknown(second * 1_000_000_000, 2_000_000));
        }
        let figures = stats.timeline().figures();
        assert!(figures.len() as u64 <= MAX_INTERVALS, "{}", figures.len());
        assert_eq!(figures.iter().map(|figure| figure.answered).sum::<u64>(), 7_200);
        assert_eq!(figures.iter().map(|figure| figure.errors).sum::<u64>(), 7_200);
        let in_histograms: u64 =
            stats.timeline().intervals().flat_map(|(_, i)| i.histograms.values()).map(Histogram::len).sum();
        assert_eq!(in_histograms, 7_200);
        assert!(figures.windows(2).all(|pair| pair[0].start_s < pair[1].start_s && pair[0].p50_us < pair[1].p50_us));
    }

    #[test]
    fn operations_may_come_in_any_order() {
        let mut forward: Vec<_> = (0..500).map(|i| answered(i * 77_000_000, 5_000_000, false)).collect();
        let one = LatencyStats::of(Clock::Service, &forward).unwrap().timeline().figures();
        forward.reverse();
        assert_eq!(LatencyStats::of(Clock::Service, &forward).unwrap().timeline().figures(), one);
    }
}
