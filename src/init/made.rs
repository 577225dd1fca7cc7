//! The document that a request made, and the field of it that holds the key. Main type: [`Made`].

use serde_json::Value as Json;

use super::documents::{Delta, as_names, leaves, plain};
use super::finding::{Prior, TELLING};

/// A document that came into being.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its database.
    pub database: String,
    /// Its collection.
    pub collection: String,
    /// The field that holds the key, dotted.
    pub field: String,
    /// What the field holds, where it is not the key itself.
    pub stored: Option<String>,
}

/// How the names of databases begin that trials have for themselves.
pub(crate) const TRIAL: &str = "onlyone_init_";

impl Made {
    fn stands_where(&self, other: &Made) -> bool {
        (&self.database, &self.collection, &self.field) == (&other.database, &other.collection, &other.field)
    }

    /// Whether it is in a database whose name another run does not have: one of each tenant, called after the trial's own.
    pub(super) fn is_of_the_trial(&self) -> bool {
        self.database.contains(TRIAL)
    }
}

fn in_collection(namespace: &str, field: String, stored: Option<String>) -> Made {
    let (database, collection) = namespace.split_once('.').unwrap_or(("", namespace));
    Made { database: database.to_owned(), collection: collection.to_owned(), field, stored }
}

/// The one document that holds one of these values, and the field that does: as it is, else within a longer text. Of several
/// collections the one that the route is called after comes first; one of which a request makes several such documents is none.
pub(super) fn made<'d>(delta: &'d Delta, values: &[(String, String)], segments: &[String]) -> Option<(&'d Json, Made)> {
    let all = holding(delta, values);
    let is_alone = |one: &Made| all.iter().filter(|(.., other)| other.stands_where(one)).count() == 1;
    let is_named = |made: &Made| segments.iter().any(|segment| segment.eq_ignore_ascii_case(&made.collection));
    let alone = all.iter().filter(|(.., made)| is_alone(made));
    let (_, document, made) = alone.min_by_key(|(exactly, _, made)| (!exactly, !is_named(made)))?;
    Some((document, made.clone()))
}

/// Whether something was made that holds the value.
pub(super) fn holds(delta: &Delta, value: String) -> bool {
    !holding(delta, &[(value, String::new())]).is_empty()
}

/// Documents that hold one of these values, each with the first field that does, and whether it holds nothing else.
fn holding<'d>(delta: &'d Delta, values: &[(String, String)]) -> Vec<(bool, &'d Json, Made)> {
    // A collection that is called after a value is another one each time.
    let is_called_after = |namespace: &str, value: &str| {
        as_names(value).iter().any(|name| name.len() >= TELLING && namespace.contains(name))
    };
    let lasting = |namespace: &str| !values.iter().any(|(value, _)| is_called_after(namespace, value));
    let inserted = delta.inserted.iter().filter(|(namespace, _)| lasting(namespace));
    inserted.filter_map(|(namespace, document)| held(namespace, document, values)).collect()
}

fn held<'d>(namespace: &str, document: &'d Json, values: &[(String, String)]) -> Option<(bool, &'d Json, Made)> {
    let mut within = None;
    for (path, leaf) in leaves(document) {
        let Some(text) = plain(leaf) else { continue };
        for (value, template) in values {
            let made = |stored: String| {
                let stored = Some(stored).filter(|stored| stored != "{{ key }}");
                in_collection(namespace, path.join("."), stored)
            };
            // An identifier that a service makes up may be a small number, which stands in many places.
            let captured = Prior::is_captured(template);
            let is_named = value.len() >= TELLING || path.last().is_some_and(|name| is_identifier(name));
            if text == *value && (!captured || is_named) {
                return Some((true, document, made(template.clone())));
            }
            if within.is_none() && !captured && text.contains(value.as_str()) {
                within = Some((false, document, made(with_templates(&text, values))));
            }
        }
    }
    within
}

fn is_identifier(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("id") || name.ends_with("ref")
}

/// A text with every value that stands in it as its template; the longest first, as one may begin like another.
fn with_templates(text: &str, values: &[(String, String)]) -> String {
    let mut values: Vec<&(String, String)> = values.iter().collect();
    values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    values.into_iter().fold(text.to_owned(), |text, (value, template)| text.replace(value.as_str(), template))
}

/// The field that holds both names: a text, sorted, or a list of the two.
pub(super) fn made_of_pair(delta: &Delta, a: &str, b: &str) -> Option<Made> {
    for (namespace, document) in &delta.inserted {
        let Some(fields) = document.as_object() else { continue };
        for (name, value) in fields {
            let Some(text) = value.as_str() else { continue };
            let Some((before, rest)) = text.split_once(a) else { continue };
            let Some((between, after)) = rest.split_once(b) else { continue };
            let joined = if between == "_" {
                "{{ key }}".to_owned()
            } else {
                format!("{{{{ key | replace(\"_\", {}) }}}}", Json::from(between))
            };
            let stored = Some(format!("{before}{joined}{after}")).filter(|stored| stored != "{{ key }}");
            return Some(in_collection(namespace, name.clone(), stored));
        }
        for (name, value) in fields {
            let names: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
            if names.len() == 2 && names.contains(&a) && names.contains(&b) {
                return Some(in_collection(namespace, name.clone(), None));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_one_document_is_that_of_the_route_and_what_comes_by_the_dozen_is_none() {
        let of = |collections: &[&str], segments: &[&str]| {
            let inserted = collections.iter().map(|name| (format!("run.{name}"), json!({ "_id": 7, "ref": "n1" })));
            let delta = Delta { inserted: inserted.collect(), ..Delta::default() };
            let segments: Vec<String> = segments.iter().map(|segment| (*segment).to_owned()).collect();
            let found = made(&delta, &[("n1".to_owned(), "{{ key }}".to_owned())], &segments);
            (found.map(|(_, made)| made.collection), holds(&delta, "n1".to_owned()))
        };
        let one = |name: &str| (Some(name.to_owned()), true);
        assert_eq!(of(&["access", "orders"], &["orders"]), one("orders"));
        assert_eq!(of(&["access", "orders"], &["buy"]), one("access"));
        assert_eq!(of(&["lines", "lines", "orders"], &["lines"]), one("orders"));
        assert_eq!(of(&["lines", "lines"], &["orders"]), (None, true));
        assert_eq!(of(&[], &["orders"]), (None, false));
        let values = [("probe7x-name".to_owned(), "{{ key }}".to_owned())];
        for (collection, lasting) in [("orders", true), ("tenant_probe7x_name", false), ("probe7x-name", false)] {
            let inserted = vec![(format!("run.{collection}"), json!({ "_id": 7, "tenant": "probe7x-name" }))];
            let delta = Delta { inserted, ..Delta::default() };
            assert_eq!(made(&delta, &values, &[]).is_some(), lasting, "{collection}: another one each time");
        }
    }

    #[test]
    fn a_field_that_holds_several_values_is_stored_as_all_of_them() {
        let values = [("n1", "{{ key }}"), ("n2-room", "{{ key }}-room"), ("n2-rooms", "{{ key }}s")];
        let values = values.map(|(value, template)| (value.to_owned(), template.to_owned()));
        let stored = |document: Json| {
            let delta = Delta { inserted: vec![("run.seats".to_owned(), document)], ..Delta::default() };
            made(&delta, &values, &[]).and_then(|(_, made)| made.stored)
        };
        let both = stored(json!({ "_id": 7, "key": "n2-room:n2-rooms of n1" }));
        assert_eq!(both.as_deref(), Some("{{ key }}-room:{{ key }}s of {{ key }}"));
        assert_eq!(stored(json!({ "key": "of n2-room" })).as_deref(), Some("of {{ key }}-room"));
        assert_eq!(stored(json!({ "key": "n1" })), None, "it is the key itself");
    }

    #[test]
    fn a_pair_is_found_whatever_else_came_into_being() {
        let inserted = [json!("no document"), json!({ "with": "b+a" }), json!({ "who": "<a:b>" })];
        let inserted = inserted.into_iter().map(|document| ("run.chats".to_owned(), document)).collect();
        let found = made_of_pair(&Delta { inserted, ..Delta::default() }, "a", "b").unwrap();
        assert_eq!(
            (found.field.as_str(), found.stored.as_deref()),
            ("who", Some("<{{ key | replace(\"_\", \":\") }}>"))
        );
    }
}
