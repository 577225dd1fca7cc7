//! Two runs against each other: is the new one slower, beyond noise and beyond a threshold?
//!
//! Operations of one run are not independent: a garbage collection or a checkpoint slows down all that are in flight. The
//! unit of chance is therefore a stretch of the run, not an operation. The standard error of each figure comes from a
//! bootstrap that draws stretches ([`Series`]), and the confidence interval of a difference from Student's t with the few
//! degrees of freedom that so many stretches leave. Where other processes disturbed a run, their noise does not average out
//! within it, so the whole run counts as one stretch. What else differs between two runs as a whole cannot be told from one
//! run of each: the threshold is there for it.
//!
//! Pure: no clock, and the same logs give the same figures.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::LoggedInterval;
use super::series::Series;
use super::thresholds::samples_needed;

/// Stretches that a run is cut into for the bootstrap, and the fewest intervals that it may have.
pub(super) const BLOCKS: usize = 8;
/// Student's t for 99 % of both sides and one degree of freedom less than there are stretches.
const T_99: f64 = 3.499;
const REPLICATES: usize = 400;
/// The figures compared, by the quantile of each.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)];

/// One figure of both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Name of the operation, or `all` for the throughput.
    pub operation: String,
    /// `p50`, `p90`, `p95`, `p99` or `throughput`.
    pub metric: &'static str,
    /// Its value in the base: microseconds, or answers per second.
    pub base: f64,
    /// Its value in the new run.
    pub new: f64,
    /// Samples in the base and in the new run.
    pub samples: [u64; 2],
    /// The difference as a share of the base; absent where it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Estimate>,
    /// What follows from it.
    pub finding: Finding,
    /// Why it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A difference with its 99 % confidence interval, each as a share of the base.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The difference found.
    pub change: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// What a comparison of one figure found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Worse by more than the threshold, and not by chance.
    Worse,
    /// Better by more than the threshold, and not by chance.
    Better,
    /// Any difference is within the threshold.
    Same,
    /// Noise leaves it open whether there is a difference beyond the threshold.
    Unclear,
    /// Too little was measured.
    TooFew,
}

/// Compares the throughput, and the latency of each operation that both runs have.
///
/// `disturbed` says that other processes took a good part of the machine during a run.
pub fn compare(base: &[LoggedInterval], new: &[LoggedInterval], threshold: f64, disturbed: bool) -> Vec<Change> {
    let limits = Limits { threshold, width: if disturbed { T_99 * (BLOCKS as f64).sqrt() } else { T_99 } };
    let mut changes = vec![throughput(&Series::of_all(base), &Series::of_all(new), limits)];
    let mut names: Vec<&str> = base.iter().map(|line| line.operation.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names.into_iter().filter(|name| new.iter().any(|line| line.operation == *name)) {
        let both = [Series::of_operation(base, name), Series::of_operation(new, name)];
        let noise = both.each_ref().map(quantile_noise);
        for (index, (metric, quantile)) in QUANTILES.into_iter().enumerate() {
            let errors = [noise[0][index], noise[1][index]];
            changes.push(latency(name, metric, quantile, &both, errors, limits));
        }
    }
    changes
}

/// How far apart two figures must be.
#[derive(Debug, Clone, Copy)]
struct Limits {
    threshold: f64,
    /// Half of the confidence interval, in standard errors.
    width: f64,
}

fn latency(
    operation: &str,
    metric: &'static str,
    quantile: f64,
    both: &[Series; 2],
    errors: [f64; 2],
    limits: Limits,
) -> Change {
    let samples = both.each_ref().map(Series::samples);
    let [base, new] = both.each_ref().map(|series| series.quantile(quantile) / 1e3);
    let needed = samples_needed(quantile);
    let reason = match both.iter().map(Series::intervals).min() {
        Some(intervals) if intervals < BLOCKS => Some(too_short(intervals)),
        _ if samples.iter().any(|&count| count < needed) => Some(format!("needs {needed} samples in each run")),
        _ => None,
    };
    let operation = operation.to_owned();
    judged(
        Change { operation, metric, base, new, samples, change: None, finding: Finding::TooFew, reason },
        errors,
        limits,
        1.0,
    )
}

fn throughput(base: &Series, new: &Series, limits: Limits) -> Change {
    let both = [base, new];
    let reason = both.map(Series::intervals).into_iter().min().filter(|&n| n < BLOCKS + 2).map(too_short);
    let errors = both.map(rate_noise);
    let change = Change {
        operation: "all".to_owned(),
        metric: "throughput",
        base: base.rate(),
        new: new.rate(),
        samples: both.map(Series::samples),
        change: None,
        finding: Finding::TooFew,
        reason,
    };
    judged(change, errors, limits, -1.0)
}

fn too_short(intervals: usize) -> String {
    format!("too short: {intervals} intervals, needs {BLOCKS}")
}

/// Works out the interval and the finding. `worse` is the sign of a change for the worse.
fn judged(mut figure: Change, errors: [f64; 2], limits: Limits, worse: f64) -> Change {
    if figure.reason.is_some() {
        return figure;
    }
    let ratio = (figure.new / figure.base).ln();
    let width = limits.width * errors[0].hypot(errors[1]);
    if !ratio.is_finite() || !width.is_finite() {
        figure.reason = Some("not measured in both runs".to_owned());
        return figure;
    }
    let share = |log: f64| log.exp_m1();
    let (low, high) = (ratio - width, ratio + width);
    figure.change = Some(Estimate { change: share(ratio), low: share(low), high: share(high) });
    // Up and down alike: twice as fast is as far as half as fast.
    let limit = limits.threshold.ln_1p();
    figure.finding = if low <= -limit && high >= limit {
        Finding::Unclear
    } else if ratio.abs() > limit && low * high > 0.0 {
        if ratio * worse > 0.0 { Finding::Worse } else { Finding::Better }
    } else if low >= -limit && high <= limit {
        Finding::Same
    } else {
        Finding::Unclear
    };
    if figure.finding == Finding::Unclear {
        figure.reason = Some(needed(&figure, width, limit, ratio.abs()));
    }
    figure
}

/// How many samples would tell, as far as the noise of these runs says: the interval shrinks with the root of their number.
fn needed(figure: &Change, width: f64, limit: f64, difference: f64) -> String {
    let least = figure.samples[0].min(figure.samples[1]);
    let room = limit - difference;
    if room <= 0.1 * limit {
        return format!("the difference is about as large as the threshold: {least} samples in each run do not tell");
    }
    let wanted = (width / room).powi(2).max(1.1) * least as f64;
    // An estimate of noise has no more than two digits that mean something.
    let digits = 10_f64.powi((wanted.max(1.0).log10().floor() as i32 - 1).max(0));
    let wanted = (wanted / digits).ceil() * digits;
    format!("noise hides a difference: needs about {wanted:.0} samples in each run, there are {least}")
}

/// The standard error of the logarithm of each quantile.
fn quantile_noise(series: &Series) -> [f64; QUANTILES.len()] {
    let mut logs = QUANTILES.map(|_| Vec::with_capacity(REPLICATES));
    draw(series.intervals(), |drawn| {
        for (logs, value) in logs.iter_mut().zip(series.quantiles_of(drawn, &QUANTILES.map(|(_, quantile)| quantile))) {
            logs.push(value.ln());
        }
    });
    logs.map(|logs| deviation(&logs))
}

/// The standard error of the logarithm of the rate.
fn rate_noise(series: &Series) -> f64 {
    let mut logs = Vec::with_capacity(REPLICATES);
    draw(series.inner().len(), |drawn| logs.push(series.rate_of(drawn).ln()));
    deviation(&logs)
}

/// Draws as many intervals as there are, in stretches of neighbours; the last is followed by the first.
fn draw(intervals: usize, mut each: impl FnMut(&[usize])) {
    if intervals == 0 {
        return;
    }
    // Not a secret and not a choice: the same logs are to give the same figures.
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let length = intervals.div_ceil(BLOCKS);
    for _ in 0..REPLICATES {
        let mut drawn = Vec::with_capacity(intervals + length);
        while drawn.len() < intervals {
            let start = random.random_range(0..intervals);
            drawn.extend((start..start + length).map(|index| index % intervals));
        }
        drawn.truncate(intervals);
        each(&drawn);
    }
}

fn deviation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::report::{hlog, read_hlog};
    use crate::stats::timeline::tests::answered;
    use crate::stats::{Clock, LatencyStats};

    /// A closed load of one client for so many seconds. Latency has a long tail, and moods that last for 100 ms, as on a
    /// machine that does other things as well.
    fn run(seed: u64, seconds: u64, factor: f64) -> Vec<LoggedInterval> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut stats = LatencyStats::new(Clock::Service).unwrap();
        let (mut now, mut mood) = (0, 1.0);
        let mut mood_ends = 0;
        while now < seconds * 1_000_000_000 {
            if now >= mood_ends {
                mood = 0.9 + 0.2 * random.random::<f64>();
                mood_ends = now + 100_000_000;
            }
            let tail = -random.random::<f64>().max(1e-9).ln();
            let latency = (1_000_000.0 * mood * factor * (0.7 + 0.3 * tail)) as u64;
            stats.record(&answered(now, latency, false));
            now += latency;
        }
        let end = Duration::from_secs_f64(stats.end_s());
        read_hlog(&hlog(&stats, SystemTime::UNIX_EPOCH, end).unwrap()).unwrap()
    }

    fn found(changes: &[Change], finding: Finding) -> Vec<&'static str> {
        changes.iter().filter(|change| change.finding == finding).map(|change| change.metric).collect()
    }

    #[test]
    fn equal_runs_differ_in_nothing_ten_times_out_of_ten() {
        for pair in 0..10 {
            let changes = compare(&run(2 * pair, 6, 1.0), &run(2 * pair + 1, 6, 1.0), 0.1, false);
            assert_eq!(changes.len(), 5);
            assert!(found(&changes, Finding::Worse).is_empty(), "{changes:#?}");
            assert!(found(&changes, Finding::Better).is_empty(), "{changes:#?}");
            assert!(found(&changes, Finding::Same).contains(&"p50"), "{changes:#?}");
        }
    }

    #[test]
    fn a_slowdown_of_a_fifth_is_found_and_so_is_its_repair() {
        for pair in 0..10 {
            let (base, slow) = (run(2 * pair, 6, 1.0), run(2 * pair + 1, 6, 1.2));
            for (changes, finding) in [
                (compare(&base, &slow, 0.1, false), Finding::Worse),
                (compare(&slow, &base, 0.1, false), Finding::Better),
            ] {
                let metrics = found(&changes, finding);
                assert!(metrics.contains(&"p50") && metrics.contains(&"throughput"), "{changes:#?}");
                let p50 = changes.iter().find(|change| change.metric == "p50").unwrap().change.unwrap();
                assert!(p50.low < p50.change && p50.change < p50.high, "{p50:?}");
            }
        }
    }

    #[test]
    fn a_difference_within_the_threshold_is_none() {
        let (base, slow) = (run(1, 6, 1.0), run(2, 6, 1.2));
        assert!(found(&compare(&base, &slow, 0.5, false), Finding::Worse).is_empty());
    }

    #[test]
    fn few_samples_and_short_runs_are_never_a_finding() {
        let operations: Vec<_> = (0..40).map(|i| answered(i * 1_000_000, 1_000_000, false)).collect();
        let stats = LatencyStats::of(Clock::Service, &operations).unwrap();
        let short = read_hlog(&hlog(&stats, SystemTime::UNIX_EPOCH, Duration::from_millis(41)).unwrap()).unwrap();
        let few = run(3, 1, 1.0);
        for (changes, metrics) in [(compare(&short, &short, 0.1, false), 5), (compare(&few, &few, 0.1, false), 1)] {
            assert_eq!(found(&changes, Finding::TooFew).len(), metrics, "{changes:#?}");
            let few = |change: &&Change| change.finding == Finding::TooFew;
            assert!(changes.iter().filter(few).all(|change| change.reason.is_some() && change.change.is_none()));
        }
        assert_eq!(found(&compare(&[], &[], 0.1, false), Finding::TooFew), ["throughput"]);
    }

    #[test]
    fn what_noise_hides_says_how_much_would_tell() {
        let changes = compare(&run(1, 2, 1.0), &run(2, 2, 1.0), 0.001, false);
        let unclear: Vec<&Change> = changes.iter().filter(|change| change.finding == Finding::Unclear).collect();
        assert!(!unclear.is_empty(), "{changes:#?}");
        for change in unclear {
            assert!(change.reason.as_ref().is_some_and(|reason| reason.contains("samples in each run")), "{change:?}");
        }
    }

    #[test]
    fn what_disturbs_a_run_widens_the_noise() {
        let (base, slow) = (run(1, 6, 1.0), run(2, 6, 1.2));
        let width = |disturbed| {
            let estimate = compare(&base, &slow, 0.1, disturbed)[1].change.unwrap();
            (estimate.high / estimate.low.abs(), estimate.high - estimate.low)
        };
        assert!(width(true).1 > 2.5 * width(false).1);
    }

    #[test]
    fn the_same_logs_give_the_same_figures() {
        let (base, new) = (run(1, 2, 1.0), run(2, 2, 1.05));
        assert_eq!(compare(&base, &new, 0.1, false), compare(&base, &new, 0.1, false));
    }
}
