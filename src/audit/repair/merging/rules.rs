//! The rules of single fields: the value that the kept document gets, from its own and those of the others.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use mongodb::bson::{Bson, Document};

use super::value::{compare, identical, is_none, is_number, sum, united};
use crate::audit::canon::{canonical, same};
use crate::audit::{FieldRule, MergeSpec};

/// The rule of a field, if the profile has one.
pub(super) fn rule_of(spec: &MergeSpec, field: &str) -> Option<FieldRule> {
    let listed = |list: &[String]| list.iter().any(|named| named == field);
    if listed(&spec.newest) {
        Some(FieldRule::Largest)
    } else if listed(&spec.union) {
        Some(FieldRule::Union)
    } else {
        spec.fields.get(field).copied().or(spec.default)
    }
}

/// The value of a field by a rule; `None` where it has none. `documents` begins with the kept one; `newest` is the value
/// of the newest document that has one. An error is a sentence: the values do not fit the rule.
pub(super) fn value(
    rule: FieldRule,
    field: &str,
    documents: &[&Document],
    newest: Option<&Bson>,
) -> Result<Option<Bson>, String> {
    let own = documents.first().and_then(|document| document.get(field));
    let values = || documents.iter().filter_map(|document| document.get(field)).filter(|value| !is_none(Some(value)));
    match rule {
        FieldRule::Keep => Ok(own.cloned()),
        FieldRule::Fill if is_none(own) => Ok(values().next().or(own).cloned()),
        FieldRule::Fill => Ok(own.cloned()),
        FieldRule::Newest => Ok(newest.or(own).cloned()),
        FieldRule::Sum => fold(field, own, values(), "summed", |left, right| {
            if is_number(left) && is_number(right) { sum(left, right) } else { None }
        }),
        FieldRule::Largest => fold(field, own, values(), "compared", |left, right| {
            compare(left, right).map(|order| if order == Ordering::Less { right.clone() } else { left.clone() })
        }),
        FieldRule::Union => fold(field, own, values(), "united", |left, right| {
            Some(Bson::Array(united(left.as_array()?, right.as_array()?)))
        }),
        FieldRule::Concatenate => {
            fold(field, own, values(), "put one after the other", |left, right| match (left, right) {
                (Bson::Array(left), Bson::Array(right)) => Some(Bson::Array([left.as_slice(), right].concat())),
                (Bson::String(left), Bson::String(right)) => Some(Bson::String(format!("{left}{right}"))),
                _ => None,
            })
        }
    }
}

fn fold<'a>(
    field: &str,
    own: Option<&Bson>,
    mut values: impl Iterator<Item = &'a Bson>,
    done: &str,
    join: impl Fn(&Bson, &Bson) -> Option<Bson>,
) -> Result<Option<Bson>, String> {
    let Some(first) = values.next() else { return Ok(own.cloned()) };
    let mut joined = first.clone();
    for value in values {
        joined = join(&joined, value)
            .ok_or_else(|| format!("the values of `{field}` cannot be {done}: {joined} and {value}"))?;
    }
    Ok(Some(joined))
}

/// How much of a document's value is still there in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// All of it, as it was stored.
    Exactly,
    /// Its value, in another form: `7` for `7.0`.
    ByValue,
    /// Not all of it.
    Not,
}

/// Looks for a document's value in the result.
pub(super) fn held(rule: Option<FieldRule>, value: &Bson, result: Option<&Bson>) -> Held {
    let Some(result) = result else { return Held::Not };
    match (rule, value, result) {
        (Some(FieldRule::Sum | FieldRule::Concatenate), _, _) => Held::Exactly,
        (Some(FieldRule::Union), Bson::Array(values), Bson::Array(all)) => {
            let known: BTreeSet<Vec<u8>> = all.iter().filter_map(canonical).collect();
            if values.iter().all(|own| all.iter().any(|one| identical(one, own))) {
                Held::Exactly
            } else if values.iter().all(|own| canonical(own).is_some_and(|own| known.contains(&own))) {
                Held::ByValue
            } else {
                Held::Not
            }
        }
        _ if identical(value, result) => Held::Exactly,
        _ if same(value, result) => Held::ByValue,
        _ => Held::Not,
    }
}
