//! A comparison on the terminal: what follows first, then the invariants that changed, then the figures.

use super::page::{BOLD, DIM, GREEN, PLAIN, Page, RED, Side, Span, YELLOW};
use crate::report::Comparison;
use crate::report::compared::conclusion;
use crate::report::comparison::verdict_word;
use crate::report::format::{count, micros};
use crate::stats::{Change, Finding};
use crate::verdict::Verdict;

/// Renders a comparison.
pub fn compared(comparison: &Comparison, colour: bool, width: usize) -> String {
    let mut page = Page::new(width, colour);
    let (word, state) = conclusion(comparison);
    let (style, mark) = match state {
        "violated" => (RED, "✗"),
        "holds" => (GREEN, "✓"),
        _ => (YELLOW, "?"),
    };
    page.line(&[
        (style.bold(), format!("{mark} {}", word.to_uppercase())),
        (PLAIN, "  ".into()),
        (BOLD, comparison.new.scenario.clone()),
    ]);
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
    let told = |verdict: Option<Verdict>| verdict_word(verdict).to_owned();
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
    let style = match figure.finding {
        Finding::Worse => RED,
        Finding::Better => GREEN,
        Finding::Same | Finding::Unclear => DIM,
        Finding::TooFew => YELLOW,
    };
    let [name, base, new, change, interval, word] = figure_texts(figure);
    vec![(PLAIN, name), (PLAIN, base), (PLAIN, new), (style, change), (PLAIN, interval), (style, word)]
}

/// Its name, its value in the base and in the new run, the change, the interval of that, and what follows, as every report
/// writes them.
pub(in crate::report) fn figure_texts(figure: &Change) -> [String; 6] {
    let throughput = figure.metric == "throughput";
    let value = |value: f64| match value {
        value if !value.is_finite() => "–".to_owned(),
        value if throughput => format!("{} /s", count(value.round() as u64)),
        value => micros(value),
    };
    let word = match figure.finding {
        Finding::Worse if throughput => "lower",
        Finding::Worse => "slower",
        Finding::Better if throughput => "higher",
        Finding::Better => "faster",
        Finding::Same => "same",
        Finding::Unclear => "noise",
        Finding::TooFew => "too few",
    };
    let signed = |share: f64| format!("{:+.1} %", share * 100.0);
    let (change, interval) = match figure.change {
        Some(found) => (signed(found.change), format!("{} … {}", signed(found.low), signed(found.high))),
        None => (String::new(), String::new()),
    };
    [name(figure), value(figure.base), value(figure.new), change, interval, word.to_owned()]
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
