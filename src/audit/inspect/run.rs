//! One audit: the passes over the collections, then the server's own facts, then the findings.

use mongodb::Database;
use mongodb::bson::Document;
use mongodb::options::{DatabaseOptions, ReadPreference, SelectionCriteria};

use super::findings::{Audited, Read, judge};
use super::groups::{self, Groups};
use super::hash_index::Partition;
use super::index::{self, IndexCheck, Narrower};
use super::orphans::{self, OrphanFacts};
use super::scan::{Facts, Scan};
use super::server::{self, Counters};
use super::{AuditOptions, collation, source};
use crate::audit::Profile;
use crate::audit::error::{AuditError, Result, Step};
use crate::audit::raw::shown;
use crate::target::Preflight;

/// All that was read of a database.
pub(in crate::audit) struct Inspection {
    pub(in crate::audit) facts: Facts,
    pub(in crate::audit) groups: Groups,
    pub(in crate::audit) index: Option<IndexCheck>,
    pub(in crate::audit) orphans: OrphanFacts,
    /// Collections that the profile refers to and the database does not have.
    pub(in crate::audit) absent: Vec<String>,
    /// Why the indexes of each shard were not read, if they were not.
    pub(in crate::audit) shards_unread: Option<String>,
    /// The index that says more than the profile, and whose filter was taken for the profile's.
    pub(in crate::audit) narrower: Option<Narrower>,
    /// The server's counters before this audit sent anything that could count.
    counters: Result<(Counters, Option<String>), String>,
}

/// What a collection, and what refers to it, shows.
pub(in crate::audit) async fn look(database: &Database, profile: &Profile, options: &AuditOptions) -> Result<Audited> {
    let database = &readable(database, options);
    match source::kind(database, &profile.collection).await {
        Ok(_) => {}
        Err(error @ AuditError::NoCollection { .. }) => {
            return Ok(Audited::nothing(error.to_string(), Preflight::default()));
        }
        Err(error) => return Err(error),
    }
    let inspection = inspect(database, profile, options, options.examples).await?;
    Ok(conclude(database, profile, options, &inspection).await)
}

/// Adds what the server tells, and judges.
pub(in crate::audit) async fn conclude(
    database: &Database,
    profile: &Profile,
    options: &AuditOptions,
    inspection: &Inspection,
) -> Audited {
    let mut preflight = Preflight::default();
    let collection = database.collection::<Document>(&profile.collection);
    let counters = match &inspection.counters {
        Ok((counters, version)) => {
            preflight.server_version.clone_from(version);
            preflight.notes.extend(sentence(counters));
            counters.clone()
        }
        Err(note) => {
            preflight.notes.push(note.clone());
            Counters::default()
        }
    };
    if let Some(key) = &profile.key {
        match server::lookup_plan(&collection, key).await {
            Ok(plan) => preflight.lookup_plan = Some(plan),
            Err(note) => preflight.notes.push(note),
        }
    }
    preflight.notes.extend(notes(profile, inspection));
    preflight.indexes = inspection.index.as_ref().map(|index| index.facts.clone()).unwrap_or_default();
    if inspection.facts.documents == 0 {
        let reason = format!("`{}` in `{}` is empty: nothing was checked", profile.collection, database.name());
        return Audited::nothing(reason, preflight);
    }
    let Inspection { facts, groups, index, orphans, .. } = inspection;
    let read = Read { profile, examples: options.examples, facts, groups, index: index.as_ref(), orphans };
    let (findings, invariants) = judge(&read);
    let documents = inspection.facts.documents;
    Audited { documents, findings, invariants, preflight, counters, reasons: reasons(profile, inspection) }
}

/// Reads all that the profile names. `keep` bounds what is kept of each kind; a repair keeps all.
pub(in crate::audit) async fn inspect(
    database: &Database,
    profile: &Profile,
    options: &AuditOptions,
    keep: usize,
) -> Result<Inspection> {
    // First of all: a question that the server refuses is an error that it counts.
    let counters = server::counters(database).await;
    let collection = database.collection::<Document>(&profile.collection);
    let step = format!("count `{}`", profile.collection);
    let estimated = collection.estimated_document_count().await.reading(database.name(), &step)?;
    let parts = estimated.div_ceil(options.keys_in_memory.max(1)).max(1);
    let mut inspection = Inspection {
        facts: Facts::default(),
        groups: Groups::default(),
        index: None,
        orphans: OrphanFacts::default(),
        absent: Vec::new(),
        shards_unread: None,
        narrower: None,
        counters,
    };
    let mut narrowed = None;
    let mut listed = Vec::new();
    if let Some(key) = &profile.key {
        listed = index::list(&collection).await?;
        inspection.narrower = index::narrower(key, &listed);
    }
    if let Some(narrower) = &inspection.narrower {
        narrowed = Some(narrower.narrow(profile));
    }
    let profile = narrowed.as_ref().unwrap_or(profile);
    let referring = referring(database, profile, &mut inspection.absent).await?;
    for index in 0..parts {
        let partition = Partition { index, of: parts };
        let pass = if parts == 1 { String::new() } else { format!(", pass {} of {parts}", index + 1) };
        let what = format!("documents of `{}` read{pass}", profile.collection);
        options.progress.begin(what, Some(estimated));
        let scan = Scan::new(profile, options, keep, partition, !referring.is_empty());
        let Some(owners) = scan.run(&collection, &mut inspection.facts).await? else { continue };
        for reference in &referring {
            let orphans = &mut inspection.orphans;
            orphans::look(database, profile, reference, (&owners, partition), options, orphans).await?;
        }
    }
    if let Some(key) = &profile.key {
        let candidates = match key.collation() {
            None => std::mem::take(&mut inspection.facts.candidates),
            Some(collation) => collation::candidates(&collection, key, &collation, options).await?,
        };
        inspection.groups = groups::split(&collection, profile, key, &candidates, options).await?;
        let shards = match index::shards(database, &collection).await {
            Ok(shards) => shards,
            Err(error) => {
                inspection.shards_unread = Some(error.to_string());
                None
            }
        };
        inspection.index = Some(index::judge(key, inspection.facts.key_types, &listed, shards.as_deref()));
    }
    Ok(inspection)
}

/// The database as an audit reads it: every collection, those that refer to others too.
fn readable(database: &Database, options: &AuditOptions) -> Database {
    if !options.secondary {
        return database.clone();
    }
    let criteria = SelectionCriteria::ReadPreference(ReadPreference::SecondaryPreferred { options: None });
    let options = DatabaseOptions::builder().selection_criteria(criteria).build();
    database.client().database_with_options(database.name(), options)
}

/// The references whose collections exist.
async fn referring<'p>(
    database: &Database,
    profile: &'p Profile,
    absent: &mut Vec<String>,
) -> Result<Vec<&'p crate::audit::Reference>> {
    let mut there = Vec::new();
    for reference in &profile.references {
        match source::kind(database, &reference.collection).await {
            Ok(_) => there.push(reference),
            Err(AuditError::NoCollection { collection, .. }) => absent.push(collection),
            Err(error) => return Err(error),
        }
    }
    Ok(there)
}

/// Why nothing can be said for certain although there was something to look at.
fn reasons(profile: &Profile, Inspection { facts, orphans, .. }: &Inspection) -> Vec<String> {
    let mut reasons = orphans.misnamed(&profile.collection);
    if facts.unindexable.count == 0 {
        return reasons;
    }
    let examples: Vec<String> =
        facts.unindexable.kept.iter().take(3).map(|(id, why)| format!("{} ({})", shown(id), why.as_str())).collect();
    let count = facts.unindexable.count;
    let examples = examples.join(", ");
    reasons.push(format!("{count} documents have a key that no index can hold, and were not judged: {examples}"));
    reasons
}

fn notes(profile: &Profile, inspection: &Inspection) -> Vec<String> {
    let Inspection { facts, index, .. } = inspection;
    let mut notes: Vec<String> = inspection
        .absent
        .iter()
        .map(|name| format!("there is no collection `{name}`: its references were not checked"))
        .collect();
    if let Some(error) = &inspection.shards_unread {
        notes.push(format!("whether each shard has the indexes was not checked: {error}"));
    }
    if let (Some(narrower), Some(key)) = (&inspection.narrower, &profile.key) {
        notes.push(narrower.sentence(key));
    }
    if profile.key.is_some() && facts.judged < facts.documents {
        notes.push(format!(
            "{} of {} documents match `where`: the key is unique among them",
            facts.judged, facts.documents
        ));
    }
    let unknown = facts.elements.saturating_sub(facts.identified);
    if let Some(array) = profile.array.as_ref().filter(|array| unknown > 0 && !array.identity.is_empty()) {
        notes.push(format!(
            "{unknown} of {} elements of `{}` fit no rule of `identity`: they were not looked at",
            facts.elements, array.field
        ));
    }
    if facts.ambiguous > 0 {
        notes.push(format!(
            "{} documents have a participant whose name contains the separator: two sets of participants may get one key",
            facts.ambiguous
        ));
    }
    notes.extend(inspection.orphans.unused.iter().map(|(collection, field)| {
        format!("no document of `{collection}` has anything in `{field}`: no such reference was checked")
    }));
    if let Some(index) = index {
        notes.extend(index.notes.iter().cloned());
        if let (Some(protecting), false) = (&index.protecting, index.weak.is_empty()) {
            let weak: Vec<&str> = index.weak.iter().map(|(name, _)| name.as_str()).collect();
            let weak = weak.join(", ");
            notes.push(format!("`{protecting}` keeps the key unique; {weak} on the same field is not needed for that"));
        }
    }
    notes
}

fn sentence(counters: &Counters) -> Option<String> {
    let parts: Vec<String> = [
        ("write conflicts", counters.write_conflicts),
        ("errors caused by requests (E11000 among them)", counters.user_errors),
        ("E11000 errors", counters.duplicate_keys),
    ]
    .into_iter()
    .filter_map(|(name, count)| count.map(|count| format!("{count} {name}")))
    .collect();
    (!parts.is_empty()).then(|| format!("since the server started: {}", parts.join(", ")))
}
