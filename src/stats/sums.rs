//! Latency statistics as they are kept in files and added to each other, exactly: [`LatencySums`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::latency::{LatencyStats, Samples, record};
use super::timeline::{Interval, Timeline};
use crate::history::{Nanos, OUTCOME_LABELS};

/// Values, as a histogram tells them apart, and how often each occurs.
type Counts<C> = Vec<(u64, C)>;

/// What the latency statistics of some operations add up to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LatencySums {
    operations: BTreeMap<String, OperationSums>,
    span: Option<(Nanos, Nanos)>,
    interval_length: Nanos,
    intervals: BTreeMap<u64, IntervalSums>,
}

/// Those of one kind of operation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct OperationSums {
    attempted: u64,
    ok: u64,
    failed: u64,
    unknown: u64,
    outcomes: BTreeMap<String, u64>,
    /// The largest latency of each outcome, and all of them.
    samples: BTreeMap<String, (Nanos, Counts<u64>)>,
}

/// Those of one stretch of the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct IntervalSums {
    answered: u64,
    errors: u64,
    /// Latencies by operation and outcome.
    latencies: Vec<(String, String, Counts<u32>)>,
}

/// Why sums cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no outcome is called `{0}`")]
pub struct UnknownOutcome(String);

/// An outcome's name in tables of figures.
fn label(text: &str) -> Result<&'static str, UnknownOutcome> {
    let known = OUTCOME_LABELS.iter().copied().find(|known| *known == text);
    known.ok_or_else(|| UnknownOutcome(text.to_owned()))
}

impl LatencyStats {
    /// What they add up to.
    pub(crate) fn sums(&self) -> LatencySums {
        let samples = |samples: &Samples| {
            let steps = samples.histogram.iter_recorded();
            (samples.max, steps.map(|step| (step.value_iterated_to(), step.count_at_value())).collect())
        };
        let operations = self.operations.iter().map(|(name, entry)| {
            let sums = OperationSums {
                attempted: entry.attempted,
                ok: entry.ok,
                failed: entry.failed,
                unknown: entry.unknown,
                outcomes: entry.outcomes.iter().map(|(label, count)| ((*label).to_owned(), *count)).collect(),
                samples: entry.samples.iter().map(|(label, of_one)| ((*label).to_owned(), samples(of_one))).collect(),
            };
            (name.to_string(), sums)
        });
        LatencySums {
            operations: operations.collect(),
            span: self.span,
            interval_length: self.timeline.length,
            intervals: self.timeline.intervals.iter().map(|(index, one)| (*index, interval_sums(one))).collect(),
        }
    }

    /// Adds those of other operations of the same run.
    pub(crate) fn add(&mut self, sums: &LatencySums) -> Result<(), UnknownOutcome> {
        for (name, of_one) in &sums.operations {
            let entry = self.operations.entry(Cow::Owned(name.clone())).or_default();
            entry.attempted += of_one.attempted;
            entry.ok += of_one.ok;
            entry.failed += of_one.failed;
            entry.unknown += of_one.unknown;
            for (text, count) in &of_one.outcomes {
                *entry.outcomes.entry(label(text)?).or_default() += count;
            }
            for (text, (max, counts)) in &of_one.samples {
                let samples = entry.samples.entry(label(text)?).or_insert_with(|| Samples::new(self.empty.clone()));
                samples.max = samples.max.max(*max);
                counts.iter().for_each(|(value, count)| record(&mut samples.histogram, *value, *count));
            }
        }
        if let Some((first, last)) = sums.span {
            let (known_first, known_last) = self.span.unwrap_or((first, last));
            self.span = Some((known_first.min(first), known_last.max(last)));
        }
        self.timeline.add(sums)
    }
}

fn interval_sums(interval: &Interval) -> IntervalSums {
    let latencies = interval.histograms.iter().map(|((operation, outcome), histogram)| {
        let steps = histogram.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()));
        (operation.to_string(), (*outcome).to_owned(), steps.collect())
    });
    IntervalSums { answered: interval.answered, errors: interval.errors, latencies: latencies.collect() }
}

impl Timeline {
    fn add(&mut self, sums: &LatencySums) -> Result<(), UnknownOutcome> {
        // Lengths are doubled from one first length, so that the shorter intervals join to the longer ones.
        while self.length < sums.interval_length {
            self.double();
        }
        let factor = self.length / sums.interval_length.max(1);
        for (index, of_one) in &sums.intervals {
            let interval = self.intervals.entry(index / factor.max(1)).or_default();
            interval.answered += of_one.answered;
            interval.errors += of_one.errors;
            for (operation, outcome, counts) in &of_one.latencies {
                let key = (Cow::Owned(operation.clone()), label(outcome)?);
                let histogram = interval.histograms.entry(key).or_insert_with(|| self.empty.clone());
                counts.iter().for_each(|(value, count)| record(histogram, *value, *count));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Clock;
    use crate::stats::timeline::tests::{answered, unknown};

    #[test]
    fn sums_of_parts_are_those_of_the_whole_whichever_order_they_are_added_in() {
        let operation = |at: u64| match at % 11 {
            0 => unknown(at * 3_000_000, 900_000),
            _ => answered(at * 3_000_000, 1_000 + at * at * 37 % 50_000_000, at.is_multiple_of(3)),
        };
        let all: Vec<_> = (0..2_000).map(operation).collect();
        let of = |range: std::ops::Range<usize>, step: usize| {
            LatencyStats::of(Clock::Service, range.step_by(step).map(|at| &all[at])).unwrap()
        };
        let whole = of(0..all.len(), 1);
        let mut one_by_one = LatencyStats::new(Clock::Service).unwrap();
        all.iter().for_each(|operation| one_by_one.record(operation));
        assert_eq!(one_by_one.sums(), whole.sums());
        assert_eq!(one_by_one.operations(), whole.operations());
        assert_eq!(one_by_one.timeline().figures(), whole.timeline().figures());
        // The last part alone is long, so that lengths differ.
        let parts: [LatencyStats; 3] = [of(0..40, 1), of(40..all.len(), 2), of(41..all.len(), 2)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut joined = LatencyStats::new(Clock::Service).unwrap();
            for part in order {
                let text = serde_json::to_string(&parts[part].sums()).unwrap();
                joined.add(&serde_json::from_str(&text).unwrap()).unwrap();
            }
            assert_eq!(joined.sums(), whole.sums());
            assert_eq!(joined.operations(), whole.operations());
            assert_eq!(joined.timeline().figures(), whole.timeline().figures());
        }
    }
}
