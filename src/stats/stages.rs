//! Figures of each stage of a load whose clients or rate change over time.
//!
//! An operation belongs to the stage in which it was to start, whenever it ended: what a stage began is not charged to the next
//! one. Nothing is left out, also where clients were late.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::CreationError;
use serde::{Deserialize, Serialize};

use super::{Clock, Latency, LatencyStats, OperationStats};
use crate::history::{Nanos, Operation};
use crate::scenario::{Load, StageSpan};

/// Where the stages of a load lie in the times of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StageMarks {
    /// When the load began; of a merged run, in each of its shards.
    pub begun_ns: Vec<Nanos>,
    /// Arrivals of each stage that found every client busy; empty where there are no arrivals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<u64>,
}

/// What changes in the stages of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ramped {
    /// How many clients there are.
    #[default]
    Clients,
    /// Operations per second.
    Rate,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StageStats {
    /// What changes.
    pub ramped: Ramped,
    /// Clients, or operations per second, at its beginning.
    pub from: f64,
    /// At its end.
    pub to: f64,
    /// When it begins, in seconds since the load began.
    pub start_s: f64,
    /// How long it lasts.
    pub duration_s: f64,
    /// Operations that were to start in it and did.
    pub attempted: u64,
    /// Arrivals in it that could not be sent.
    #[serde(default)]
    pub dropped_arrivals: u64,
    /// Failed and unknown operations.
    pub errors: u64,
    /// Its operations that were answered, per second of the stage.
    pub throughput_per_s: f64,
    /// Latency of all its answered operations.
    pub latency_us: Latency,
    /// Counts, latency and distribution per operation.
    pub operations: BTreeMap<String, OperationStats>,
}

/// What the operations of each stage add up to; nothing of a load that has no stages. `shard` is the position of the process
/// that carried an operation out.
pub(crate) fn stage_sums<'a>(
    load: &Load,
    marks: Option<&StageMarks>,
    operations: impl Iterator<Item = &'a Operation>,
    shard: impl Fn(&Operation) -> usize,
) -> Result<Vec<LatencyStats>, CreationError> {
    let spans = load.stages();
    let Some(marks) = marks.filter(|_| !spans.is_empty()) else { return Ok(Vec::new()) };
    let new = || LatencyStats::new(Clock::of(load));
    let mut each = spans.iter().map(|_| new()).collect::<Result<Vec<_>, _>>()?;
    for operation in operations {
        let begun = marks.begun_ns.get(shard(operation)).or(marks.begun_ns.first()).copied().unwrap_or_default();
        let since = Duration::from_nanos(operation.intended.saturating_sub(begun));
        if let Some(stats) = each.get_mut(StageSpan::at(&spans, since)) {
            stats.record(operation);
        }
    }
    Ok(each)
}

/// The figures of the stages of a load.
pub(crate) fn stages_of(load: &Load, marks: Option<&StageMarks>, each: &[LatencyStats]) -> Vec<StageStats> {
    let Some(marks) = marks else { return Vec::new() };
    let ramped = if matches!(load, Load::RampingRate { .. }) { Ramped::Rate } else { Ramped::Clients };
    let dropped = marks.dropped.iter().copied().chain(std::iter::repeat(0));
    let staged = load.stages().into_iter().zip(each).zip(dropped);
    staged.map(|((span, stats), dropped)| stage(ramped, &span, stats, dropped)).collect()
}

fn stage(ramped: Ramped, span: &StageSpan, stats: &LatencyStats, dropped_arrivals: u64) -> StageStats {
    let operations = stats.operations();
    let sum = |figure: fn(&OperationStats) -> u64| operations.values().map(figure).sum::<u64>();
    let answered = sum(|figures| figures.ok + figures.failed);
    let length = span.length_s();
    StageStats {
        ramped,
        from: span.from,
        to: span.to,
        start_s: span.begin.as_secs_f64(),
        duration_s: length,
        attempted: sum(|figures| figures.attempted),
        dropped_arrivals,
        errors: sum(|figures| figures.failed + figures.unknown),
        throughput_per_s: if length > 0.0 { answered as f64 / length } else { 0.0 },
        latency_us: stats.everything().latency(),
        operations,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Arrivals, Keys, Stage};
    use crate::stats::timeline::tests::{answered, unknown};

    fn ramp() -> Load {
        let stage = |target, seconds| Stage { target, duration: Duration::from_secs(seconds) };
        Load::RampingRate {
            start: 0.0,
            max_clients: 2,
            arrivals: Arrivals::Constant,
            rate: vec![stage(10.0, 1), stage(5.0, 0), stage(5.0, 2)],
            keys: Keys::Uniform { count: 1 },
        }
    }

    /// The stages of a load.
    fn stage_stats<'a>(
        load: &Load,
        marks: Option<&StageMarks>,
        operations: impl Iterator<Item = &'a Operation>,
        shard: impl Fn(&Operation) -> usize,
    ) -> Result<Vec<StageStats>, CreationError> {
        Ok(stages_of(load, marks, &stage_sums(load, marks, operations, shard)?))
    }

    #[test]
    fn an_operation_counts_in_the_stage_in_which_it_was_to_start() {
        const MS: u64 = 1_000_000;
        // The load began after 50 ms; the second operation was to start at the very end of the first stage, and went late.
        let mut late = answered(1_300 * MS, 40 * MS, true);
        late.intended = 1_049 * MS;
        let mut next = answered(1_050 * MS, 10 * MS, true);
        next.intended = 1_050 * MS;
        let mut never = unknown(2_000 * MS, 10 * MS);
        never.intended = 2_000 * MS;
        let operations = [late, next, never];
        let marks = StageMarks { begun_ns: vec![50 * MS], dropped: vec![0, 0, 3] };
        let found = stage_stats(&ramp(), Some(&marks), operations.iter(), |_| 0).unwrap();
        let told = |stage: &StageStats| (stage.attempted, stage.errors, stage.dropped_arrivals, stage.latency_us.max);
        // Counted from when it was to start: 1,340 - 1,049.
        assert_eq!(found.iter().map(told).collect::<Vec<_>>(), [(1, 0, 0, 291_000), (0, 0, 0, 0), (2, 1, 3, 10_000)]);
        assert_eq!((found[0].from, found[0].to, found[2].start_s, found[2].duration_s), (0.0, 10.0, 1.0, 2.0));
        assert!((found[2].throughput_per_s - 0.5).abs() < 1e-9, "{found:?}");
        assert_eq!(stage_stats(&ramp(), None, operations.iter(), |_| 0).unwrap(), []);
    }

    #[test]
    fn of_a_merged_run_each_shard_has_its_own_beginning() {
        const MS: u64 = 1_000_000;
        let operations = [answered(1_000 * MS, MS, true), answered(1_001 * MS, MS, true)];
        let marks = StageMarks { begun_ns: vec![0, 2 * MS], dropped: Vec::new() };
        let of = |operation: &Operation| usize::from(operation.invoked > 1_000 * MS);
        let found = stage_stats(&ramp(), Some(&marks), operations.iter(), of).unwrap();
        assert_eq!(found.iter().map(|stage| stage.attempted).collect::<Vec<_>>(), [1, 0, 1]);
    }
}
