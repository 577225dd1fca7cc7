//! Writing a practice database. Only empty collections are written to.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::Database;
use mongodb::bson::{Document, doc};

use super::SeedSpec;
use super::documents::Maker;
use crate::audit::error::Step;
use crate::audit::{AuditError, FindingKind, Profile, WorkProgress};

/// Documents per insert command.
const BATCH: usize = 2_000;

/// What was written, and what an audit of it must find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeded {
    /// Documents per collection.
    pub written: BTreeMap<String, u64>,
    /// The known answer: how many findings of each kind.
    pub expected: BTreeMap<FindingKind, u64>,
}

/// Fills the profile's collections.
pub async fn seed(database: &Database, profile: &Profile, spec: &SeedSpec) -> Result<Seeded, AuditError> {
    seed_watched(database, profile, spec, &WorkProgress::default()).await
}

/// Fills the profile's collections, and tells how far it got.
pub async fn seed_watched(
    database: &Database,
    profile: &Profile,
    spec: &SeedSpec,
    progress: &WorkProgress,
) -> Result<Seeded, AuditError> {
    let mut maker = Maker::new(profile, spec)?;
    let collections = std::iter::once(&profile.collection).chain(profile.references.iter().map(|to| &to.collection));
    for collection in collections {
        let found = database.collection::<Document>(collection).find_one(doc! {}).await;
        if found.reading(database.name(), "look for documents that are there")?.is_some() {
            return Err(AuditError::NotEmpty { database: database.name().to_owned(), collection: collection.clone() });
        }
    }
    let mut writers: Vec<Writer> = std::iter::once(&profile.collection)
        .chain(profile.references.iter().map(|reference| &reference.collection))
        .map(|name| Writer { database: database.clone(), collection: name.clone(), pending: Vec::new(), written: 0 })
        .collect();
    let spec = maker.spec().clone();
    let what = format!("documents of `{}` written, with what refers to them", profile.collection);
    progress.begin(what, Some(spec.documents));
    for number in 0..spec.documents {
        let document = maker.document(number);
        let owner = document.get_object_id("_id").unwrap_or_default();
        writers[0].put(document).await?;
        for (reference, writer) in profile.references.iter().zip(&mut writers[1..]) {
            for document in maker.referring(reference, number, owner) {
                writer.put(document).await?;
            }
        }
        progress.more(1);
    }
    if let (Some(reference), Some(writer)) = (profile.references.first(), writers.get_mut(1)) {
        for number in 0..spec.orphans {
            writer.put(maker.orphan(reference, number)).await?;
        }
    }
    let mut written = BTreeMap::new();
    for mut writer in writers {
        writer.flush().await?;
        *written.entry(writer.collection).or_default() += writer.written;
    }
    Ok(Seeded { written, expected: expected(profile, &maker) })
}

fn expected(profile: &Profile, maker: &Maker<'_>) -> BTreeMap<FindingKind, u64> {
    let spec = maker.spec();
    let index = u64::from(profile.key.is_some());
    let missing = profile.key.as_ref().map_or(0, |key| match (key.required, key.sparse) {
        (true, _) => spec.missing_keys,
        (false, true) => 0,
        // One without the key is let in.
        (false, false) => spec.missing_keys.saturating_sub(1),
    });
    [
        (FindingKind::DuplicateKey, duplicates(profile, maker)),
        (FindingKind::MissingKey, missing),
        (FindingKind::WrongKey, spec.wrong_keys),
        (FindingKind::MissingIndex, index),
        (FindingKind::DuplicateElement, spec.repeats),
        (FindingKind::Orphan, spec.orphans),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .collect()
}

/// Documents without the key are nobody's duplicates, unless their participants say what it would be and it must be there.
fn duplicates(profile: &Profile, maker: &Maker<'_>) -> u64 {
    let spec = maker.spec();
    let told = profile.key.as_ref().is_none_or(|key| key.participants.is_some() && key.required);
    if told || spec.missing_keys == 0 {
        return spec.duplicates;
    }
    let originals: BTreeSet<u64> = (spec.missing_keys..spec.documents).map(|number| maker.original(number)).collect();
    spec.documents - spec.missing_keys - originals.len() as u64
}

/// Collects documents into large inserts.
struct Writer {
    database: Database,
    collection: String,
    pending: Vec<Document>,
    written: u64,
}

impl Writer {
    async fn put(&mut self, document: Document) -> Result<(), AuditError> {
        self.pending.push(document);
        if self.pending.len() < BATCH { Ok(()) } else { self.flush().await }
    }

    async fn flush(&mut self) -> Result<(), AuditError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let collection = self.database.collection::<Document>(&self.collection);
        let step = "write the practice documents";
        collection.insert_many(&self.pending).ordered(false).await.writing(self.database.name(), step)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}
