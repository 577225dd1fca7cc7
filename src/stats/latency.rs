//! Latency and counts per operation and outcome, fed one operation at a time.
//!
//! [`LatencyStats`] holds histograms, never samples: its memory does not grow with the length of the run. Samples are
//! nanoseconds. Unknown outcomes are counted and give no sample: when they ended is not known. Nothing is synthesised.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hdrhistogram::{Counter, CreationError, Histogram};

use super::Timeline;
use super::kinds::Kinds;
use super::{Bucket, Latency, OperationStats};
use crate::history::{Nanos, Operation, Outcome};
use crate::scenario::Load;

/// Values below are told apart to half a microsecond only, which halves the memory.
const LOWEST_NS: u64 = 1_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Where a latency starts to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// From the invocation: burst, waves, closed.
    Service,
    /// From the intended start: open. A late start counts as latency.
    Response,
}

impl Clock {
    /// The clock of a load.
    pub fn of(load: &Load) -> Self {
        match load {
            Load::Open { .. } | Load::RampingRate { .. } => Clock::Response,
            Load::Burst { .. } | Load::Closed { .. } | Load::Waves { .. } | Load::RampingClients { .. } => {
                Clock::Service
            }
        }
    }

    /// The words in reports.
    pub fn label(self) -> &'static str {
        match self {
            Clock::Service => "service time",
            Clock::Response => "response time",
        }
    }

    /// One word, for the tags of a histogram log.
    pub fn tag(self) -> &'static str {
        match self {
            Clock::Service => "service",
            Clock::Response => "response",
        }
    }

    /// The latency of an answered operation; `None` if its outcome is unknown.
    pub fn latency(self, operation: &Operation) -> Option<Nanos> {
        let start = match self {
            Clock::Service => operation.released(),
            Clock::Response => operation.intended,
        };
        match operation.outcome {
            Outcome::Ok(_) | Outcome::Failed(_) => Some(operation.completed.saturating_sub(start)),
            Outcome::Unknown(_) => None,
        }
    }
}

/// A histogram in nanoseconds that knows its exact maximum.
#[derive(Debug, Clone)]
pub struct Samples {
    pub(super) histogram: Histogram<u64>,
    pub(super) max: Nanos,
}

impl Samples {
    pub(super) fn new(histogram: Histogram<u64>) -> Self {
        Samples { histogram, max: 0 }
    }

    pub(super) fn record(&mut self, latency: Nanos) {
        record(&mut self.histogram, latency, 1);
        self.max = self.max.max(latency);
    }

    fn add(&mut self, other: &Samples) -> Result<(), hdrhistogram::AdditionError> {
        self.max = self.max.max(other.max);
        self.histogram.add(&other.histogram)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The value at a quantile from 0 to 1, in nanoseconds; 1 is the exact maximum. `None` without samples.
    pub fn quantile(&self, quantile: f64) -> Option<Nanos> {
        if self.count() == 0 {
            return None;
        }
        if quantile >= 1.0 {
            return Some(self.max);
        }
        Some(self.histogram.value_at_quantile(quantile).min(self.max))
    }

    /// The histogram, in nanoseconds.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// The quantiles of the report.
    pub fn latency(&self) -> Latency {
        let at = |quantile| self.quantile(quantile).map_or(0, micros);
        Latency {
            count: self.count(),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            max: at(1.0),
        }
    }

    /// The distribution in ten steps per decade, without the empty ones.
    fn buckets(&self) -> Vec<Bucket> {
        let mut buckets = BTreeMap::<u64, u64>::new();
        for recorded in self.histogram.iter_recorded() {
            *buckets.entry(step_above(recorded.value_iterated_to().min(self.max))).or_default() +=
                recorded.count_since_last_iteration();
        }
        buckets.into_iter().map(|(up_to_ns, count)| Bucket { up_to_us: up_to_ns as f64 / 1e3, count }).collect()
    }
}

/// The smallest preferred number (ten per decade, from one microsecond) that is not below `ns`.
fn step_above(ns: u64) -> u64 {
    const STEPS: [u64; 10] = [1_000, 1_250, 1_600, 2_000, 2_500, 3_150, 4_000, 5_000, 6_300, 8_000];
    let mut decade = 1_u64;
    loop {
        if let Some(step) = STEPS.iter().map(|step| step.saturating_mul(decade)).find(|&step| step >= ns) {
            return step;
        }
        decade = decade.saturating_mul(10);
    }
}

/// Counts a value, and grows the histogram for it. One that cannot grow further counts it at its upper end.
pub(super) fn record<C: Counter>(histogram: &mut Histogram<C>, value: u64, count: C) {
    if histogram.record_n(value, count).is_err() {
        histogram.saturating_record_n(value, count);
    }
}

/// Nanoseconds as whole microseconds, rounded to the nearest.
pub(super) fn micros(ns: Nanos) -> u64 {
    ns.saturating_add(500) / 1_000
}

#[derive(Debug, Default)]
pub(super) struct PerOperation {
    pub(super) attempted: u64,
    pub(super) ok: u64,
    pub(super) failed: u64,
    pub(super) unknown: u64,
    pub(super) outcomes: BTreeMap<&'static str, u64>,
    pub(super) samples: BTreeMap<&'static str, Samples>,
}

/// Accumulates counts and latencies of the main phase.
#[derive(Debug)]
pub struct LatencyStats {
    clock: Clock,
    pub(super) empty: Histogram<u64>,
    pub(super) operations: BTreeMap<Cow<'static, str>, PerOperation>,
    pub(super) timeline: Timeline,
    pub(super) span: Option<(Nanos, Nanos)>,
}

impl LatencyStats {
    /// Starts with nothing.
    pub fn new(clock: Clock) -> Result<Self, CreationError> {
        let mut empty = Histogram::new_with_bounds(LOWEST_NS, 2 * LOWEST_NS, SIGNIFICANT_DIGITS)?;
        empty.auto(true);
        let timeline = Timeline::new(Histogram::new_from(&empty));
        Ok(LatencyStats { clock, empty, operations: BTreeMap::new(), timeline, span: None })
    }

    /// The statistics of operations already at hand.
    pub fn of<'a, I>(clock: Clock, operations: I) -> Result<Self, CreationError>
    where
        I: IntoIterator<Item = &'a Operation>,
        I::IntoIter: Clone,
    {
        let mut stats = LatencyStats::new(clock)?;
        let operations = operations.into_iter().filter(|operation| operation.phase.is_main());
        stats.timeline.reach(operations.clone().map(|operation| operation.completed).max().unwrap_or(0));
        let mut kinds = Kinds::default();
        for operation in operations {
            stats.extend_span(operation);
            kinds.meet(operation, stats.timeline.position(operation.completed), &stats);
        }
        kinds.add_to(&mut stats);
        Ok(stats)
    }

    /// Takes an operation in. The serial control is not part of the figures.
    pub fn record(&mut self, operation: &Operation) {
        if !operation.phase.is_main() {
            return;
        }
        let label = operation.outcome_label();
        self.extend_span(operation);
        let entry = self.operations.entry(operation.action.label()).or_default();
        entry.attempted += 1;
        match operation.outcome {
            Outcome::Ok(_) => entry.ok += 1,
            Outcome::Failed(_) => entry.failed += 1,
            Outcome::Unknown(_) => entry.unknown += 1,
        }
        *entry.outcomes.entry(label).or_default() += 1;
        let latency = self.clock.latency(operation);
        if let Some(latency) = latency {
            entry.samples.entry(label).or_insert_with(|| Samples::new(self.empty.clone())).record(latency);
        }
        self.timeline.record(operation, label, latency);
    }

    fn extend_span(&mut self, operation: &Operation) {
        let (first, last) = self.span.unwrap_or((operation.invoked, operation.completed));
        self.span = Some((first.min(operation.invoked), last.max(operation.completed)));
    }

    /// The clock that the samples were taken with.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Seconds from the first invocation to the last completion.
    pub fn duration_s(&self) -> f64 {
        self.span.map_or(0.0, |(first, last)| last.saturating_sub(first) as f64 / 1e9)
    }

    /// Seconds from the start of the run to the last completion.
    pub fn end_s(&self) -> f64 {
        self.span.map_or(0.0, |(_, last)| last as f64 / 1e9)
    }

    /// Answered operations per second; 0 when no time passed.
    pub fn throughput_per_s(&self) -> f64 {
        let answered: u64 = self.operations.values().map(|entry| entry.ok + entry.failed).sum();
        let duration = self.duration_s();
        if duration > 0.0 { answered as f64 / duration } else { 0.0 }
    }

    /// Latency, throughput and errors over time.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The samples of each operation and outcome, in the order of their names.
    pub fn samples(&self) -> impl Iterator<Item = (&str, &'static str, &Samples)> {
        self.operations.iter().flat_map(|(operation, entry)| {
            entry.samples.iter().map(move |(&outcome, samples)| (&**operation, outcome, samples))
        })
    }

    /// All samples of an operation, whatever its outcome.
    pub fn all_outcomes(&self, operation: &str) -> Samples {
        let mut all = Samples::new(self.empty.clone());
        for samples in self.operations.get(operation).iter().flat_map(|entry| entry.samples.values()) {
            // The sum resizes itself, so it cannot be refused; were it refused, the sample count would tell.
            if all.add(samples).is_err() {
                return Samples::new(self.empty.clone());
            }
        }
        all
    }

    /// All samples of all operations.
    pub fn everything(&self) -> Samples {
        let mut all = Samples::new(self.empty.clone());
        for (_, _, samples) in self.samples() {
            // The sum resizes itself, so it cannot be refused; were it refused, the sample count would tell.
            if all.add(samples).is_err() {
                return Samples::new(self.empty.clone());
            }
        }
        all
    }

    /// The figures of the report.
    pub fn operations(&self) -> BTreeMap<String, OperationStats> {
        self.operations.iter().map(|(name, entry)| (name.to_string(), self.operation(name, entry))).collect()
    }

    fn operation(&self, name: &str, entry: &PerOperation) -> OperationStats {
        let by_outcome = |figure: &dyn Fn(&Samples) -> Latency| {
            entry.samples.iter().map(|(&label, samples)| (label.to_owned(), figure(samples))).collect()
        };
        OperationStats {
            attempted: entry.attempted,
            ok: entry.ok,
            failed: entry.failed,
            unknown: entry.unknown,
            outcomes: entry.outcomes.iter().map(|(&label, &count)| (label.to_owned(), count)).collect(),
            latency_us: self.all_outcomes(name).latency(),
            latency_by_outcome_us: by_outcome(&Samples::latency),
            distribution: entry.samples.iter().map(|(&label, samples)| (label.to_owned(), samples.buckets())).collect(),
            latency_is: self.clock.label().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::timeline::tests::{answered, unknown};

    fn stats(clock: Clock, operations: &[Operation]) -> LatencyStats {
        LatencyStats::of(clock, operations).unwrap()
    }

    #[test]
    fn every_operation_is_counted_and_only_answered_ones_are_samples() {
        let operations = [answered(0, 1_000_000, true), answered(10, 3_000_000, false), unknown(20, 900_000_000)];
        let figures = stats(Clock::Service, &operations).operations();
        let one = &figures["create-or-get"];
        assert_eq!((one.attempted, one.ok, one.failed, one.unknown), (3, 2, 0, 1));
        assert_eq!(
            one.outcomes.iter().map(|(k, v)| (k.as_str(), *v)).collect::<Vec<_>>(),
            [("created", 1), ("existing", 1), ("unknown", 1)]
        );
        assert_eq!(one.latency_us.count, 2);
        assert_eq!(one.latency_us.max, 3_000);
        assert_eq!(one.latency_by_outcome_us["created"].p50, 1_000);
        assert!(!one.latency_by_outcome_us.contains_key("unknown"));
        assert_eq!(one.latency_is, "service time");
    }

    #[test]
    fn an_open_load_counts_from_the_intended_start() {
        let mut late = answered(5_000_000, 1_000_000, true);
        late.intended = 0;
        for (clock, expected) in [(Clock::Service, 1_000), (Clock::Response, 6_000)] {
            let one = &stats(clock, std::slice::from_ref(&late)).operations()["create-or-get"];
            assert_eq!(one.latency_us.p50, expected, "{clock:?}");
        }
    }

    #[test]
    fn quantiles_are_within_a_thousandth_of_the_exact_ones() {
        let operations: Vec<_> = (1..=10_000_u64).map(|i| answered(i, i * 10_000, i % 2 == 0)).collect();
        let figures = stats(Clock::Service, &operations).operations();
        let latency = figures["create-or-get"].latency_us;
        for (found, exact) in [
            (latency.p50, 50_000),
            (latency.p90, 90_000),
            (latency.p95, 95_000),
            (latency.p99, 99_000),
            (latency.p99_9, 99_900),
        ] {
            assert!(found.abs_diff(exact) * 1_000 <= exact, "{found} for {exact}");
        }
        assert_eq!(latency.max, 100_000);
        let counted: u64 = figures["create-or-get"].distribution.values().flatten().map(|bucket| bucket.count).sum();
        assert_eq!(counted, 10_000);
    }

    #[test]
    fn the_serial_control_is_left_out_and_nothing_gives_nothing() {
        let mut control = answered(0, 1, true);
        control.phase = crate::history::Phase::Control;
        let stats = stats(Clock::Service, &[control]);
        assert!(stats.operations().is_empty());
        assert_eq!((stats.duration_s(), stats.throughput_per_s()), (0.0, 0.0));
    }

    #[test]
    fn steps_are_preferred_numbers() {
        for (ns, step) in [(0, 1_000), (1_000, 1_000), (1_001, 1_250), (9_000, 10_000), (7_000_000, 8_000_000)] {
            assert_eq!(step_above(ns), step);
        }
        assert_eq!(step_above(u64::MAX), u64::MAX);
    }
}
