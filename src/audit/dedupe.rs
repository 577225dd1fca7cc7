//! Which elements of an array repeat an earlier one, by the profile's precedence of identity rules.

use mongodb::bson::{RawArray, RawBsonRef, RawDocument};
use rustc_hash::FxHashSet;

use super::ArraySpec;
use super::raw::{at, is_blank, push_bytes};

/// What came of looking at one array.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Elements {
    /// Elements in all.
    pub(super) total: usize,
    /// Positions of the elements that repeat an earlier one.
    pub(super) repeated: Vec<usize>,
}

/// Finds the elements that repeat an earlier one. The first is never among them, nor is an element without identity.
pub(super) fn repeated(spec: &ArraySpec, array: &RawArray) -> Elements {
    let mut seen = FxHashSet::default();
    let mut found = Elements::default();
    for element in array {
        let Ok(element) = element else { break };
        if let Some(identity) = element.as_document().and_then(|element| identity(spec, element))
            && !seen.insert(identity)
        {
            found.repeated.push(found.total);
        }
        found.total += 1;
    }
    found
}

/// The number of the first rule that the element fits, and the values of its fields.
pub(super) fn identity(spec: &ArraySpec, element: &RawDocument) -> Option<Vec<u8>> {
    let fits = |rule: &&Vec<String>| rule.iter().all(|field| !is_blank(at(element, field)));
    let (number, rule) = (0_u8..).zip(&spec.identity).find(|(_, rule)| fits(rule))?;
    let mut identity = vec![number];
    for field in rule {
        push_identity(at(element, field)?, &mut identity);
        identity.push(0xff);
    }
    Some(identity)
}

/// Numbers are equal by value: a driver may write `3` as an integer or as a double.
fn push_identity(value: RawBsonRef<'_>, identity: &mut Vec<u8>) {
    let number = match value {
        RawBsonRef::Int32(number) => Some(i64::from(number)),
        RawBsonRef::Int64(number) => Some(number),
        #[allow(clippy::cast_possible_truncation)]
        RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(number as i64),
        _ => None,
    };
    match number {
        Some(number) => push_bytes(RawBsonRef::Int64(number), identity),
        None => push_bytes(value, identity),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Document, RawDocumentBuf, doc};

    use super::*;
    use crate::audit::Profile;

    fn repeats(elements: Vec<Document>) -> Vec<usize> {
        let spec = Profile::load("messages").unwrap().array.unwrap();
        let document = RawDocumentBuf::try_from(&doc! { "a": elements }).unwrap();
        repeated(&spec, document.get_array("a").unwrap()).repeated
    }

    #[test]
    fn precedence_decides_what_an_element_is() {
        let merged = |merge: &str, index: i32| doc! { "mergeId": merge, "batchId": "b", "batchIndex": index };
        for (elements, expected) in [
            (vec![merged("m", 0), merged("m", 0)], vec![1]),
            (vec![merged("m", 0), merged("m", 1)], vec![1]),
            (vec![merged("m", 0), merged("n", 0)], vec![]),
            (vec![doc! { "batchId": "b", "batchIndex": 0 }, doc! { "batchId": "b", "batchIndex": 1 }], vec![]),
            (vec![doc! { "batchId": "b", "batchIndex": 1 }, doc! { "batchId": "b", "batchIndex": 1.0 }], vec![1]),
            (vec![doc! { "batchId": "b" }, doc! { "batchId": "b" }], vec![]),
            (vec![doc! { "imageId": "i" }, doc! { "imageId": "i", "mergeId": "m" }], vec![]),
            (vec![doc! { "imageId": "x" }, doc! { "videoId": "x" }, doc! { "imageUrl": "x" }], vec![]),
            (vec![doc! { "imageUrl": "u" }, doc! { "imageUrl": "u" }, doc! { "imageUrl": "u" }], vec![1, 2]),
            (vec![doc! { "imageId": "" }, doc! { "imageId": "" }], vec![]),
            (vec![doc! { "imageId": null }, doc! { "imageId": null }], vec![]),
            (vec![doc! { "imageId": "1" }, doc! { "imageId": 1 }], vec![]),
            (vec![doc! { "text": "hi" }, doc! { "text": "hi" }], vec![]),
        ] {
            assert_eq!(repeats(elements.clone()), expected, "{elements:?}");
        }
    }

    #[test]
    fn of_1648_with_1573_repeats_75_remain_and_they_are_the_first() {
        let elements = (0..1648).map(|n| doc! { "mergeId": format!("m{}", n % 75), "n": n }).collect();
        assert_eq!(repeats(elements), (75..1648).collect::<Vec<_>>());
    }
}
