//! Which elements of an array repeat an earlier one, by the profile's precedence of identity rules.

use mongodb::bson::{RawArray, RawBsonRef};
use rustc_hash::FxHashMap;

use super::canon::{Texts, push};
use super::raw::{at, is_blank};
use super::{ArraySpec, IdentityRule};

/// What came of looking at one array.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Elements {
    /// Elements in all.
    pub(super) total: usize,
    /// Elements that a rule of identity fits; the others cannot be told apart.
    pub(super) identified: usize,
    /// Positions of the elements that repeat an earlier one, each with that of the first.
    pub(super) repeated: Vec<(usize, usize)>,
}

/// Finds the elements that repeat an earlier one. The first is never among them, nor is an element without identity.
pub(super) fn repeated(spec: &ArraySpec, array: &RawArray) -> Elements {
    let mut seen = FxHashMap::default();
    let mut found = Elements::default();
    for element in array {
        let Ok(element) = element else { break };
        if let Some(identity) = identity(spec, element) {
            found.identified += 1;
            let first = *seen.entry(identity).or_insert(found.total);
            if first < found.total {
                found.repeated.push((found.total, first));
            }
        }
        found.total += 1;
    }
    found
}

/// The number of the first rule that the element fits, and the values that the rule reads. Numbers are equal by value: a
/// driver may write `3` as an integer or as a double.
pub(super) fn identity(spec: &ArraySpec, element: RawBsonRef<'_>) -> Option<Vec<u8>> {
    let fits = |rule: &&IdentityRule| match rule {
        IdentityRule::Element => !is_blank(Some(element)),
        IdentityRule::Fields(fields) => {
            element.as_document().is_some_and(|element| fields.iter().all(|field| !is_blank(at(element, field))))
        }
    };
    let (number, rule) = (0_u8..).zip(&spec.identity).find(|(_, rule)| fits(rule))?;
    let mut identity = vec![number];
    match rule {
        IdentityRule::Element => push(element, Texts::Exact, &mut identity),
        IdentityRule::Fields(fields) => {
            for field in fields {
                push(at(element.as_document()?, field)?, Texts::Exact, &mut identity);
            }
        }
    }
    Some(identity)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};

    use super::*;
    use crate::audit::Profile;

    fn repeats(elements: Vec<Document>) -> Vec<usize> {
        let spec = Profile::load("messages").unwrap().array.unwrap();
        let document = RawDocumentBuf::try_from(&doc! { "a": elements }).unwrap();
        repeated(&spec, document.get_array("a").unwrap()).repeated.into_iter().map(|(at, _)| at).collect()
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
    fn an_element_may_be_its_own_identity() {
        let profile = "name='x'\ncollection='c'\n[array]\nfield='a'\nidentity='element'";
        let spec = Profile::parse(profile, "test").unwrap().array.unwrap();
        let elements: Vec<Bson> = vec![
            "x".into(),
            1.into(),
            1.0.into(),
            "x".into(),
            Bson::Null,
            Bson::Null,
            "X".into(),
            doc! { "a": 1, "b": 2 }.into(),
            doc! { "b": 2, "a": 1 }.into(),
            doc! { "a": 1_i64, "b": 2.0 }.into(),
            vec![1, 2].into(),
            vec![1, 2].into(),
        ];
        let document = RawDocumentBuf::try_from(&doc! { "a": elements }).unwrap();
        let found = repeated(&spec, document.get_array("a").unwrap());
        assert_eq!(found, Elements { total: 12, identified: 10, repeated: vec![(2, 1), (3, 0), (9, 7), (11, 10)] });
    }

    #[test]
    fn of_1648_with_1573_repeats_75_remain_and_they_are_the_first() {
        let elements = (0..1648).map(|n| doc! { "mergeId": format!("m{}", n % 75), "n": n }).collect();
        assert_eq!(repeats(elements), (75..1648).collect::<Vec<_>>());
    }
}
