//! What the answers to a request and to its repetition tell together.

use serde_json::Value as Json;

use super::documents::{json_path, leaves, path_of, plain};
use super::finding::{Kind, Reply};

/// Fields by which an answer says that something went wrong.
const ERRORS: [&str; 6] = ["errors", "error", "usererrors", "err", "reason", "message"];

/// What a request is, where its database is out of reach, by what it and its repetition were answered.
pub(super) fn by_answers(first: &Reply, again: &Reply) -> Kind {
    match again.status {
        status if !(200..300).contains(&status) => Kind::Unique(status),
        _ if first.status != again.status || flag(first, again).is_some() => Kind::CreateOrGet,
        _ => Kind::Nothing,
    }
}

/// Where two answers name the same document.
pub(super) fn same_id(first: &Reply, again: &Reply) -> Option<String> {
    let (first, again) = (first.json.as_ref()?, again.json.as_ref()?);
    let is_id = |(path, leaf): &(Vec<String>, &Json)| {
        let named = path.last().is_some_and(|name| matches!(name.as_str(), "_id" | "id"));
        named && plain(leaf).is_some_and(|id| path_of(again, &id) == Some(json_path(path)))
    };
    leaves(first).into_iter().find(is_id).map(|(path, _)| json_path(&path))
}

/// Where the answer to a repetition says that it was refused: it has an error that the first has not, and names no document.
pub(super) fn refusal(first: &Reply, again: &Reply, id: Option<&str>) -> Option<String> {
    let (first, again) = (leaves(first.json.as_ref()?), leaves(again.json.as_ref()?));
    if again.iter().any(|(path, leaf)| Some(json_path(path).as_str()) == id && !leaf.is_null()) {
        return None;
    }
    again.iter().find_map(|(path, leaf)| {
        let is_new = !leaf.is_null() && !first.iter().any(|(at, leaf)| at == path && !leaf.is_null());
        let named = path.iter().position(|name| ERRORS.contains(&name.to_ascii_lowercase().as_str()))?;
        is_new.then(|| json_path(&path[..=named]))
    })
}

/// Where two answers say that one created and the other did not.
pub(super) fn flag(first: &Reply, again: &Reply) -> Option<(&'static str, String)> {
    let (first, again) = (first.json.as_ref()?, again.json.as_ref()?);
    let other = leaves(again);
    leaves(first).into_iter().find_map(|(path, leaf)| {
        let same = other.iter().find(|(at, _)| *at == path).map(|(_, leaf)| *leaf);
        match (leaf, same?) {
            (Json::Bool(true), Json::Bool(false)) => Some(("created", json_path(&path))),
            (Json::Bool(false), Json::Bool(true)) => Some(("existing", json_path(&path))),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_that_only_the_body_tells_is_an_error_in_place_of_the_document() {
        let reply = |json: Json| Reply { status: 200, json: Some(json), ..Reply::default() };
        let first = reply(json!({ "data": { "id": 7 }, "errors": [], "message": null }));
        let cases = [
            (json!({ "data": null, "errors": [{ "text": "taken" }] }), Some("$.errors")),
            (json!({ "data": { "error": { "code": 3 } }, "errors": [] }), Some("$.data.error")),
            (json!({ "ok": false, "message": "taken" }), Some("$.message")),
            // It names a document, or no error.
            (json!({ "data": { "id": 7 }, "errors": ["slow"] }), None),
            (json!({ "data": { "id": null }, "errors": [] }), None),
        ];
        for (again, expected) in cases {
            let found = refusal(&first, &reply(again.clone()), Some("$.data.id"));
            assert_eq!(found.as_deref(), expected, "{again}");
        }
    }
}
