//! The lists that are stored under a key: each element in the colour of the operation that wrote it, and what is missing.

use std::ops::Range;

use minijinja::context;

use crate::history::OpId;
use crate::report::format::{count, middle, plural, visible};
use crate::report::{KeyHistory, MissingElement, StoredElement, StoredList};

/// Elements of a list that are seen at once.
const SHOWN: usize = 14;
const LONGEST_TEXT: usize = 200;

/// What the template shows; nothing for a key without a list.
pub(super) fn context(history: &KeyHistory, lanes: &[OpId]) -> Option<minijinja::Value> {
    if history.lists.is_empty() && history.missing.is_empty() {
        return None;
    }
    let (own, others): (Vec<_>, Vec<_>) = history.missing.iter().partition(|missing| lanes.contains(&missing.op));
    Some(context! {
        lists => history.lists.iter().map(|list| stored_list(list, lanes)).collect::<Vec<_>>(),
        missing => own.into_iter().map(|one| missing(one, lanes)).collect::<Vec<_>>(),
        others_are => plural(others.len() as u64, "more element"),
        others => others.into_iter().map(|one| missing(one, lanes)).collect::<Vec<_>>(),
    })
}

fn stored_list(list: &StoredList, lanes: &[OpId]) -> minijinja::Value {
    let length = list.elements.len();
    let Range { start: from, end: to } = list.window(lanes, SHOWN);
    let part = |from: usize, to: usize| {
        list.elements.get(from..to).unwrap_or_default().iter().map(|one| element(one, lanes)).collect::<Vec<_>>()
    };
    let all = list.before + length as u64 + list.after;
    let left_out = |number: u64| (number > 0).then(|| count(number));
    context! {
        name => visible(&list.name),
        length => plural(all, "element"),
        before => left_out(list.before + from as u64),
        start => list.before + from as u64 + 1,
        elements => part(from, to),
        after => left_out(list.after + (length - to) as u64),
        all => (to - from < length).then(|| part(0, length)),
        all_start => list.before + 1,
    }
}

fn element(element: &StoredElement, lanes: &[OpId]) -> minijinja::Value {
    context! {
        op => element.op.map(|op| op.to_string()),
        colour => element.op.and_then(|op| colour(op, lanes)),
        text => middle(&visible(&element.text), LONGEST_TEXT),
        repeated => element.repeated,
    }
}

fn missing(missing: &MissingElement, lanes: &[OpId]) -> minijinja::Value {
    context! {
        op => missing.op.to_string(),
        colour => colour(missing.op, lanes),
        text => middle(&visible(&missing.text), LONGEST_TEXT),
        refused => missing.refused,
        in_flight => missing.in_flight.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn colour(op: OpId, lanes: &[OpId]) -> Option<usize> {
    lanes.iter().position(|lane| *lane == op).map(|lane| lane % super::COLOURS)
}
