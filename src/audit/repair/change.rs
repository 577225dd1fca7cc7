//! What a repair makes of values: merged arrays, united lists, and how far an array still is what was written.
//!
//! Pure functions; nothing here talks to a server.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document};

use super::guard::From;
use super::merging::value::bytes;
use crate::audit::ArraySpec;
use crate::audit::raw::value_at;

/// The order of two arrays as one: by the order field, each array keeping its own order. An element without the field, and
/// an answer, stays behind the one before it; without an order field the second array follows the first.
pub(super) fn merged_order(own: &[Bson], others: &[Bson], spec: &ArraySpec) -> Vec<From> {
    let own_times = times(own, spec);
    let other_times = times(others, spec);
    let (mut left, mut right) = (0, 0);
    let mut merged = Vec::with_capacity(own.len() + others.len());
    while left < own.len() || right < others.len() {
        let take_own = match (own_times.get(left), other_times.get(right)) {
            (Some(own), Some(other)) => spec.order.is_none() || own <= other,
            (own, _) => own.is_some(),
        };
        if take_own {
            merged.push(From::Own(left));
            left += 1;
        } else {
            merged.push(From::Other(right));
            right += 1;
        }
    }
    merged
}

/// A time that sorts: kind, number and text. It never falls within one array.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
struct Time(u8, f64, String);

fn times(elements: &[Bson], spec: &ArraySpec) -> Vec<Time> {
    let mut latest = Time(0, 0.0, String::new());
    elements
        .iter()
        .enumerate()
        .map(|(position, element)| {
            let value = spec.order.as_ref().and_then(|order| value_at(element.as_document()?, order));
            if let Some(time) = value.and_then(time)
                && time > latest
                && (position == 0 || !is_answer(element, spec))
            {
                latest = time;
            }
            latest.clone()
        })
        .collect()
}

fn is_answer(element: &Bson, spec: &ArraySpec) -> bool {
    let has = |field: &str, text: &str| {
        element.as_document().and_then(|element| element.get_str(field).ok()).is_some_and(|found| found == text)
    };
    spec.answers.iter().any(|mark| mark.iter().all(|(field, text)| has(field, text)))
}

#[allow(clippy::cast_precision_loss)] // Milliseconds and sequence numbers are far below 2^53.
fn time(value: &Bson) -> Option<Time> {
    match value {
        Bson::Int32(number) => Some(Time(1, f64::from(*number), String::new())),
        Bson::Int64(number) => Some(Time(1, *number as f64, String::new())),
        Bson::Double(number) => Some(Time(1, *number, String::new())),
        Bson::String(text) => Some(Time(2, 0.0, text.clone())),
        Bson::ObjectId(id) => Some(Time(3, 0.0, id.to_hex())),
        Bson::DateTime(date) => Some(Time(4, date.timestamp_millis() as f64, String::new())),
        _ => None,
    }
}

/// What an array still is, compared with what it was before a change and after it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Since<'a> {
    /// The change is there; with what was appended since.
    Changed(&'a [Bson]),
    /// The change never happened, or is undone.
    Unchanged,
    /// Neither: its beginning was edited.
    Edited,
}

/// Compares. Where both fit, the longer one is meant.
pub(super) fn since<'a>(before: &[Bson], after: &[Bson], now: &'a [Bson]) -> Since<'a> {
    match (now.starts_with(before), now.starts_with(after)) {
        (true, true) if before.len() >= after.len() => Since::Unchanged,
        (_, true) => Since::Changed(&now[after.len()..]),
        (true, false) => Since::Unchanged,
        (false, false) => Since::Edited,
    }
}

/// Whether a change is there, told by the elements that it adds and takes away, wherever they stand by now. `None` where
/// some of them say so and others not, or there are none.
pub(super) fn by_elements(before: &[Bson], after: &[Bson], now: &[Bson]) -> Option<bool> {
    let counted = |elements: &[Bson]| {
        let mut counts: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        elements.iter().filter_map(bytes).for_each(|element| *counts.entry(element).or_default() += 1);
        counts
    };
    let (before, after, now) = (counted(before), counted(after), counted(now));
    let of = |counts: &BTreeMap<Vec<u8>, usize>, element| counts.get(element).copied().unwrap_or(0);
    let (mut there, mut not_there) = (0, 0);
    for element in before.keys().chain(after.keys().filter(|element| !before.contains_key(*element))) {
        let (was, is_to_be, is) = (of(&before, element), of(&after, element), of(&now, element));
        match was.cmp(&is_to_be) {
            Ordering::Equal => {}
            Ordering::Less if is >= is_to_be => there += 1,
            Ordering::Less if is <= was => not_there += 1,
            Ordering::Greater if is <= is_to_be => there += 1,
            Ordering::Greater if is >= was => not_there += 1,
            Ordering::Less | Ordering::Greater => return None,
        }
    }
    match (there, not_there) {
        (0, 0) => None,
        (_, 0) => Some(true),
        (0, _) => Some(false),
        _ => None,
    }
}

/// The array at a field; empty where there is none or null, `None` where there is something else.
pub(super) fn array<'a>(document: &'a Document, field: &str) -> Option<&'a [Bson]> {
    match document.get(field) {
        None | Some(Bson::Null | Bson::Undefined) => Some(&[]),
        Some(Bson::Array(elements)) => Some(elements),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    /// The elements in their order.
    fn picked(own: &[Bson], others: &[Bson], order: &[From]) -> Vec<Bson> {
        let pick = |from: &From| match from {
            From::Own(position) => own.get(*position),
            From::Other(position) => others.get(*position),
        };
        order.iter().filter_map(pick).cloned().collect()
    }

    fn elements(spec: &str) -> Vec<Bson> {
        let element = |word: &str| match word.split_once('@') {
            Some((name, time)) => doc! { "n": name, "t": time.parse::<i32>().unwrap() }.into(),
            None => doc! { "n": word }.into(),
        };
        spec.split_whitespace().map(element).collect()
    }

    fn names(elements: &[Bson]) -> String {
        elements
            .iter()
            .map(|element| element.as_document().unwrap().get_str("n").unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_order_may_be_a_path() {
        let spec = ArraySpec { order: Some("meta.at".to_owned()), ..spec() };
        let at = |at: i32| Bson::from(mongodb::bson::doc! { "meta": { "at": at } });
        let order = merged_order(&[at(1), at(3)], &[at(2)], &spec);
        assert_eq!(order, [From::Own(0), From::Other(0), From::Own(1)]);
    }

    #[test]
    fn arrays_merge_by_time_and_each_keeps_its_own_order() {
        for (own, others, order, expected) in [
            ("a@1 c@3", "b@2 d@4", Some("t"), "a b c d"),
            ("a@1 c@3", "b@2 d@4", None, "a c b d"),
            ("a@1 b@1", "c@1", Some("t"), "a b c"),
            ("a@5 b@1", "c@2 d@6", Some("t"), "c a b d"),
            ("a@1 b c@3", "x@2", Some("t"), "a b x c"),
            ("a b", "c", Some("t"), "a b c"),
            ("", "a@1", Some("t"), "a"),
            ("a@1", "", Some("t"), "a"),
        ] {
            let (own, others) = (elements(own), elements(others));
            let spec = ArraySpec { order: order.map(str::to_owned), ..spec() };
            assert_eq!(names(&picked(&own, &others, &merged_order(&own, &others, &spec))), expected);
        }
    }

    #[test]
    fn an_answer_stays_behind_what_it_answers() {
        let mark = |field: &str, text: &str| [(field.to_owned(), text.to_owned())].into();
        let spec = ArraySpec { order: Some("t".into()), answers: vec![mark("n", "b"), mark("n", "B")], ..spec() };
        for (own, others, expected) in [
            ("u@1 b@9", "U@2 B@4", "u b U B"),
            ("u@3 b@4", "U@1 B@9", "U B u b"),
            ("u@1 b@9 v@10", "U@2 B@8", "u b U B v"),
            ("b@5", "u@1", "u b"),
        ] {
            let (own, others) = (elements(own), elements(others));
            assert_eq!(names(&picked(&own, &others, &merged_order(&own, &others, &spec))), expected);
        }
    }

    fn spec() -> ArraySpec {
        ArraySpec { field: "m".into(), order: None, answers: Vec::new(), identity: Vec::new() }
    }

    #[test]
    fn elements_tell_whether_a_change_is_there_wherever_they_stand() {
        for (before, after, now, expected) in [
            ("a", "a b c", "x a", Some(false)),
            ("a", "a b c", "x a b y c", Some(true)),
            ("a", "a b c", "x a b", None),
            ("a", "b a", "b x", Some(true)),
            ("a a b", "a b", "x a b", Some(true)),
            ("a a b", "a b", "x a a b", Some(false)),
            ("a a a", "a", "x a a", None),
            ("a b", "b a", "x a b", None),
            ("", "a a", "x a", None),
        ] {
            let found = by_elements(&elements(before), &elements(after), &elements(now));
            assert_eq!(found, expected, "{before} to {after}: {now}");
        }
    }

    #[test]
    fn an_array_tells_whether_a_change_is_there() {
        for (before, after, now, expected) in [
            ("a", "a b", "a b", Some("")),
            ("a", "a b", "a b x", Some("x")),
            ("a", "a b", "a x", None),
            ("a b b", "a b", "a b", Some("")),
            ("a b b", "a b", "a b x", Some("x")),
            ("a b b", "a b", "a b b x", None),
            ("", "a", "", None),
        ] {
            let (before, after, now) = (elements(before), elements(after), elements(now));
            match (since(&before, &after, &now), expected) {
                (Since::Changed(tail), Some(expected)) => assert_eq!(names(tail), expected),
                (Since::Unchanged, None) => {}
                (found, _) => panic!("{now:?}: {found:?}"),
            }
        }
        assert_eq!(since(&elements("a"), &elements("a b"), &elements("z")), Since::Edited);
    }
}
