//! A witness as a space-time diagram: a lane per operation, time to the right.
//!
//! Bars stretch with the page and labels wrap below them, so that a phone shows all of it.

use minijinja::context;

use super::escape;
use crate::history::{Nanos, Operation};
use crate::report::answer::{answer, asked};
use crate::report::document::shell;
use crate::report::format::{micros, middle, plural, visible};
use crate::report::junit::cut;
use crate::verdict::Witness;

const MAX_LANES: usize = 24;
const MAX_DOCUMENT: usize = 4_096;
/// Documents that are seen at once; the others unfold.
const SHOWN_DOCUMENTS: usize = 3;
const MAX_DOCUMENTS: usize = 24;

pub(super) fn context(witness: &Witness) -> minijinja::Value {
    let mut documents: Vec<String> = witness
        .documents
        .iter()
        .take(MAX_DOCUMENTS)
        .map(|document| cut(visible(&shell(document)).into_owned(), MAX_DOCUMENT))
        .collect();
    let left_out = witness.documents.len() - documents.len();
    let folded = documents.split_off(documents.len().min(SHOWN_DOCUMENTS));
    context! {
        key => visible(&witness.key),
        explanation => visible(&witness.explanation),
        diagram => diagram(witness),
        found => !witness.documents.is_empty(),
        documents => documents,
        folded_are => plural(folded.len() as u64, "more document"),
        folded => folded,
        more => (left_out > 0).then(|| plural(left_out as u64, "more document")),
    }
}

fn diagram(witness: &Witness) -> String {
    let lanes = &witness.operations[..witness.operations.len().min(MAX_LANES)];
    let (Some(from), Some(to)) =
        (lanes.iter().map(|lane| lane.invoked).min(), lanes.iter().map(|lane| lane.completed).max())
    else {
        return String::new();
    };
    let span = to.saturating_sub(from).max(1) as f64;
    let lanes: String = lanes.iter().map(|operation| lane(operation, from, span)).collect();
    let left_out = witness.operations.len().saturating_sub(MAX_LANES);
    let more = match left_out {
        0 => String::new(),
        _ => format!("<p class=\"dim\">and {}</p>", plural(left_out as u64, "more operation")),
    };
    format!(
        "<div class=\"time\"><p class=\"ends\"><span>{}</span><span>{}</span></p>{lanes}{more}</div>",
        micros(from as f64 / 1e3),
        micros(to as f64 / 1e3)
    )
}

fn lane(operation: &Operation, from: Nanos, span: f64) -> String {
    let at = |time: Nanos| (time.saturating_sub(from) as f64 / span * 100.0).clamp(0.0, 100.0);
    let work = operation.started().clamp(operation.invoked, operation.completed.max(operation.invoked));
    let (start, work, end) = (at(operation.invoked), at(work), at(operation.completed));
    // Even the shortest one is seen, at the right edge too.
    let width = (end - work).max(0.6);
    let state = if operation.is_ok() { "" } else { " bad" };
    let open = if operation.is_unknown() { " open" } else { "" };
    let label = format!("{} → {}", asked(operation), answer(operation));
    format!(
        "<svg class=\"track\" role=\"img\" aria-label=\"{id}: from {a} to {b}\"><line class=\"wait\" x1=\"{start:.2}%\" y1=\"7\" \
         x2=\"{work:.2}%\" y2=\"7\"/><rect class=\"lane{state}{open}\" x=\"{x:.2}%\" y=\"1\" width=\"{width:.2}%\" height=\"12\" \
         rx=\"3\"/></svg><p class=\"label\"><b>{id}</b> client {client} · {text}</p>",
        id = operation.id,
        client = operation.client,
        a = micros(operation.invoked as f64 / 1e3),
        b = micros(operation.completed as f64 / 1e3),
        x = work.min(100.0 - width),
        text = escape(&middle(&visible(&label), 160)),
    )
}
