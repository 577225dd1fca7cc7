//! Whether one filter follows from another: whether each document that the key is unique among is in a partial index.
//!
//! Soundness: what is said to follow does. Completeness: not claimed; conditions are compared one by one, and a value that is
//! asked for is tried on the simple operators. What cannot be shown to follow is taken not to.

use std::cmp::Ordering;

use mongodb::bson::{Bson, Document};

use crate::audit::KeySpec;
use crate::audit::canon::same;

/// One condition on one path; a logical operator is its own path.
#[derive(Debug, Clone, PartialEq)]
struct Condition<'a> {
    path: &'a str,
    operator: &'a str,
    value: &'a Bson,
}

/// Whether each document that the profile judges matches the filter. `types` has the bits of the types that its keys have;
/// `None` leaves them out of account.
pub(super) fn covers(key: &KeySpec, types: Option<u32>, filter: &Document) -> bool {
    let known = key.filter().map(conditions).unwrap_or_default();
    all_follow(key, types, &known, filter)
}

fn all_follow(key: &KeySpec, types: Option<u32>, known: &[Condition<'_>], filter: &Document) -> bool {
    conditions(filter).iter().all(|condition| {
        known.iter().any(|other| follows(condition, other)) || of_the_key(key, types, condition) || {
            let branches = condition.value.as_array().filter(|_| condition.path == "$or").into_iter().flatten();
            branches.filter_map(Bson::as_document).any(|branch| all_follow(key, types, known, branch))
        }
    })
}

fn conditions(filter: &Document) -> Vec<Condition<'_>> {
    let mut found = Vec::new();
    for (path, value) in filter {
        match value {
            Bson::Array(parts) if path == "$and" => {
                found.extend(parts.iter().filter_map(Bson::as_document).flat_map(conditions));
            }
            Bson::Document(operators) if operators.keys().next().is_some_and(|name| name.starts_with('$')) => {
                found.extend(operators.iter().map(|(operator, value)| Condition { path, operator, value }));
            }
            value => found.push(Condition { path, operator: "$eq", value }),
        }
    }
    found
}

/// Whether a condition on the key itself holds for whatever has one.
fn of_the_key(key: &KeySpec, types: Option<u32>, condition: &Condition<'_>) -> bool {
    const TEXT: u32 = 1 << 2;
    let of_type = |mask: u32| types.is_none_or(|types| types & !mask == 0);
    if !key.field.all().iter().any(|field| field == condition.path) {
        return false;
    }
    // Documents without the key are left out by the index, or are a finding of their own. A key of several fields is there
    // as soon as one of them is.
    let has_key = (key.sparse || key.required) && key.field.all().len() == 1;
    match condition.operator {
        "$exists" => has_key && *condition.value == Bson::Boolean(true),
        "$type" => has_key && type_mask(condition.value).is_some_and(of_type),
        "$gt" => has_key && key.required && *condition.value == Bson::String(String::new()) && of_type(TEXT),
        _ => false,
    }
}

/// The bits of the types that `$type` names.
fn type_mask(value: &Bson) -> Option<u32> {
    let number = |value: &Bson| match value {
        Bson::Array(_) => None,
        Bson::String(name) => named_type(name),
        other => other
            .as_i32()
            .or_else(|| other.as_i64().and_then(|number| i32::try_from(number).ok()))
            .or_else(|| {
                #[allow(clippy::cast_possible_truncation, reason = "types are small whole numbers")]
                other.as_f64().map(|number| number as i32)
            })
            .and_then(|number| 1_u32.checked_shl(u32::try_from(number).ok()?)),
    };
    match value {
        Bson::Array(several) => several.iter().map(number).try_fold(0, |mask, bit| Some(mask | bit?)),
        value => number(value),
    }
}

fn named_type(name: &str) -> Option<u32> {
    let names = [
        ("double", 1),
        ("string", 2),
        ("object", 3),
        ("array", 4),
        ("binData", 5),
        ("objectId", 7),
        ("bool", 8),
        ("date", 9),
        ("null", 10),
        ("regex", 11),
        ("symbol", 14),
        ("int", 16),
        ("timestamp", 17),
        ("long", 18),
        ("decimal", 19),
    ];
    if name == "number" {
        return Some(1 << 1 | 1 << 16 | 1 << 18 | 1 << 19);
    }
    names.iter().find(|(known, _)| *known == name).map(|(_, number)| 1 << number)
}

/// Whether one condition holds wherever the other does.
fn follows(wanted: &Condition<'_>, known: &Condition<'_>) -> bool {
    if wanted.path != known.path {
        return false;
    }
    if wanted.operator == known.operator && same(wanted.value, known.value) {
        return true;
    }
    if known.operator != "$eq" {
        return false;
    }
    let order = || compare(known.value, wanted.value);
    match wanted.operator {
        "$exists" => *wanted.value == Bson::Boolean(true) && *known.value != Bson::Null,
        "$in" => wanted.value.as_array().is_some_and(|several| several.iter().any(|value| same(value, known.value))),
        "$gt" => order() == Some(Ordering::Greater),
        "$gte" => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
        "$lt" => order() == Some(Ordering::Less),
        "$lte" => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
        _ => false,
    }
}

/// The order of two values of one simple type.
fn compare(left: &Bson, right: &Bson) -> Option<Ordering> {
    let whole = |value: &Bson| value.as_i64().or_else(|| value.as_i32().map(i64::from));
    match (left, right) {
        (Bson::String(left), Bson::String(right)) => Some(left.cmp(right)),
        (Bson::DateTime(left), Bson::DateTime(right)) => Some(left.cmp(right)),
        (Bson::Double(left), Bson::Double(right)) => left.partial_cmp(right),
        _ => Some(whole(left)?.cmp(&whole(right)?)),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;
    use crate::audit::{Filter, Profile};

    #[test]
    fn a_filter_follows_from_what_is_asked_for_and_from_the_key_being_there() {
        let mut key = Profile::parse("name='x'\ncollection='c'\n[key]\nfield='k'", "test").unwrap().key.unwrap();
        let text = 1 << 2;
        for (known, filter, types, expected) in [
            (doc! {}, doc! { "k": { "$exists": true } }, text, true),
            (doc! {}, doc! { "k": { "$type": "string" } }, text, true),
            (doc! {}, doc! { "k": { "$type": 2 } }, text | 1 << 16, false),
            (doc! {}, doc! { "k": { "$type": ["string", "int"] } }, text | 1 << 16, true),
            (doc! {}, doc! { "k": { "$type": "number" } }, 1 << 1 | 1 << 18, true),
            (doc! {}, doc! { "k": { "$gt": "" } }, text, true),
            (doc! {}, doc! { "gone": null }, text, false),
            (doc! { "gone": null }, doc! { "gone": null }, text, true),
            (doc! { "gone": null }, doc! { "gone": { "$eq": null }, "k": { "$exists": true } }, text, true),
            (doc! { "gone": null }, doc! { "gone": null, "type": "a" }, text, false),
            (doc! { "gone": null, "type": "a" }, doc! { "$and": [{ "gone": null }] }, text, true),
            (doc! { "gone": null }, doc! { "gone": { "$exists": true } }, text, false),
            (doc! { "n": 5 }, doc! { "n": 5.0 }, text, true),
            (doc! { "n": 5 }, doc! { "n": { "$gt": 4_i64, "$lte": 5 } }, text, true),
            (doc! { "n": 5 }, doc! { "n": { "$gt": 5 } }, text, false),
            (doc! { "s": "a" }, doc! { "s": { "$in": ["b", "a"] } }, text, true),
            (doc! { "s": "a" }, doc! { "$or": [{ "s": "b" }, { "s": "a" }] }, text, true),
            (doc! { "s": "a" }, doc! { "$or": [{ "s": "b" }, { "s": "c" }] }, text, false),
            (doc! { "s": { "$in": ["a", "b"] } }, doc! { "s": "a" }, text, false),
        ] {
            key.r#where = Some(Filter(known.clone()));
            assert_eq!(covers(&key, Some(types), &filter), expected, "{known} gives {filter}");
        }
    }
}
