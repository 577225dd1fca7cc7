//! The indexes of the collection that a run observes, held against its key: what can be told of a service without seeing one
//! of its commands.
//!
//! *Soundness*: that no index refuses a second document is a fact of the database, and no proof that the service makes one: it
//! may put its requests in order by itself. It is said, and an index is named, only where nothing that is unique can refuse one,
//! or where one was not refused. *Completeness*: how the service writes is not known here; `explore` sees it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{IndexFact, fields};

/// What the indexes of an observed collection mean for its key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ObservedKey {
    /// The collection, as `database.collection`.
    pub collection: String,
    /// The paths of the fields that hold the key.
    pub key: Vec<String>,
    /// The index that lets a key have one document only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<String>,
    /// What that means.
    pub says: String,
    /// Creates the index that is missing, in mongosh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<String>,
    /// What only `explore` can tell, and its command; absent where there is nothing more to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explore: Option<String>,
}

/// What the scenario and the documents say of a key.
#[derive(Debug, Clone, Copy)]
pub struct KeyFacts<'a> {
    /// The name of the collection.
    pub collection: &'a str,
    /// The paths of the fields that hold the key.
    pub key: &'a [String],
    /// Which documents are looked at, as JSON; all where nothing is said.
    pub filter: Option<&'a str>,
    /// A key is to have one document.
    pub one: bool,
    /// How documents have it.
    pub stored: StoredKey,
}

/// How documents have their key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoredKey {
    /// A document has the key in a list.
    pub in_list: bool,
    /// One key is stored in several forms.
    pub in_several_forms: bool,
    /// A key has two documents: what is unique did not keep the second out.
    pub doubled: bool,
    /// The service chooses `_id` itself: what it chooses may follow from the key.
    pub own_id: bool,
}

/// Holds a key against the indexes of its collection. What is returned knows neither its database nor `explore`.
pub fn of_key(facts: &KeyFacts<'_>, indexes: &[IndexFact]) -> ObservedKey {
    let names = facts.key.join(", ");
    let told = |unique: Option<&IndexFact>, says: String, create: Option<String>| ObservedKey {
        collection: facts.collection.to_owned(),
        key: facts.key.to_vec(),
        unique: unique.map(|index| index.name.clone()),
        says,
        create,
        explore: None,
    };
    let pinned = pinned(facts);
    let covers = |index: &&IndexFact| index.unique && index.is_covered_by(&pinned);
    let whole = indexes.iter().find(|index| covers(index) && guards(index, facts));
    if !facts.one {
        let StoredKey { in_list, in_several_forms, doubled, .. } = facts.stored;
        let whole = whole.filter(|_| !in_list && !in_several_forms && !doubled);
        let says = match whole {
            // Whatever the scenario says of a key, its own `_id` for one, the index refuses a second document.
            Some(index) => guarded(index, &names),
            None => "A key may have several documents here, so that no index needs to refuse a second one.".to_owned(),
        };
        return told(whole, says, None);
    }
    if facts.stored.in_list {
        return told(None, in_list(&names), None);
    }
    if facts.stored.in_several_forms {
        return told(None, several_forms(&names), None);
    }
    match whole {
        Some(index) if facts.stored.doubled => told(None, unequal(index, &names), None),
        Some(index) => told(Some(index), guarded(index, &names), None),
        None => match may_refuse(facts, indexes) {
            Some(says) => told(None, says, None),
            None => {
                let create = create(facts, indexes);
                told(None, unguarded(&why_none(facts, indexes, &names), create.as_deref()), create)
            }
        },
    }
}

fn pinned<'a>(facts: &KeyFacts<'a>) -> BTreeSet<&'a str> {
    facts.key.iter().map(String::as_str).collect()
}

/// What may refuse a second document, although no index is known to: a second one that is there was not refused.
fn may_refuse(facts: &KeyFacts<'_>, indexes: &[IndexFact]) -> Option<String> {
    if facts.stored.doubled {
        return None;
    }
    let (names, pinned) = (facts.key.join(", "), pinned(facts));
    let unique = || indexes.iter().filter(|index| index.unique && index.key != "_id: 1");
    let partial =
        unique().filter(|index| index.is_covered_by(&pinned)).find_map(|index| Some((index, index.partial.as_ref()?)));
    if let Some((index, partial)) = partial {
        return Some(format!(
            "The unique index `{}` is only for documents with {partial}: it refuses a second document only where both are among \
             these.",
            index.name
        ));
    }
    if let Some(index) = unique().find(|index| fields(index).is_superset(&pinned)) {
        return Some(format!(
            "The index `{}` makes {names} unique only together with other fields: it refuses a second document only if what is in \
             these follows from the key.",
            index.name
        ));
    }
    let why = why_none(facts, indexes, &names);
    if let Some(index) = unique().next() {
        return Some(format!(
            "{why}. `{}` is unique on other fields: it refuses a second document only if what is in these follows from the key.",
            index.name
        ));
    }
    facts.stored.own_id.then(|| {
        format!(
            "{why}. The service chooses `_id` itself, which is unique: it refuses a second document only if `_id` follows from \
             the key."
        )
    })
}

fn unguarded(why: &str, create: Option<&str>) -> String {
    let mut says = format!("{why}: nothing in the database refuses a second document of a key.");
    says.push_str(match create {
        Some(_) => {
            " To an index all documents without the key have the same one: where there may be several of them, make it partial, \
             with `$exists: true` for the key."
        }
        None => {
            " No index can be named that would, because of the conditions of `where`. Keep what is to be unique under a key of \
             its own."
        }
    });
    says
}

/// Whether an index that covers the key is there for all documents that are looked at.
fn guards(index: &IndexFact, facts: &KeyFacts<'_>) -> bool {
    let Some(partial) = &index.partial else { return true };
    let object = |text: &str| match serde_json::from_str(text) {
        Ok(Json::Object(fields)) => Some(fields),
        _ => None,
    };
    let Some(partial) = object(partial) else { return false };
    let filter = facts.filter.and_then(object).unwrap_or_default();
    // Then every document that is looked at is in the index: each of them has the key.
    partial.iter().all(|(field, condition)| {
        let is_there = facts.key.contains(field) && *condition == json!({ "$exists": true });
        is_there || filter.get(field) == Some(condition)
    })
}

fn guarded(index: &IndexFact, names: &str) -> String {
    match (index.key.starts_with("_id:"), &index.partial) {
        (true, _) => "`_id` is the key, and is always unique.".to_owned(),
        (_, None) => {
            format!("The index `{}` makes {names} unique: the database refuses a second document.", index.name)
        }
        (_, Some(_)) => format!(
            "The index `{}` makes {names} unique among the documents that are looked at: the database refuses a second one.",
            index.name
        ),
    }
}

/// Two documents that an index keeps apart are not equal to it.
fn unequal(index: &IndexFact, names: &str) -> String {
    format!(
        "The index `{}` makes {names} unique, and a key has two documents all the same: what they hold of it is not equal to the \
         server, such as a number and its text.",
        index.name
    )
}

/// Why no index makes the key unique.
fn why_none(facts: &KeyFacts<'_>, indexes: &[IndexFact], names: &str) -> String {
    let pinned = pinned(facts);
    let on_key = indexes.iter().find(|index| fields(index) == pinned);
    match on_key {
        Some(IndexFact { name, unique: true, partial: Some(partial), .. }) => {
            format!("The unique index `{name}` is only for documents with {partial}")
        }
        Some(index) if !index.unique => format!("The index `{}` on {names} is not unique", index.name),
        _ => format!("No unique index is on {names}"),
    }
}

/// The command that creates what is missing, where it is known what that is. Nothing is dropped for it: where a key has two
/// documents the server creates nothing, and what was there is still of use.
fn create(facts: &KeyFacts<'_>, indexes: &[IndexFact]) -> Option<String> {
    let mut options = vec!["unique: true".to_owned()];
    match facts.filter {
        None => {}
        Some(filter) if can_be_partial(filter) => options.push(format!("partialFilterExpression: {filter}")),
        Some(_) => return None,
    }
    // The server takes no second index of the name that it gives to one on these fields.
    let is_taken = |name: &str| indexes.iter().any(|index| index.name == name);
    let mut name = facts.key.iter().map(|name| format!("{name}_1")).collect::<Vec<_>>().join("_");
    if is_taken(&name) {
        while is_taken(&name) {
            name.push_str("_unique");
        }
        options.push(format!("name: {}", Json::from(name)));
    }
    let field = |name: &String| match is_identifier(name) {
        true => format!("{name}: 1"),
        false => format!("{}: 1", Json::from(name.as_str())),
    };
    let keys = facts.key.iter().map(field).collect::<Vec<_>>().join(", ");
    let collection = match is_identifier(facts.collection) {
        true => format!("db.{}", facts.collection),
        false => format!("db.getCollection({})", Json::from(facts.collection)),
    };
    Some(format!("{collection}.createIndex({{ {keys} }}, {{ {} }})", options.join(", ")))
}

/// Whether mongosh takes a name without quotes.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Whether the server takes a filter as that of a partial index, as it is written: extended JSON is none in mongosh.
fn can_be_partial(filter: &str) -> bool {
    const KNOWN: [&str; 6] = ["$eq", "$gt", "$gte", "$lt", "$lte", "$type"];
    let is_plain = |value: &Json| !value.is_object() && !value.is_array();
    let condition = |condition: &Json| match condition {
        Json::Object(operators) => operators.iter().all(|(operator, value)| match operator.as_str() {
            "$exists" => *value == Json::Bool(true),
            known => KNOWN.contains(&known) && is_plain(value),
        }),
        other => is_plain(other),
    };
    let Ok(Json::Object(fields)) = serde_json::from_str(filter) else { return false };
    fields.iter().all(|(field, value)| !field.starts_with('$') && condition(value))
}

fn in_list(names: &str) -> String {
    format!(
        "{names} is in a list: a unique index there would let each member be in one document only, and refuses no second \
         document of the same members. Store the key as one value as well, such as the sorted members joined, with a unique \
         index on that."
    )
}

fn several_forms(names: &str) -> String {
    format!(
        "One key is stored in several forms of {names}, which no unique index takes for the same: store it in one, such as in \
         sorted order."
    )
}

#[cfg(test)]
#[path = "observed_tests.rs"]
mod tests;
