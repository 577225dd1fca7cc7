//! Paths of fields, as MongoDB resolves them in a query: names joined by dots, through sub-documents and through the
//! elements of lists.

use mongodb::bson::{Bson, Document};
use serde_json::Value as Json;

/// What a path leads to.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'a> {
    Nothing,
    One(&'a Bson),
    /// The values in the elements of a list.
    Several(Vec<&'a Bson>),
}

/// What a path leads to in a document.
pub(super) fn at<'a>(document: &'a Document, path: &str) -> Found<'a> {
    let parts: Vec<&str> = path.split('.').collect();
    let mut found = Vec::new();
    let several = in_document(document, &parts, &mut found);
    match found.as_slice() {
        [] => Found::Nothing,
        [one] if !several => Found::One(one),
        _ => Found::Several(found),
    }
}

/// The one value that a path leads to.
pub(super) fn one<'a>(document: &'a Document, path: &str) -> Option<&'a Bson> {
    match at(document, path) {
        Found::One(value) => Some(value),
        Found::Several(values) => values.first().copied(),
        Found::Nothing => None,
    }
}

/// Whether it went through the elements of a list.
fn in_document<'a>(document: &'a Document, parts: &[&str], found: &mut Vec<&'a Bson>) -> bool {
    let Some((first, rest)) = parts.split_first() else { return false };
    document.get(first).is_some_and(|value| in_value(value, rest, found))
}

fn in_value<'a>(value: &'a Bson, parts: &[&str], found: &mut Vec<&'a Bson>) -> bool {
    match (value, parts) {
        (value, []) => {
            found.push(value);
            false
        }
        (Bson::Document(document), parts) => in_document(document, parts, found),
        (Bson::Array(items), [first, rest @ ..]) => {
            if let Some(item) = first.parse::<usize>().ok().and_then(|at| items.get(at)) {
                return in_value(item, rest, found);
            }
            for document in items.iter().filter_map(Bson::as_document) {
                in_document(document, parts, found);
            }
            true
        }
        _ => false,
    }
}

/// Takes the list at a path out of a document that is shown.
pub(super) fn take_list(fields: &mut Json, path: &str) -> Option<Vec<Json>> {
    let (parents, last) = match path.rsplit_once('.') {
        Some((parents, last)) => (Some(parents), last),
        None => (None, path),
    };
    let mut parent = fields;
    for name in parents.into_iter().flat_map(|parents| parents.split('.')) {
        parent = match parent {
            Json::Object(object) => object.get_mut(name)?,
            Json::Array(items) => items.get_mut(name.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    let object = parent.as_object_mut()?;
    if !object.get(last).is_some_and(Json::is_array) {
        return None;
    }
    match object.remove(last) {
        Some(Json::Array(list)) => Some(list),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_where_the_server_would_look() {
        let document = doc! {
            "a": 1, "b": { "c": { "d": "x" } }, "list": [{ "u": "p" }, { "u": "q" }, { "v": 1 }, 3], "n": null,
        };
        let texts = |path: &str| match at(&document, path) {
            Found::Nothing => "nothing".to_owned(),
            Found::One(value) => value.to_string(),
            Found::Several(values) => values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        let cases = [
            ("a", "1"),
            ("b.c.d", "\"x\""),
            ("b.c.e", "nothing"),
            ("a.b", "nothing"),
            ("b.d", "nothing"),
            ("list.u", "\"p\" \"q\""),
            ("list.v", "1"),
            ("list.0.u", "\"p\""),
            ("list.3", "3"),
            ("list.9.u", "nothing"),
            ("n", "null"),
        ];
        for (path, expected) in cases {
            assert_eq!(texts(path), expected, "{path}");
        }
        assert!(matches!(at(&document, "list.v"), Found::Several(_)), "one element of a list is still one of several");
    }

    #[test]
    fn a_list_is_taken_from_wherever_it_is() {
        let mut fields = json!({ "chat": { "log": [1, 2], "n": 1 }, "plain": [3], "no": 1 });
        assert_eq!(take_list(&mut fields, "chat.log"), Some(vec![json!(1), json!(2)]));
        assert_eq!(take_list(&mut fields, "plain"), Some(vec![json!(3)]));
        for path in ["no", "chat.log", "no.log", "x.y"] {
            assert_eq!(take_list(&mut fields, path), None, "{path}");
        }
        assert_eq!(fields, json!({ "chat": { "n": 1 }, "no": 1 }));
    }
}
