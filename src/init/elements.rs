//! What a request adds to a list, by its effects: where the element is, and which value of the request it is. Main type:
//! [`Added`].

use serde_json::Value as Json;

use super::documents::{Delta, Growth, leaves, plain};
use crate::import::Sample;

/// An element that each request of this kind leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The list, and the field in its items: `messages.text`.
    pub place: String,
    /// The value of the request that is found there.
    pub literal: String,
    /// One document of its key took all requests that were sent.
    pub single: bool,
}

impl Added {
    /// What every element of a trial begins with: a letter, so that no other text of the service is taken for one.
    pub(super) const FORM: &'static str = "e";

    /// What an operation leaves, as a template.
    pub fn template() -> String {
        format!("{}{{{{ op.id }}}}", Self::FORM)
    }
}

/// The values that are found once, as they are, in what was added to a list.
pub(super) fn candidates(delta: &Delta, sample: &Sample, fresh: &[&str]) -> Vec<Added> {
    let mut found = Vec::new();
    for candidate in super::values::candidates(sample) {
        if !candidate.is_text() || fresh.contains(&candidate.literal.as_str()) {
            continue;
        }
        for growth in &delta.grown {
            found.extend(place(growth, &candidate.literal).map(|place| Added {
                place,
                literal: candidate.literal.clone(),
                single: false,
            }));
        }
    }
    found
}

/// Whether this value was added once, at this place.
pub(super) fn is_added(delta: &Delta, place_of: &str, value: &str) -> bool {
    delta.grown.iter().any(|growth| place(growth, value).as_deref() == Some(place_of))
}

/// Where the value stands in what was added, if it stands there once.
fn place(growth: &Growth, value: &str) -> Option<String> {
    let added: Vec<&Json> = growth.added.iter().collect();
    let mut places = added.into_iter().flat_map(leaves).filter(|(_, leaf)| plain(leaf).as_deref() == Some(value));
    let (path, _) = places.next()?;
    if places.next().is_some() {
        return None;
    }
    // Lists within lists are led through by their names alone.
    let names = path.into_iter().filter(|name| !name.bytes().all(|byte| byte.is_ascii_digit()));
    Some(std::iter::once(growth.list.clone()).chain(names).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::documents::State;
    use super::*;
    use crate::import::Body;

    fn state(items: &Json) -> State {
        let document = json!({ "_id": 1, "user": "ann", "cart": { "items": items } });
        [("run.carts".to_owned(), [("1".to_owned(), document)].into())].into()
    }

    fn found(before: &Json, after: &Json) -> Vec<String> {
        let body = Body::Json(json!({ "sku": "shoe", "user": "ann", "note": "red" }));
        let sample = Sample { body, ..Sample::default() };
        let delta = Delta::between(&state(before), &state(after));
        candidates(&delta, &sample, &["ann"])
            .into_iter()
            .map(|added| format!("{}={}", added.place, added.literal))
            .collect()
    }

    #[test]
    fn a_value_that_was_added_once_to_a_list_is_an_element() {
        let cases: [(Json, Json, &[&str]); 7] = [
            (json!([]), json!(["shoe"]), &["cart.items=shoe"]),
            (json!(["shoe"]), json!(["shoe", "shoe"]), &["cart.items=shoe"]),
            (json!([]), json!([{ "op": 1, "sku": "shoe" }]), &["cart.items.sku=shoe"]),
            (json!([]), json!([{ "sku": "shoe", "by": "ann" }, { "text": "you took shoe" }]), &["cart.items.sku=shoe"]),
            // Twice in one addition, changed in place, or the key itself: nothing that could be counted.
            (json!([]), json!([{ "sku": "shoe" }, { "sku": "shoe" }]), &[]),
            (json!(["hat"]), json!(["shoe", "hat"]), &[]),
            (json!([]), json!(["ann"]), &[]),
        ];
        for (before, after, expected) in cases {
            assert_eq!(found(&before, &after), expected, "{before} to {after}");
        }
    }
}
