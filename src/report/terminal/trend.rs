//! The runs of one scenario over time, on the terminal.

use super::mark;
use super::page::{BOLD, DIM, PLAIN, Page, Side, Span};
use crate::report::trend::TrendRow;

/// Heights of a curve made of characters.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Renders the table, with a curve of the medians under it.
pub(in crate::report) fn table_of_runs(scenario: &str, rows: &[TrendRow], colour: bool, width: usize) -> String {
    let mut page = Page::new(width, colour);
    page.line(&[(BOLD, scenario.to_owned())]);
    page.blank();
    let titles = ["Run", "Verdict", "Commit", "Answers/s", "p50", "p99"];
    let mut lines: Vec<Vec<Span>> = vec![titles.map(|title| (BOLD, title.to_owned())).to_vec()];
    for row in rows {
        let (style, sign) = mark(row.verdict);
        let [run, commit, rate, p50, p99] = row.cells();
        lines.push(vec![
            (PLAIN, format!("{sign} {run}")),
            (style, row.verdict.to_string()),
            (DIM, commit),
            (PLAIN, rate),
            (PLAIN, p50),
            (PLAIN, p99),
        ]);
    }
    page.table(&[[Side::Left; 3], [Side::Right; 3]].concat(), &lines);
    page.blank();
    page.labelled("p50", PLAIN, &curve(&rows.iter().map(|row| row.p50_us).collect::<Vec<_>>()));
    page.finish()
}

/// Each value as a share of the largest.
fn curve(values: &[f64]) -> String {
    let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let height = |value: &f64| {
        let step = (value / most * HEIGHTS.len() as f64).ceil() as usize;
        HEIGHTS[step.clamp(1, HEIGHTS.len()) - 1]
    };
    values.iter().map(height).collect()
}
