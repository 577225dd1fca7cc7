//! The tables and charts of latency, and the thresholds.

use minijinja::context;

use super::chart;
use crate::report::Report;
use crate::report::format::{count, measured, quantile, visible};
use crate::stats::{Latency, OperationStats};

/// One operation: a row for each outcome, its charts.
pub(super) fn operation(name: &str, stats: &OperationStats) -> minijinja::Value {
    let row = |name: &str, number: u64, latency: Option<&Latency>| {
        let cells = latency.filter(|latency| latency.count > 0).map(|l| {
            let values = [(l.p50, 0.5), (l.p90, 0.9), (l.p95, 0.95), (l.p99, 0.99), (l.p99_9, 0.999), (l.max, 1.0)];
            values.map(|(us, of)| quantile(us, of, l.count)).to_vec()
        });
        context! { name => name, count => count(number), cells => cells.unwrap_or_default() }
    };
    let mut rows = vec![row("all", stats.attempted, Some(&stats.latency_us))];
    rows.extend(stats.outcomes.iter().map(|(name, &n)| row(name, n, stats.latency_by_outcome_us.get(name))));
    context! {
        name => name,
        latency_is => stats.latency_is.as_str(),
        rows => rows,
        percentiles => chart::percentiles(stats),
        histograms => stats.distribution.iter().filter(|(_, buckets)| !buckets.is_empty())
            .map(|(outcome, buckets)| context! { outcome => outcome, svg => chart::histogram(buckets) })
            .collect::<Vec<_>>(),
    }
}

/// The thresholds, with what was measured.
pub(super) fn thresholds(report: &Report) -> Vec<minijinja::Value> {
    report
        .thresholds
        .iter()
        .map(|result| {
            let value = result.observed.map(|value| measured(value, result.unit));
            let found = result.reason.clone().or(value).unwrap_or_else(|| "not measured".to_owned());
            context! { text => visible(&result.threshold), ok => result.ok, too_few => result.too_few, found => found, samples => count(result.samples) }
        })
        .collect()
}
