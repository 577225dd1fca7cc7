//! Whether an index keeps the key unique. The judging is a function of what the server lists.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::{Collection, Database};

use super::filters::covers;
use crate::audit::error::{Result, Step};
use crate::audit::{Filter, KeySpec, Profile};
use crate::lint::IndexFact;

/// What the indexes are worth.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::audit) struct IndexCheck {
    /// All indexes.
    pub(in crate::audit) facts: Vec<IndexFact>,
    /// The index that keeps the key unique.
    pub(in crate::audit) protecting: Option<String>,
    /// Indexes of the key that do not, and why.
    pub(in crate::audit) weak: Vec<(String, Vec<&'static str>)>,
    /// What is worth knowing of the others, a sentence each.
    pub(in crate::audit) notes: Vec<String>,
}

const BUILDING: &str = "still building";

impl IndexCheck {
    /// What keeps a repair from creating the index: one that would be right, but for what a repair does not change.
    pub(in crate::audit) fn in_the_way(&self) -> Option<String> {
        let (name, _) = self.weak.iter().find(|(_, problems)| *problems == [BUILDING])?;
        Some(format!("the index `{name}` is still building: repair again when it is built"))
    }
}

/// A unique index that says more than the profile: among which documents the key is unique.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit) struct Narrower {
    pub(in crate::audit) index: String,
    pub(in crate::audit) filter: Filter,
}

impl Narrower {
    /// The profile with the filter of the index.
    pub(super) fn narrow(&self, profile: &Profile) -> Profile {
        let mut profile = profile.clone();
        if let Some(key) = &mut profile.key {
            key.r#where = Some(self.filter.clone());
        }
        profile
    }

    /// What to add to the profile.
    pub(in crate::audit) fn sentence(&self, key: &KeySpec) -> String {
        format!(
            "the unique index `{}` says more than the profile: it keeps {} unique only among documents that match its \
             filter, and only those were judged; add `{}` to [key], or `where = {{}}` if it must be unique among all",
            self.index,
            key.field,
            self.filter.as_toml()
        )
    }
}

/// Reads the indexes, those still building included.
pub(in crate::audit) async fn list(collection: &Collection<Document>) -> Result<Vec<Document>> {
    let namespace = collection.namespace();
    let command = doc! { "listIndexes": &namespace.coll, "includeBuildUUIDs": true };
    let database = collection.client().database(&namespace.db);
    let listed = match database.run_cursor_command(command).await {
        Ok(cursor) => cursor.try_collect().await,
        Err(error) => Err(error),
    };
    listed.reading(&namespace.db, &format!("list the indexes of `{}`", namespace.coll))
}

/// Whether it is a sharded cluster that answers.
pub(in crate::audit) async fn is_router(database: &Database) -> Result<bool> {
    let hello = database.run_command(doc! { "hello": 1 }).await.reading(database.name(), "greet the server")?;
    Ok(hello.get_str("msg").is_ok_and(|message| message == "isdbgrid"))
}

/// On a sharded cluster, the shards that lack an index which others have; `None` where there are no shards.
pub(super) async fn shards(database: &Database, collection: &Collection<Document>) -> Result<Option<Vec<Document>>> {
    if !is_router(database).await? {
        return Ok(None);
    }
    let step = "read the indexes of each shard";
    let cursor = collection.aggregate([doc! { "$indexStats": {} }]).await.reading(database.name(), step)?;
    cursor.try_collect().await.reading(database.name(), step).map(Some)
}

/// One index as the server lists it.
struct Listed<'a> {
    name: &'a str,
    fields: &'a Document,
    options: &'a Document,
    building: bool,
}

impl<'a> Listed<'a> {
    fn of(entry: &'a Document) -> Option<Self> {
        let building = entry.contains_key("buildUUID");
        let options = if building { entry.get_document("spec").unwrap_or(entry) } else { entry };
        let (name, fields) = (options.get_str("name").ok()?, options.get_document("key").ok()?);
        Some(Listed { name, fields, options, building })
    }

    fn is(&self, option: &str) -> bool {
        self.options.get_bool(option).unwrap_or(false)
    }

    /// The server does not say of the index of `_id` that it is unique.
    fn is_unique(&self) -> bool {
        self.is("unique") || self.fields.keys().eq(["_id"])
    }

    fn partial(&self) -> Option<&'a Document> {
        self.options.get_document("partialFilterExpression").ok()
    }

    fn collation(&self) -> Option<&'a Document> {
        let collation = self.options.get_document("collation").ok();
        collation.filter(|collation| collation.get_str("locale").is_ok_and(|locale| locale != "simple"))
    }

    /// All its fields are the key's: two documents that differ in the key may be one to it, never the other way round.
    fn is_within(&self, key: &KeySpec) -> bool {
        self.fields.keys().all(|field| key.field.all().contains(field))
    }

    fn has_all_of(&self, key: &KeySpec) -> bool {
        key.field.all().iter().all(|field| self.fields.contains_key(field))
    }

    /// Whether it is about the key at all.
    fn concerns(&self, key: &KeySpec) -> bool {
        match self.is_unique() {
            true => self.is_within(key) || self.has_all_of(key),
            false => self.is_within(key) && self.has_all_of(key),
        }
    }
}

/// The unique index that is about fewer documents than the profile, where the profile does not say which. None if another
/// index is about all of them.
pub(in crate::audit) fn narrower(key: &KeySpec, listed: &[Document]) -> Option<Narrower> {
    if key.r#where.is_some() {
        return None;
    }
    let mut found = None;
    for index in listed.iter().filter_map(Listed::of).filter(|index| index.is_unique() && index.is_within(key)) {
        match index.partial() {
            Some(filter) if !covers(key, None, filter) => {
                found.get_or_insert_with(|| Narrower { index: index.name.to_owned(), filter: Filter(filter.clone()) });
            }
            _ if index.building => {}
            _ => return None,
        }
    }
    found
}

/// Judges the indexes. `types` has the bits of the types that the keys have.
pub(in crate::audit) fn judge(
    key: &KeySpec,
    types: u32,
    listed: &[Document],
    per_shard: Option<&[Document]>,
) -> IndexCheck {
    let mut check = IndexCheck::default();
    let incomplete = per_shard.map(not_on_every_shard).unwrap_or_default();
    for index in listed.iter().filter_map(Listed::of) {
        check.facts.push(IndexFact {
            name: index.name.to_owned(),
            key: index.fields.iter().map(|(field, value)| format!("{field}: {value}")).collect::<Vec<_>>().join(", "),
            unique: index.is("unique"),
            sparse: index.is("sparse"),
            ..IndexFact::default()
        });
        if index.options.contains_key("expireAfterSeconds") {
            check
                .notes
                .push(format!("the server removes documents by the index `{}` when their time is up", index.name));
        }
        if !index.concerns(key) {
            continue;
        }
        let mut problems = problems(key, types, &index);
        if incomplete.contains(index.name) {
            problems.push("not on every shard");
        }
        if problems.is_empty() {
            check.notes.extend(remarks(key, &index));
            check.protecting.get_or_insert_with(|| index.name.to_owned());
        } else {
            check.weak.push((index.name.to_owned(), problems));
        }
    }
    check
}

/// By what an index lets a duplicate in.
fn problems(key: &KeySpec, types: u32, index: &Listed<'_>) -> Vec<&'static str> {
    let ordered = |value: &Bson| matches!(value, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_));
    let partial = index.partial().filter(|filter| !covers(key, Some(types), filter));
    [
        (!index.is_within(key), "compound: only the combination is unique"),
        (!index.fields.values().all(ordered), "hashed or text"),
        (!index.is_unique(), "not unique"),
        (partial.is_some(), "partial: documents outside the filter are not unique"),
        (
            index.is("sparse") && (!key.sparse && !key.required || !index.has_all_of(key)),
            "sparse: it does not look at documents without its fields, of which there may be one",
        ),
        (is_finer(key, index.collation()), "collation: keys that are one to the profile are two to it"),
        (index.building, BUILDING),
    ]
    .into_iter()
    .filter_map(|(is, problem)| is.then_some(problem))
    .collect()
}

/// What is worth knowing of an index that keeps the key unique.
fn remarks(key: &KeySpec, index: &Listed<'_>) -> Vec<String> {
    let name = index.name;
    let stricter = index
        .collation()
        .is_some_and(|collation| Some(options_of(collation)) != key.collation().as_ref().map(options_of));
    let plain = key.sparse && !key.required && !index.is("sparse") && index.partial().is_none() && index.is("unique");
    [
        (index.is("hidden"), format!("`{name}` is hidden: it keeps the key unique, and lookups do not use it")),
        (stricter, format!("`{name}` has a collation by which more keys are one than by the profile")),
        (
            !index.has_all_of(key),
            format!("`{name}` is stricter than the profile: fewer fields are unique by themselves"),
        ),
        (plain, format!("`{name}` is not sparse: it lets in one document without the key")),
    ]
    .into_iter()
    .filter_map(|(is, remark)| is.then_some(remark))
    .collect()
}

/// Whether an index tells keys apart that are one to the profile.
fn is_finer(key: &KeySpec, index: Option<&Document>) -> bool {
    let Some(wanted) = key.collation() else { return false };
    let Some(index) = index else { return true };
    let strength = |collation: &Document| collation.get_i32("strength").unwrap_or(3);
    let (mut wanted, mut index) = (options_of(&wanted), options_of(index));
    if key.ignore_case {
        // The language was not said: any will do that does not look at case.
        return strength(&index) > 2 || index.get_bool("caseLevel").unwrap_or(false);
    }
    if strength(&index) > strength(&wanted) {
        return true;
    }
    wanted.remove("strength");
    index.remove("strength");
    wanted != index
}

/// A collation with what it does not say, in one order. The version is the server's own affair.
fn options_of(collation: &Document) -> Document {
    let defaults: [(&str, Bson); 8] = [
        ("strength", 3.into()),
        ("caseLevel", false.into()),
        ("caseFirst", "off".into()),
        ("numericOrdering", false.into()),
        ("alternate", "non-ignorable".into()),
        ("maxVariable", "punct".into()),
        ("normalization", false.into()),
        ("backwards", false.into()),
    ];
    let locale = collation.get("locale").cloned().unwrap_or(Bson::Null);
    let mut options = doc! { "locale": locale };
    options.extend(defaults.into_iter().map(|(name, default)| {
        let value = collation.get(name).cloned().unwrap_or(default);
        (name.to_owned(), value)
    }));
    options
}

/// Names of indexes that some shard has and another lacks.
fn not_on_every_shard(statistics: &[Document]) -> BTreeSet<String> {
    let mut shards_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in statistics {
        if let (Ok(name), Ok(shard)) = (entry.get_str("name"), entry.get_str("shard")) {
            shards_of.entry(name).or_default().insert(shard);
        }
    }
    let all: BTreeSet<&str> = shards_of.values().flatten().copied().collect();
    shards_of.into_iter().filter(|(_, shards)| *shards != all).map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: u32 = 1 << 2;

    fn key(lines: &str) -> KeySpec {
        Profile::parse(&format!("name='x'\ncollection='c'\n[key]\n{lines}"), "test").unwrap().key.unwrap()
    }

    fn index(extra: Document) -> Document {
        let mut index = doc! { "name": "i", "key": { "k": 1 }, "unique": true, "sparse": true };
        index.extend(extra);
        index
    }

    fn partial(filter: Document) -> Document {
        index(doc! { "sparse": false, "partialFilterExpression": filter })
    }

    /// The problem that an index is found to have; none if it keeps the key unique.
    fn problem(lines: &str, index: &Document) -> String {
        let listed = [doc! { "name": "_id_", "key": { "_id": 1 } }, index.clone()];
        let check = judge(&key(lines), TEXT, &listed, None);
        assert_eq!(check.facts.len(), 2);
        match (check.protecting, check.weak.as_slice()) {
            (Some(_), _) => String::new(),
            (None, [(_, problems)]) => problems.join("; "),
            _ => "none".to_owned(),
        }
    }

    #[test]
    fn an_index_is_weak_only_if_it_lets_a_duplicate_in() {
        let plain = "field='k'";
        let collated =
            |strength: i32| index(doc! { "collation": { "locale": "en", "strength": strength, "version": "57.1" } });
        let living = "field='k'\nwhere={ gone = null }";
        let pair = "field=['k','n']";
        let both = doc! { "key": { "n": 1, "k": -1 } };
        for (lines, index, expected) in [
            (plain, index(doc! {}), ""),
            (plain, index(doc! { "key": { "k": -1.0 } }), ""),
            (plain, index(doc! { "unique": false }), "not unique"),
            (plain, index(doc! { "sparse": false }), ""),
            ("field='k'\nsparse=false\nrequired=false", index(doc! {}), "sparse"),
            (plain, partial(doc! { "k": { "$exists": true } }), ""),
            (plain, partial(doc! { "k": { "$type": "string" } }), ""),
            (plain, partial(doc! { "k": { "$type": "int" } }), "partial"),
            ("field='k'\nwhere={}", partial(doc! { "archived": false }), "partial"),
            (living, partial(doc! { "gone": null }), ""),
            (living, partial(doc! { "gone": null, "type": "a" }), "partial"),
            (living, index(doc! {}), ""),
            (plain, collated(2), ""),
            (plain, index(doc! { "collation": { "locale": "simple" } }), ""),
            ("field='k'\nignore_case=true", collated(2), ""),
            ("field='k'\nignore_case=true", collated(3), "collation"),
            ("field='k'\nignore_case=true", index(doc! {}), "collation"),
            ("field='k'\ncollation={ locale='en', strength=2 }", collated(1), ""),
            ("field='k'\ncollation={ locale='en', strength=1 }", collated(2), "collation"),
            ("field='k'\ncollation={ locale='fr', strength=2 }", collated(2), "collation"),
            (plain, index(doc! { "hidden": true }), ""),
            (plain, index(doc! { "key": { "k": 1, "type": 1 } }), "compound"),
            (plain, index(doc! { "key": { "type": 1, "k": 1 } }), "compound"),
            (plain, index(doc! { "key": { "k": 1, "type": 1 }, "unique": false }), "none"),
            (plain, index(doc! { "key": { "type": 1 } }), "none"),
            (plain, index(doc! { "key": { "k": "hashed" }, "unique": false }), "hashed or text; not unique"),
            (plain, doc! { "buildUUID": "u", "spec": index(doc! {}) }, "still building"),
            (pair, index(both), ""),
            (pair, index(doc! { "sparse": false }), ""),
            (pair, index(doc! {}), "sparse"),
            (pair, partial(doc! { "k": { "$exists": true } }), "partial"),
            (pair, partial(doc! { "k": { "$type": "string" } }), "partial"),
            (pair, index(doc! { "key": { "k": 1, "n": 1, "m": 1 } }), "compound"),
            ("field='_id'", index(doc! { "key": { "n": 1 } }), ""),
        ] {
            let found = problem(lines, &index);
            assert!(
                found.starts_with(expected) && found.is_empty() == expected.is_empty(),
                "{lines}\n{index}\n{found}"
            );
        }
    }

    #[test]
    fn a_partial_index_says_among_which_documents_if_the_profile_does_not() {
        let living = partial(doc! { "gone": null });
        let found = narrower(&key("field='k'"), std::slice::from_ref(&living)).unwrap();
        assert!(found.sentence(&key("field='k'")).contains("add `where = { gone = null }` to [key]"));
        assert_eq!(narrower(&key("field='k'\nwhere={}"), std::slice::from_ref(&living)), None);
        assert_eq!(narrower(&key("field='k'\nwhere={ a = 1 }"), std::slice::from_ref(&living)), None);
        assert_eq!(
            narrower(&key("field='k'"), &[living.clone(), index(doc! {})]),
            None,
            "all documents are kept unique"
        );
        assert_eq!(narrower(&key("field='k'"), &[partial(doc! { "k": { "$exists": true } })]), None);
        let of_one = partial(doc! { "k": { "$exists": true } });
        assert!(narrower(&key("field=['k','n']"), &[of_one]).is_some(), "documents with the other field only");
        let other =
            doc! { "name": "i", "key": { "n": 1 }, "unique": true, "partialFilterExpression": { "gone": null } };
        assert_eq!(narrower(&key("field='k'"), &[other]), None);
    }

    #[test]
    fn an_index_that_one_shard_lacks_does_not_protect() {
        let key = key("field='k'");
        let listed = [index(doc! {})];
        let on = |name: &str, shard: &str| doc! { "name": name, "shard": shard };
        let all = [on("_id_", "a"), on("_id_", "b"), on("i", "a"), on("i", "b")];
        assert!(judge(&key, TEXT, &listed, Some(&all)).protecting.is_some());
        let check = judge(&key, TEXT, &listed, Some(&all[..3]));
        assert_eq!(check.weak, [("i".to_owned(), vec!["not on every shard"])]);
    }

    #[test]
    fn what_is_worth_knowing_of_an_index_is_said() {
        let notes = |lines: &str, extra: Document| judge(&key(lines), TEXT, &[index(extra)], None).notes.join("; ");
        assert!(notes("field='k'", doc! { "hidden": true }).contains("is hidden"));
        assert!(notes("field='k'", doc! { "expireAfterSeconds": 60 }).contains("removes documents"));
        assert!(notes("field='k'", doc! { "collation": { "locale": "en" } }).contains("has a collation"));
        assert!(notes("field='k'\nrequired=false", doc! { "sparse": false }).contains("lets in one document"));
        assert!(notes("field=['k','n']", doc! { "sparse": false }).contains("stricter"));
        assert_eq!(notes("field='k'", doc! {}), "");
    }
}
