//! Which document of a group is kept, and in which order the others follow.

use std::cmp::Ordering;

use mongodb::bson::{Bson, Document, oid::ObjectId};

use super::value::{compare, is_none, is_number};
use crate::audit::raw::value_at;
use crate::audit::repair::decide::id_of;
use crate::audit::{Keep, MergeSpec};

/// Orders documents that stand for one thing: the one that is kept first, then the others from the oldest on.
pub(in crate::audit::repair) fn ranked(mut documents: Vec<Document>, spec: &MergeSpec) -> Vec<Document> {
    let dated = dated(documents.iter(), spec);
    documents.sort_by(|left, right| by_age(left, right, dated));
    let kept = match &spec.keep {
        Keep::Oldest => 0,
        Keep::Newest => documents.len().saturating_sub(1),
        Keep::MostFields => {
            first_largest(&documents, |document| Some(Bson::from(i64::try_from(filled(document)).ok()?)))
        }
        Keep::Largest(field) => first_largest(&documents, |document| at(document, field).cloned()),
    };
    if kept < documents.len() {
        let keeper = documents.remove(kept);
        documents.insert(0, keeper);
    }
    documents
}

/// The documents from the oldest to the newest.
pub(super) fn oldest_first<'a>(documents: &[&'a Document], spec: &MergeSpec) -> Vec<&'a Document> {
    let dated = dated(documents.iter().copied(), spec);
    let mut documents = documents.to_vec();
    documents.sort_by(|left, right| by_age(left, right, dated));
    documents
}

/// The field of the date, if every document that has a value there can be ordered by it.
fn dated<'a, 's>(documents: impl Iterator<Item = &'a Document>, spec: &'s MergeSpec) -> Option<&'s str> {
    let field = spec.oldest.as_deref()?;
    let values: Vec<&Bson> = documents.filter_map(|document| at(document, field)).collect();
    values.iter().all(|value| compare(values[0], value).is_some()).then_some(field)
}

/// By the date where it can be compared, then by the time within the id, then by the id. One total order: where dates are
/// real dates a document without one is as old as its id says, otherwise it comes last.
fn by_age(left: &Document, right: &Document, dated: Option<&str>) -> Ordering {
    let value = |document| dated.and_then(|field| at(document, field));
    let by_value = match (value(left), value(right)) {
        (Some(left), Some(right)) => compare(left, right).unwrap_or(Ordering::Equal),
        (Some(value), None) if !matches!(value, Bson::DateTime(_)) => Ordering::Less,
        (None, Some(value)) if !matches!(value, Bson::DateTime(_)) => Ordering::Greater,
        (left_value, right_value) => moment(left, left_value).cmp(&moment(right, right_value)),
    };
    by_value.then_with(|| by_id(left, right))
}

fn moment(document: &Document, value: Option<&Bson>) -> Option<i64> {
    match (value, document.get("_id")) {
        (Some(Bson::DateTime(date)), _) => Some(date.timestamp_millis()),
        (_, Some(Bson::ObjectId(id))) => Some(ObjectId::timestamp(id).timestamp_millis()),
        _ => None,
    }
}

fn by_id(left: &Document, right: &Document) -> Ordering {
    let kind = |id: &Bson| if is_number(id) { 0 } else { id.element_type() as u8 };
    let (left, right) = (id_of(left), id_of(right));
    let by_value = || compare(&left, &right).unwrap_or_else(|| left.to_string().cmp(&right.to_string()));
    kind(&left).cmp(&kind(&right)).then_with(by_value)
}

/// The value at a path through documents, unless it is none.
fn at<'a>(document: &'a Document, path: &str) -> Option<&'a Bson> {
    value_at(document, path).filter(|value| !is_none(Some(value)))
}

fn filled(document: &Document) -> usize {
    document.values().filter(|value| !is_none(Some(value))).count()
}

/// Position of the first document with the largest value; the first of all where values cannot be compared.
fn first_largest(documents: &[Document], value: impl Fn(&Document) -> Option<Bson>) -> usize {
    let mut best: Option<(usize, Bson)> = None;
    for (position, document) in documents.iter().enumerate() {
        let Some(value) = value(document) else { continue };
        match &best {
            None => best = Some((position, value)),
            Some((_, largest)) if compare(&value, largest) == Some(Ordering::Greater) => best = Some((position, value)),
            Some(_) => {}
        }
    }
    best.map_or(0, |(position, _)| position)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{DateTime, doc};

    use super::*;

    fn order(keep: Keep, documents: Vec<Document>) -> Vec<i32> {
        let spec = MergeSpec { oldest: Some("at".into()), keep, ..MergeSpec::default() };
        ranked(documents, &spec).iter().map(|document| document.get_i32("_id").unwrap()).collect()
    }

    #[test]
    fn the_rule_says_which_is_kept_and_the_others_follow_by_age() {
        let date = |millis: i64| DateTime::from_millis(millis);
        let documents = || {
            vec![
                doc! { "_id": 1, "at": date(3), "score": 5 },
                doc! { "_id": 2, "at": date(1), "score": 9.5 },
                doc! { "_id": 3, "at": date(2), "score": 9.5, "a": 1, "b": null },
            ]
        };
        assert_eq!(order(Keep::Oldest, documents()), [2, 3, 1]);
        assert_eq!(order(Keep::Newest, documents()), [1, 2, 3]);
        assert_eq!(order(Keep::MostFields, documents()), [3, 2, 1]);
        assert_eq!(order(Keep::Largest("score".into()), documents()), [2, 3, 1]);
        assert_eq!(order(Keep::Largest("absent".into()), documents()), [2, 3, 1]);
    }

    #[test]
    fn dates_that_cannot_be_compared_do_not_decide() {
        let mixed = vec![doc! { "_id": 2, "at": "2026" }, doc! { "_id": 1, "at": 5 }];
        assert_eq!(order(Keep::Oldest, mixed), [1, 2]);
        let texts = vec![doc! { "_id": 1, "at": "2026-02" }, doc! { "_id": 2, "at": "2026-01" }];
        assert_eq!(order(Keep::Oldest, texts), [2, 1]);
    }
}
