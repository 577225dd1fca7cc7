//! The charts: histogram, percentile curve, and the run over time. Colours are classes of the style sheet.
//!
//! They are drawn for the width of a phone and stretch; legends are text beside them, so that long names wrap. The marks lie
//! in a picture of their own, which the script of the page zooms; each chart has its values with it, for a cursor.

use super::{COLOURS, escape};
use crate::report::FaultReport;
use crate::report::format::{count, micros, plural};
use crate::stats::{Bucket, IntervalStats, Latency, OperationStats};

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 27.0;
const PLOT: f64 = WIDTH - LEFT - RIGHT;
/// Room for a letter, with some to spare.
const LETTER: f64 = 8.4;

/// A chart: what stays in place, the marks, and the value at each of some places, which a cursor shows.
fn svg(label: &str, body: &str, marks: &str, values: &[(f64, String)]) -> String {
    let values: Vec<serde_json::Value> =
        values.iter().map(|(x, text)| serde_json::json!([(x * 10.0).round() / 10.0, text])).collect();
    format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\" data-values=\"{}\">{body}<svg \
         class=\"plot\" x=\"{LEFT}\" y=\"0\" width=\"{PLOT}\" height=\"{HEIGHT}\" viewBox=\"{LEFT} 0 {PLOT} {HEIGHT}\" \
         preserveAspectRatio=\"none\">{marks}</svg><line class=\"axis\" x1=\"{LEFT}\" y1=\"{b}\" x2=\"{r}\" y2=\"{b}\"/></svg>",
        escape(label),
        escape(&serde_json::Value::from(values).to_string()),
        b = HEIGHT - BOTTOM,
        r = WIDTH - RIGHT
    )
}

fn half_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER / 2.0
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    // Half of a text that stands in the middle of its place must not leave the picture.
    let half = if anchor == "middle" { half_width(text) } else { 0.0 };
    let x = x.clamp(half, WIDTH - half);
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(text))
}

/// Texts along the bottom, from left to right: as many as have room beside each other.
fn along_the_bottom(marks: impl Iterator<Item = (f64, String)>) -> String {
    let mut free = f64::NEG_INFINITY;
    let mut body = String::new();
    for (x, name) in marks {
        let half = half_width(&name);
        let x = x.clamp(half, WIDTH - half);
        if x - half < free {
            continue;
        }
        free = x + half;
        body.push_str(&text(x, HEIGHT - 4.0, "middle", &name).replacen("<text", "<text class=\"tick\"", 1));
    }
    body
}

/// The names of the lines, each with its colour.
fn legend<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let name =
        |(number, name): (usize, &str)| format!("<span><i class=\"b{}\"></i>{}</span>", number % COLOURS, escape(name));
    format!("<p class=\"legend\">{}</p>", names.enumerate().map(name).collect::<String>())
}

/// The step of a scale: 1, 2 or 5 times a power of ten, so that a few of them reach `most`.
pub(super) fn nice(most: f64) -> f64 {
    let rough = (most / 3.5).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= rough).unwrap_or(10.0);
    step * power
}

/// A scale from 0 upwards.
struct Scale {
    step: f64,
    top: f64,
}

impl Scale {
    /// For values up to `most`; `whole` for numbers of things.
    fn new(most: f64, whole: bool) -> Self {
        let step = if whole { nice(most).max(1.0) } else { nice(most) };
        Scale { step, top: ((most / step).ceil() * step).max(step) }
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (value / self.top).clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }

    /// Lines across, each with its value.
    fn grid(&self, name: impl Fn(f64) -> String) -> String {
        let steps = (self.top / self.step).round() as u32;
        (0..=steps)
            .map(|index| {
                let value = f64::from(index) * self.step;
                let y = self.y(value);
                let line = format!(
                    "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>",
                    WIDTH - RIGHT
                );
                line + &text(LEFT - 6.0, y + 4.0, "end", &if index == 0 { "0".to_owned() } else { name(value) })
            })
            .collect()
    }
}

/// `5 ms` instead of `5.00 ms`, as a scale needs it.
pub(super) fn tick(us: f64) -> String {
    let text = micros(us);
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

fn whole(value: f64) -> String {
    count(value.round() as u64)
}

/// A distribution, ten bars per decade.
pub(super) fn histogram(buckets: &[Bucket]) -> String {
    let step = |bucket: &Bucket| (bucket.up_to_us.max(1e-3).log10() * 10.0).round();
    let first = buckets.iter().map(step).fold(f64::INFINITY, f64::min);
    let last = buckets.iter().map(step).fold(f64::NEG_INFINITY, f64::max);
    if !first.is_finite() || !last.is_finite() {
        return String::new();
    }
    let scale = Scale::new(buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0) as f64, true);
    let width = (PLOT / (last - first + 1.0)).min(PLOT / 8.0);
    let mut body = scale.grid(whole);
    let (mut bars, mut values) = (String::new(), Vec::new());
    for bucket in buckets {
        // What was seen at all is seen here.
        let y = scale.y(bucket.count as f64).min(HEIGHT - BOTTOM - 1.0);
        let x = LEFT + (step(bucket) - first) * width;
        bars.push_str(&format!(
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            x + 0.5,
            (width - 1.0).max(1.0),
            HEIGHT - BOTTOM - y,
        ));
        values.push((x + width / 2.0, format!("up to {}: {}", micros(bucket.up_to_us), count(bucket.count))));
    }
    // A bar reaches from the end of the step before to its own.
    let x = |us: f64| LEFT + (us.log10() * 10.0 - first + 1.0) * width;
    let marks = decades(first - 1.0, last);
    body.push_str(&along_the_bottom(marks.iter().map(|&us| (x(us), tick(us)))));
    for us in marks {
        body.push_str(&format!(
            "<line class=\"axis tick\" x1=\"{0:.1}\" y1=\"{1}\" x2=\"{0:.1}\" y2=\"{2}\"/>",
            x(us),
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 4.0
        ));
    }
    svg("histogram of the latency, logarithmic", &body, &bars, &values)
}

/// Round values from one step of ten per decade to another: as many as have room.
fn decades(first: f64, last: f64) -> Vec<f64> {
    let within = |factors: &[f64]| -> Vec<f64> {
        let powers = (first / 10.0).floor() as i32..=(last / 10.0).ceil() as i32;
        let all = powers.flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)));
        all.filter(|us| (first - 1e-6..=last + 1e-6).contains(&(us.log10() * 10.0))).collect()
    };
    let found = within(&[1.0, 2.0, 5.0]);
    match found.len() {
        // Not one round value within: the ends of what there is.
        0 => vec![10_f64.powf(first / 10.0), 10_f64.powf(last / 10.0)],
        1..=5 => found,
        _ => within(&[1.0]),
    }
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
    let scale = Scale::new(most, false);
    let x = |index: usize| LEFT + 14.0 + index as f64 * (PLOT - 28.0) / 5.0;
    let mut body = scale.grid(tick);
    let names = ["p50", "p90", "p95", "p99", "p99.9", "max"];
    body.push_str(&along_the_bottom(names.iter().enumerate().map(|(index, name)| (x(index), (*name).to_owned()))));
    let mut marks = String::new();
    for (number, (name, latency)) in lines.iter().enumerate() {
        let points = values(latency).into_iter().enumerate();
        let points: Vec<_> = points.map(|(i, us)| format!("{:.1},{:.1}", x(i), scale.y(us as f64))).collect();
        // Wide and pale, so that the outcome that most operations had is seen on top of it.
        let all = if *name == "all" { " all" } else { "" };
        marks.push_str(&format!(
            "<polyline class=\"line c{}{all}\" points=\"{}\"/>",
            number % COLOURS,
            points.join(" ")
        ));
    }
    let told = |(index, at): (usize, &&str)| {
        let of = |(name, latency): &(&str, &Latency)| format!("{name} {}", micros(values(latency)[index] as f64));
        (x(index), format!("{at}: {}", lines.iter().map(of).collect::<Vec<_>>().join(", ")))
    };
    let told: Vec<_> = names.iter().enumerate().map(told).collect();
    svg("latency by percentile", &body, &marks, &told) + &legend(lines.iter().map(|(name, _)| *name))
}

/// Throughput, and beside it the median and the 99th percentile, over time; shaded while something was broken on purpose. Nothing
/// for a run of one interval.
pub(super) fn over_time(intervals: &[IntervalStats], faults: &[FaultReport]) -> Vec<(String, String)> {
    let (Some(first), Some(last)) = (intervals.first(), intervals.last()) else { return Vec::new() };
    let (from, length) = (first.start_s, (last.start_s + last.length_s - first.start_s).max(1e-9));
    if intervals.len() < 2 {
        return Vec::new();
    }
    let x = |seconds: f64| LEFT + (seconds - from) / length * PLOT;
    let times = times(from, length, x);
    let shades: String = faults.iter().map(|fault| shade(fault, x)).collect();
    let errors = intervals.iter().any(|interval| interval.errors > 0);
    let title = if errors { "Answers per second (red: with errors)" } else { "Answers per second" };
    let charts =
        [(title, throughput(intervals, &times, &shades, x)), ("Latency", latencies(intervals, &times, &shades, x))];
    let shaded = if faults.is_empty() { "" } else { ", shaded while something was broken on purpose" };
    charts.map(|(title, chart)| (format!("{title}{shaded}"), chart)).into()
}

/// The time in which something was broken, at least as wide as can be seen.
fn shade(fault: &FaultReport, x: impl Fn(f64) -> f64) -> String {
    let place = |seconds: f64| x(seconds).clamp(LEFT, WIDTH - RIGHT);
    let (left, right) = (place(fault.from_s), place(fault.to_s));
    let width = (right - left).max(1.5);
    format!(
        "<rect class=\"fault\" x=\"{:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{}\"><title>{}</title></rect>",
        left.min(WIDTH - RIGHT - width),
        HEIGHT - TOP - BOTTOM,
        escape(&fault.kind)
    )
}

/// The value of an interval, for the cursor.
fn value(interval: &IntervalStats, x: impl Fn(f64) -> f64, what: &str) -> (f64, String) {
    (x(interval.start_s + interval.length_s / 2.0), format!("from {}: {what}", seconds_of(interval.start_s)))
}

fn throughput(intervals: &[IntervalStats], times: &str, shades: &str, x: impl Fn(f64) -> f64) -> String {
    let rate = |interval: &IntervalStats| interval.answered as f64 / interval.length_s.max(1e-9);
    let scale = Scale::new(intervals.iter().map(rate).fold(0.0, f64::max), true);
    let (mut bars, mut values) = (shades.to_owned(), Vec::new());
    for interval in intervals {
        let bad = interval.errors > 0;
        // An interval of nothing but errors is seen too.
        let y = scale.y(rate(interval)).min(HEIGHT - BOTTOM - if bad { 2.0 } else { 0.0 });
        let (left, right) = (x(interval.start_s), x(interval.start_s + interval.length_s));
        bars.push_str(&format!(
            "<rect class=\"bar{}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            if bad { " bad" } else { "" },
            (right - left - 0.6).max(0.5),
            HEIGHT - BOTTOM - y
        ));
        let errors = if bad { format!(", {}", plural(interval.errors, "error")) } else { String::new() };
        values.push(value(interval, &x, &format!("{} answers/s{errors}", whole(rate(interval)))));
    }
    svg("throughput over time", &(scale.grid(whole) + times), &bars, &values)
}

fn latencies(intervals: &[IntervalStats], times: &str, shades: &str, x: impl Fn(f64) -> f64) -> String {
    let scale = Scale::new(intervals.iter().map(|interval| interval.p99_us).max().unwrap_or(0) as f64, false);
    let answered: Vec<&IntervalStats> = intervals.iter().filter(|interval| interval.answered > 0).collect();
    let line = |colour: usize, us: fn(&IntervalStats) -> u64| {
        let point = |i: &&IntervalStats| format!("{:.1},{:.1}", x(i.start_s + i.length_s / 2.0), scale.y(us(i) as f64));
        let points: Vec<_> = answered.iter().map(point).collect();
        format!("<polyline class=\"line c{colour}\" points=\"{}\"/>", points.join(" "))
    };
    let lines = shades.to_owned() + &line(0, |interval| interval.p50_us) + &line(1, |interval| interval.p99_us);
    let told =
        |i: &&IntervalStats| value(i, &x, &format!("p50 {}, p99 {}", micros(i.p50_us as f64), micros(i.p99_us as f64)));
    let values: Vec<_> = answered.iter().map(told).collect();
    svg("latency over time", &(scale.grid(tick) + times), &lines, &values) + &legend(["p50", "p99"].into_iter())
}

/// Round times along the bottom.
fn times(from: f64, length: f64, x: impl Fn(f64) -> f64) -> String {
    let step = nice(length / 1.6);
    let first = (from / step - 1e-9).ceil() as u32;
    let seconds =
        (first..).map(|index| f64::from(index) * step).take_while(|seconds| *seconds <= from + length * 1.001);
    along_the_bottom(seconds.map(|seconds| (x(seconds), seconds_of(seconds))))
}

fn seconds_of(seconds: f64) -> String {
    if seconds.abs() < 1e-9 { "0 s".to_owned() } else { tick(seconds * 1e6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_has_round_steps_and_reaches_the_largest_value() {
        for (most, step, top) in
            [(1.0, 0.5, 1.0), (7.0, 2.0, 8.0), (10_775.0, 5_000.0, 15_000.0), (397_000.0, 200_000.0, 400_000.0)]
        {
            let scale = Scale::new(most, false);
            assert!(
                (scale.step - step).abs() < 1e-9 && (scale.top - top).abs() < 1e-6,
                "{most}: {} {}",
                scale.step,
                scale.top
            );
        }
        let few = Scale::new(1.0, true);
        assert!((few.step - 1.0).abs() < 1e-9 && (few.top - 1.0).abs() < 1e-9);
        let none = Scale::new(0.0, true);
        assert!(none.top > 0.0 && none.y(0.0).is_finite());
    }

    #[test]
    fn ticks_have_no_needless_digits() {
        for (us, text) in [(5_000.0, "5 ms"), (2_500.0, "2.5 ms"), (100.0, "100 µs"), (20e6, "20 s"), (1.5e6, "1.5 s")]
        {
            assert_eq!(tick(us), text);
        }
    }

    #[test]
    fn texts_along_the_bottom_do_not_touch() {
        let names = |bounds: &[f64]| -> Vec<String> {
            let buckets: Vec<Bucket> = bounds.iter().map(|&up_to_us| Bucket { up_to_us, count: 1 }).collect();
            let picture = histogram(&buckets);
            let texts = picture.split("text-anchor=\"middle\">").skip(1);
            texts.map(|rest| rest.split('<').next().unwrap_or_default().to_owned()).collect()
        };
        // One bar between two values that are not round: no room for both.
        assert_eq!(names(&[6_309.57]), ["5.01 ms"]);
        assert_eq!(names(&[100.0, 1_000.0, 10_000.0]), ["100 µs", "1 ms", "10 ms"]);
        assert_eq!(names(&[10.0, 1e7]).len(), 7);
    }

    #[test]
    fn a_logarithmic_axis_has_round_values_or_its_ends() {
        let rounded = |first, last| -> Vec<u64> { decades(first, last).iter().map(|us| us.round() as u64).collect() };
        assert_eq!(rounded(20.0, 50.0), [100, 1_000, 10_000, 100_000]);
        assert_eq!(rounded(25.0, 35.0), [500, 1_000, 2_000]);
        assert_eq!(rounded(31.0, 32.0), [1_259, 1_585]);
    }
}
