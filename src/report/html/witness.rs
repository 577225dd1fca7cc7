//! A witness as a space-time diagram: a lane per operation, time to the right.

use minijinja::context;

use super::escape;
use crate::report::answer::{answer, asked};
use crate::report::format::{micros, middle, plural, visible};
use crate::report::junit::cut;
use crate::verdict::Witness;

const MAX_LANES: usize = 24;
const MAX_DOCUMENT: usize = 4_096;
const WIDTH: f64 = 640.0;
const LANE: f64 = 44.0;
const TOP: f64 = 24.0;

pub(super) fn context(witness: &Witness) -> minijinja::Value {
    let documents: Vec<String> = witness
        .documents
        .iter()
        .take(MAX_LANES)
        .map(|document| cut(visible(&document.to_string()).into_owned(), MAX_DOCUMENT))
        .collect();
    let left_out = witness.documents.len() - documents.len();
    context! {
        key => visible(&witness.key),
        explanation => visible(&witness.explanation),
        diagram => diagram(witness),
        documents => documents,
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
    let x = |at: u64| 8.0 + at.saturating_sub(from) as f64 / span * (WIDTH - 16.0);
    let height = TOP + LANE * lanes.len() as f64;
    let mut body = format!(
        "<text x=\"8\" y=\"14\">at {}</text><text x=\"{}\" y=\"14\" text-anchor=\"end\">+{}</text>",
        micros(from as f64 / 1e3),
        WIDTH - 8.0,
        micros(span / 1e3)
    );
    for (index, lane) in lanes.iter().enumerate() {
        let y = TOP + LANE * index as f64;
        let (start, work, end) = (
            x(lane.invoked),
            x(lane.started().clamp(lane.invoked, lane.completed.max(lane.invoked))),
            x(lane.completed),
        );
        let state = if lane.is_ok() { "" } else { " bad" };
        let open = if lane.is_unknown() { " open" } else { "" };
        let label = format!("{} · client {} · {} → {}", lane.id, lane.client, asked(lane), answer(lane));
        body.push_str(&format!(
            "<line class=\"wait\" x1=\"{start:.1}\" y1=\"{m:.1}\" x2=\"{work:.1}\" y2=\"{m:.1}\"/><rect class=\"lane{state}{open}\" \
             x=\"{work:.1}\" y=\"{t:.1}\" width=\"{w:.1}\" height=\"12\" rx=\"3\"/><text class=\"strong\" x=\"8\" y=\"{b:.1}\">{l}</text>",
            m = y + 8.0,
            t = y + 2.0,
            w = (end - work).max(2.0),
            b = y + 30.0,
            l = escape(&middle(&visible(&label), 92))
        ));
    }
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"the operations of this witness, time to the right\">{body}</svg>"
    )
}
