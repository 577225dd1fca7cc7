//! Runs of one scenario over time: verdict, throughput and latency of each, oldest first.

use serde::Serialize;

use super::Report;
use super::format::{count, micros};
use super::terminal::table_of_runs;
use crate::verdict::Verdict;

/// One run of a trend.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrendRow {
    /// Identifier of the run.
    pub run_id: String,
    /// When it was made; absent in reports of old versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The commit that it was made on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Its verdict.
    pub verdict: Verdict,
    /// Answers per second.
    pub throughput_per_s: f64,
    /// Median and 99th percentile of the slowest operation, in microseconds.
    pub p50_us: f64,
    /// See `p50_us`.
    pub p99_us: f64,
}

/// What a report adds to a trend.
pub fn trend_row(report: &Report) -> TrendRow {
    let slowest = report.operations.values().map(|stats| &stats.latency_us);
    let slowest = slowest.max_by(|a, b| a.p50.cmp(&b.p50));
    let origin = report.origin.as_ref();
    TrendRow {
        run_id: report.run_id.clone(),
        date: origin.map(|origin| origin.date.clone()),
        commit: origin.and_then(|origin| origin.commit.clone()),
        verdict: report.verdict,
        throughput_per_s: report.throughput_per_s,
        p50_us: slowest.map_or(0.0, |latency| latency.p50 as f64),
        p99_us: slowest.map_or(0.0, |latency| latency.p99 as f64),
    }
}

/// The runs as a table.
pub fn trend_table(reports: &[Report], colour: bool, width: usize) -> String {
    let rows: Vec<TrendRow> = reports.iter().map(trend_row).collect();
    let name = reports.last().map(|report| report.scenario.as_str()).unwrap_or_default();
    table_of_runs(name, &rows, colour, width)
}

impl TrendRow {
    /// Its cells: run, commit, answers per second, median, 99th percentile.
    pub(super) fn cells(&self) -> [String; 5] {
        let commit = self.commit.as_deref().unwrap_or("–");
        [
            self.run_id.clone(),
            commit.get(..12).unwrap_or(commit).to_owned(),
            count(self.throughput_per_s.max(0.0).round() as u64),
            micros(self.p50_us),
            micros(self.p99_us),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn each_run_has_a_line_and_the_medians_a_curve() {
        let (mut first, mut second) = (sample::passing(), sample::passing());
        first.run_id = "a".into();
        second.run_id = "b".into();
        second.operations.values_mut().for_each(|stats| stats.latency_us.p50 *= 2);
        let table = trend_table(&[first, second], false, 100);
        assert!(table.contains("\n✓ a") && table.contains("\n✓ b") && table.contains("▄█"), "{table}");
    }
}
