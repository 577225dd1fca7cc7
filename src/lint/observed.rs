//! The indexes of the collection that a run observes, held against its key: what can be told of a service without seeing one
//! of its commands.
//!
//! *Soundness*: that no index refuses a second document is a fact of the database, and no proof that the service makes one: it
//! may put its requests in order by itself. *Completeness*: how the service writes is not known here; `explore` sees it.

use serde::{Deserialize, Serialize};

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
    let pinned = facts.key.iter().map(String::as_str).collect();
    let covers = |index: &&IndexFact| index.unique && index.is_covered_by(&pinned);
    let whole = indexes.iter().find(|index| covers(index) && guards(index, facts.filter));
    if !facts.one {
        let says = "A key may have several documents here, so that no index needs to refuse a second one.";
        return told(whole, says.to_owned(), None);
    }
    if facts.in_list {
        return told(None, in_list(&names), None);
    }
    match whole {
        Some(_) if facts.in_several_forms => told(None, several_forms(&names), None),
        Some(index) => told(Some(index), guarded(index, &names), None),
        None => match elsewhere(facts, indexes) {
            Some(other) => told(None, format!("{}. {other}", why_none(facts, indexes, &names)), None),
            None => {
                let create = create(facts, indexes);
                told(None, unguarded(facts, &why_none(facts, indexes, &names), create.as_deref()), create)
            }
        },
    }
}

/// What may refuse a second document all the same: what is unique and may follow from the key.
fn elsewhere(facts: &KeyFacts<'_>, indexes: &[IndexFact]) -> Option<String> {
    if facts.doubled {
        return None;
    }
    let is_of_key =
        |index: &IndexFact| fields(index).iter().any(|field| facts.key.iter().any(|key| key.as_str() == *field));
    let other = |index: &&IndexFact| index.unique && index.key != "_id: 1" && !is_of_key(index);
    if let Some(index) = indexes.iter().find(other) {
        return Some(format!(
            "`{}` is unique on other fields: it refuses a second document only if what is in these follows from the key.",
            index.name
        ));
    }
    facts.own_id.then(|| {
        "The service chooses `_id` itself, which is unique: it refuses a second document only if `_id` follows from the key."
            .to_owned()
    })
}

fn unguarded(facts: &KeyFacts<'_>, why: &str, create: Option<&str>) -> String {
    let mut says = format!("{why}: nothing in the database refuses a second document of a key.");
    if create.is_none() {
        says.push_str(
            " No index can be named that would: partial indexes do not know the conditions of `where`. Keep what is to be \
             unique under a key of its own.",
        );
    }
    if facts.in_several_forms {
        says.push_str(&format!(" {}", several_forms(&facts.key.join(", "))));
    }
    says
}

/// Whether an index that covers the key is there for all documents that are looked at.
fn guards(index: &IndexFact, filter: Option<&str>) -> bool {
    let Some(partial) = &index.partial else { return true };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    let (Some(partial), Some(filter)) = (json(partial), filter.and_then(json)) else { return false };
    // Each condition of the index is one of the filter: then every document that is looked at is in the index.
    let (Some(partial), Some(filter)) = (partial.as_object(), filter.as_object()) else { return false };
    partial.iter().all(|(field, condition)| filter.get(field) == Some(condition))
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

/// Why no index makes the key unique.
fn why_none(facts: &KeyFacts<'_>, indexes: &[IndexFact], names: &str) -> String {
    let pinned = facts.key.iter().map(String::as_str).collect();
    let unique = || indexes.iter().filter(|index| index.unique);
    if let Some((index, partial)) =
        unique().filter(|index| index.is_covered_by(&pinned)).find_map(|index| Some((index, index.partial.as_ref()?)))
    {
        return format!("The unique index `{}` is only for documents with {partial}", index.name);
    }
    if let Some(index) = unique().find(|index| fields(index).is_superset(&pinned)) {
        return format!("The index `{}` makes {names} unique only together with other fields", index.name);
    }
    let plain = indexes.iter().find(|index| !index.unique && fields(index) == pinned);
    match plain {
        Some(index) => format!("The index `{}` on {names} is not unique", index.name),
        None => format!("No unique index is on {names}"),
    }
}

/// The command that creates what is missing, where it is known what that is.
fn create(facts: &KeyFacts<'_>, indexes: &[IndexFact]) -> Option<String> {
    let field = |name: &String| match name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        true => format!("{name}: 1"),
        false => format!("{}: 1", serde_json::Value::from(name.as_str())),
    };
    let options = match facts.filter {
        None => "{ unique: true }".to_owned(),
        Some(filter) if can_be_partial(filter) => format!("{{ unique: true, partialFilterExpression: {filter} }}"),
        Some(_) => return None,
    };
    let keys = facts.key.iter().map(field).collect::<Vec<_>>().join(", ");
    let collection = format!("db.getCollection({})", serde_json::Value::from(facts.collection));
    let plain = facts.collection.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let collection = if plain { format!("db.{}", facts.collection) } else { collection };
    // The server takes no second index of the name that it gives to one on these fields.
    let name = facts.key.iter().map(|name| format!("{name}_1")).collect::<Vec<_>>().join("_");
    let in_the_way = indexes.iter().find(|index| index.name == name);
    let drop =
        in_the_way.map(|index| format!("{collection}.dropIndex({}); ", serde_json::Value::from(index.name.as_str())));
    Some(format!("{}{collection}.createIndex({{ {keys} }}, {options})", drop.unwrap_or_default()))
}

/// Whether the server takes a filter as that of a partial index.
fn can_be_partial(filter: &str) -> bool {
    const KNOWN: [&str; 6] = ["$eq", "$gt", "$gte", "$lt", "$lte", "$type"];
    let condition = |condition: &serde_json::Value| match condition {
        serde_json::Value::Object(operators) => operators.iter().all(|(operator, value)| {
            KNOWN.contains(&operator.as_str()) || (operator == "$exists" && *value == serde_json::Value::Bool(true))
        }),
        serde_json::Value::Array(_) => false,
        _ => true,
    };
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(filter) else { return false };
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
mod tests {
    use super::*;

    fn index(key: &str, unique: bool, partial: Option<&str>) -> IndexFact {
        let name = key.replace(": ", "_").replace(", ", "_");
        let partial = partial.map(str::to_owned);
        IndexFact { name, key: key.to_owned(), unique, partial, ..IndexFact::default() }
    }

    struct Case {
        key: &'static [&'static str],
        filter: Option<&'static str>,
        indexes: Vec<IndexFact>,
        unique: Option<&'static str>,
        says: &'static str,
        create: Option<&'static str>,
    }

    fn told(
        key: &[&str],
        filter: Option<&str>,
        indexes: &[IndexFact],
        adjust: impl Fn(&mut KeyFacts<'_>),
    ) -> ObservedKey {
        let key: Vec<String> = key.iter().map(|field| (*field).to_owned()).collect();
        let mut facts = KeyFacts {
            collection: "chats",
            key: &key,
            filter,
            one: true,
            in_list: false,
            in_several_forms: false,
            doubled: false,
            own_id: false,
        };
        adjust(&mut facts);
        let mut all = vec![index("_id: 1", true, None)];
        all.extend_from_slice(indexes);
        of_key(&facts, &all)
    }

    fn check(cases: impl IntoIterator<Item = Case>) {
        for Case { key, filter, indexes, unique, says, create } in cases {
            let told = told(key, filter, &indexes, |_| {});
            let found = (told.unique.as_deref(), told.create.as_deref());
            assert_eq!(found, (unique, create), "{key:?} {filter:?} {indexes:?}: {}", told.says);
            assert!(told.says.contains(says), "{key:?} {filter:?} {indexes:?}: {}", told.says);
        }
    }

    #[test]
    fn a_key_is_held_against_the_indexes_of_its_collection() {
        let plain = |key| index(key, false, None);
        let unique = |key| index(key, true, None);
        check([
            Case {
                key: &["k"],
                filter: None,
                indexes: vec![],
                unique: None,
                says: "No unique index is on k: nothing in the database refuses a second document of a key.",
                create: Some("db.chats.createIndex({ k: 1 }, { unique: true })"),
            },
            Case {
                key: &["k"],
                filter: None,
                indexes: vec![unique("k: 1")],
                unique: Some("k_1"),
                says: "makes k unique",
                create: None,
            },
            Case {
                key: &["_id"],
                filter: None,
                indexes: vec![],
                unique: Some("_id_1"),
                says: "always unique",
                create: None,
            },
            Case {
                key: &["k"],
                filter: None,
                indexes: vec![plain("k: 1")],
                unique: None,
                says: "The index `k_1` on k is not unique",
                create: Some(r#"db.chats.dropIndex("k_1"); db.chats.createIndex({ k: 1 }, { unique: true })"#),
            },
            // Of a compound key a unique part is enough, and a unique whole of more is not.
            Case {
                key: &["a", "b.c"],
                filter: None,
                indexes: vec![unique("a: 1")],
                unique: Some("a_1"),
                says: "",
                create: None,
            },
            Case {
                key: &["a", "b.c"],
                filter: None,
                indexes: vec![unique("b.c: 1, a: -1")],
                unique: Some("b.c_1_a_-1"),
                says: "",
                create: None,
            },
            Case {
                key: &["a", "b.c"],
                filter: None,
                indexes: vec![unique("a: 1, b.c: 1, at: 1")],
                unique: None,
                says: "unique only together with other fields",
                create: Some(r#"db.chats.createIndex({ a: 1, "b.c": 1 }, { unique: true })"#),
            },
        ]);
    }

    #[test]
    fn a_partial_index_is_for_its_documents() {
        const OPEN: &str = r#"{ "closedAt": null }"#;
        let partial = |filter| index("k: 1", true, Some(filter));
        check([
            Case {
                key: &["k"],
                filter: None,
                indexes: vec![partial(r#"{"kind":"chat"}"#)],
                unique: None,
                says: r#"The unique index `k_1` is only for documents with {"kind":"chat"}"#,
                create: Some(r#"db.chats.dropIndex("k_1"); db.chats.createIndex({ k: 1 }, { unique: true })"#),
            },
            Case {
                key: &["k"],
                filter: Some(OPEN),
                indexes: vec![partial(r#"{"closedAt":null}"#)],
                unique: Some("k_1"),
                says: "among the documents that are looked at",
                create: None,
            },
            Case {
                key: &["k"],
                filter: Some(r#"{"closedAt":null,"kind":"chat"}"#),
                indexes: vec![partial(r#"{"closedAt":null}"#)],
                unique: Some("k_1"),
                says: "",
                create: None,
            },
            Case {
                key: &["k"],
                filter: Some(OPEN),
                indexes: vec![],
                unique: None,
                says: "No unique index",
                create: Some(
                    r#"db.chats.createIndex({ k: 1 }, { unique: true, partialFilterExpression: { "closedAt": null } })"#,
                ),
            },
            // The server knows no partial index on what is not there.
            Case {
                key: &["k"],
                filter: Some(r#"{"deletedAt":{"$exists":false}}"#),
                indexes: vec![],
                unique: None,
                says: "No index can be named",
                create: None,
            },
        ]);
    }

    #[test]
    fn nobody_is_told_to_create_an_index_that_would_be_wrong() {
        let several = told(&["k"], None, &[], |facts| facts.one = false);
        assert!(several.create.is_none() && several.says.contains("several documents"), "{several:?}");
        let listed = told(&["members"], None, &[index("members: 1", true, None)], |facts| facts.in_list = true);
        assert!(listed.create.is_none() && listed.unique.is_none() && listed.says.contains("one value"), "{listed:?}");
        let forms = told(&["a", "b"], None, &[index("a: 1, b: 1", true, None)], |facts| facts.in_several_forms = true);
        assert!(forms.create.is_none() && forms.unique.is_none() && forms.says.contains("sorted order"), "{forms:?}");
        // What is unique elsewhere, or is chosen by the service, may follow from the key.
        let other = told(&["members.0"], None, &[index("pairKey: 1", true, None)], |_| {});
        assert!(other.create.is_none() && other.says.contains("`pairKey_1` is unique on other fields"), "{other:?}");
        let own = told(&["k"], None, &[], |facts| facts.own_id = true);
        assert!(own.create.is_none() && own.says.contains("only if `_id` follows"), "{own:?}");
        let doubled = told(&["k"], None, &[index("pairKey: 1", true, None)], |facts| facts.doubled = true);
        assert!(doubled.create.is_some(), "what is unique elsewhere did not refuse: {doubled:?}");
        // Names that are no identifiers are quoted.
        let key = ["k".to_owned()];
        let facts = KeyFacts {
            collection: "chat-list",
            key: &key,
            filter: None,
            one: true,
            in_list: false,
            in_several_forms: false,
            doubled: false,
            own_id: false,
        };
        let odd = of_key(&facts, &[]).create.unwrap();
        assert!(odd.starts_with(r#"db.getCollection("chat-list").createIndex("#), "{odd}");
    }
}
