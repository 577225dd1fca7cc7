//! What a group of documents becomes, and an array without what it repeats.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document};

use super::id;
use super::value::{equal, is_none, number};

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Keep,
    Fill,
    Newest,
    Sum,
    Union,
    Largest,
    Concatenate,
}

/// Which document stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Oldest,
    Newest,
    MostFields,
}

/// How documents become one.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) dated: Option<&'static str>,
    pub(crate) keep: Keep,
    pub(crate) fields: BTreeMap<&'static str, Rule>,
    pub(crate) others: Rule,
}

/// The array within a document.
#[derive(Debug, Clone)]
pub(crate) struct Array {
    pub(crate) field: &'static str,
    pub(crate) order: Option<&'static str>,
    /// The field and the texts that mark an answer.
    pub(crate) answers: Option<(&'static str, &'static [&'static str])>,
    /// The first of these whose fields are all there says what an element is.
    pub(crate) identity: Vec<Vec<&'static str>>,
}

/// How old a document is: its date, else the second within its id; then its id, numbers before all others.
fn age(rules: &Rules, document: &Document) -> (i64, bool, i64, String) {
    let date = rules.dated.and_then(|field| document.get_datetime(field).ok()).map(|date| date.timestamp_millis());
    let made = document.get_object_id("_id").map(|id| id.timestamp().timestamp_millis()).unwrap_or(i64::MIN);
    let counted = document.get("_id").and_then(number).map(|number| format!("{number}").parse::<i64>().unwrap());
    (date.unwrap_or(made), counted.is_none(), counted.unwrap_or_default(), id(document))
}

/// The document that stays, then the others from the oldest on.
pub(super) fn ranked(rules: &Rules, group: &[Document]) -> Vec<Document> {
    let mut group = group.to_vec();
    group.sort_by_key(|document| age(rules, document));
    let filled = |document: &Document| document.iter().filter(|(_, value)| !is_none(Some(value))).count();
    let most = group.iter().map(filled).max();
    let first = match rules.keep {
        Keep::Oldest => 0,
        Keep::Newest => group.len() - 1,
        Keep::MostFields => group.iter().position(|document| Some(filled(document)) == most).unwrap(),
    };
    let kept = group.remove(first);
    group.insert(0, kept);
    group
}

/// The one document that a group becomes. `None` if its values do not fit the rules.
pub(super) fn merged(rules: &Rules, array: Option<&Array>, group: &[Document]) -> Option<Document> {
    let mut by_age: Vec<&Document> = group.iter().collect();
    by_age.sort_by_key(|document| age(rules, document));
    let mut result = group[0].clone();
    for field in group.iter().flat_map(Document::keys).filter(|field| *field != "_id") {
        let own = group[0].get(field);
        let values: Vec<&Bson> =
            group.iter().filter_map(|document| document.get(field)).filter(|value| !is_none(Some(value))).collect();
        let value = if array.is_some_and(|array| array.field == field) {
            elements(array.unwrap(), group)?
        } else {
            match (rules.fields.get(field.as_str()).copied().unwrap_or(rules.others), values.split_first()) {
                (Rule::Keep, _) | (_, None) => own.cloned(),
                (Rule::Fill, Some((first, _))) => Some((*first).clone()),
                (Rule::Newest, Some(_)) => by_age
                    .iter()
                    .rev()
                    .filter_map(|document| document.get(field))
                    .find(|value| !is_none(Some(value)))
                    .cloned(),
                (rule, Some((first, rest))) => {
                    Some(rest.iter().try_fold((*first).clone(), |all, one| fold(rule, all, one))?)
                }
            }
        };
        if let Some(value) = value {
            result.insert(field.clone(), value);
        }
    }
    Some(result)
}

fn fold(rule: Rule, all: Bson, one: &Bson) -> Option<Bson> {
    match (rule, &all, one) {
        (Rule::Sum, Bson::Decimal128(_), _) | (Rule::Sum, _, Bson::Decimal128(_)) => None,
        (Rule::Sum, ..) => {
            let sum = number(&all)? + number(one)?;
            let is = |wide: fn(&Bson) -> bool| wide(&all) || wide(one);
            Some(if is(|value| matches!(value, Bson::Double(_))) {
                sum.into()
            } else if is(|value| matches!(value, Bson::Int64(_))) {
                Bson::Int64(format!("{sum}").parse().unwrap())
            } else {
                Bson::Int32(format!("{sum}").parse().unwrap())
            })
        }
        (Rule::Union, Bson::Array(list), Bson::Array(more)) => {
            let mut list = list.clone();
            for value in more {
                if !list.iter().any(|own| equal(own, value)) {
                    list.push(value.clone());
                }
            }
            Some(list.into())
        }
        (Rule::Concatenate, Bson::Array(list), Bson::Array(more)) => Some([list.as_slice(), more].concat().into()),
        (Rule::Concatenate, Bson::String(text), Bson::String(more)) => Some(format!("{text}{more}").into()),
        (Rule::Largest, Bson::DateTime(date), Bson::DateTime(other)) => Some((*date.max(other)).into()),
        (Rule::Largest, Bson::String(text), Bson::String(other)) => Some(text.max(other).clone().into()),
        (Rule::Largest, ..) => {
            let larger = number(one)? > number(&all)?;
            Some(if larger { one.clone() } else { all })
        }
        _ => None,
    }
}

/// The elements of all by time; what has no time and what answers stays behind the element before it.
fn elements(array: &Array, group: &[Document]) -> Option<Option<Bson>> {
    let mut all: Vec<(i64, Bson)> = Vec::new();
    for document in group {
        let own = match document.get(array.field) {
            value if is_none(value) => &[],
            value => value?.as_array()?.as_slice(),
        };
        let mut latest = i64::MIN;
        for element in own {
            let field = |name: &str| element.as_document().and_then(|element| element.get(name));
            let time = array.order.and_then(field).and_then(Bson::as_datetime).map(|date| date.timestamp_millis());
            let is_answer = array.answers.is_some_and(|(mark, texts)| {
                field(mark).and_then(Bson::as_str).is_some_and(|text| texts.contains(&text))
            });
            if !is_answer && let Some(time) = time {
                latest = latest.max(time);
            }
            all.push((latest, element.clone()));
        }
    }
    // An empty array is more than none.
    let are_none = is_none(group[0].get(array.field));
    let taken = |other: &Document| other.get_array(array.field).is_ok_and(|own| are_none || !own.is_empty());
    if !group[1..].iter().any(taken) {
        return Some(group[0].get(array.field).cloned());
    }
    all.sort_by_key(|(time, _)| *time);
    Some(Some(all.into_iter().map(|(_, element)| element).collect::<Vec<Bson>>().into()))
}

/// Takes out what repeats an earlier element, and says how much that is.
pub(super) fn clean(array: &Array, document: &mut Document) -> u64 {
    let Ok(elements) = document.get_array(array.field).cloned() else { return 0 };
    let mut known: Vec<(usize, Vec<Bson>)> = Vec::new();
    let is_new = |element: &Bson| {
        let identity = array.identity.iter().enumerate().find_map(|(number, rule)| {
            let value = |field: &&str| {
                let value = element.as_document()?.get(field)?;
                (!is_none(Some(value)) && value.as_str() != Some("")).then(|| value.clone())
            };
            Some((number, rule.iter().map(value).collect::<Option<Vec<_>>>()?))
        });
        let Some((number, values)) = identity else { return true };
        let same = |(other, theirs): &(usize, Vec<Bson>)| {
            *other == number && theirs.iter().zip(&values).all(|(left, right)| equal(left, right))
        };
        let new = !known.iter().any(same);
        if new {
            known.push((number, values));
        }
        new
    };
    let before = elements.len();
    let after: Vec<Bson> = elements.into_iter().filter(is_new).collect();
    let gone = before - after.len();
    document.insert(array.field, after);
    gone as u64
}
