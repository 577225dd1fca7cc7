//! Thresholds: bounds on latency, errors and throughput, held against what was measured.
//!
//! A threshold without enough samples is neither kept nor breached: a p99 of a hundred samples is one sample, and a share of
//! errors below one in a thousand cannot be told from a hundred operations. Invariants are not thresholds.

use super::LatencyStats;
use super::{ServiceTime, ThresholdResult, Unit};
use crate::scenario::{Comparison, Metric, Threshold};

/// Holds each threshold against the measurements, in the scenario's order.
///
/// Arrivals that could not be sent make every latency look better than it was: with any of them no latency threshold is
/// kept.
pub fn evaluate(thresholds: &[Threshold], stats: &LatencyStats, dropped_arrivals: u64) -> Vec<ThresholdResult> {
    let figures = stats.operations();
    let sum = |count: fn(&super::OperationStats) -> u64| figures.values().map(count).sum::<u64>();
    thresholds
        .iter()
        .map(|threshold| match &threshold.metric {
            Metric::Latency { operation, quantile } => {
                let samples = stats.all_outcomes(operation);
                let needed = samples_needed(*quantile);
                let observed = samples.quantile(*quantile).map(|ns| ns as f64 / 1e3);
                let doubt = match samples.count() {
                    0 => Some(Doubt::TooFew(format!("no `{operation}` was answered, needs {needed}"))),
                    count if count < needed => Some(Doubt::too_few(count, needed)),
                    _ if dropped_arrivals > 0 => {
                        Some(Doubt::NotKept(format!("{dropped_arrivals} arrivals could not be sent")))
                    }
                    _ => None,
                };
                result(threshold, observed, samples.count(), doubt)
            }
            Metric::ErrorRate => {
                let attempted = sum(|figures| figures.attempted);
                // What the scenario calls a refusal is an answer as it should be.
                let refused = |figures: &super::OperationStats| figures.outcomes.get("refused").copied().unwrap_or(0);
                let refused = figures.values().map(refused).sum::<u64>();
                let errors = sum(|figures| figures.failed + figures.unknown).saturating_sub(refused);
                share(threshold, errors, attempted)
            }
            Metric::DuplicateKeyRate => {
                let attempted = sum(|figures| figures.attempted);
                let met = sum(|figures| {
                    let labels = ["duplicate-key-handled", "duplicate-key-leaked"];
                    labels.iter().filter_map(|label| figures.outcomes.get(*label)).sum()
                });
                share(threshold, met, attempted)
            }
            Metric::Throughput => {
                let answered = sum(|figures| figures.ok + figures.failed);
                result(threshold, Some(stats.throughput_per_s()), answered, nothing(answered))
            }
        })
        .collect()
}

/// Adds what each bound on a latency would be held against if it counted from when operations were sent: `sent` has them so.
pub fn add_service_times(results: &mut [ThresholdResult], thresholds: &[Threshold], sent: &LatencyStats) {
    for (result, threshold) in results.iter_mut().zip(thresholds) {
        if let (Metric::Latency { .. }, [found]) =
            (&threshold.metric, evaluate(std::slice::from_ref(threshold), sent, 0).as_slice())
        {
            result.service_time = found.observed.map(|observed| ServiceTime { observed, ok: found.ok });
        }
    }
}

/// Why a threshold cannot be told to be kept.
enum Doubt {
    /// Neither that nor the contrary.
    TooFew(String),
    /// It is not kept.
    NotKept(String),
}

impl Doubt {
    fn too_few(count: u64, needed: u64) -> Self {
        Doubt::TooFew(format!("too few samples: {count}, needs {needed}"))
    }
}

fn nothing(count: u64) -> Option<Doubt> {
    (count == 0).then(|| Doubt::TooFew("no samples".to_owned()))
}

/// A share, held against its bound. One that is kept needs as many samples as let a single more breach it no further than to
/// the bound: of fewer, none at all says little.
fn share(threshold: &Threshold, met: u64, attempted: u64) -> ThresholdResult {
    let needed = match threshold.comparison {
        Comparison::Less | Comparison::AtMost if threshold.bound > 0.0 => (1.0 / threshold.bound - 1e-6).ceil() as u64,
        _ => 1,
    };
    let observed = (attempted > 0).then(|| met as f64 / attempted as f64);
    let found = result(threshold, observed, attempted, nothing(attempted));
    match found.ok && attempted < needed {
        true => result(threshold, observed, attempted, Some(Doubt::too_few(attempted, needed))),
        false => found,
    }
}

/// Samples below which a quantile is only a few extreme values: ten beyond it, and one for the maximum.
pub fn samples_needed(quantile: f64) -> u64 {
    if quantile >= 1.0 {
        return 1;
    }
    // A hair less than exact: 1 - 0.99 is not a hundredth in binary.
    ((10.0 / (1.0 - quantile)) - 1e-6).ceil() as u64
}

fn result(threshold: &Threshold, observed: Option<f64>, samples: u64, doubt: Option<Doubt>) -> ThresholdResult {
    let enough = doubt.is_none();
    let (too_few, reason) = match doubt {
        None => (false, None),
        Some(Doubt::TooFew(why)) => (true, Some(why)),
        Some(Doubt::NotKept(why)) => (false, Some(why)),
    };
    let observed = observed.filter(|value| enough && value.is_finite());
    let kept = observed.is_some_and(|value| match threshold.comparison {
        Comparison::Less => value < threshold.bound,
        Comparison::AtMost => value <= threshold.bound,
        Comparison::Greater => value > threshold.bound,
        Comparison::AtLeast => value >= threshold.bound,
    });
    let unit = match threshold.metric {
        Metric::Latency { .. } => Unit::Us,
        Metric::ErrorRate | Metric::DuplicateKeyRate => Unit::Share,
        Metric::Throughput => Unit::PerS,
    };
    ThresholdResult {
        threshold: threshold.text.clone(),
        observed,
        unit,
        samples,
        ok: kept,
        too_few,
        reason,
        service_time: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Cause, Outcome, Returned, Value};
    use crate::stats::Clock;
    use crate::stats::timeline::tests::{answered, unknown};

    fn threshold(metric: Metric, comparison: Comparison, bound: f64) -> Threshold {
        Threshold { text: "as written".into(), metric, comparison, bound }
    }

    fn latency(quantile: f64) -> Metric {
        Metric::Latency { operation: "create-or-get".into(), quantile }
    }

    /// So many operations of 1 ms, evenly within one second, and as many unknown.
    fn stats(answers: u64, unknowns: u64) -> LatencyStats {
        let answers =
            (0..answers).map(|i| answered(i * 999_000_000 / answers.saturating_sub(1).max(1), 1_000_000, false));
        let unknowns = (0..unknowns).map(|i| unknown(i, 10));
        LatencyStats::of(Clock::Service, &answers.chain(unknowns).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_quantile_needs_ten_samples_beyond_it() {
        for (quantile, needed) in [(0.5, 20), (0.9, 100), (0.95, 200), (0.99, 1_000), (0.999, 10_000), (1.0, 1)] {
            assert_eq!(samples_needed(quantile), needed, "{quantile}");
            let bound = threshold(latency(quantile), Comparison::Less, 1e9);
            let result = evaluate(std::slice::from_ref(&bound), &stats(needed, 0), 0).remove(0);
            assert!(result.ok && result.samples == needed, "{result:?}");
            let result = evaluate(&[bound], &stats(needed - 1, 0), 0).remove(0);
            assert!(!result.ok && result.too_few && !result.is_breached() && result.observed.is_none(), "{result:?}");
            assert!(result.reason.as_ref().is_some_and(|reason| reason.contains(&needed.to_string())), "{result:?}");
        }
    }

    #[test]
    fn thresholds_compare_as_they_are_written() {
        use Comparison::{AtLeast, AtMost, Greater, Less};
        let cases = [
            (latency(1.0), Less, 1_000.0, false),
            (latency(1.0), AtMost, 1_000.0, true),
            (latency(1.0), Greater, 1_000.0, false),
            (latency(1.0), AtLeast, 1_000.0, true),
            (latency(0.5), Less, 1_100.0, true),
            (Metric::ErrorRate, Less, 0.2, false),
            (Metric::ErrorRate, AtMost, 0.2, true),
            (Metric::Throughput, AtLeast, 79.0, true),
            (Metric::Throughput, AtLeast, 81.0, false),
            (latency(0.5), Less, f64::NAN, false),
        ];
        for (metric, comparison, bound, ok) in cases {
            let threshold = threshold(metric, comparison, bound);
            let found = evaluate(std::slice::from_ref(&threshold), &stats(80, 20), 0).remove(0);
            assert_eq!(found.ok, ok, "{threshold:?} {found:?}");
        }
    }

    #[test]
    fn the_duplicate_key_rate_counts_handled_ones_too() {
        let handled = Returned { created: Some(false), duplicate_key: true, ..Returned::default() };
        let mut operations: Vec<_> = (0..8).map(|i| answered(i, 1_000, i == 0)).collect();
        operations[1].outcome = Outcome::Ok(Value::Document(handled));
        operations[2].outcome = Outcome::Failed(Cause::database(11_000, "E11000 duplicate key error"));
        let stats = LatencyStats::of(Clock::Service, &operations).unwrap();
        for (bound, ok) in [(0.25, true), (0.24, false)] {
            let bound = threshold(Metric::DuplicateKeyRate, Comparison::AtMost, bound);
            assert_eq!(evaluate(&[bound], &stats, 0)[0].ok, ok);
        }
    }

    #[test]
    fn no_data_never_passes() {
        let other = Metric::Latency { operation: "get".into(), quantile: 1.0 };
        for (metric, stats) in [
            (latency(1.0), stats(0, 5)),
            (other, stats(50, 0)),
            (Metric::ErrorRate, stats(0, 0)),
            (Metric::DuplicateKeyRate, stats(0, 0)),
            (Metric::Throughput, stats(0, 3)),
        ] {
            let found = evaluate(&[threshold(metric, Comparison::AtLeast, 0.0)], &stats, 0).remove(0);
            assert!(!found.ok && found.reason.is_some(), "{found:?}");
        }
    }

    #[test]
    fn what_was_sent_late_is_told_from_what_was_answered_late() {
        let mut operations: Vec<_> = (0..50).map(|i| answered(500_000_000 + i, 1_000_000, false)).collect();
        operations.iter_mut().for_each(|operation| operation.intended = 0);
        let of = |clock| LatencyStats::of(clock, &operations).unwrap();
        let bounds =
            [threshold(latency(0.5), Comparison::Less, 2_000.0), threshold(Metric::ErrorRate, Comparison::Less, 0.5)];
        let mut results = evaluate(&bounds, &of(Clock::Response), 3);
        add_service_times(&mut results, &bounds, &of(Clock::Service));
        assert!(
            !results[0].ok && results[0].service_time.is_some_and(|time| time.ok && time.observed < 1_002.0),
            "{results:?}"
        );
        assert_eq!(results[1].service_time, None);
    }

    #[test]
    fn dropped_arrivals_fail_latency_thresholds() {
        let bound = threshold(latency(0.5), Comparison::Less, 1e9);
        assert!(!evaluate(&[bound], &stats(100, 0), 1)[0].ok);
    }
}
