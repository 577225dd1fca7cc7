//! One pass over the audited collection: keys, arrays and sizes of every document, in bounded memory.
//!
//! It does not decide which candidates are duplicates (`groups` reads them again) and knows nothing of reports.

use mongodb::Collection;
use mongodb::bson::{Bson, Document, RawBsonRef, RawDocument, doc};
use rustc_hash::FxHashSet;

use super::groups::Candidate;
use super::hash_index::{HashIndex, Partition, hash, hash_id};
use super::{AuditOptions, source};
use crate::audit::canon::{Texts, Unindexable};
use crate::audit::dedupe::repeated;
use crate::audit::error::{Result, Step};
use crate::audit::key::{Derived, Difference, KeyState, Presence, Stored, state, stored};
use crate::audit::raw::{at, decoded};
use crate::audit::{IdentityRule, KeySpec, Profile};

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
    /// Documents among which the key is unique.
    pub(in crate::audit) judged: u64,
    /// Documents without a key, where each should have one.
    pub(in crate::audit) missing: Tally<Deviant>,
    pub(in crate::audit) wrong: Tally<Deviant>,
    /// Documents whose key is null to a unique index, where none needs to have a key.
    pub(in crate::audit) null: Tally<Deviant>,
    /// Documents that no index of the key can hold.
    pub(in crate::audit) unindexable: Tally<(Bson, Unindexable)>,
    /// Types of the values in keys, one bit for each number that BSON gives them.
    pub(in crate::audit) key_types: u32,
    /// Documents with one hash: candidates for duplicates.
    pub(in crate::audit) candidates: Vec<Candidate>,
    pub(in crate::audit) arrays: u64,
    pub(in crate::audit) elements: u64,
    /// Elements that a rule of identity fits.
    pub(in crate::audit) identified: u64,
    pub(in crate::audit) repeated_elements: u64,
    pub(in crate::audit) repeating: Tally<Repeating>,
    pub(in crate::audit) large: Tally<(Bson, u64)>,
    /// Documents with a participant whose name contains the separator.
    pub(in crate::audit) ambiguous: u64,
}

impl Facts {
    /// Documents that are wrong by themselves; which are duplicates shows when all are read.
    fn defects(&self) -> u64 {
        self.missing.count + self.wrong.count + self.unindexable.count + self.repeating.count
    }
}

/// One pass in progress.
pub(super) struct Scan<'a> {
    profile: &'a Profile,
    options: &'a AuditOptions,
    keep: usize,
    partition: Partition,
    seen: HashIndex,
    /// Hashes of the documents' ids, for the references.
    ids: Option<FxHashSet<u64>>,
    scratch: Vec<u8>,
    /// How texts in keys are compared.
    collation: Option<Document>,
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
        let collation = profile.key.as_ref().and_then(KeySpec::collation);
        Scan { profile, options, keep, partition, seen: HashIndex::default(), ids, scratch: Vec::new(), collation }
    }

    /// Reads the collection. Only the first part counts; every part looks for its own candidates. Returns the hashes of
    /// the ids for the references.
    pub(super) async fn run(
        mut self,
        collection: &Collection<Document>,
        facts: &mut Facts,
    ) -> Result<Option<FxHashSet<u64>>> {
        match self.profile.key.as_ref().and_then(KeySpec::filter) {
            None => self.read(collection, doc! {}, true, facts).await?,
            Some(filter) => {
                self.read(collection, filter.clone(), true, facts).await?;
                // Arrays, sizes and ids are looked at in all documents.
                self.read(collection, doc! { "$nor": [filter.clone()] }, false, facts).await?;
            }
        }
        let candidates = self.seen.into_groups().into_iter();
        facts.candidates.extend(candidates.map(|(hash, ids)| Candidate { hash: Some(hash), ids }));
        Ok(self.ids)
    }

    /// Reads the documents that match; `judged` if the key is unique among them.
    async fn read(
        &mut self,
        collection: &Collection<Document>,
        filter: Document,
        judged: bool,
        facts: &mut Facts,
    ) -> Result<()> {
        let first = self.partition.index == 0;
        let mut batches = source::batches(collection, filter, projection(self.profile, first), self.options).await?;
        let step = format!("read `{}`", collection.name());
        while let Some(batch) = batches.recv().await {
            let batch = batch.reading(&collection.namespace().db, &step)?;
            let (mut documents, before) = (0, facts.defects());
            for document in batch.doc_slices().reading(&collection.namespace().db, &step)? {
                if let Ok(Some(document)) = document.map(|document| document.as_document()) {
                    self.look(document, judged, first.then_some(&mut *facts));
                    documents += 1;
                }
            }
            self.options.progress.more(documents);
            self.options.progress.found(facts.defects() - before);
        }
        Ok(())
    }

    fn look(&mut self, document: &RawDocument, judged: bool, mut facts: Option<&mut Facts>) {
        let Some(id) = at(document, "_id") else { return };
        if let Some(ids) = &mut self.ids {
            let hash = hash_id(id, &mut self.scratch);
            if self.partition.holds(hash) {
                ids.insert(hash);
            }
        }
        if let (Some(key), true) = (&self.profile.key, judged) {
            match key.participants {
                Some(_) => self.look_at_participants(key, document, id, facts.as_deref_mut()),
                None => self.look_at_stored(key, document, id, facts.as_deref_mut()),
            }
        }
        if let Some(facts) = facts {
            self.count(document, facts);
        }
    }

    fn note(&mut self, hash: u64, id: RawBsonRef<'_>) {
        if self.partition.holds(hash) {
            self.seen.note(hash, id);
        }
    }

    /// A key that is made of participants.
    fn look_at_participants(
        &mut self,
        key: &KeySpec,
        document: &RawDocument,
        id: RawBsonRef<'_>,
        facts: Option<&mut Facts>,
    ) {
        let state = state(key, document);
        let absent = matches!(state, KeyState::Missing(_)) && !key.required;
        if let (KeyState::Right(derived) | KeyState::Missing(Some(derived)) | KeyState::Wrong(derived, _), false) =
            (&state, absent)
        {
            self.note(hash(derived.comparable()), id);
        }
        let Some(facts) = facts else { return };
        facts.judged += 1;
        let stored = at(document, key.field.first());
        facts.key_types |= stored.map_or(0, type_bit);
        let clashes = |derived: &Derived| {
            !key.separator.is_empty() && derived.parts.iter().any(|part| part.contains(key.separator.as_str()))
        };
        let deviant =
            |derived, difference| Deviant { id: decoded(id), stored: stored.map(decoded), derived, difference };
        match state {
            KeyState::Right(derived) => facts.ambiguous += u64::from(clashes(&derived)),
            KeyState::Missing(_) if absent => {
                if stored.is_some() || !key.sparse {
                    facts.null.add(self.keep, || deviant(None, None));
                }
            }
            KeyState::Missing(derived) => facts.missing.add(self.keep, || deviant(derived, None)),
            KeyState::Wrong(derived, difference) => {
                facts.wrong.add(self.keep, || deviant(Some(derived), Some(difference)));
            }
        }
    }

    /// A key that is taken as stored.
    fn look_at_stored(&mut self, key: &KeySpec, document: &RawDocument, id: RawBsonRef<'_>, facts: Option<&mut Facts>) {
        let found = stored(key, document);
        // Where a collation compares them, the server finds the candidates.
        if let (Ok(Stored { entries, presence: Presence::There }), None) = (&found, &self.collation) {
            match entries.as_slice() {
                [entry] => {
                    self.scratch.clear();
                    entry.push(Texts::Exact, &mut self.scratch);
                    let hash = hash(&self.scratch);
                    self.note(hash, id);
                }
                entries => {
                    let mut keys: Vec<Vec<u8>> = entries.iter().map(|entry| entry.bytes(Texts::Exact)).collect();
                    keys.sort_unstable();
                    keys.dedup();
                    keys.iter().for_each(|key| self.note(hash(key), id));
                }
            }
        }
        let Some(facts) = facts else { return };
        facts.judged += 1;
        let deviant = || {
            let stored = at(document, key.field.first()).map(decoded);
            Deviant { id: decoded(id), stored, derived: None, difference: None }
        };
        match found {
            Err(why) => facts.unindexable.add(self.keep, || (decoded(id), why)),
            Ok(Stored { presence: Presence::There, entries }) => {
                let values = entries.iter().flat_map(|entry| &entry.values);
                facts.key_types |= values.fold(0, |types, value| types | type_bit(*value));
            }
            Ok(_) if key.required => facts.missing.add(self.keep, deviant),
            Ok(Stored { presence: Presence::Null, .. }) => facts.null.add(self.keep, deviant),
            Ok(_) => {}
        }
    }

    fn count(&self, document: &RawDocument, facts: &mut Facts) {
        let id = || at(document, "_id").map_or(Bson::Null, decoded);
        facts.documents += 1;
        if let Some(spec) = &self.profile.array
            && let Ok(array) = document.get_array(spec.field.as_str())
        {
            let found = repeated(spec, array);
            let repeated = found.repeated.len() as u64;
            // The projection leaves out elements that are no documents; they count as well.
            let elements = computed(document, LENGTH);
            facts.arrays += 1;
            facts.elements += elements;
            facts.identified += found.identified as u64;
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

/// The bit of a value's type.
pub(in crate::audit) fn type_bit(value: RawBsonRef<'_>) -> u32 {
    1_u32.checked_shl(value.element_type() as u32).unwrap_or(1)
}

/// The fields that a pass needs.
fn projection(profile: &Profile, first: bool) -> Document {
    let mut named: Vec<String> = Vec::new();
    if let Some(key) = &profile.key {
        named.extend(key.field.all().iter().chain(&key.participants).chain(&key.prefix).cloned());
    }
    if let (Some(array), true) = (&profile.array, first) {
        for rule in &array.identity {
            match rule {
                IdentityRule::Fields(fields) => {
                    named.extend(fields.iter().map(|field| format!("{}.{field}", array.field)));
                }
                IdentityRule::Element => named.push(array.field.clone()),
            }
        }
    }
    let mut projection = paths(named.iter().map(String::as_str));
    if first {
        projection.insert(SIZE, doc! { "$bsonSize": "$$ROOT" });
        if let Some(array) = &profile.array {
            let path = format!("${}", array.field);
            projection.insert(LENGTH, doc! { "$cond": [{ "$isArray": &path }, { "$size": &path }, 0] });
        }
    }
    projection
}

/// A projection of these paths and `_id`. Of two, one within the other, only the outer may be named; and a number in a path
/// is a position in an array, which a projection does not know, so that all before it is taken.
pub(super) fn paths<'p>(named: impl Iterator<Item = &'p str>) -> Document {
    let is_position = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let cut = |path: &str| {
        let named: Vec<&str> = path.split('.').take_while(|part| !is_position(part)).collect();
        named.join(".")
    };
    let mut paths: Vec<String> = named.map(cut).collect();
    // With the dot, `a.b` comes right after `a`, whatever else begins with `a`.
    paths.sort_unstable_by_key(|path| format!("{path}."));
    let mut projection = doc! { "_id": 1 };
    let mut outer: Option<String> = None;
    for path in paths.into_iter().filter(|path| path != "_id" && !path.starts_with("_id.")) {
        if outer.as_ref().is_some_and(|outer| path == *outer || path.starts_with(&format!("{outer}."))) {
            continue;
        }
        projection.insert(&path, 1);
        outer = Some(path);
    }
    projection
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_paths_within_each_other_the_outer_is_read() {
        let of = |named: &[&str]| paths(named.iter().copied());
        assert_eq!(of(&["a.b", "a-b", "a", "c.0.d", "_id"]), doc! { "_id": 1, "a-b": 1, "a": 1, "c": 1 });
        assert_eq!(of(&["c.d", "c.e", "_id.x"]), doc! { "_id": 1, "c.d": 1, "c.e": 1 });
    }
}
