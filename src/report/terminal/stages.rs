//! The stages of a load, on the terminal.

use super::page::{BOLD, PLAIN, Page, Side, Span};
use crate::report::Report;
use crate::report::stages::{TITLES, rows, sentence};

pub(super) fn section(page: &mut Page, report: &Report) {
    if report.stages.is_empty() {
        return;
    }
    page.blank();
    page.labelled("Stages", PLAIN, &sentence(report));
    let head = TITLES.map(|title| (BOLD, title.to_owned()));
    let plain = |row: [String; 8]| row.map(|cell| (PLAIN, cell)).to_vec();
    let mut table: Vec<Vec<Span>> = vec![head.to_vec()];
    table.extend(rows(report).into_iter().map(plain));
    for row in &mut table {
        if let Some((_, first)) = row.first_mut() {
            first.insert_str(0, "  ");
        }
    }
    let mut sides = [Side::Right; 8];
    sides[0] = Side::Left;
    page.table(&sides, &table);
    for (number, stage) in (1..).zip(&report.stages).filter(|(_, stage): &(u32, _)| stage.latency_us.count > 0) {
        let buckets = stage.operations.values().flat_map(|stats| stats.distribution.values().flatten());
        super::histogram(page, &format!("  {number}:"), buckets);
    }
}
