//! Operations of one action and outcome, counted apart: [`Kinds`]. There are few kinds and many operations, each of which would else be
//! looked for in every table.

use std::borrow::Cow;

use hdrhistogram::Histogram;

use super::latency::{LatencyStats, Samples, record};
use crate::history::{Nanos, Operation, Outcome};

/// What was counted of each.
#[derive(Default)]
pub(super) struct Kinds<'a>(Vec<Kind<'a>>);

struct Kind<'a> {
    name: &'a str,
    action: Cow<'static, str>,
    label: &'static str,
    ok: u64,
    failed: u64,
    unknown: u64,
    samples: Option<Samples>,
    intervals: Vec<Stretch>,
}

/// One interval.
#[derive(Default)]
struct Stretch {
    operations: u64,
    errors: u64,
    answered: u64,
    latencies: Option<Histogram<u32>>,
}

impl<'a> Kinds<'a> {
    /// Takes an operation in, which ended in this interval.
    pub(super) fn meet(&mut self, operation: &'a Operation, interval: usize, stats: &LatencyStats) {
        let (name, label) = (operation.action.name(), operation.outcome_label());
        let known = self.0.iter().position(|kind| kind.label == label && kind.name == name);
        let at = known.unwrap_or_else(|| {
            self.0.push(Kind::new(name, operation.action.label(), label));
            self.0.len() - 1
        });
        self.0[at].meet(operation, interval, stats);
    }

    /// Adds what was counted to statistics whose intervals are those that were named.
    pub(super) fn add_to(self, stats: &mut LatencyStats) {
        for kind in self.0 {
            for (index, stretch) in (0..).zip(kind.intervals).filter(|(_, stretch)| stretch.operations > 0) {
                let interval = stats.timeline.intervals.entry(index).or_default();
                interval.errors += stretch.errors;
                interval.answered += stretch.answered;
                let key = (kind.action.clone(), kind.label);
                interval.histograms.extend(stretch.latencies.map(|latencies| (key, latencies)));
            }
            let entry = stats.operations.entry(kind.action).or_default();
            entry.attempted += kind.ok + kind.failed + kind.unknown;
            entry.ok += kind.ok;
            entry.failed += kind.failed;
            entry.unknown += kind.unknown;
            *entry.outcomes.entry(kind.label).or_default() += kind.ok + kind.failed + kind.unknown;
            entry.samples.extend(kind.samples.map(|samples| (kind.label, samples)));
        }
    }
}

impl<'a> Kind<'a> {
    fn new(name: &'a str, action: Cow<'static, str>, label: &'static str) -> Self {
        Kind { name, action, label, ok: 0, failed: 0, unknown: 0, samples: None, intervals: Vec::new() }
    }

    fn meet(&mut self, operation: &Operation, interval: usize, stats: &LatencyStats) {
        match operation.outcome {
            Outcome::Ok(_) => self.ok += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Unknown(_) => self.unknown += 1,
        }
        if self.intervals.len() <= interval {
            self.intervals.resize_with(interval + 1, Stretch::default);
        }
        let stretch = &mut self.intervals[interval];
        stretch.operations += 1;
        stretch.errors += u64::from(!operation.is_ok());
        let latency: Option<Nanos> = stats.clock().latency(operation);
        if let Some(latency) = latency {
            stretch.answered += 1;
            record(stretch.latencies.get_or_insert_with(|| stats.timeline.empty.clone()), latency, 1);
            self.samples.get_or_insert_with(|| Samples::new(stats.empty.clone())).record(latency);
        }
    }
}
