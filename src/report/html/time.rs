//! A span of time along the page, with ticks: lanes and rows of operations on one scale. Main type: [`Span`].

use minijinja::context;

use super::chart::{nice, tick};
use crate::history::{Nanos, Operation};
use crate::report::format::micros;

/// From the first invocation to the last answer of some operations.
pub(super) struct Span {
    from: Nanos,
    to: Nanos,
}

impl Span {
    /// The span of these operations; none without an operation.
    pub(super) fn of(operations: &[&Operation]) -> Option<Self> {
        let from = operations.iter().map(|operation| operation.invoked).min()?;
        let to = operations.iter().map(|operation| operation.completed).max()?;
        Some(Span { from, to: to.max(from.saturating_add(1)) })
    }

    fn length(&self) -> f64 {
        (self.to - self.from) as f64
    }

    fn percent(&self, at: Nanos) -> f64 {
        (at.saturating_sub(self.from) as f64 / self.length() * 100.0).clamp(0.0, 100.0)
    }

    /// Where it begins, how long it is, and its ticks.
    pub(super) fn context(&self) -> minijinja::Value {
        let step = nice(self.length() / 1.6);
        let ticks = (0_u32..).map(|index| f64::from(index) * step).take_while(|ns| *ns <= self.length());
        let marks = ticks.map(|ns| {
            let at = ns / self.length() * 100.0;
            let anchor = if at < 8.0 {
                "start"
            } else if at > 92.0 {
                "end"
            } else {
                "middle"
            };
            let name = if ns == 0.0 { "0".to_owned() } else { format!("+{}", tick(ns / 1e3)) };
            context! { at => format!("{at:.2}"), anchor, name }
        });
        context! {
            from => micros(self.from as f64 / 1e3),
            length => micros(self.length() / 1e3),
            from_us => (self.from as f64 / 1e3).to_string(),
            length_us => (self.length() / 1e3).to_string(),
            ticks => marks.collect::<Vec<_>>(),
        }
    }

    /// A moment as people read it: its distance from the left edge.
    pub(super) fn moment(&self, at: Nanos) -> String {
        format!("+{}", micros(at.saturating_sub(self.from) as f64 / 1e3))
    }

    /// The marks of an operation: waiting for a connection, then in flight; without an answer it stays open.
    pub(super) fn bar(&self, operation: &Operation, colour: usize) -> String {
        let work = operation.started().clamp(operation.invoked, operation.completed.max(operation.invoked));
        let (start, work, end) =
            (self.percent(operation.invoked), self.percent(work), self.percent(operation.completed));
        // Even the shortest one is seen, at the right edge too.
        let width = (end - work).max(0.6);
        let state = if operation.is_ok() { "" } else { " bad" };
        let open = if operation.is_unknown() { " open" } else { "" };
        format!(
            "<line class=\"wait\" x1=\"{start:.2}%\" y1=\"7\" x2=\"{work:.2}%\" y2=\"7\"/><rect class=\"lane f{colour}{state}{open}\" \
             x=\"{x:.2}%\" y=\"1\" width=\"{width:.2}%\" height=\"12\" rx=\"3\"/>",
            x = work.min(100.0 - width),
        )
    }
}
