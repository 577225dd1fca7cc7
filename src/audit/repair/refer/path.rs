//! References within one document: found and redirected along a path that may lead through arrays.

use mongodb::bson::{Bson, Document};
use serde_json::{Value, json};

use super::forms::Targets;
use crate::audit::Repeated;
use crate::audit::canon::same;
use crate::audit::inspect::shown;

/// The values at a path, as a query sees them: arrays are entered, one level at the end.
pub(in crate::audit::repair) fn values<'a>(document: &'a Document, path: &str) -> Vec<&'a Bson> {
    values_of(document, path, None)
}

/// The values at a path that may refer to what the targets are documents of.
pub(super) fn references<'a>(document: &'a Document, path: &str, targets: &Targets) -> Vec<&'a Bson> {
    values_of(document, path, Some(targets))
}

fn values_of<'a>(document: &'a Document, path: &str, targets: Option<&Targets>) -> Vec<&'a Bson> {
    let (first, rest) = split(path);
    let mut found = Vec::new();
    if let Some(value) = document.get(first)
        && targets.is_none_or(|targets| targets.may_be_in(document, first))
    {
        collect(value, rest, targets, &mut found);
    }
    found
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

fn collect<'a>(value: &'a Bson, rest: Option<&str>, targets: Option<&Targets>, found: &mut Vec<&'a Bson>) {
    match (value, rest) {
        (Bson::Array(elements), None) => found.extend(elements),
        (value, None) => found.push(value),
        (Bson::Document(inner), Some(rest)) => found.extend(values_of(inner, rest, targets)),
        (Bson::Array(elements), Some(rest)) => {
            for element in elements.iter().filter_map(Bson::as_document) {
                found.extend(values_of(element, rest, targets));
            }
            if let Some((position, beyond)) = position(elements, rest) {
                collect(&elements[position], beyond, targets, found);
            }
        }
        _ => {}
    }
}

/// The position in an array that a path names next, and the rest of the path.
fn position<'p>(elements: &[Bson], path: &'p str) -> Option<(usize, Option<&'p str>)> {
    let (first, rest) = split(path);
    let position = first.parse::<usize>().ok().filter(|position| position.to_string() == first)?;
    (position < elements.len()).then_some((position, rest))
}

/// What redirecting did to one document.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Changes {
    /// References that were redirected: from and to.
    pub(super) redirected: Vec<(Bson, Bson)>,
    /// Elements that were removed because an earlier one refers to the same document: as reports show them.
    pub(super) removed: Vec<Value>,
}

/// Redirects what a document refers to at a path. An array that held each id once holds each id once afterwards: of equal
/// elements the first stays; elements that differ otherwise are treated as `repeated` says. `Err` is a sentence.
pub(super) fn redirect(
    document: &mut Document,
    path: &str,
    targets: &Targets,
    repeated: Repeated,
    changes: &mut Changes,
) -> Result<(), String> {
    let (first, rest) = split(path);
    if !targets.may_be_in(document, first) {
        return Ok(());
    }
    match document.get_mut(first) {
        Some(value) => redirect_value(value, rest, targets, repeated, changes),
        None => Ok(()),
    }
}

fn redirect_value(
    value: &mut Bson,
    rest: Option<&str>,
    targets: &Targets,
    repeated: Repeated,
    changes: &mut Changes,
) -> Result<(), String> {
    match (value, rest) {
        (Bson::Document(inner), Some(rest)) => redirect(inner, rest, targets, repeated, changes),
        (Bson::Array(elements), rest) => {
            let before = changes.redirected.len();
            let was_set = is_set(elements, rest, targets);
            for element in elements.iter_mut() {
                match (&mut *element, rest) {
                    (Bson::Document(inner), Some(rest)) => redirect(inner, rest, targets, repeated, changes)?,
                    (_, None) => replace(element, targets, changes)?,
                    _ => {}
                }
            }
            if let Some((position, beyond)) = rest.and_then(|rest| position(elements, rest)) {
                redirect_value(&mut elements[position], beyond, targets, repeated, changes)?;
            } else if was_set && changes.redirected.len() > before {
                collapse(elements, rest, targets, repeated, changes)?;
            }
            Ok(())
        }
        (value, None) => replace(value, targets, changes),
        _ => Ok(()),
    }
}

fn replace(value: &mut Bson, targets: &Targets, changes: &mut Changes) -> Result<(), String> {
    if let Some((duplicate, keeper, written)) = targets.target(value)? {
        changes.redirected.push((duplicate.clone(), keeper.clone()));
        *value = written.clone();
    }
    Ok(())
}

/// The ids that the elements of an array refer to, by position; those of elements that refer to several, or to them
/// through a further array, are left out: the array that counts is the innermost.
fn ids(elements: &[Bson], rest: Option<&str>, targets: &Targets) -> Vec<(usize, String)> {
    let id = |element: &Bson| match rest {
        None => (!matches!(element, Bson::Array(_) | Bson::Null)).then(|| targets.meaning(element)),
        Some(rest) => single(element.as_document()?, rest, targets).map(|value| targets.meaning(value)),
    };
    elements.iter().enumerate().filter_map(|(position, element)| Some((position, id(element)?))).collect()
}

/// The value at a path that leads through no array.
fn single<'a>(document: &'a Document, path: &str, targets: &Targets) -> Option<&'a Bson> {
    let (first, rest) = split(path);
    if !targets.may_be_in(document, first) {
        return None;
    }
    match (document.get(first)?, rest) {
        (Bson::Array(_) | Bson::Null, _) => None,
        (value, None) => Some(value),
        (Bson::Document(inner), Some(rest)) => single(inner, rest, targets),
        _ => None,
    }
}

fn is_set(elements: &[Bson], rest: Option<&str>, targets: &Targets) -> bool {
    let mut names: Vec<String> = ids(elements, rest, targets).into_iter().map(|(_, name)| name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    names.len() == all
}

/// Leaves of the elements that refer to one document the first.
fn collapse(
    elements: &mut Vec<Bson>,
    rest: Option<&str>,
    targets: &Targets,
    repeated: Repeated,
    changes: &mut Changes,
) -> Result<(), String> {
    let mut first: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    let mut gone = Vec::new();
    for (position, name) in ids(elements, rest, targets) {
        let Some(&earlier) = first.get(&name) else {
            first.insert(name, position);
            continue;
        };
        let equal = rest.is_none() || same(&elements[earlier], &elements[position]);
        if equal || repeated == Repeated::First {
            let what = if equal { "repeats" } else { "differs" };
            changes
                .removed
                .push(json!({ "element": shown(&elements[position]), "kept": shown(&elements[earlier]), "why": what }));
            gone.push(position);
        } else if repeated == Repeated::Refuse {
            return Err(format!(
                "it would hold it twice, in elements that differ: {} and {}; `repeated` says what to do",
                elements[earlier], elements[position]
            ));
        }
    }
    for position in gone.into_iter().rev() {
        elements.remove(position);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    fn redirected(document: Document, path: &str, repeated: Repeated) -> Result<(Document, usize, usize), String> {
        let targets = Targets::new([(&"b".into(), &"a".into()), (&"c".into(), &"a".into())], &[]);
        let (mut document, mut changes) = (document, Changes::default());
        redirect(&mut document, path, &targets, repeated, &mut changes)?;
        Ok((document, changes.redirected.len(), changes.removed.len()))
    }

    #[test]
    fn references_are_redirected_wherever_the_path_leads() {
        for (document, path, expected, redirects, removed) in [
            (doc! { "f": "b" }, "f", doc! { "f": "a" }, 1, 0),
            (doc! { "f": null }, "f", doc! { "f": null }, 0, 0),
            (doc! { "g": "b" }, "f", doc! { "g": "b" }, 0, 0),
            (doc! { "f": { "g": "c" } }, "f.g", doc! { "f": { "g": "a" } }, 1, 0),
            (doc! { "f": ["z", "b"] }, "f", doc! { "f": ["z", "a"] }, 1, 0),
            (doc! { "f": ["b", "z", "a", "c"] }, "f", doc! { "f": ["a", "z"] }, 2, 2),
            (doc! { "f": ["b", "b"] }, "f", doc! { "f": ["a", "a"] }, 2, 0),
            (doc! { "f": [["b"]] }, "f", doc! { "f": [["b"]] }, 0, 0),
            (doc! { "f": ["b", "b"] }, "f.1", doc! { "f": ["b", "a"] }, 1, 0),
            (doc! { "f": ["a", "b"] }, "f.1", doc! { "f": ["a", "a"] }, 1, 0),
            (doc! { "f": [{ "g": "b" }, { "g": "b" }] }, "f.0.g", doc! { "f": [{ "g": "a" }, { "g": "b" }] }, 1, 0),
            (doc! { "f": [["b"]] }, "f.0", doc! { "f": [["a"]] }, 1, 0),
            (doc! { "f": { "1": "b" } }, "f.1", doc! { "f": { "1": "a" } }, 1, 0),
            (doc! { "f": [{ "g": "b", "r": 1 }, 5] }, "f.g", doc! { "f": [{ "g": "a", "r": 1 }, 5] }, 1, 0),
            (doc! { "f": [{ "g": "b" }, { "g": "c" }] }, "f.g", doc! { "f": [{ "g": "a" }] }, 2, 1),
            (
                doc! { "f": [{ "g": ["b", "c"] }, { "g": ["c"] }] },
                "f.g",
                doc! { "f": [{ "g": ["a"] }, { "g": ["a"] }] },
                3,
                1,
            ),
            (
                doc! { "f": [{ "g": [{ "h": "b" }] }, { "g": [{ "h": "a" }] }] },
                "f.g.h",
                doc! { "f": [{ "g": [{ "h": "a" }] }, { "g": [{ "h": "a" }] }] },
                1,
                0,
            ),
        ] {
            let found = redirected(document.clone(), path, Repeated::Refuse).unwrap();
            assert_eq!(found, (expected, redirects, removed), "{document}");
        }
    }

    #[test]
    fn the_id_within_a_dbref_refers_to_the_collection_that_it_names() {
        let targets = Targets::new([(&"b".into(), &"a".into())], &[]).of("d", "c");
        for (reference, redirects) in [
            (doc! { "$ref": "c", "$id": "b" }, true),
            (doc! { "$ref": "c", "$id": "b", "$db": "d" }, true),
            (doc! { "$ref": "c", "$id": "b", "$db": null }, true),
            (doc! { "$id": "b" }, true),
            (doc! { "$ref": "other", "$id": "b" }, false),
            (doc! { "$ref": "c", "$id": "b", "$db": "other" }, false),
            (doc! { "$ref": 1, "$id": "b" }, false),
        ] {
            for before in [doc! { "f": &reference }, doc! { "f": [&reference, { "$ref": "other", "$id": "a" }] }] {
                let (mut document, mut changes) = (before.clone(), Changes::default());
                redirect(&mut document, "f.$id", &targets, Repeated::Refuse, &mut changes).unwrap();
                assert_eq!((document != before, changes.redirected.len() == 1), (redirects, redirects), "{before}");
                let known: Vec<_> =
                    references(&before, "f.$id", &targets).into_iter().filter_map(|id| targets.duplicate(id)).collect();
                assert_eq!(known.len() == 1, redirects, "{before}");
            }
        }
    }

    #[test]
    fn elements_that_differ_are_not_dropped_unless_the_profile_says_so() {
        let document = doc! { "f": [{ "g": "a", "r": "owner" }, { "g": "b", "r": "helper" }] };
        let refused = redirected(document.clone(), "f.g", Repeated::Refuse).unwrap_err();
        assert!(refused.contains("elements that differ"), "{refused}");
        let first = redirected(document.clone(), "f.g", Repeated::First).unwrap();
        assert_eq!(first, (doc! { "f": [{ "g": "a", "r": "owner" }] }, 1, 1));
        let both = redirected(document, "f.g", Repeated::Both).unwrap();
        assert_eq!((both.0.get_array("f").unwrap().len(), both.2), (2, 0));
    }

    #[test]
    fn values_are_found_as_a_query_finds_them() {
        let document = doc! { "f": [{ "g": ["x", "y"] }, { "g": "z" }, 7], "s": "t" };
        assert_eq!(values(&document, "f.g"), [&Bson::from("x"), &"y".into(), &"z".into()]);
        assert_eq!(values(&document, "s"), [&Bson::from("t")]);
        assert_eq!(values(&document, "s.u"), [] as [&Bson; 0]);
    }
}
