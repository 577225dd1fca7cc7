//! One pass over the audited collection: keys, arrays and sizes of every document, in bounded memory.
//!
//! It does not decide which candidates are duplicates (`groups` reads them again) and knows nothing of reports.

use mongodb::Collection;
use mongodb::bson::{Bson, Document, RawBsonRef, RawDocument, doc};
use rustc_hash::FxHashSet;

use super::seen::{Partition, Seen, hash, hash_value};
use super::{AuditOptions, source};
use crate::audit::Profile;
use crate::audit::dedupe::repeated;
use crate::audit::error::{Result, Step};
use crate::audit::key::{Derived, Difference, KeyState, state};
use crate::audit::raw::{at, decoded};

/// Documents found, of which the first are kept; a repair keeps all.
#[derive(Debug)]
pub(in crate::audit) struct Tally<T> {
    pub(in crate::audit) count: u64,
    pub(in crate::audit) kept: Vec<T>,
}

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Tally { count: 0, kept: Vec::new() }
    }
}

impl<T> Tally<T> {
    pub(super) fn add(&mut self, limit: usize, item: impl FnOnce() -> T) {
        self.count += 1;
        if self.kept.len() < limit {
            self.kept.push(item());
        }
    }
}

/// A document whose key is missing or wrong.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit) struct Deviant {
    pub(in crate::audit) id: Bson,
    pub(in crate::audit) stored: Option<Bson>,
    pub(in crate::audit) derived: Option<Derived>,
    /// Absent when the key is missing.
    pub(in crate::audit) difference: Option<Difference>,
}

/// A document whose array repeats elements.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit) struct Repeating {
    pub(in crate::audit) id: Bson,
    pub(in crate::audit) elements: u64,
    pub(in crate::audit) repeated: u64,
}

/// What the passes found.
#[derive(Debug, Default)]
pub(in crate::audit) struct Facts {
    pub(in crate::audit) documents: u64,
    /// Documents that have a key or should have one.
    pub(in crate::audit) missing: Tally<Deviant>,
    pub(in crate::audit) wrong: Tally<Deviant>,
    /// Documents with one hash: candidates for duplicates.
    pub(in crate::audit) candidates: Vec<Vec<Bson>>,
    pub(in crate::audit) arrays: u64,
    pub(in crate::audit) elements: u64,
    pub(in crate::audit) repeated_elements: u64,
    pub(in crate::audit) repeating: Tally<Repeating>,
    pub(in crate::audit) large: Tally<(Bson, u64)>,
    /// Documents with a participant whose name contains the separator.
    pub(in crate::audit) ambiguous: u64,
}

/// One pass in progress.
pub(super) struct Scan<'a> {
    profile: &'a Profile,
    options: &'a AuditOptions,
    keep: usize,
    partition: Partition,
    seen: Seen,
    /// Hashes of the documents' ids, for the references.
    ids: Option<FxHashSet<u64>>,
    scratch: Vec<u8>,
}

impl<'a> Scan<'a> {
    /// A pass over this part of the keys. `keep` bounds what each tally keeps; `referred` if anything refers to the ids.
    pub(super) fn new(
        profile: &'a Profile,
        options: &'a AuditOptions,
        keep: usize,
        partition: Partition,
        referred: bool,
    ) -> Self {
        let ids = referred.then(FxHashSet::default);
        Scan { profile, options, keep, partition, seen: Seen::default(), ids, scratch: Vec::new() }
    }

    /// Reads the collection. Only the first part counts; every part looks for its own candidates. Returns the hashes of
    /// the ids for the references.
    pub(super) async fn run(
        mut self,
        collection: &Collection<Document>,
        facts: &mut Facts,
    ) -> Result<Option<FxHashSet<u64>>> {
        let first = self.partition.index == 0;
        let mut batches = source::batches(collection, projection(self.profile, first), self.options).await?;
        let step = format!("read `{}`", collection.name());
        while let Some(batch) = batches.recv().await {
            let batch = batch.reading(&collection.namespace().db, &step)?;
            for document in batch.doc_slices().reading(&collection.namespace().db, &step)? {
                if let Ok(Some(document)) = document.map(|document| document.as_document()) {
                    self.look(document, first.then_some(&mut *facts));
                }
            }
        }
        facts.candidates.extend(self.seen.into_groups());
        Ok(self.ids)
    }

    fn look(&mut self, document: &RawDocument, facts: Option<&mut Facts>) {
        let Some(id) = at(document, "_id") else { return };
        if let Some(ids) = &mut self.ids {
            let hash = hash_value(id, &mut self.scratch);
            if self.partition.holds(hash) {
                ids.insert(hash);
            }
        }
        let state = self.profile.key.as_ref().map(|key| state(key, document));
        if let Some(KeyState::Right(derived) | KeyState::Missing(Some(derived)) | KeyState::Wrong(derived, _)) = &state
        {
            let hash = hash(derived.text.as_bytes());
            if self.partition.holds(hash) {
                self.seen.note(hash, id);
            }
        }
        if let Some(facts) = facts {
            self.count(document, state, facts);
        }
    }

    fn count(&self, document: &RawDocument, state: Option<KeyState>, facts: &mut Facts) {
        let id = || at(document, "_id").map_or(Bson::Null, decoded);
        facts.documents += 1;
        if let (Some(key), Some(state)) = (&self.profile.key, state) {
            let stored = || at(document, &key.field).map(decoded);
            let clashes = |derived: &Derived| {
                !key.separator.is_empty() && derived.parts.iter().any(|part| part.contains(key.separator.as_str()))
            };
            let deviant = |derived, difference| Deviant { id: id(), stored: stored(), derived, difference };
            match state {
                KeyState::Right(derived) => {
                    facts.ambiguous += u64::from(key.participants.is_some() && clashes(&derived));
                }
                KeyState::Missing(derived) => facts.missing.add(self.keep, || deviant(derived, None)),
                KeyState::Wrong(derived, difference) => {
                    facts.wrong.add(self.keep, || deviant(Some(derived), Some(difference)));
                }
            }
        }
        if let Some(spec) = &self.profile.array
            && let Ok(array) = document.get_array(spec.field.as_str())
        {
            let repeated = repeated(spec, array).repeated.len() as u64;
            // The projection leaves out elements that are no documents; they count as well.
            let elements = computed(document, LENGTH);
            facts.arrays += 1;
            facts.elements += elements;
            if repeated > 0 {
                facts.repeated_elements += repeated;
                facts.repeating.add(self.keep, || Repeating { id: id(), elements, repeated });
            }
        }
        let size = computed(document, SIZE);
        if size >= self.options.large_bytes {
            facts.large.add(self.keep, || (id(), size));
        }
    }
}

/// Name of the computed field that holds a document's size.
const SIZE: &str = "__onlyone_size";

/// Name of the computed field that holds the length of its array.
const LENGTH: &str = "__onlyone_length";

fn computed(document: &RawDocument, field: &str) -> u64 {
    match at(document, field) {
        Some(RawBsonRef::Int32(number)) => u64::try_from(number).unwrap_or(0),
        _ => 0,
    }
}

/// The fields that a pass needs. Of two paths, one within the other, only the outer may be named.
fn projection(profile: &Profile, first: bool) -> Document {
    let mut paths: Vec<String> = Vec::new();
    if let Some(key) = &profile.key {
        paths.push(key.field.clone());
        paths.extend(key.participants.clone());
        paths.extend(key.prefix.clone());
    }
    if let (Some(array), true) = (&profile.array, first) {
        paths.extend(array.identity.iter().flatten().map(|field| format!("{}.{field}", array.field)));
    }
    paths.sort_unstable();
    let mut projection = doc! { "_id": 1 };
    let mut outer: Option<String> = None;
    for path in paths {
        if outer.as_ref().is_some_and(|outer| path == *outer || path.starts_with(&format!("{outer}."))) {
            continue;
        }
        projection.insert(&path, 1);
        outer = Some(path);
    }
    if first {
        projection.insert(SIZE, doc! { "$bsonSize": "$$ROOT" });
        if let Some(array) = &profile.array {
            let path = format!("${}", array.field);
            projection.insert(LENGTH, doc! { "$cond": [{ "$isArray": &path }, { "$size": &path }, 0] });
        }
    }
    projection
}
