//! The kill matrix on the terminal: one line for each bug, one for each twin, and what is not planted.

use super::mark;
use super::page::{BOLD, DIM, GREEN, PLAIN, Page, RED, Side, YELLOW};
use crate::report::SelftestReport;
use crate::report::format::count;
use crate::verdict::Verdict;

/// The section of a self-test.
pub(super) fn section(page: &mut Page, selftest: &SelftestReport) {
    let titles = ["Bug", "Workload", "Strategy", "Index", "Caught by", "Rounds", "ms"];
    let mut rows = vec![titles.map(|title| (BOLD, title.to_owned())).to_vec()];
    for bug in &selftest.bugs {
        let (style, mark) = if bug.caught { (GREEN, "✓") } else { (RED, "✗") };
        let by = match &bug.by {
            Some(by) => (PLAIN, by.to_string()),
            None => (RED, format!("escaped {}", bug.expected)),
        };
        rows.push(vec![
            (style, format!("{mark} {}", bug.id)),
            (PLAIN, bug.workload.clone()),
            (PLAIN, bug.strategy.clone()),
            (DIM, index(bug.unique_index)),
            by,
            (PLAIN, count(bug.rounds.into())),
            (PLAIN, count(bug.ms)),
        ]);
    }
    page.table(&[Side::Left, Side::Left, Side::Left, Side::Left, Side::Left, Side::Right, Side::Right], &rows);
    page.blank();
    let titles = ["Twin", "Strategy", "Index", "Accused", "Rounds", "ms"];
    let mut rows = vec![titles.map(|title| (BOLD, title.to_owned())).to_vec()];
    for twin in &selftest.twins {
        let (style, mark) = mark(twin.verdict);
        let said = match twin.verdict {
            Verdict::Holds => (PLAIN, "no".to_owned()),
            Verdict::Inconclusive => (YELLOW, twin.reason.clone().unwrap_or_else(|| "cannot tell".to_owned())),
            Verdict::Violated => (RED, twin.by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        rows.push(vec![
            (style, format!("{mark} {}", twin.workload)),
            (PLAIN, twin.strategy.clone()),
            (DIM, index(twin.unique_index)),
            said,
            (PLAIN, count(twin.rounds.into())),
            (PLAIN, count(twin.ms)),
        ]);
    }
    page.table(&[Side::Left, Side::Left, Side::Left, Side::Left, Side::Right, Side::Right], &rows);
    page.blank();
    for (position, (ids, reason)) in selftest.not_planted_by_reason().into_iter().enumerate() {
        let label = if position == 0 { "Not planted" } else { "" };
        page.labelled(label, DIM, &format!("{ids}: {reason}"));
    }
}

fn index(unique: bool) -> String {
    if unique { "unique" } else { "none" }.to_owned()
}
