//! What broke on purpose in a run, on the terminal.

use super::page::{BOLD, DIM, PLAIN, Page, Side, Span, YELLOW};
use crate::report::Report;
use crate::report::faults::{rows, sentence};
use crate::report::format::{count, plural};

/// Faults shown one by one.
const MOST: usize = 10;

pub(super) fn section(page: &mut Page, report: &Report) {
    if report.faults.is_empty() {
        return;
    }
    page.blank();
    page.labelled("Faults", PLAIN, &sentence(&report.faults));
    let head = ["  Fault", "When", "Met", "Operations", "Unknown"].map(|title| (BOLD, title.to_owned()));
    let mut table: Vec<Vec<Span>> = vec![head.to_vec()];
    let (shown, left_out) = rows(&report.faults, MOST);
    for fault in shown {
        let style = if fault.error.is_some() { YELLOW } else { PLAIN };
        table.push(vec![
            (style, format!("  {}", fault.kind)),
            (PLAIN, fault.when()),
            (style, fault.whom()),
            (PLAIN, count(fault.operations)),
            (PLAIN, count(fault.unknown)),
        ]);
    }
    page.table(&[Side::Left, Side::Left, Side::Left, Side::Right, Side::Right], &table);
    if left_out > 0 {
        page.line(&[(DIM, format!("  {} in report.json", plural(left_out, "more fault")))]);
    }
    page.blank();
}
