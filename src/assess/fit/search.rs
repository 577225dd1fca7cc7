//! Where a value really is, in a document or in an answer.

use serde_json::Value as Json;

/// Where a text was found.
#[derive(Debug, PartialEq)]
pub(super) struct Place {
    /// Path of the field: `chat.key`, `list.0.user`.
    pub(super) path: String,
    /// What the field holds.
    pub(super) holds: String,
    /// It is that text, and not only part of it.
    pub(super) whole: bool,
}

/// The first field that holds one of these texts: as it is, or else as a part.
pub(super) fn find(json: &Json, texts: &[&str]) -> Option<Place> {
    let mut places = Vec::new();
    walk(json, String::new(), texts, &mut places);
    let whole = places.iter().position(|place| place.whole);
    (!places.is_empty()).then(|| places.swap_remove(whole.unwrap_or(0)))
}

fn walk(json: &Json, path: String, texts: &[&str], places: &mut Vec<Place>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match json {
        Json::Object(object) => match object.get("$oid").and_then(Json::as_str) {
            Some(id) if object.len() == 1 => note(id, path, texts, places),
            _ => object.iter().for_each(|(name, value)| walk(value, below(name), texts, places)),
        },
        Json::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                walk(item, below(&at.to_string()), texts, places);
            }
        }
        Json::String(text) => note(text, path, texts, places),
        Json::Number(number) => note(&number.to_string(), path, texts, places),
        Json::Null | Json::Bool(_) => {}
    }
}

fn note(holds: &str, path: String, texts: &[&str], places: &mut Vec<Place>) {
    let whole = texts.contains(&holds);
    // A short text is a part of many others.
    let part = || texts.iter().any(|text| text.len() > 5 && holds.contains(text));
    if whole || part() {
        places.push(Place { path, holds: holds.to_owned(), whole });
    }
}

/// Whether a text is anywhere in it.
pub(super) fn mentions(json: &Json, text: &str) -> bool {
    find(json, &[text]).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_is_found_where_it_is_and_rather_whole_than_in_part() {
        let document = json!({
            "_id": { "$oid": "65a1b2c3d4e5f60718293a4b" }, "key": "x-rabc.p0", "in": [{ "pair": "rabc.p0" }], "n": 7,
        });
        let cases = [
            ("rabc.p0", Some(("in.0.pair", true))),
            ("65a1b2c3d4e5f60718293a4b", Some(("_id", true))),
            ("x-rabc", Some(("key", false))),
            ("7", Some(("n", true))),
            ("p0", None),
            ("nowhere", None),
        ];
        for (text, expected) in cases {
            let found = find(&document, &[text]);
            assert_eq!(found.as_ref().map(|place| (place.path.as_str(), place.whole)), expected, "{text}");
        }
    }
}
