//! A witness as a small timeline: a lane per operation, on one scale.

use super::page::{BOLD, CYAN, DIM, PLAIN, Page, RED, Span};
use crate::history::{Nanos, Operation};
use crate::report::answer::{answer, asked};
use crate::report::document::shell;
use crate::report::format::{count, micros, middle, plural, visible};
use crate::verdict::{InvariantResult, Witness};

const MAX_LANES: usize = 12;
const MAX_DOCUMENTS: usize = 6;

/// The first witness of a violated invariant in full; the others are counted. One that consists of the same operations
/// as another already shown is told without its timeline.
pub(super) fn first<'a>(page: &mut Page, result: &'a InvariantResult, shown: &mut Vec<&'a Witness>) {
    let Some(witness) = result.witnesses.first() else { return };
    page.blank();
    page.line(&[
        (RED.bold(), format!("✗ {}", result.name)),
        (PLAIN, format!(" · {} of {} checked", plural(result.violations, "violation"), count(result.checked))),
        (BOLD, if witness.key.is_empty() { String::new() } else { format!(" · key {}", witness.key) }),
    ]);
    let same = |other: &&Witness| other.operations == witness.operations && other.documents == witness.documents;
    if shown.iter().any(same) {
        page.line(&[(DIM, "  the same operations as above".to_owned())]);
    } else {
        timeline(page, witness);
        if !witness.documents.is_empty() && shown.iter().any(|other| other.documents == witness.documents) {
            page.line(&[(DIM, "  the same documents as above".to_owned())]);
        } else {
            documents(page, witness);
        }
        shown.push(witness);
    }
    page.wrapped("  ", PLAIN, &witness.explanation);
    let more = result.witnesses.len() - 1;
    if more > 0 {
        let word = if more == 1 { "witness" } else { "witnesses" };
        page.line(&[(DIM, format!("  {more} more {word} in report.json"))]);
    }
}

fn timeline(page: &mut Page, witness: &Witness) {
    let lanes = &witness.operations[..witness.operations.len().min(MAX_LANES)];
    let (Some(from), Some(to)) =
        (lanes.iter().map(|lane| lane.invoked).min(), lanes.iter().map(|lane| lane.completed).max())
    else {
        return;
    };
    let names: Vec<String> = lanes.iter().map(|lane| format!("  {} client {}", lane.id, lane.client)).collect();
    let label = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let answers: Vec<String> = lanes.iter().map(|lane| format!("{} → {}", asked(lane), answer(lane))).collect();
    let longest = answers.iter().map(|answer| answer.chars().count()).max().unwrap_or(0);
    let width = page.width().saturating_sub(label + longest + 4).clamp(page.width() / 4, page.width() / 2).max(8);
    let scale = Scale { from, to: to.max(from.saturating_add(1)), width };
    let span = micros(scale.to.saturating_sub(from) as f64 / 1e3);
    let at = format!("  at {}", micros(from as f64 / 1e3));
    page.line(&[(DIM, format!("{at:<label$}  0{span:>after$}", after = width - 1))]);
    for ((lane, name), answer) in lanes.iter().zip(&names).zip(answers) {
        let mut spans: Vec<Span> = vec![(PLAIN, format!("{name:<label$}  "))];
        spans.extend(scale.bar(lane));
        spans.push((if lane.is_ok() { BOLD } else { RED }, format!("  {answer}")));
        page.line(&spans);
    }
    if witness.operations.len() > MAX_LANES {
        let more = plural((witness.operations.len() - MAX_LANES) as u64, "operation");
        page.line(&[(DIM, format!("  and {more} more"))]);
    }
}

fn documents(page: &mut Page, witness: &Witness) {
    let found = witness.documents.len();
    if found > 0 {
        page.line(&[(DIM, format!("  {} found:", plural(found as u64, "document")))]);
    }
    for document in witness.documents.iter().take(MAX_DOCUMENTS) {
        let text = shell(document);
        let text = visible(&text);
        page.line(&[(CYAN, format!("    {}", middle(&text, page.width() - 4)))]);
    }
    if found > MAX_DOCUMENTS {
        page.line(&[(DIM, format!("    and {} more", plural((found - MAX_DOCUMENTS) as u64, "document")))]);
    }
}

/// From nanoseconds to columns.
struct Scale {
    from: Nanos,
    to: Nanos,
    width: usize,
}

impl Scale {
    fn column(&self, at: Nanos) -> usize {
        let share = at.saturating_sub(self.from) as f64 / (self.to - self.from) as f64;
        ((share * self.width as f64) as usize).min(self.width)
    }

    /// The lane: waiting for a connection, then at work; an operation without an answer stays open.
    fn bar(&self, operation: &Operation) -> [Span; 4] {
        let start = self.column(operation.invoked).min(self.width - 1);
        let work = self.column(operation.started()).clamp(start, self.width - 1);
        let end = self.column(operation.completed).clamp(work + 1, self.width);
        let style = if operation.is_ok() { CYAN } else { RED };
        let mut bar = "━".repeat(end - work);
        if operation.is_unknown() {
            bar.pop();
            bar.push('┄');
        }
        [
            (PLAIN, " ".repeat(start)),
            (DIM, "╌".repeat(work - start)),
            (style, bar),
            (PLAIN, " ".repeat(self.width - end)),
        ]
    }
}
