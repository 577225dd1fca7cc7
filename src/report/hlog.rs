//! `latency.hlog` and `latency.hgrm`: histograms that other tools read.
//!
//! The log is in format 1.3 with V2 deflate payloads in nanoseconds, one line per interval, operation and outcome, tagged
//! `operation.outcome.clock`. The `.hgrm` is the percentile text of all samples of each operation, in milliseconds.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::stats::LatencyStats;
use crate::stats::LoggedInterval;

/// Readers expect the maximum in milliseconds beside a payload in nanoseconds.
const NANOS_PER_MILLI: f64 = 1e6;

/// Why a histogram log cannot be rendered.
#[derive(Debug, thiserror::Error)]
#[error("the histogram log cannot be encoded: {0}")]
pub struct HlogError(String);

/// Renders the interval log. `started` is the time of day at the start of the run, `end` the length of the run, where the
/// last interval stops.
pub fn hlog(stats: &LatencyStats, started: SystemTime, end: Duration) -> Result<Vec<u8>, HlogError> {
    let failed = |error: &dyn std::fmt::Display| HlogError(error.to_string());
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment(&format!("[Logged by onlyone {}]", env!("CARGO_PKG_VERSION")))
        .add_comment("[Histogram log format version 1.3]")
        .with_start_time(started)
        .with_base_time(started)
        .with_max_value_divisor(NANOS_PER_MILLI)
        .begin_log_with(&mut bytes, &mut serializer)
        .map_err(|error| failed(&error))?;
    let timeline = stats.timeline();
    for (start, interval) in timeline.intervals() {
        let start = Duration::from_nanos(start);
        let length = Duration::from_nanos(timeline.length()).min(end.saturating_sub(start));
        for ((operation, outcome), histogram) in &interval.histograms {
            let name = tag(&format!("{operation}.{outcome}.{}", stats.clock().tag()));
            writer
                .write_histogram(histogram, start, length, Tag::new(&name))
                .map_err(|error| HlogError(format!("{error:?}")))?;
        }
    }
    Ok(bytes)
}

/// A tag may hold no comma, space or line break.
fn tag(name: &str) -> String {
    name.chars().map(|c| if c == ',' || c.is_whitespace() || c.is_control() { '_' } else { c }).collect()
}

/// Renders the percentiles of each operation, one block after another.
pub fn hgrm(stats: &LatencyStats) -> String {
    let mut text = String::new();
    let names: std::collections::BTreeSet<_> = stats.samples().map(|(operation, _, _)| operation).collect();
    for name in names {
        block(&mut text, name, stats.all_outcomes(name).histogram());
    }
    text
}

/// Renders the percentiles of each operation of a log that was read back.
pub fn hgrm_of_log(log: &[LoggedInterval]) -> Result<String, HlogError> {
    let mut operations = BTreeMap::<&str, Histogram<u64>>::new();
    for line in log {
        match operations.entry(&line.operation) {
            Entry::Vacant(entry) => {
                entry.insert(line.histogram.clone()).auto(true);
            }
            Entry::Occupied(mut entry) => {
                entry.get_mut().add(&line.histogram).map_err(|error| HlogError(error.to_string()))?;
            }
        }
    }
    let mut text = String::new();
    operations.iter().for_each(|(name, histogram)| block(&mut text, name, histogram));
    Ok(text)
}

fn block(text: &mut String, name: &str, histogram: &Histogram<u64>) {
    let millis = |ns: f64| ns / NANOS_PER_MILLI;
    text.push_str(&format!("#[Operation: {name}, in milliseconds]\n"));
    text.push_str(&format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)"));
    let mut total = 0;
    for step in histogram.iter_quantiles(5) {
        total += step.count_since_last_iteration();
        let (value, quantile) = (millis(step.value_iterated_to() as f64), step.quantile_iterated_to());
        text.push_str(&format!("{value:>12.3} {quantile:>14.12} {total:>10}"));
        if quantile < 1.0 {
            text.push_str(&format!(" {:>14.2}", 1.0 / (1.0 - quantile)));
        }
        text.push('\n');
    }
    let (mean, deviation) = (millis(histogram.mean()), millis(histogram.stdev()));
    let (max, count) = (millis(histogram.max() as f64), histogram.len());
    text.push_str(&format!("#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]\n"));
    text.push_str(&format!("#[Max     = {max:>12.3}, Total count    = {count:>12}]\n"));
    text.push_str(&format!("#[Buckets = {:>12}, SubBuckets     = {:>12}]\n", histogram.buckets(), 2048));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{read_hlog, sample};
    use crate::stats::Clock;

    #[test]
    fn the_log_reads_back_with_every_sample() {
        let operations: Vec<_> = (0..2_000_u64)
            .map(|i| {
                sample::operation(i, [i * 1_000_000, i * 1_000_000, i * 1_000_000 + 700_000 + i], sample::created("x"))
            })
            .collect();
        let stats = LatencyStats::of(Clock::Response, &operations).unwrap();
        let bytes =
            hlog(&stats, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000), Duration::from_secs(2)).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains("#[Histogram log format version 1.3]"), "{text}");
        assert!(text.contains("#[StartTime: 1700000000.000") && text.contains("#[BaseTime: 1700000000.000"));
        let (mut samples, mut last_start) = (0, 0.0);
        for line in text.lines().filter(|line| line.starts_with("Tag=")) {
            assert!(line.starts_with("Tag=create-or-get.created.response,") && line.contains(",HISTFAAA"), "{line}");
        }
        for line in read_hlog(&bytes).unwrap() {
            assert!(line.start_s >= last_start);
            last_start = line.start_s;
            assert!(line.histogram.min() >= 699_000 && line.histogram.max() <= 704_000, "nanoseconds");
            samples += line.histogram.len();
        }
        assert_eq!(samples, 2_000);
    }

    #[test]
    fn the_log_read_back_gives_the_same_percentiles() {
        let operations: Vec<_> = (0..5_000_u64)
            .map(|i| {
                sample::operation(i, [i * 1_000_000, 0, i * 1_000_000 + (i * i) % 90_000_000], sample::created("x"))
            })
            .collect();
        let stats = LatencyStats::of(Clock::Service, &operations).unwrap();
        let log = read_hlog(&hlog(&stats, SystemTime::UNIX_EPOCH, Duration::from_secs(6)).unwrap()).unwrap();
        assert_eq!(hgrm_of_log(&log).unwrap(), hgrm(&stats));
        assert_eq!(hgrm_of_log(&[]).unwrap(), "");
    }

    #[test]
    fn tags_hold_no_separator() {
        assert_eq!(tag("a b,c\nd.ok"), "a_b_c_d.ok");
    }

    #[test]
    fn percentiles_end_at_all_samples() {
        let stats = LatencyStats::of(Clock::Service, &sample::witness_operations()).unwrap();
        let text = hgrm(&stats);
        assert!(text.contains("Value     Percentile TotalCount 1/(1-Percentile)"), "{text}");
        assert!(text.contains("1.000000000000          2\n"), "{text}");
        let empty = LatencyStats::new(Clock::Service).unwrap();
        assert_eq!(hgrm(&empty), "");
    }
}
