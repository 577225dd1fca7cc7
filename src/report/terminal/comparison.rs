//! A comparison on the terminal: what follows first, then the invariants that changed, then the figures.

use super::page::{BOLD, DIM, GREEN, PLAIN, Page, RED, Side, Span, YELLOW};
use crate::report::Comparison;
use crate::report::format::{count, micros};
use crate::stats::{Change, Finding};
use crate::verdict::{ExitStatus, Verdict};

/// Renders a comparison.
pub fn compared(comparison: &Comparison, colour: bool, width: usize) -> String {
    let mut page = Page::new(width, colour);
    let (style, text) = match comparison.status() {
        ExitStatus::Violated => (RED, "✗ LESS CORRECT"),
        ExitStatus::Threshold => (RED, "✗ SLOWER"),
        ExitStatus::Holds if comparison.figures.iter().any(|figure| figure.finding == Finding::Better) => {
            (GREEN, "✓ FASTER")
        }
        ExitStatus::Holds => (GREEN, "✓ NO REGRESSION"),
        _ => (YELLOW, "? INCONCLUSIVE"),
    };
    page.line(&[(style.bold(), text.to_owned()), (PLAIN, "  ".into()), (BOLD, comparison.new.scenario.clone())]);
    let limit = format!("{:.3}", comparison.threshold * 100.0);
    let limit = limit.trim_end_matches('0').trim_end_matches('.');
    let runs = format!("  {} against base {} · threshold {limit} %", comparison.new.run_id, comparison.base.run_id);
    page.line(&[(DIM, runs)]);
    for difference in &comparison.differences {
        page.labelled("  although", YELLOW, difference);
    }
    for note in &comparison.notes {
        page.labelled("  note", YELLOW, note);
    }
    invariants(&mut page, comparison);
    figures(&mut page, &comparison.figures);
    page.finish()
}

fn invariants(page: &mut Page, comparison: &Comparison) {
    page.blank();
    if comparison.invariants.is_empty() {
        page.labelled("Invariants", PLAIN, "no verdict changed");
        return;
    }
    let mut rows = vec![["Invariant", "Base", "New"].map(|title| (BOLD, title.to_owned())).to_vec()];
    let told = |verdict: Option<Verdict>| verdict.map_or("not judged".to_owned(), |verdict| verdict.to_string());
    for change in &comparison.invariants {
        let style = match change.new {
            Some(Verdict::Violated) => RED,
            Some(Verdict::Holds) => GREEN,
            _ => YELLOW,
        };
        rows.push(vec![(PLAIN, change.name.clone()), (PLAIN, told(change.base)), (style, told(change.new))]);
    }
    page.table(&[Side::Left; 3], &rows);
}

fn figures(page: &mut Page, figures: &[Change]) {
    page.blank();
    let titles = ["Figure", "Base", "New", "Change", "99 % interval", ""];
    let mut rows = vec![titles.map(|title| (BOLD, title.to_owned())).to_vec()];
    rows.extend(figures.iter().map(figure));
    let sides = [[Side::Left].as_slice(), &[Side::Right; 4], &[Side::Left]].concat();
    page.table(&sides, &rows);
    for figure in figures {
        if let Some(reason) = &figure.reason {
            page.labelled("", YELLOW, &format!("{}: {reason}", name(figure)));
        }
    }
}

fn name(figure: &Change) -> String {
    match figure.metric {
        "throughput" => "throughput".to_owned(),
        metric => format!("{}.{metric}", figure.operation),
    }
}

fn figure(figure: &Change) -> Vec<Span> {
    let throughput = figure.metric == "throughput";
    let value = |value: f64| match value {
        value if !value.is_finite() => "–".to_owned(),
        value if throughput => format!("{} /s", count(value.round() as u64)),
        value => micros(value),
    };
    let (style, word) = match figure.finding {
        Finding::Worse if throughput => (RED, "lower"),
        Finding::Worse => (RED, "slower"),
        Finding::Better if throughput => (GREEN, "higher"),
        Finding::Better => (GREEN, "faster"),
        Finding::Same => (DIM, "same"),
        Finding::Unclear => (DIM, "noise"),
        Finding::TooFew => (YELLOW, "too few"),
    };
    let signed = |share: f64| format!("{:+.1} %", share * 100.0);
    let (change, interval) = match figure.change {
        Some(found) => (signed(found.change), format!("{} … {}", signed(found.low), signed(found.high))),
        None => (String::new(), String::new()),
    };
    vec![
        (PLAIN, name(figure)),
        (PLAIN, value(figure.base)),
        (PLAIN, value(figure.new)),
        (style, change),
        (PLAIN, interval),
        (style, word.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::stats::Estimate;

    fn change(metric: &'static str, finding: Finding, found: f64) -> Change {
        let estimate = Estimate { change: found, low: found - 0.03, high: found + 0.03 };
        Change {
            operation: "create-or-get".into(),
            metric,
            base: 1_000.0,
            new: 1_000.0 * (1.0 + found),
            samples: [4_000, 3_900],
            change: (finding != Finding::TooFew).then_some(estimate),
            finding,
            reason: (finding == Finding::TooFew).then(|| "needs 1000 samples in each run".into()),
        }
    }

    #[test]
    fn a_comparison_reads_well() {
        let figures = vec![
            change("throughput", Finding::Worse, -0.2),
            change("p50", Finding::Worse, 0.2),
            change("p90", Finding::Unclear, 0.05),
            change("p95", Finding::Same, 0.01),
            change("p99", Finding::TooFew, 0.0),
        ];
        let unlike = vec!["target.mongo.unique_index: true in the base, false in the new run".to_owned()];
        let comparison = Comparison::new(&sample::passing(), &sample::violated(), 0.1, unlike, figures);
        insta::assert_snapshot!(compared(&comparison, false, 100));
    }
}
