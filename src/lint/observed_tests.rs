//! Keys held against indexes.

use super::*;

fn index(key: &str, unique: bool, partial: Option<&str>) -> IndexFact {
    let name = key.replace(": ", "_").replace(", ", "_");
    let partial = partial.map(str::to_owned);
    IndexFact { name, key: key.to_owned(), unique, partial, ..IndexFact::default() }
}

fn plain(key: &str) -> IndexFact {
    index(key, false, None)
}

fn unique(key: &str) -> IndexFact {
    index(key, true, None)
}

fn told(key: &[&str], filter: Option<&str>, indexes: &[IndexFact], adjust: impl Fn(&mut KeyFacts<'_>)) -> ObservedKey {
    let key: Vec<String> = key.iter().map(|field| (*field).to_owned()).collect();
    let mut facts = KeyFacts { collection: "chats", key: &key, filter, one: true, stored: StoredKey::default() };
    adjust(&mut facts);
    let mut all = vec![index("_id: 1", true, None)];
    all.extend_from_slice(indexes);
    of_key(&facts, &all)
}

fn doubled(facts: &mut KeyFacts<'_>) {
    facts.stored.doubled = true;
}

/// The key, `where`, the indexes, the one that makes the key unique, what is said, and the command.
type Case<'a> = (&'a [&'a str], Option<&'a str>, &'a [IndexFact], Option<&'a str>, &'a str, Option<&'a str>);

fn check(cases: &[Case<'_>], adjust: impl Fn(&mut KeyFacts<'_>)) {
    for (key, filter, indexes, unique, says, create) in cases {
        let told = told(key, *filter, indexes, &adjust);
        let found = (told.unique.as_deref(), told.create.as_deref());
        assert_eq!(found, (*unique, *create), "{key:?} {filter:?} {indexes:?}: {}", told.says);
        assert!(told.says.contains(says), "{key:?} {filter:?} {indexes:?}: {}", told.says);
        let nothing_refuses = told.says.contains("nothing in the database refuses");
        assert!(create.is_none() || nothing_refuses, "{}", told.says);
        assert!(create.is_none() || told.says.contains("without the key"), "{}", told.says);
    }
}

const CREATE: &str = "db.chats.createIndex({ k: 1 }, { unique: true })";
const CREATE_BESIDE: &str = r#"db.chats.createIndex({ k: 1 }, { unique: true, name: "k_1_unique" })"#;

#[test]
fn a_key_is_held_against_the_indexes_of_its_collection() {
    let nothing = "No unique index is on k: nothing in the database refuses a second document of a key.";
    let beside = [plain("k: 1"), IndexFact { name: "k_1_unique".to_owned(), ..plain("k: 1, at: 1") }];
    let create = r#"db.chats.createIndex({ k: 1 }, { unique: true, name: "k_1_unique_unique" })"#;
    check(
        &[
            (&["k"], None, &[], None, nothing, Some(CREATE)),
            (&["k"], None, &[unique("k: 1")], Some("k_1"), "makes k unique", None),
            (&["_id"], None, &[], Some("_id_1"), "always unique", None),
            (&["k"], None, &[plain("k: 1")], None, "The index `k_1` on k is not unique", Some(CREATE_BESIDE)),
            (&["k"], None, &beside, None, "The index `k_1` on k is not unique", Some(create)),
            // Of a compound key a unique part is enough.
            (&["a", "b.c"], None, &[unique("a: 1")], Some("a_1"), "", None),
            (&["a", "b.c"], None, &[unique("b.c: 1, a: -1")], Some("b.c_1_a_-1"), "", None),
            (
                &["a", "b.c"],
                None,
                &[],
                None,
                "No unique index is on a, b.c",
                Some(r#"db.chats.createIndex({ a: 1, "b.c": 1 }, { unique: true })"#),
            ),
        ],
        |_| {},
    );
}

#[test]
fn a_partial_index_is_for_its_documents() {
    const OPEN: &str = r#"{ "closedAt": null }"#;
    let partial = |filter| [index("k: 1", true, Some(filter))];
    let only = r#"`k_1` is only for documents with {"kind":"chat"}: it refuses a second document only where"#;
    check(
        &[
            // Nothing is named that would take the place of an index that may do.
            (&["k"], None, &partial(r#"{"kind":"chat"}"#), None, only, None),
            (&["k"], Some(r#"{"kind":{"$eq":"chat"}}"#), &partial(r#"{"kind":"chat"}"#), None, only, None),
            (&["k"], None, &partial(r#"{"k":{"$exists":true}}"#), Some("k_1"), "among the documents", None),
            (&["k"], None, &partial(r#"{"j":{"$exists":true}}"#), None, "only where both", None),
            (&["k"], Some(OPEN), &partial(r#"{"closedAt":null}"#), Some("k_1"), "that are looked at", None),
            (
                &["k"],
                Some(r#"{"closedAt":null,"kind":"chat"}"#),
                &partial(r#"{"closedAt":null}"#),
                Some("k_1"),
                "",
                None,
            ),
            (
                &["k"],
                Some(OPEN),
                &[],
                None,
                "No unique index",
                Some(
                    r#"db.chats.createIndex({ k: 1 }, { unique: true, partialFilterExpression: { "closedAt": null } })"#,
                ),
            ),
            // The server knows no partial index on what is not there, and mongosh takes extended JSON for an object.
            (&["k"], Some(r#"{"deletedAt":{"$exists":false}}"#), &[], None, "No index can be named", None),
            (&["k"], Some(r#"{"at":{"$gte":{"$date":"2026-01-01T00:00:00Z"}}}"#), &[], None, "No index can", None),
        ],
        |_| {},
    );
    let says = r#"The unique index `k_1` is only for documents with {"kind":"chat"}: nothing"#;
    check(&[(&["k"], None, &partial(r#"{"kind":"chat"}"#), None, says, Some(CREATE_BESIDE))], doubled);
}

#[test]
fn what_is_unique_elsewhere_may_follow_from_the_key() {
    let tenant = [unique("tenant: 1, k: 1")];
    let with_others =
        "`tenant_1_k_1` makes k unique only together with other fields: it refuses a second document only if";
    let other = [unique("pairKey: 1")];
    let follows =
        "No unique index is on k. `pairKey_1` is unique on other fields: it refuses a second document only if";
    let part = [unique("k: 1, hash: 1")];
    check(
        &[
            (&["k"], None, &tenant, None, with_others, None),
            (&["k"], None, &other, None, follows, None),
            (&["k", "j"], None, &part, None, "`k_1_hash_1` is unique on other fields", None),
        ],
        |_| {},
    );
    // What did not refuse cannot.
    let nothing = "No unique index is on k: nothing in the database refuses";
    let cases: [Case<'_>; 2] =
        [(&["k"], None, &tenant, None, nothing, Some(CREATE)), (&["k"], None, &other, None, nothing, Some(CREATE))];
    check(&cases, doubled);
    check(&[(&["k"], None, &[], None, "only if `_id` follows", None)], |facts| facts.stored.own_id = true);
}

#[test]
fn nobody_is_told_to_create_an_index_that_would_be_wrong() {
    let several = told(&["k"], None, &[], |facts| facts.one = false);
    assert!(several.create.is_none() && several.says.contains("several documents"), "{several:?}");
    // An index that refuses a second one does so whatever the scenario says; where a key has two, it does not.
    let refused = told(&["k"], None, &[unique("k: 1")], |facts| facts.one = false);
    assert!(refused.unique.as_deref() == Some("k_1") && refused.says.contains("refuses a second"), "{refused:?}");
    let both = told(&["k"], None, &[unique("k: 1")], |facts| (facts.one, facts.stored.doubled) = (false, true));
    assert!(both.unique.is_none() && both.says.contains("several documents"), "{both:?}");
    let listed = told(&["members"], None, &[unique("members: 1")], |facts| facts.stored.in_list = true);
    assert!(listed.create.is_none() && listed.unique.is_none() && listed.says.contains("one value"), "{listed:?}");
    for indexes in [&[unique("a: 1, b: 1")][..], &[]] {
        let forms = told(&["a", "b"], None, indexes, |facts| {
            (facts.stored.in_several_forms, facts.stored.doubled) = (true, true);
        });
        assert!(forms.create.is_none() && forms.unique.is_none() && forms.says.contains("sorted order"), "{forms:?}");
    }
    let unequal = told(&["k"], None, &[unique("k: 1")], doubled);
    assert!(unequal.create.is_none() && unequal.unique.is_none() && unequal.says.contains("not equal"), "{unequal:?}");
    // Names that are no identifiers are quoted.
    for (name, key, expected) in [
        ("chat-list", "k", r#"db.getCollection("chat-list").createIndex({ k: 1 }"#),
        ("2chats", "2k", r#"db.getCollection("2chats").createIndex({ "2k": 1 }"#),
    ] {
        let odd = told(&[key], None, &[], |facts| facts.collection = name).create.unwrap();
        assert!(odd.starts_with(expected), "{odd}");
    }
}
