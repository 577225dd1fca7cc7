//! The documents of a practice database: a function of the profile and the numbers asked for.

use mongodb::bson::{Bson, DateTime, Document, oid::ObjectId};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::audit::raw::put;
use crate::audit::{ArraySpec, AuditError, IdentityRule, KeySpec, Profile, Reference};

/// What a practice database shall hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedSpec {
    /// Documents in all.
    pub documents: u64,
    /// Documents that duplicate another one; of a profile without a key, array elements that do.
    pub duplicates: u64,
    /// Messages of each document, in its array and in each referring collection.
    pub messages: u64,
    /// Documents without the key, from the first on.
    pub missing_keys: u64,
    /// Documents whose key names the participants in the wrong order, after those without.
    pub wrong_keys: u64,
    /// Array elements that repeat an earlier one, spread over the documents.
    pub repeats: u64,
    /// Referring documents whose document is gone.
    pub orphans: u64,
    /// Root of the randomness.
    pub seed: u64,
}

impl Default for SeedSpec {
    fn default() -> Self {
        SeedSpec {
            documents: 10,
            duplicates: 2,
            messages: 2,
            missing_keys: 0,
            wrong_keys: 0,
            repeats: 0,
            orphans: 0,
            seed: 1,
        }
    }
}

/// 2026-01-01, when the first document was made.
const START_MS: i64 = 1_767_225_600_000;

/// Makes the documents one after another, in the order of their numbers.
pub(super) struct Maker<'a> {
    profile: &'a Profile,
    spec: SeedSpec,
    random: ChaCha8Rng,
}

impl<'a> Maker<'a> {
    /// Checks that the numbers fit the profile and each other.
    pub(super) fn new(profile: &'a Profile, spec: &SeedSpec) -> Result<Self, AuditError> {
        let mut spec = spec.clone();
        let usage = |problem: String| Err(AuditError::Usage(problem));
        if profile.key.is_none() {
            spec.repeats += std::mem::take(&mut spec.duplicates);
        }
        let ordered = profile.key.as_ref().is_some_and(|key| key.participants.is_some());
        if spec.documents == 0 {
            return usage("a seed needs at least one document".to_owned());
        }
        if spec.duplicates >= spec.documents {
            return usage(format!("{} duplicates need more than {} documents", spec.duplicates, spec.documents));
        }
        if spec.missing_keys + spec.wrong_keys > 0 && profile.key.is_none() {
            return usage(format!("the profile `{}` has no key that could be missing or wrong", profile.name));
        }
        if spec.missing_keys + spec.wrong_keys > spec.documents {
            return usage("more documents without or with a wrong key than documents".to_owned());
        }
        if spec.wrong_keys > 0 && !ordered {
            return usage(format!("the profile `{}` does not say what its key is made of", profile.name));
        }
        if profile.key.as_ref().and_then(KeySpec::filter).is_some_and(has_operators) {
            return usage("documents can only be made for a `where` of plain values".to_owned());
        }
        if spec.repeats > 0 && spec.messages == 0 {
            return usage("repeated elements need messages to repeat".to_owned());
        }
        if spec.repeats > 0 && profile.array.as_ref().is_none_or(|array| array.identity.is_empty()) {
            return usage(format!("the profile `{}` has no array whose elements could repeat", profile.name));
        }
        if spec.orphans > 0 && profile.references.is_empty() {
            return usage(format!("the profile `{}` has no references that could be orphans", profile.name));
        }
        Ok(Maker { profile, random: ChaCha8Rng::seed_from_u64(spec.seed), spec })
    }

    /// The numbers as they apply to the profile.
    pub(super) fn spec(&self) -> &SeedSpec {
        &self.spec
    }

    /// Document of this number, and its array's repeats in it.
    pub(super) fn document(&mut self, number: u64) -> Document {
        let mut document = Document::new();
        document.insert("_id", self.id(number));
        if let Some(key) = &self.profile.key {
            self.put_key(key, number, &mut document);
        }
        if let Some(field) = &self.profile.merge.oldest {
            put(&mut document, field, moment(number, 0));
        }
        for field in &self.profile.merge.newest {
            put(&mut document, field, moment(number, self.spec.messages));
        }
        if let Some(array) = &self.profile.array
            && (self.spec.messages > 0 || self.spec.repeats > 0)
        {
            document.insert(&array.field, self.elements(array, number));
        }
        document
    }

    /// The documents of a referring collection that belong to the document of this number.
    pub(super) fn referring(&mut self, reference: &Reference, number: u64, owner: ObjectId) -> Vec<Document> {
        let count = if reference.unique_with.is_empty() { self.spec.messages } else { 2 };
        (0..count)
            .map(|message| {
                let mut document = self.message(number, message);
                put(&mut document, &reference.field, owner);
                for (field, person) in reference
                    .unique_with
                    .iter()
                    .zip(self.people(number).into_iter().cycle().skip(usize::from(message == 1)))
                {
                    put(&mut document, field, person);
                }
                document
            })
            .collect()
    }

    /// A referring document whose owner never existed.
    pub(super) fn orphan(&mut self, reference: &Reference, number: u64) -> Document {
        let owner = ObjectId::from_bytes(self.random.random());
        let mut document = self.message(number, 0);
        put(&mut document, &reference.field, owner);
        document
    }

    fn message(&mut self, number: u64, message: u64) -> Document {
        let mut document = Document::new();
        document.insert("_id", ObjectId::from_bytes(self.random.random()));
        document.insert("text", format!("message {message} of document {number}"));
        document.insert("createdAt", moment(number, message + 1));
        document
    }

    /// An id whose order is the order of creation.
    fn id(&mut self, number: u64) -> ObjectId {
        let mut bytes: [u8; 12] = self.random.random();
        let seconds =
            u32::try_from(START_MS / 1000).unwrap_or(0).wrapping_add(u32::try_from(number / 100).unwrap_or(0));
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..8].copy_from_slice(&u32::try_from(number % u64::from(u32::MAX)).unwrap_or(0).to_be_bytes());
        ObjectId::from_bytes(bytes)
    }

    /// The number of the document that this one has the key of.
    pub(super) fn original(&self, number: u64) -> u64 {
        let distinct = self.spec.documents - self.spec.duplicates;
        if number < distinct { number } else { (number - distinct) % distinct }
    }

    fn people(&self, number: u64) -> [String; 2] {
        let original = self.original(number);
        [format!("user-{:07}", original * 2), format!("user-{:07}", original * 2 + 1)]
    }

    fn put_key(&self, key: &KeySpec, number: u64, document: &mut Document) {
        let missing = number < self.spec.missing_keys;
        let wrong = !missing && number < self.spec.missing_keys + self.spec.wrong_keys;
        let mut parts: Vec<String> = key.prefix.iter().map(|_| "direct".to_owned()).collect();
        for field in &key.prefix {
            put(document, field, "direct");
        }
        match &key.participants {
            None => parts.push(format!("session-{:07}", self.original(number))),
            Some(participants) => {
                let [first, second] = self.people(number);
                // Every other document names them the other way round: the order says nothing.
                let named = if number.is_multiple_of(2) { [&first, &second] } else { [&second, &first] };
                let elements: Vec<Bson> = named
                    .into_iter()
                    .map(|person| match &key.member {
                        Some(member) => {
                            let mut element = Document::new();
                            put(&mut element, member, person.as_str());
                            element.into()
                        }
                        None => person.as_str().into(),
                    })
                    .collect();
                document.insert(participants, elements);
                parts.extend(if wrong { [second, first] } else { [first, second] });
            }
        }
        for (path, value) in key.filter().into_iter().flatten() {
            put(document, path, value.clone());
        }
        if !missing {
            for field in key.field.all() {
                put(document, field, parts.join(&key.separator));
            }
        }
    }

    fn elements(&mut self, array: &ArraySpec, number: u64) -> Vec<Bson> {
        let mut elements: Vec<Document> = (0..self.spec.messages)
            .map(|message| {
                let mut element = Document::new();
                for field in array.identity.first().into_iter().flat_map(IdentityRule::fields) {
                    put(&mut element, field, format!("{field}-{number}-{message}"));
                }
                element.insert("text", format!("message {message} of document {number}"));
                put(&mut element, array.order.as_deref().unwrap_or("createdAt"), moment(number, message + 1));
                element
            })
            .collect();
        let spread = self.spec.repeats / self.spec.documents;
        let repeats = spread + u64::from(number < self.spec.repeats % self.spec.documents);
        for _ in 0..repeats {
            let first = self.random.random_range(0..elements.len());
            let again = elements[first].clone();
            let place = self.random.random_range(first + 1..=elements.len());
            elements.insert(place, again);
        }
        elements.into_iter().map(Bson::Document).collect()
    }
}

/// Whether a filter asks for more than equal values.
fn has_operators(filter: &Document) -> bool {
    filter.iter().any(|(name, value)| {
        let within = value.as_document().and_then(|value| value.keys().next());
        name.starts_with('$') || within.is_some_and(|name| name.starts_with('$'))
    })
}

/// Messages of neighbouring documents alternate in time, so that merging has something to order.
fn moment(number: u64, step: u64) -> DateTime {
    let offset = i64::try_from(step * 60_000 + number).unwrap_or(0);
    DateTime::from_millis(START_MS + offset)
}
