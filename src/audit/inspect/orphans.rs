//! Documents that refer to one that is gone.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use mongodb::{Collection, Database};
use rustc_hash::{FxHashMap, FxHashSet};

use super::hash_index::{Partition, hash_id};
use super::scan::{Tally, paths};
use super::{AuditOptions, source};
use crate::audit::canon::values_at;
use crate::audit::error::{Result, Step};
use crate::audit::forms::{meant, other_form};
use crate::audit::raw::{at, decoded, is_blank, value_at};
use crate::audit::{Profile, Reference};

/// Referring documents of one owner that is gone.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit) struct Orphans {
    pub(in crate::audit) collection: String,
    pub(in crate::audit) field: String,
    /// The owner.
    pub(in crate::audit) owner: Bson,
    pub(in crate::audit) documents: u64,
}

/// What the references of all parts came to.
#[derive(Debug, Default)]
pub(in crate::audit) struct OrphanFacts {
    /// References looked at: documents of which each names an owner, or as many as it names.
    pub(in crate::audit) checked: u64,
    /// References to an owner that is gone; the kept ones are per owner.
    pub(in crate::audit) orphans: Tally<Orphans>,
    /// Collections and fields in which nothing was found.
    pub(in crate::audit) unused: BTreeSet<(String, String)>,
    /// References that are documents where no id is one, by collection and field: how many, and a field of theirs.
    pub(in crate::audit) inside: BTreeMap<(String, String), (u64, String)>,
}

impl OrphanFacts {
    /// What the profile says wrongly about references, a sentence each.
    pub(in crate::audit) fn misnamed(&self, owners: &str) -> Vec<String> {
        let sentence = |((collection, field), (count, inner)): (&(String, String), &(u64, String))| {
            format!(
                "{count} references in `{field}` of `{collection}` are documents, and no `_id` of `{owners}` is one: the profile must \
                 name the path to the id inside them, such as `{field}.{inner}`"
            )
        };
        self.inside.iter().map(sentence).collect()
    }
}

/// Owners that may be gone, until they are looked up.
type Suspects = FxHashMap<Vec<u8>, (Bson, u64)>;

/// Owners looked up by one query.
const AT_ONCE: usize = 10_000;

/// Reads one referring collection. `owners` holds the hashes of this part of the owners' ids.
pub(super) async fn look(
    database: &Database,
    profile: &Profile,
    reference: &Reference,
    (owners, partition): (&FxHashSet<u64>, Partition),
    options: &AuditOptions,
    facts: &mut OrphanFacts,
) -> Result<()> {
    let collection = database.collection::<Document>(&reference.collection);
    // Of a DBRef, what it names besides the id is needed as well.
    let projected = within_dbref(&reference.field).map_or(reference.field.as_str(), |(dbref, _)| dbref);
    let mut projection = paths(std::iter::once(projected));
    if projection.len() > 1 {
        projection.insert("_id", 0);
    }
    let step = format!("read `{}`", reference.collection);
    let expected = collection.estimated_document_count().await.reading(database.name(), &step)?;
    let what = format!("documents of `{}` held against what they refer to", reference.collection);
    options.progress.begin(what, Some(expected));
    let mut batches = source::batches(&collection, doc! {}, projection, options).await?;
    let mut suspects = Suspects::default();
    let (mut scratch, mut any) = (Vec::new(), false);
    while let Some(batch) = batches.recv().await {
        let batch = batch.reading(database.name(), &step)?;
        let (mut values, mut counted): (Vec<_>, Vec<u64>) = (Vec::new(), Vec::new());
        let mut documents = 0;
        for document in batch.doc_slices().reading(database.name(), &step)? {
            let Ok(Some(document)) = document.map(|document| document.as_document()) else { continue };
            documents += 1;
            values.clear();
            owners_in(document, &reference.field, (database.name(), &profile.collection), &mut values);
            counted.clear();
            for owner in values.iter().filter(|owner| !is_blank(Some(**owner))) {
                any = true;
                let hash = hash_id(*owner, &mut scratch);
                // A document that names an owner twice refers to it once.
                if !partition.holds(hash) || counted.contains(&hash) {
                    continue;
                }
                counted.push(hash);
                facts.checked += 1;
                if !owners.contains(&hash) {
                    suspects.entry(scratch.clone()).or_insert_with(|| (decoded(*owner), 0)).1 += 1;
                }
            }
        }
        options.progress.more(documents);
        if suspects.len() >= AT_ONCE {
            settle(database, profile, reference, std::mem::take(&mut suspects), options, facts).await?;
        }
    }
    if !any {
        facts.unused.insert((reference.collection.clone(), reference.field.clone()));
    }
    settle(database, profile, reference, suspects, options, facts).await
}

/// A path to the id within a DBRef: the path to the DBRef, and the one that is left.
fn within_dbref(field: &str) -> Option<(&str, &str)> {
    let at = field.find(".$id").filter(|at| matches!(field.as_bytes().get(at + 4), None | Some(b'.')))?;
    Some((&field[..at], &field[at + 1..]))
}

/// The values at the field of a reference, but for the ids within DBRefs that name another collection or database.
fn owners_in<'a>(
    document: &'a RawDocument,
    field: &str,
    (database, collection): (&str, &str),
    found: &mut Vec<RawBsonRef<'a>>,
) {
    let Some((dbref, id)) = within_dbref(field) else { return values_at(document, field, found) };
    let mut references = Vec::new();
    values_at(document, dbref, &mut references);
    let names = |reference: &RawDocument, field: &str, own: &str| match reference.get(field) {
        Ok(None | Some(RawBsonRef::Null)) => true,
        Ok(Some(name)) => name.as_str() == Some(own),
        Err(_) => false,
    };
    for reference in references.into_iter().filter_map(|reference| reference.as_document()) {
        if names(reference, "$ref", collection) && names(reference, "$db", database) {
            values_at(reference, id, found);
        }
    }
}

/// Looks the suspects up: an owner may have come after the pass over the owners.
async fn settle(
    database: &Database,
    profile: &Profile,
    reference: &Reference,
    suspects: Suspects,
    options: &AuditOptions,
    facts: &mut OrphanFacts,
) -> Result<()> {
    if suspects.is_empty() {
        return Ok(());
    }
    let step = format!("look for the owners of `{}`", reference.collection);
    let owners = database.collection::<RawDocumentBuf>(&profile.collection);
    let ids: Vec<Bson> = suspects.values().flat_map(|(owner, _)| forms(owner)).collect();
    let mut cursor = owners
        .find(doc! { "_id": { "$in": ids } })
        .projection(doc! { "_id": 1 })
        .max_time(options.max_time)
        .await
        .reading(database.name(), &step)?;
    let mut there = FxHashSet::default();
    while let Some(owner) = cursor.try_next().await.reading(database.name(), &step)? {
        if let Some(id) = at(&owner, "_id") {
            let mut bytes = Vec::new();
            hash_id(id, &mut bytes);
            there.insert(bytes);
        }
    }
    let gone: Vec<_> = suspects.into_iter().filter(|(bytes, _)| !there.contains(bytes)).collect();
    // What another reference of the profile looks into is no id to this one.
    let (inner, gone): (Vec<_>, Vec<_>) =
        gone.into_iter().partition(|(_, (owner, _))| is_named_within(profile, reference, owner));
    facts.checked -= inner.iter().map(|(_, (_, count))| count).sum::<u64>();
    let (documents, gone): (Vec<_>, Vec<_>) =
        gone.into_iter().partition(|(_, (owner, _))| owner.as_document().is_some());
    let mut gone = if documents.is_empty() || is_any_id_a_document(&owners, options, &step).await? {
        [documents, gone].concat()
    } else {
        facts.describe(reference, &documents);
        gone
    };
    gone.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    for (_, (owner, documents)) in gone {
        let (collection, field) = (reference.collection.clone(), reference.field.clone());
        facts.orphans.add(options.examples, || Orphans { collection, field, owner, documents });
        facts.orphans.count += documents - 1;
    }
    Ok(())
}

/// Whether the profile names a path into this value besides the one that leads to it.
fn is_named_within(profile: &Profile, reference: &Reference, value: &Bson) -> bool {
    let Some(document) = value.as_document() else { return false };
    let within = |other: &Reference| {
        let inner = other.field.strip_prefix(&reference.field)?.strip_prefix('.')?;
        (other.collection == reference.collection).then(|| value_at(document, inner)).flatten()
    };
    profile.references.iter().any(|other| within(other).is_some())
}

async fn is_any_id_a_document(owners: &Collection<RawDocumentBuf>, options: &AuditOptions, step: &str) -> Result<bool> {
    let found = owners.find_one(doc! { "_id": { "$type": "object" } }).max_time(options.max_time).await;
    Ok(found.reading(owners.namespace().db.as_str(), step)?.is_some())
}

impl OrphanFacts {
    /// Notes references that are documents, such as DBRefs: the id is somewhere inside.
    fn describe(&mut self, reference: &Reference, documents: &[(Vec<u8>, (Bson, u64))]) {
        for (_, (value, count)) in documents {
            let fields = value.as_document();
            let inner =
                fields.and_then(|fields| fields.keys().find(|name| *name == "$id").or_else(|| fields.keys().next()));
            let key = (reference.collection.clone(), reference.field.clone());
            let entry = self.inside.entry(key).or_insert_with(|| (0, inner.cloned().unwrap_or_default()));
            entry.0 += count;
            self.checked -= count;
        }
    }
}

/// Every form of the id that a value may mean.
fn forms(owner: &Bson) -> Vec<Bson> {
    let meant = owner.as_str().and_then(meant);
    [Some(owner.clone()), meant, other_form(owner)].into_iter().flatten().collect()
}
