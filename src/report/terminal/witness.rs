//! The proof of a violation on the terminal: where it comes from, a lane per operation on one scale, what is stored.

use super::page::{BLUE, BOLD, CYAN, DIM, GREEN, MAGENTA, PLAIN, Page, RED, Span, YELLOW};
use super::stored;
use crate::history::{Nanos, Operation};
use crate::report::Report;
use crate::report::answer::{answer, asked};
use crate::report::causes::Group;
use crate::report::document::shell;
use crate::report::format::{count, micros, middle, plural, visible};
use crate::report::key_history::lanes;
use crate::verdict::{WITNESS_DOCUMENTS, Witness};

const MAX_LANES: usize = 12;
const MAX_DOCUMENTS: usize = 6;
/// One colour for each operation, in its lane and in the lists that it wrote to.
const COLOURS: [anstyle::Style; 5] = [CYAN, GREEN, YELLOW, MAGENTA, BLUE];

/// What is violated, with where it comes from and what mends it.
pub(super) fn heading(page: &mut Page, group: &Group<'_>) {
    let result = group.main;
    page.blank();
    page.line(&[
        (RED.bold(), format!("✗ {}", result.name)),
        (PLAIN, format!(" · {} of {} checked", plural(result.violations, "violation"), count(result.checked))),
    ]);
    if let Some(also) = group.also_breaks() {
        page.labelled("Also breaks", RED, &also);
    }
    if let Some(cause) = &group.cause {
        page.labelled(cause.label(), YELLOW, &cause.sentence);
        page.labelled("Fix", PLAIN, &cause.fix);
    }
}

/// The first witness of a group in full; the others are counted.
pub(super) fn proof(page: &mut Page, report: &Report, group: &Group<'_>) {
    let Some(witness) = group.main.witnesses.first() else { return };
    if !witness.key.is_empty() {
        page.labelled("Proof", BOLD, &format!("key {}", witness.key));
    }
    let history = report.keys.iter().find(|history| history.key == witness.key);
    let lanes = lanes(witness, history, MAX_LANES);
    timeline(page, &lanes, witness);
    if let Some(history) = history {
        stored::lists(page, history, &lanes.iter().map(|lane| lane.id).collect::<Vec<_>>());
    }
    documents(page, witness);
    page.wrapped("  ", PLAIN, &witness.explanation);
    let more = group.main.witnesses.len() - 1;
    if more > 0 {
        let word = if more == 1 { "witness" } else { "witnesses" };
        page.line(&[(DIM, format!("  {more} more {word} in report.html"))]);
    }
}

/// The colour of an operation with this lane.
pub(super) fn colour(lane: usize) -> anstyle::Style {
    COLOURS[lane % COLOURS.len()]
}

fn timeline(page: &mut Page, lanes: &[&Operation], witness: &Witness) {
    let (Some(from), Some(to)) =
        (lanes.iter().map(|lane| lane.invoked).min(), lanes.iter().map(|lane| lane.completed).max())
    else {
        return;
    };
    let names: Vec<String> = lanes.iter().map(|lane| format!("  {} client {}", lane.id, lane.client)).collect();
    let label = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let proves = |lane: &Operation| witness.operations.iter().any(|operation| operation.id == lane.id);
    let told = |lane: &&Operation| {
        let also = if proves(lane) { "" } else { " · it is stored" };
        format!("{} → {}{also}", asked(lane), answer(lane))
    };
    let answers: Vec<String> = lanes.iter().map(told).collect();
    let longest = answers.iter().map(|answer| answer.chars().count()).max().unwrap_or(0);
    let width = page.width().saturating_sub(label + longest + 4).clamp(page.width() / 4, page.width() / 2).max(8);
    let scale = Scale { from, to: to.max(from.saturating_add(1)), width };
    let span = micros(scale.to.saturating_sub(from) as f64 / 1e3);
    let at = format!("  at {}", micros(from as f64 / 1e3));
    page.line(&[(DIM, format!("{at:<label$}  0{span:>after$}", after = width - 1))]);
    for (number, ((lane, name), answer)) in lanes.iter().zip(&names).zip(answers).enumerate() {
        let mut spans: Vec<Span> = vec![(colour(number), format!("{name:<label$}")), (PLAIN, "  ".to_owned())];
        spans.extend(scale.bar(lane, colour(number)));
        spans.push((if lane.is_ok() { BOLD } else { RED }, format!("  {answer}")));
        page.line(&spans);
    }
    if witness.operations.len() > MAX_LANES {
        let more = plural((witness.operations.len() - MAX_LANES) as u64, "operation");
        page.line(&[(DIM, format!("  and {more} more"))]);
    }
    let unanswered = if lanes.iter().any(|lane| lane.is_unknown()) { " · ┄ no answer" } else { "" };
    let waited =
        if lanes.iter().any(|lane| lane.started() > lane.invoked) { " · ╌ waiting for a connection" } else { "" };
    page.wrapped("  ", DIM, &format!("times from the start of the run · ━ in flight{waited}{unanswered}"));
}

fn documents(page: &mut Page, witness: &Witness) {
    let found = witness.documents.len();
    if found > 0 {
        // What an audit found is no document: it says of which ones it is true.
        let is_counted = !witness.operations.is_empty() && found < WITNESS_DOCUMENTS;
        let count = if is_counted { plural(found as u64, "document") + " " } else { String::new() };
        page.line(&[(DIM, format!("  {count}found:"))]);
    }
    for document in witness.documents.iter().take(MAX_DOCUMENTS) {
        let text = shell(document);
        let text = visible(&text);
        page.line(&[(CYAN, format!("    {}", middle(&text, page.width() - 4)))]);
    }
    if found > MAX_DOCUMENTS {
        // A witness that is full may have left some out: the explanation tells how many there are.
        let more = match found < WITNESS_DOCUMENTS {
            true => format!("{} more", plural((found - MAX_DOCUMENTS) as u64, "document")),
            false => "others".to_owned(),
        };
        page.line(&[(DIM, format!("    and {more}"))]);
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
    fn bar(&self, operation: &Operation, style: anstyle::Style) -> [Span; 4] {
        let start = self.column(operation.invoked).min(self.width - 1);
        let work = self.column(operation.started()).clamp(start, self.width - 1);
        let end = self.column(operation.completed).clamp(work + 1, self.width);
        let style = if operation.is_ok() { style } else { RED };
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::fixture::operation;
    use crate::history::{Action, Outcome, Value};

    #[test]
    fn documents_are_counted_only_where_all_of_them_are_there() {
        let shown = |count: usize| {
            let made = operation(0, "k", Action::Get, [0, 1], Outcome::Ok(Value::Found(None)));
            let documents = (0..count).map(|number| json!({ "_id": number })).collect();
            let witness =
                Witness { key: "k".to_owned(), operations: vec![made], documents, explanation: String::new() };
            let mut page = Page::new(80, false);
            super::documents(&mut page, &witness);
            page.finish()
        };
        let few = shown(8);
        assert!(few.contains("  8 documents found:") && few.contains("and 2 documents more"), "{few}");
        let full = shown(WITNESS_DOCUMENTS);
        assert!(full.starts_with("  found:") && full.ends_with("    and others\n"), "{full}");
    }
}
