//! What broke on purpose in a run, on the page.

use minijinja::context;

use crate::report::Report;
use crate::report::faults::{MOST_ROWS, rows, sentence};
use crate::report::format::{count, plural, visible};

/// What the template shows; nothing for a run without faults.
pub(super) fn context(report: &Report) -> Option<minijinja::Value> {
    if report.faults.is_empty() {
        return None;
    }
    let row = |fault: &crate::report::FaultReport| {
        context! {
            kind => visible(&fault.kind),
            when => fault.when(),
            whom => visible(&fault.whom()),
            broken => fault.error.is_some(),
            operations => count(fault.operations),
            unknown => count(fault.unknown),
            failed => count(fault.failed),
        }
    };
    let (shown, left_out) = rows(&report.faults, MOST_ROWS);
    Some(context! {
        sentence => sentence(&report.faults),
        rows => shown.into_iter().map(row).collect::<Vec<_>>(),
        left_out => (left_out > 0).then(|| plural(left_out, "more fault")),
    })
}
