//! The summary on the terminal: the verdict first, then why, then the figures, then how to go on.
//!
//! [`terminal`] is a pure function of the report; whether there is colour, and how wide the terminal is, is told. A passing
//! run fits one screen.

mod as_if_serial;
mod comparison;
mod explore;
mod faults;
mod limit;
mod page;
mod selftest;
mod several;
mod shards;
mod stages;
mod stored;
mod trend;
mod witness;

pub(super) use self::explore::sentence as explore_sentence;

pub use comparison::compared;
pub(super) use comparison::figure_texts;
pub use limit::terminal_of_limit;
pub(super) use several::table_of_scenarios;
pub(super) use trend::table_of_runs;

use self::page::{BOLD, CYAN, DIM, GREEN, PLAIN, Page, RED, Side, Span, YELLOW};
use super::format::{count, measured, mebibytes, micros, percent, plural, quantile, seconds};
use super::{Report, causes};
use crate::stats::{Bucket, Latency};
use crate::verdict::Verdict;

/// Columns below which a table of latencies does not fit.
const NARROW: usize = 76;

/// How a report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal<'a> {
    /// With colour.
    pub colour: bool,
    /// Columns.
    pub width: usize,
    /// Where the files of the run are, if any were written.
    pub directory: Option<&'a str>,
}

/// Renders the summary of a run.
pub fn terminal(report: &Report, options: Terminal<'_>) -> String {
    let mut page = Page::new(options.width, options.colour);
    heading(&mut page, report);
    proofs(&mut page, report);
    invariants(&mut page, report);
    if let Some(serial) = &report.as_if_serial {
        page.blank();
        as_if_serial::section(&mut page, serial);
    }
    if let Some(explored) = &report.explore {
        page.blank();
        explore::section(&mut page, explored);
    } else if let Some(selftest) = &report.selftest {
        page.blank();
        selftest::section(&mut page, selftest);
    } else {
        latency(&mut page, report);
        stages::section(&mut page, report);
    }
    page.blank();
    overlap(&mut page, report);
    serial_control(&mut page, report);
    faults::section(&mut page, report);
    shards::section(&mut page, report);
    environment(&mut page, report);
    thresholds(&mut page, report);
    ending(&mut page, report, options.directory);
    page.finish()
}

/// The violations, cause by cause: where they come from, what mends them, and the smallest proof.
fn proofs(page: &mut Page, report: &Report) {
    // The interleaving that is easiest to read proves the first.
    let mut smallest = report.explore.as_ref().and_then(|explore| explore.smallest.as_ref());
    for group in causes::groups(report) {
        witness::heading(page, &group);
        if let Some(smallest) = smallest.take() {
            explore::diagram(page, smallest);
        }
        witness::proof(page, report, &group);
    }
    if let Some(smallest) = smallest {
        page.blank();
        explore::diagram(page, smallest);
    }
}

fn mark(verdict: Verdict) -> (anstyle::Style, &'static str) {
    match verdict {
        Verdict::Holds => (GREEN, "✓"),
        Verdict::Violated => (RED, "✗"),
        Verdict::Inconclusive => (YELLOW, "?"),
    }
}

fn heading(page: &mut Page, report: &Report) {
    let (style, mark) = mark(report.verdict);
    let breached = report.thresholds.iter().any(crate::stats::ThresholdResult::is_breached);
    let mut also = String::new();
    if breached {
        also.push_str(", a threshold is breached");
    } else if report.thresholds.iter().any(|threshold| threshold.too_few) {
        also.push_str(", too few samples for a threshold");
    }
    if report.partial {
        also.push_str(", cut short");
    }
    page.line(&[
        (style.bold(), format!("{mark} {}", report.verdict.as_str().to_uppercase())),
        (if breached { RED } else { YELLOW }.bold(), also),
        (PLAIN, "  ".into()),
        (BOLD, report.scenario.clone()),
    ]);
    let listed = report.operations.values().map(|stats| stats.attempted).sum();
    let operations = report.selftest.as_ref().map_or(listed, |selftest| selftest.operations);
    // An audit reads a database; it has no operations of its own.
    let done = if report.findings.is_some() {
        format!("run {} · {}", report.run_id, seconds(report.duration_s))
    } else {
        let done = format!(
            "run {} · {} on {} · {}",
            report.run_id,
            plural(operations, "operation"),
            plural(report.concurrency.keys, "key"),
            seconds(report.duration_s)
        );
        match report.is_load() {
            true => format!("{done} · {} answers/s", count(report.throughput_per_s.max(0.0).round() as u64)),
            false => done,
        }
    };
    page.wrapped("  ", DIM, &done);
    for reason in &report.reasons {
        page.labelled("  because", YELLOW, reason);
    }
    // That all should hold, and does, was said by the first line.
    let plain = report.verdict == Verdict::Holds && report.exit_code == 0;
    if let Some(expectation) = report.expectation.as_ref().filter(|_| !plain) {
        let (style, met) = match expectation.met {
            Some(true) => (GREEN, "met"),
            Some(false) => (RED, "not met"),
            None => (YELLOW, "could not be told"),
        };
        page.labelled("  expectation", style, &format!("{met}: {}", expectation.details.join("; ")));
    }
}

fn invariants(page: &mut Page, report: &Report) {
    if report.invariants.is_empty() {
        return;
    }
    page.blank();
    let head = ["Invariant", "Verdict", "Checked", "Violations"].map(|title| (BOLD, title.to_owned()));
    let mut rows = vec![head.to_vec()];
    for result in &report.invariants {
        let (style, mark) = mark(result.verdict);
        let violations = if result.violations > 0 { style } else { DIM };
        rows.push(vec![
            (if result.verdict == Verdict::Holds { PLAIN } else { style }, format!("{mark} {}", result.name)),
            (style, result.verdict.to_string()),
            (PLAIN, count(result.checked)),
            (violations, count(result.violations)),
        ]);
    }
    page.table(&[Side::Left, Side::Left, Side::Right, Side::Right], &rows);
    if let Some(meaning) = held_under_doubt(report) {
        page.labelled("", YELLOW, meaning);
    }
    let mut said: Vec<&str> = Vec::new();
    for result in &report.invariants {
        // A reason that several invariants share is read once.
        if let Some(reason) = result.reason.as_deref().filter(|reason| !said.contains(reason)) {
            said.push(reason);
            let same = report.invariants.iter().filter(|other| other.reason.as_deref() == Some(reason));
            let names: Vec<String> = same.map(|other| other.name.to_string()).collect();
            let who = if names.len() > 2 { plural(names.len() as u64, "invariant") } else { names.join(", ") };
            page.labelled("", YELLOW, &format!("{who}: {reason}"));
        }
    }
}

/// What a mark of one that holds means in a run that proves nothing as a whole.
pub(super) fn held_under_doubt(report: &Report) -> Option<&'static str> {
    let holds = report.invariants.iter().any(|result| result.verdict == Verdict::Holds);
    (report.verdict == Verdict::Inconclusive && holds).then_some(
        "`holds` in this table: nothing wrong was seen in what was checked. The run as a whole does not prove it, for the \
         reasons given.",
    )
}

fn latency(page: &mut Page, report: &Report) {
    for (name, stats) in &report.operations {
        page.blank();
        let titles = ["", "Count", "p50", "p90", "p99", "p99.9", "max"];
        let mut rows: Vec<Vec<Span>> = vec![titles.map(|title| (BOLD, title.to_owned())).to_vec()];
        rows[0][0].1 = format!("Latency ({})", stats.latency_is);
        rows.push(quantiles(name.clone(), stats.attempted, Some(&stats.latency_us)));
        for (outcome, &number) in &stats.outcomes {
            rows.push(quantiles(format!("  {outcome}"), number, stats.latency_by_outcome_us.get(outcome)));
        }
        if page.width() < NARROW {
            // Of seven columns those remain that tell most.
            for row in rows.iter_mut().filter(|row| row.len() == 7) {
                row.remove(5);
                row.remove(3);
            }
        }
        page.table(&[[Side::Left].as_slice(), &[Side::Right; 6]].concat(), &rows);
        histogram(page, "", stats.distribution.values().flatten());
    }
}

fn quantiles(name: String, number: u64, latency: Option<&Latency>) -> Vec<Span> {
    let mut row = vec![(PLAIN, name), (PLAIN, count(number))];
    if let Some(latency) = latency.filter(|latency| latency.count > 0) {
        let values =
            [(latency.p50, 0.5), (latency.p90, 0.9), (latency.p99, 0.99), (latency.p99_9, 0.999), (latency.max, 1.0)];
        row.extend(values.map(|(us, of)| (PLAIN, quantile(us, of, latency.count))));
    }
    row
}

/// One line: the shape of the distribution, ten steps per decade.
fn histogram<'a>(page: &mut Page, name: &str, buckets: impl Iterator<Item = &'a Bucket>) {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut steps = std::collections::BTreeMap::<i32, (f64, u64)>::new();
    for bucket in buckets.filter(|bucket| bucket.up_to_us > 0.0 && bucket.up_to_us.is_finite()) {
        // The bucket's number on the scale of ten per decade.
        let step = (bucket.up_to_us.log10() * 10.0).round() as i32;
        let entry = steps.entry(step).or_insert((bucket.up_to_us, 0));
        entry.1 += bucket.count;
    }
    let (Some((&first, &(low, _))), Some((&last, &(high, _)))) = (steps.first_key_value(), steps.last_key_value())
    else {
        return;
    };
    let most = steps.values().map(|step| step.1).max().unwrap_or(1).max(1);
    let bars: String = (first..=last)
        .map(|step| match steps.get(&step) {
            None | Some((_, 0)) => ' ',
            Some((_, number)) => BARS[usize::try_from(number.saturating_mul(7) / most).unwrap_or(7).min(7)],
        })
        .collect();
    let scale = if page.width() < NARROW { "" } else { "   (log scale)" };
    page.line(&[
        (DIM, format!("{name}  ≤ {} ", micros(low))),
        (CYAN, bars),
        (DIM, format!(" {}{scale}", micros(high))),
    ]);
}

fn overlap(page: &mut Page, report: &Report) {
    if report.findings.is_some() {
        return; // An audit runs nothing.
    }
    if report.selftest.is_some() {
        return page.labelled("Concurrency", PLAIN, &overlap_sentence(report));
    }
    let measured = &report.concurrency;
    let mut text = format!(
        "{} · peak in flight {}, on one key {}",
        plural(measured.clients.into(), "client"),
        count(measured.peak_in_flight.into()),
        count(measured.peak_in_flight_same_key.into())
    );
    let skew = measured.release_skew_us;
    if skew.max > 0 {
        text.push_str(&format!(" · release skew {} (max {})", micros(skew.p50 as f64), micros(skew.max as f64)));
    }
    page.labelled("Concurrency", PLAIN, &text);
    let style = if measured.effective_trials == 0 { YELLOW } else { PLAIN };
    page.labelled("", style, &overlap_sentence(report));
}

/// What the overlap means, in words.
pub(super) fn overlap_sentence(report: &Report) -> String {
    let measured = &report.concurrency;
    if report.findings.is_some() {
        return "Read from a database that exists; nothing was run.".to_owned();
    }
    if let Some(selftest) = &report.selftest {
        let trials = count(measured.effective_trials);
        return format!("{}; in {trials} rounds operations on one key overlapped.", selftest.sentence());
    }
    let keys = format!("{} of {}", count(measured.effective_trials), plural(measured.keys, "key"));
    let raced = count(measured.race_trials);
    match measured.violation_rate_upper_bound_95 {
        Some(bound) if measured.race_trials > 0 && measured.race_trials < measured.effective_trials => format!(
            "On {keys} at least two operations really overlapped; on {raced} of them a race was possible, two that create or \
             one that writes and another that it concerns being in flight together. None went wrong: with 95 % confidence \
             a race strikes in less than {} of such trials.",
            percent(bound)
        ),
        Some(bound) => format!(
            "On {keys} at least two operations really overlapped, and none went wrong: with 95 % confidence a race \
             strikes in less than {} of such trials.",
            percent(bound)
        ),
        None if measured.effective_trials == 0 => {
            "No two operations overlapped on one key: nothing concurrent was tried.".to_owned()
        }
        None if measured.race_trials == 0 && report.verdict == Verdict::Holds && report.explore.is_none() => format!(
            "On {keys} at least two operations really overlapped, but on none of them was a race possible: nothing that \
             creates or writes was in flight with another that it concerns. No bound follows."
        ),
        None => format!("On {keys} at least two operations really overlapped."),
    }
}

fn serial_control(page: &mut Page, report: &Report) {
    let Some(control) = &report.serial_control else { return };
    let (style, text) = match control.verdict {
        Verdict::Holds => (PLAIN, format!("{} one after another: holds", plural(control.operations, "operation"))),
        Verdict::Inconclusive => {
            (YELLOW, format!("{} one after another: inconclusive", plural(control.operations, "operation")))
        }
        Verdict::Violated => {
            let names: Vec<String> = control.violated.iter().map(ToString::to_string).collect();
            (RED, format!("also violated one after another: no race between operations ({})", names.join(", ")))
        }
    };
    page.labelled("Serially", style, &text);
}

/// Which retries of the driver are on. Off is the rule, and said in two words.
pub(super) fn retries(found: &std::collections::BTreeMap<String, bool>) -> Option<String> {
    let on: Vec<&str> = found.iter().filter(|(_, on)| **on).map(|(name, _)| name.as_str()).collect();
    match (found.is_empty(), on.is_empty()) {
        (true, _) => None,
        (false, true) => Some("retries off".to_owned()),
        (false, false) => Some(format!("{} on", on.join(", "))),
    }
}

fn environment(page: &mut Page, report: &Report) {
    let facts = &report.preflight;
    // Off is the rule; the page has it.
    let retries = retries(&facts.retries).filter(|text| text != "retries off");
    let server = [
        facts.server_version.as_ref().map(|version| format!("MongoDB {version}")),
        facts.topology.clone(),
        facts.driver_version.as_ref().map(|version| format!("driver {version}")),
        facts.connections_ready.map(|ready| plural(ready.into(), "connection")),
        retries,
    ];
    page.labelled("Server", PLAIN, &server.into_iter().flatten().collect::<Vec<_>>().join(" · "));
    let indexes: Vec<String> = facts
        .indexes
        .iter()
        .filter(|index| index.name != "_id_")
        .map(|index| {
            let unique = if index.unique { " unique" } else { "" };
            let sparse = if index.sparse { " sparse" } else { "" };
            format!("{{ {} }}{unique}{sparse}", index.key)
        })
        .collect();
    if let Some(plan) = &facts.lookup_plan {
        let indexes = if indexes.is_empty() { "none but _id".to_owned() } else { indexes.join(", ") };
        let style = if plan.starts_with("COLLSCAN") { YELLOW } else { PLAIN };
        page.labelled("Indexes", style, &format!("{indexes} · the lookup uses {plan}"));
    }
    if let Some(key) = &facts.observed_key {
        page.labelled("Key", if key.create.is_some() { YELLOW } else { PLAIN }, &key.says);
        if let Some(command) = &key.create {
            page.line_uncut("Create it", command);
        }
        if let Some(more) = &key.explore {
            page.labelled("", PLAIN, more);
        }
    }
    let generator = &report.generator;
    let mut cost = format!("{} of CPU, {} at most", seconds(generator.cpu_s), mebibytes(generator.max_rss_bytes));
    if generator.dropped_arrivals > 0 {
        cost.push_str(&format!(", {} that could not be sent", plural(generator.dropped_arrivals, "arrival")));
    }
    page.labelled("Generator", PLAIN, &cost);
    for finding in &facts.lint {
        page.labelled("Lint", YELLOW, &finding.to_string());
    }
    for note in &facts.notes {
        page.labelled("Note", YELLOW, note);
    }
}

fn thresholds(page: &mut Page, report: &Report) {
    for (index, threshold) in report.thresholds.iter().enumerate() {
        let (style, mark) = match (threshold.ok, threshold.too_few) {
            (true, _) => (GREEN, "✓"),
            (false, true) => (YELLOW, "?"),
            (false, false) => (RED, "✗"),
        };
        let found = match (&threshold.reason, threshold.observed) {
            (Some(reason), _) => reason.clone(),
            (None, Some(value)) => {
                format!("measured {} ({})", measured(value, threshold.unit), plural(threshold.samples, "sample"))
            }
            (None, None) => "not measured".to_owned(),
        };
        let label = if index == 0 { "Thresholds" } else { "" };
        page.labelled(label, style, &format!("{mark} {} · {found}", threshold.threshold));
    }
}

fn ending(page: &mut Page, report: &Report, directory: Option<&str>) {
    page.blank();
    if let Some(directory) = directory {
        page.labelled("Files", CYAN, directory);
    }
    page.line_uncut(again(report), &report.reproduce);
}

/// What its command does: only a search that puts commands in order repeats itself.
pub(super) fn again(report: &Report) -> &'static str {
    match &report.explore {
        Some(explore) if explore.search != "stress" => "Reproduce",
        _ if report.findings.is_some() => "Reproduce",
        _ => "Run again",
    }
}

#[cfg(test)]
mod tests;
