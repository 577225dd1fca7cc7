//! The charts: histogram, percentile curve, and the run over time. Colours are classes of the style sheet.

use super::escape;
use crate::report::format::{count, micros};
use crate::report::{Bucket, IntervalStats, Latency, OperationStats};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 196.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
/// Above the plot there is room for the legend.
const TOP: f64 = 28.0;
const BOTTOM: f64 = 26.0;
const PLOT: f64 = WIDTH - LEFT - RIGHT;

fn svg(label: &str, body: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\"><line class=\"axis\" x1=\"{LEFT}\" y1=\"{b}\" \
         x2=\"{r}\" y2=\"{b}\"/>{body}</svg>",
        escape(label),
        b = HEIGHT - BOTTOM,
        r = WIDTH - RIGHT
    )
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(text))
}

/// The names of the lines in their colours, side by side above the plot.
fn legend<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut x = LEFT;
    names
        .enumerate()
        .map(|(number, name)| {
            let label = text(x, 14.0, "start", name);
            x += 8.0 * name.chars().count() as f64 + 20.0;
            label.replacen("<text", &format!("<text class=\"f{}\"", number % 5), 1)
        })
        .collect()
}

/// From 0 to `most`, upwards.
fn height(value: f64, most: f64) -> f64 {
    let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
    HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
}

/// The largest value and half of it, with lines across.
fn scale(most: f64, name: impl Fn(f64) -> String) -> String {
    [most, most / 2.0]
        .map(|value| {
            let y = height(value, most);
            let grid =
                format!("<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>", WIDTH - RIGHT);
            grid + &text(LEFT - 6.0, y + 4.0, "end", &name(value))
        })
        .concat()
}

/// A distribution, ten bars per decade.
pub(super) fn histogram(buckets: &[Bucket]) -> String {
    let step = |bucket: &Bucket| (bucket.up_to_us.max(1e-3).log10() * 10.0).round();
    let first = buckets.iter().map(step).fold(f64::INFINITY, f64::min);
    let last = buckets.iter().map(step).fold(f64::NEG_INFINITY, f64::max);
    if !first.is_finite() || !last.is_finite() {
        return String::new();
    }
    // Even, so that half of it is a whole number.
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0).next_multiple_of(2) as f64;
    let width = (PLOT / (last - first + 1.0)).min(48.0);
    let mut body = scale(most, |value| count(value.round() as u64));
    for bucket in buckets {
        let x = LEFT + (step(bucket) - first) * width;
        let y = height(bucket.count as f64, most);
        body.push_str(&format!(
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>up to {}: {}</title></rect>",
            x + 1.0,
            (width - 2.0).max(1.0),
            HEIGHT - BOTTOM - y,
            micros(bucket.up_to_us),
            count(bucket.count)
        ));
    }
    // Only as many labels as have room; the end of each bar's step.
    let every = (70.0 / width).ceil().max(1.0);
    let mut step = first;
    while step <= last {
        let x = LEFT + (step - first + 0.5) * width;
        body.push_str(&text(x, HEIGHT - 8.0, "middle", &micros(10_f64.powf(step / 10.0))));
        step += every;
    }
    svg("histogram of the latency, logarithmic", &body)
}

/// Latency by percentile, of all operations and of each outcome.
pub(super) fn percentiles(stats: &OperationStats) -> String {
    let values = |l: &Latency| [l.p50, l.p90, l.p95, l.p99, l.p99_9, l.max];
    let outcomes = stats.latency_by_outcome_us.iter().map(|(name, latency)| (name.as_str(), latency));
    let mut lines: Vec<(&str, &Latency)> =
        std::iter::once(("all", &stats.latency_us)).chain(outcomes).filter(|(_, latency)| latency.count > 0).collect();
    if lines.len() == 2 {
        // One outcome is all there is.
        lines.remove(0);
    }
    let most = lines.iter().flat_map(|(_, latency)| values(latency)).max().unwrap_or(0) as f64;
    if most == 0.0 {
        return String::new();
    }
    let x = |index: usize| LEFT + 24.0 + index as f64 * (PLOT - 48.0) / 5.0;
    let mut body = scale(most, micros);
    for (index, name) in ["p50", "p90", "p95", "p99", "p99.9", "max"].iter().enumerate() {
        body.push_str(&text(x(index), HEIGHT - 8.0, "middle", name));
    }
    for (number, (name, latency)) in lines.iter().enumerate() {
        let points = values(latency).into_iter().enumerate();
        let points: Vec<_> = points.map(|(i, us)| format!("{:.1},{:.1}", x(i), height(us as f64, most))).collect();
        let colour = number % 5;
        // Wide and pale, so that the outcome that most operations had is seen on top of it.
        let all = if *name == "all" { " all" } else { "" };
        body.push_str(&format!("<polyline class=\"line c{colour}{all}\" points=\"{}\"/>", points.join(" ")));
    }
    body.push_str(&legend(lines.iter().map(|(name, _)| *name)));
    svg("latency by percentile", &body)
}

/// Throughput, and below it the median and the 99th percentile, over time. Nothing for a run of one interval.
pub(super) fn over_time(intervals: &[IntervalStats]) -> Vec<(String, String)> {
    let (Some(first), Some(last)) = (intervals.first(), intervals.last()) else { return Vec::new() };
    let (from, length) = (first.start_s, (last.start_s + last.length_s - first.start_s).max(1e-9));
    if intervals.len() < 2 {
        return Vec::new();
    }
    let x = |seconds: f64| LEFT + (seconds - from) / length * PLOT;
    let ends = text(LEFT, HEIGHT - 8.0, "start", &format!("{from:.1} s"))
        + &text(WIDTH - RIGHT, HEIGHT - 8.0, "end", &format!("{:.1} s", from + length));
    let rate = |interval: &IntervalStats| interval.answered as f64 / interval.length_s.max(1e-9);
    let most = intervals.iter().map(rate).fold(0.0, f64::max);
    let mut answered = scale(most, |value| count(value.round() as u64)) + &ends;
    for interval in intervals {
        let y = height(rate(interval), most);
        answered.push_str(&format!(
            "<rect class=\"bar{}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            if interval.errors > 0 { " bad" } else { "" },
            x(interval.start_s),
            (interval.length_s / length * PLOT - 1.0).max(0.5),
            HEIGHT - BOTTOM - y
        ));
    }
    let most = intervals.iter().map(|interval| interval.p99_us).max().unwrap_or(0) as f64;
    let mut latency = scale(most, micros) + &ends;
    for (colour, value) in
        [(0, (|i: &IntervalStats| i.p50_us) as fn(&IntervalStats) -> u64), (1, |i: &IntervalStats| i.p99_us)]
    {
        let point =
            |i: &IntervalStats| format!("{:.1},{:.1}", x(i.start_s + i.length_s / 2.0), height(value(i) as f64, most));
        let points: Vec<_> = intervals.iter().filter(|i| i.answered > 0).map(point).collect();
        latency.push_str(&format!("<polyline class=\"line c{colour}\" points=\"{}\"/>", points.join(" ")));
    }
    latency.push_str(&legend(["p50", "p99"].into_iter()));
    vec![
        ("Answers per second (red: with errors)".to_owned(), svg("throughput over time", &answered)),
        ("Latency".to_owned(), svg("latency over time", &latency)),
    ]
}
