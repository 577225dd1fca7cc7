//! Time series: the server keeps measurements in buckets, column by column, in the order in which they came. What a service has
//! stored is the measurements: [`written`].

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document, doc};

use super::oplog::Unreadable;

/// Where the server keeps the measurements of a collection, before its name.
const BUCKETS: &str = "system.buckets.";

/// Whether a collection of this name holds buckets.
pub(super) fn is_of_buckets(collection: &str) -> bool {
    collection.starts_with(BUCKETS)
}

/// The namespace of the time series whose measurements are in buckets of this one.
pub(super) fn series_of(namespace: &str) -> Option<String> {
    let (database, collection) = namespace.split_once('.')?;
    Some(format!("{database}.{}", collection.strip_prefix(BUCKETS)?))
}

/// One measurement that came, changed or went.
#[derive(Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) id: Bson,
    pub(super) before: Option<Document>,
    pub(super) after: Option<Document>,
}

/// What a change of a bucket did to its measurements; `meta` is what the series calls the field that they have in common.
pub(super) fn written(
    series: &str,
    meta: &str,
    before: Option<&Document>,
    after: Option<&Document>,
) -> Result<Vec<Measured>, Unreadable> {
    // A bucket that is full is packed, and holds the same as before.
    if before.is_some_and(|before| !is_packed(before)) && after.is_some_and(is_packed) {
        return Ok(Vec::new());
    }
    if before.into_iter().chain(after).any(is_packed) {
        return Err(Unreadable(format!("measurements of {series}, which the server keeps packed")));
    }
    let (mut before, mut after) = (measurements(before, meta), measurements(after, meta));
    let mut places: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    places.sort_unstable();
    places.dedup();
    let change = |place: String| {
        let (before, after) = (before.remove(&place), after.remove(&place));
        let id = before.as_ref().or(after.as_ref()).map_or(Bson::Null, |(id, _)| id.clone());
        let (before, after) = (before.map(|(_, document)| document), after.map(|(_, document)| document));
        (before != after).then_some(Measured { id, before, after })
    };
    Ok(places.into_iter().filter_map(change).collect())
}

fn is_packed(bucket: &Document) -> bool {
    let columns = bucket.get_document("data").into_iter().flatten();
    columns.into_iter().any(|(_, column)| !matches!(column, Bson::Document(_)))
}

/// The measurements of a bucket. Each is told apart by its `_id`, or by its place where it has none.
fn measurements(bucket: Option<&Document>, meta: &str) -> BTreeMap<String, (Bson, Document)> {
    let mut rows: BTreeMap<&str, Document> = BTreeMap::new();
    let Some(bucket) = bucket else { return BTreeMap::new() };
    for (field, column) in bucket.get_document("data").into_iter().flatten() {
        for (place, value) in column.as_document().into_iter().flatten() {
            rows.entry(place).or_default().insert(field.clone(), value.clone());
        }
    }
    let common = bucket.get("meta");
    let told_apart = |(place, mut row): (&str, Document)| {
        row.extend(common.map(|common| (meta.to_owned(), common.clone())));
        let place = || Bson::Document(doc! { "bucket": bucket.get("_id").cloned(), "at": place });
        let id = row.get("_id").cloned().unwrap_or_else(place);
        (format!("{id:?}"), (id, row))
    };
    rows.into_iter().map(told_apart).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(numbers: &[i32]) -> Document {
        let column = |of: &dyn Fn(i32) -> Bson| {
            numbers.iter().enumerate().map(|(at, number)| (at.to_string(), of(*number))).collect::<Document>()
        };
        let data = doc! { "_id": column(&|number| number.into()), "n": column(&|number| (number * 10).into()) };
        doc! { "_id": "b", "control": { "version": 1 }, "meta": "s1", "data": data }
    }

    fn packed() -> Document {
        let column = Bson::Binary(mongodb::bson::Binary { subtype: 7.into(), bytes: vec![0] });
        doc! { "_id": "b", "control": { "version": 2 }, "meta": "s1", "data": { "n": column } }
    }

    #[test]
    fn a_bucket_is_its_measurements_in_whatever_order_they_came() {
        let (one, other) = (bucket(&[1, 2]), bucket(&[2, 1]));
        assert!(written("a.m", "sensor", Some(&one), Some(&other)).unwrap().is_empty());
        let more = bucket(&[1, 2, 3]);
        let after = Some(doc! { "_id": 3, "n": 30, "sensor": "s1" });
        let came = Measured { id: 3.into(), before: None, after };
        assert_eq!(written("a.m", "sensor", Some(&one), Some(&more)).unwrap(), [came]);
        let gone = written("a.m", "sensor", Some(&one), None).unwrap();
        assert!(gone.len() == 2 && gone.iter().all(|one| one.after.is_none()), "{gone:?}");
        let mut nameless = bucket(&[1]);
        nameless.get_document_mut("data").unwrap().remove("_id");
        let came = written("a.m", "sensor", None, Some(&nameless)).unwrap();
        assert_eq!(came[0].id, Bson::Document(doc! { "bucket": "b", "at": "0" }));
    }

    #[test]
    fn what_is_packed_is_not_guessed() {
        assert!(written("a.m", "sensor", Some(&bucket(&[1])), Some(&packed())).unwrap().is_empty());
        for (before, after) in [(None, Some(packed())), (Some(packed()), None), (Some(packed()), Some(packed()))] {
            let error = written("a.m", "sensor", before.as_ref(), after.as_ref()).unwrap_err();
            assert!(error.to_string().contains("measurements of a.m, which the server keeps packed"), "{error}");
        }
    }

    #[test]
    fn the_series_of_buckets_is_named_without_them() {
        assert_eq!(series_of("app.system.buckets.readings").as_deref(), Some("app.readings"));
        assert_eq!((series_of("app.readings"), series_of("app.system.views")), (None, None));
    }
}
