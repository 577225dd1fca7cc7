//! A run as a series of intervals of equal length, each with the latencies answered in it, for the comparison of runs.

use std::collections::BTreeMap;

use super::LoggedInterval;

/// The intervals in order, those without an answer included.
#[derive(Debug)]
pub(super) struct Series {
    /// Length of an interval in seconds.
    length_s: f64,
    /// Every latency that occurs, in nanoseconds, ascending.
    values: Vec<u64>,
    /// Per interval, positions in `values` and how often each occurs.
    intervals: Vec<Vec<(usize, u64)>>,
}

impl Series {
    /// All operations.
    pub(super) fn of_all(log: &[LoggedInterval]) -> Self {
        Series::of(log.iter())
    }

    /// One operation, over all its outcomes.
    pub(super) fn of_operation(log: &[LoggedInterval], operation: &str) -> Self {
        Series::of(log.iter().filter(|line| line.operation == operation))
    }

    fn of<'a>(lines: impl Iterator<Item = &'a LoggedInterval> + Clone) -> Self {
        // Only the last interval is shorter, because the run ended in it.
        let length_s = lines.clone().map(|line| line.length_s).fold(0.0, f64::max);
        let mut values: Vec<u64> = lines
            .clone()
            .flat_map(|line| line.histogram.iter_recorded().map(|step| step.value_iterated_to()))
            .collect();
        values.sort_unstable();
        values.dedup();
        let mut counts = BTreeMap::<u64, Vec<(usize, u64)>>::new();
        for line in lines.filter(|line| line.length_s > 0.0) {
            let recorded = line.histogram.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()));
            let index = (line.start_s / length_s).round() as u64;
            let interval = counts.entry(index).or_default();
            interval.extend(recorded.filter_map(|(value, count)| Some((values.binary_search(&value).ok()?, count))));
        }
        let (first, last) = (counts.keys().next().copied(), counts.keys().next_back().copied());
        let intervals = match (first, last) {
            (Some(first), Some(last)) => (first..=last).map(|at| counts.remove(&at).unwrap_or_default()).collect(),
            _ => Vec::new(),
        };
        Series { length_s, values, intervals }
    }

    /// How many intervals there are.
    pub(super) fn intervals(&self) -> usize {
        self.intervals.len()
    }

    /// How many latencies there are.
    pub(super) fn samples(&self) -> u64 {
        self.intervals.iter().flatten().map(|(_, count)| count).sum()
    }

    /// The latency at a quantile, in nanoseconds; not a number without samples.
    pub(super) fn quantile(&self, quantile: f64) -> f64 {
        let all: Vec<usize> = (0..self.intervals.len()).collect();
        self.quantiles_of(&all, &[quantile]).first().copied().unwrap_or(f64::NAN)
    }

    /// The latencies at quantiles in ascending order, over the intervals drawn.
    pub(super) fn quantiles_of(&self, drawn: &[usize], quantiles: &[f64]) -> Vec<f64> {
        let mut counts = vec![0_u64; self.values.len()];
        for (position, count) in drawn.iter().flat_map(|&index| &self.intervals[index]) {
            counts[*position] += count;
        }
        let total = counts.iter().sum::<u64>() as f64;
        let (mut position, mut seen) = (0, 0_u64);
        quantiles
            .iter()
            .map(|quantile| {
                let wanted = (quantile * total).ceil().max(1.0);
                while position < counts.len() && ((seen + counts[position]) as f64) < wanted {
                    seen += counts[position];
                    position += 1;
                }
                self.values.get(position).map_or(f64::NAN, |&value| value as f64)
            })
            .collect()
    }

    /// The intervals that lie wholly within the run: the first and the last are only partly filled.
    pub(super) fn inner(&self) -> std::ops::Range<usize> {
        1.min(self.intervals.len())..self.intervals.len().saturating_sub(1).max(1.min(self.intervals.len()))
    }

    /// Answers per second within the run.
    pub(super) fn rate(&self) -> f64 {
        let all: Vec<usize> = (0..self.inner().len()).collect();
        self.rate_of(&all)
    }

    /// Answers per second over inner intervals drawn, counted from the first inner one.
    pub(super) fn rate_of(&self, drawn: &[usize]) -> f64 {
        let inner = &self.intervals[self.inner()];
        let answers: u64 = drawn.iter().flat_map(|&index| &inner[index]).map(|(_, count)| count).sum();
        answers as f64 / (drawn.len() as f64 * self.length_s)
    }
}
