//! What a repair must make of a database, worked out a second time by plain rules.
//!
//! It shares no code with the tool: it reads whole collections, compares everything with everything, and knows of a profile
//! what [`Spec`] says. What a repair plans and does is held against it.

mod keys;
mod merge;
mod refer;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document};

pub(crate) use keys::Key;
pub(crate) use merge::{Array, Keep, Rule, Rules};
pub(crate) use refer::{Reference, Shape, Twice, as_text};
pub(crate) use value::{exactly, is_none, text};

/// The documents of a database, by collection.
pub(crate) type Contents = BTreeMap<String, Vec<Document>>;

/// What is to be known of a profile.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) collection: &'static str,
    pub(crate) key: Option<Key>,
    /// The key is unique among documents in which this field is null or missing.
    pub(crate) alive: Option<&'static str>,
    pub(crate) array: Option<Array>,
    pub(crate) rules: Rules,
    pub(crate) references: Vec<Reference>,
}

/// What a repair must come to.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) contents: Contents,
    /// What is merged into what.
    pub(crate) merged: BTreeMap<String, String>,
    /// Referring documents that go, each with the one that stays.
    pub(crate) twins: BTreeMap<(String, String), String>,
    /// Documents that get a key.
    pub(crate) keys: BTreeMap<String, String>,
    /// Documents whose array is cleaned, with how many elements go.
    pub(crate) cleaned: BTreeMap<String, u64>,
    /// Referring documents that are redirected, by collection and field, with how many references each.
    pub(crate) redirected: BTreeMap<(String, String, String), u64>,
    /// Whether the unique index can be built.
    pub(crate) index: bool,
}

pub(crate) fn id(document: &Document) -> String {
    text(document.get("_id").unwrap_or(&Bson::Null))
}

/// Works it out.
pub(crate) fn expect(spec: &Spec, before: &Contents) -> Expected {
    let documents = before.get(spec.collection).cloned().unwrap_or_default();
    let alive: Vec<&Document> = documents.iter().filter(|document| spec.is_alive(document)).collect();
    let groups = spec.key.as_ref().map(|key| keys::groups(key, &alive)).unwrap_or_default();
    // What each group would become; what cannot be merged is refused at once, and what its references forbid after that.
    let mut refused: BTreeSet<usize> = BTreeSet::new();
    let ordered: Vec<Vec<Document>> = groups.iter().map(|group| merge::ranked(&spec.rules, group)).collect();
    let become_one: Vec<Option<Document>> =
        ordered.iter().map(|group| merge::merged(&spec.rules, spec.array.as_ref(), group)).collect();
    let is_whole = |group: &[Document]| spec.key.as_ref().is_none_or(|key| keys::is_whole(key, &group[0]));
    refused.extend((0..groups.len()).filter(|&group| become_one[group].is_none() || !is_whole(&groups[group])));
    loop {
        let into: BTreeMap<String, (usize, Bson)> = ordered
            .iter()
            .enumerate()
            .filter(|(number, _)| !refused.contains(number))
            .flat_map(|(number, group)| {
                let keeper = group[0].get("_id").cloned().unwrap();
                group[1..].iter().map(move |document| (id(document), (number, keeper.clone())))
            })
            .collect();
        match refer::redirected(spec, before, &into) {
            Err(groups) => refused.extend(groups),
            Ok(outcome) => return finished(spec, before, (&ordered, &become_one, &refused), &into, outcome),
        }
    }
}

fn finished(
    spec: &Spec,
    before: &Contents,
    (ordered, become_one, refused): (&[Vec<Document>], &[Option<Document>], &BTreeSet<usize>),
    into: &BTreeMap<String, (usize, Bson)>,
    outcome: refer::Outcome,
) -> Expected {
    let mut expected = Expected { twins: outcome.twins, redirected: outcome.redirected, ..Expected::default() };
    expected.contents = before.clone();
    expected.contents.extend(outcome.contents);
    expected.merged = into.iter().map(|(duplicate, (_, keeper))| (duplicate.clone(), text(keeper))).collect();
    let stay: BTreeSet<String> = refused.iter().flat_map(|&group| ordered[group].iter().map(id)).collect();
    let mut after = Vec::new();
    for document in before.get(spec.collection).into_iter().flatten() {
        let own = id(document);
        if expected.merged.contains_key(&own) {
            continue;
        }
        let group = (0..ordered.len()).find(|group| !refused.contains(group) && id(&ordered[*group][0]) == own);
        let mut document = group.and_then(|group| become_one[group].clone()).unwrap_or_else(|| document.clone());
        if let Some(key) = spec.key.as_ref().filter(|_| spec.is_alive(&document) && !stay.contains(&own))
            && let Some(right) = keys::set(key, &mut document)
        {
            expected.keys.insert(own.clone(), right);
        }
        if let Some(gone) = spec.array.as_ref().map(|array| merge::clean(array, &mut document)).filter(|gone| *gone > 0)
        {
            expected.cleaned.insert(own, gone);
        }
        after.push(document);
    }
    let alive: Vec<&Document> = after.iter().filter(|document| spec.is_alive(document)).collect();
    // An index beside duplicates would say that there are none.
    expected.index = refused.is_empty() && spec.key.as_ref().is_some_and(|key| keys::index_fits(key, &alive));
    expected.contents.insert(spec.collection.to_owned(), after);
    expected
}

impl Spec {
    fn is_alive(&self, document: &Document) -> bool {
        self.alive.is_none_or(|field| is_none(document.get(field)))
    }
}
