//! The lists that are stored under a key, on the terminal: each element with the operation that wrote it, what is there
//! twice, and what is missing.

use super::page::{DIM, PLAIN, Page, RED, Span};
use super::witness::colour;
use crate::history::OpId;
use crate::report::format::{middle, plural, visible};
use crate::report::{KeyHistory, MissingElement, StoredList};

/// Elements shown of one list.
const MOST: usize = 12;
/// Missing elements shown.
const MOST_MISSING: usize = 6;

/// The lists of a key. Operations with a lane have its colour.
pub(super) fn lists(page: &mut Page, history: &KeyHistory, lanes: &[OpId]) {
    if history.lists.is_empty() && history.missing.is_empty() {
        return;
    }
    for list in &history.lists {
        let name = if list.name.is_empty() { String::new() } else { format!(" in {}", list.name) };
        let number = list.before + list.elements.len() as u64 + list.after;
        page.line(&[(DIM, format!("  stored{name}, in this order: {}", plural(number, "element")))]);
        elements(page, list, lanes);
    }
    if history.lists.is_empty() {
        page.line(&[(DIM, "  nothing is stored".to_owned())]);
    }
    let (shown, more): (Vec<_>, Vec<_>) = history.missing.iter().partition(|missing| lanes.contains(&missing.op));
    let left_out = more.len() + shown.len().saturating_sub(MOST_MISSING);
    for missing in shown.into_iter().take(MOST_MISSING) {
        page.line(&[
            (RED.bold(), format!("    {:>4} ", "✗")),
            (style(lanes, missing.op), format!("{:<8}", missing.op.to_string())),
            (PLAIN, short(&missing.text, page.width() / 4)),
            (RED.bold(), "  MISSING".to_owned()),
            (DIM, why(missing)),
        ]);
    }
    if left_out > 0 {
        page.line(&[(RED, format!("    {} of this key missing", plural(left_out as u64, "more element")))]);
    }
}

/// What is known of how it was lost.
fn why(missing: &MissingElement) -> String {
    match missing.in_flight.as_slice() {
        _ if missing.refused => "  refused by the database, and nobody tried again".to_owned(),
        [] => String::new(),
        [first, ..] => format!("  {first}, in flight with it, is stored"),
    }
}

fn elements(page: &mut Page, list: &StoredList, lanes: &[OpId]) {
    let window = list.window(lanes, MOST);
    let before = list.before + window.start as u64;
    if before > 0 {
        page.line(&[(DIM, format!("    {:>4} {} before", "⋮", before))]);
    }
    for (position, element) in list.elements.iter().enumerate().take(window.end).skip(window.start) {
        let op = element.op.map_or_else(|| "?".to_owned(), |op| op.to_string());
        let own = element.op.map_or(DIM, |op| style(lanes, op));
        let mut spans: Vec<Span> = vec![
            (DIM, format!("    {:>4} ", list.before + position as u64 + 1)),
            (own, format!("{op:<8}")),
            (PLAIN, short(&element.text, page.width() / 2)),
        ];
        if element.repeated {
            spans.push((RED.bold(), "  AGAIN".to_owned()));
        }
        page.line(&spans);
    }
    let after = list.after + (list.elements.len() - window.end) as u64;
    if after > 0 {
        page.line(&[(DIM, format!("    {:>4} {} after", "⋮", after))]);
    }
}

fn style(lanes: &[OpId], op: OpId) -> anstyle::Style {
    lanes.iter().position(|lane| *lane == op).map_or(DIM, colour)
}

fn short(text: &str, width: usize) -> String {
    middle(&visible(text), width).into_owned()
}
