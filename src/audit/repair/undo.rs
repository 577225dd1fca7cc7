//! What a document is without a repair's changes. Pure functions.

use mongodb::bson::{Bson, Document};

use super::change::{Since, array, since};
use super::merging::value::identical;

/// The document with each field that still is as the repair wrote it put back.
pub(super) fn undone(before: &Document, changed: &Document, now: &Document) -> Result<Document, &'static str> {
    // A NaN is not equal to itself.
    let one = |left: &Bson, right: &Bson| left == right || identical(left, right);
    let mut values = now.clone();
    for (field, written) in changed {
        let found = now.get(field);
        let wanted = match (found, written, before.get(field)) {
            (Some(found), _, Some(before)) if one(found, before) => continue,
            (None, _, None) => continue,
            (Some(found), written, wanted) if one(found, written) => wanted.cloned(),
            (Some(Bson::Array(_)), Bson::Array(written), _) => {
                let (Some(were), Some(now)) = (array(before, field), array(now, field)) else {
                    return Err("has other fields since");
                };
                match since(were, written, now) {
                    Since::Changed(appended) => Some(Bson::Array([were, appended].concat())),
                    Since::Unchanged => continue,
                    Since::Edited => return Err("was edited since"),
                }
            }
            // The service gave the field a value of its own since: it stays.
            _ => continue,
        };
        match wanted {
            Some(wanted) => values.insert(field, wanted),
            None => values.remove(field),
        };
    }
    Ok(in_order_of(before, values))
}

/// The fields in the order that they had before, then those that are new.
pub(super) fn in_order_of(before: &Document, mut values: Document) -> Document {
    let mut ordered = Document::new();
    for field in before.keys() {
        if let Some(value) = values.remove(field) {
            ordered.insert(field, value);
        }
    }
    ordered.extend(values);
    ordered
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn only_the_repairs_own_changes_are_undone() {
        let before = doc! { "_id": 1, "p": ["a"], "m": [1, 2] };
        let changed = doc! { "k": "a", "m": [1, 7, 2] };
        for (now, expected) in [
            (doc! { "_id": 1, "p": ["a"], "m": [1, 7, 2], "k": "a" }, Ok(before.clone())),
            (
                doc! { "_id": 1, "p": ["a"], "m": [1, 7, 2, 9], "k": "a" },
                Ok(doc! { "_id": 1, "p": ["a"], "m": [1, 2, 9] }),
            ),
            (
                doc! { "_id": 1, "p": ["z"], "m": [1, 7, 2], "k": "z", "n": 1 },
                Ok(doc! { "_id": 1, "p": ["z"], "m": [1, 2], "k": "z", "n": 1 }),
            ),
            (doc! { "_id": 1, "p": ["a"], "m": [7, 2], "k": "a" }, Err("was edited since")),
            (doc! { "k": "a", "m": [1, 7, 2], "p": ["a"], "_id": 1 }, Ok(before.clone())),
            (before.clone(), Ok(before.clone())),
        ] {
            let found = undone(&before, &changed, &now);
            assert_eq!(found, expected, "{now}");
            let order = |document: &Document| document.keys().cloned().collect::<Vec<_>>();
            assert_eq!(found.as_ref().map(order), expected.as_ref().map(order), "{now}");
        }
        let nan = doc! { "n": f64::NAN };
        assert_eq!(undone(&doc! { "n": 1 }, &nan, &nan), Ok(doc! { "n": 1 }));
    }
}
