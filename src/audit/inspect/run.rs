//! One audit: the passes over the collections, then the server's own facts, then the findings.

use mongodb::Database;
use mongodb::bson::Document;
use mongodb::options::{DatabaseOptions, ReadPreference, SelectionCriteria};

use super::findings::{Audited, Read, judge};
use super::groups::{self, Groups};
use super::index::{self, IndexCheck};
use super::orphans::{self, OrphanFacts};
use super::scan::{Facts, Scan};
use super::seen::Partition;
use super::server::{self, Counters};
use super::{AuditOptions, source};
use crate::audit::Profile;
use crate::audit::error::{AuditError, Result, Step};
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
}

/// Looks for violations in a database, without writing to it.
pub async fn audit(database: &Database, profile: &Profile, options: &AuditOptions) -> Result<Audited, AuditError> {
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
    let counters = match server::counters(database).await {
        Ok((counters, version)) => {
            preflight.server_version = version;
            preflight.notes.extend(sentence(&counters));
            counters
        }
        Err(note) => {
            preflight.notes.push(note);
            Counters::default()
        }
    };
    if let Some(key) = &profile.key {
        match server::lookup_plan(&collection, key).await {
            Ok(plan) => preflight.lookup_plan = Some(plan),
            Err(note) => preflight.notes.push(note),
        }
    }
    preflight.notes.extend(notes(inspection));
    preflight.indexes = inspection.index.as_ref().map(|index| index.facts.clone()).unwrap_or_default();
    if inspection.facts.documents == 0 {
        let reason = format!("`{}` in `{}` is empty: nothing was checked", profile.collection, database.name());
        return Audited::nothing(reason, preflight);
    }
    let Inspection { facts, groups, index, orphans, .. } = inspection;
    let read = Read { profile, examples: options.examples, facts, groups, index: index.as_ref(), orphans };
    let (findings, invariants) = judge(&read);
    let documents = inspection.facts.documents;
    Audited { documents, findings, invariants, preflight, counters, reasons: Vec::new() }
}

/// Reads all that the profile names. `keep` bounds what is kept of each kind; a repair keeps all.
pub(in crate::audit) async fn inspect(
    database: &Database,
    profile: &Profile,
    options: &AuditOptions,
    keep: usize,
) -> Result<Inspection> {
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
    };
    let referring = referring(database, profile, &mut inspection.absent).await?;
    for index in 0..parts {
        let partition = Partition { index, of: parts };
        let scan = Scan::new(profile, options, keep, partition, !referring.is_empty());
        let Some(owners) = scan.run(&collection, &mut inspection.facts).await? else { continue };
        for reference in &referring {
            let orphans = &mut inspection.orphans;
            orphans::look(database, profile, reference, (&owners, partition), options, orphans).await?;
        }
    }
    if let Some(key) = &profile.key {
        let candidates = std::mem::take(&mut inspection.facts.candidates);
        inspection.groups = groups::split(&collection, profile, key, &candidates).await?;
        let listed = index::list(&collection).await?;
        let shards = match index::shards(database, &collection).await {
            Ok(shards) => shards,
            Err(error) => {
                inspection.shards_unread = Some(error.to_string());
                None
            }
        };
        inspection.index = Some(index::judge(key, &listed, shards.as_deref()));
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

fn notes(inspection: &Inspection) -> Vec<String> {
    let mut notes: Vec<String> = inspection
        .absent
        .iter()
        .map(|name| format!("there is no collection `{name}`: its references were not checked"))
        .collect();
    if let Some(error) = &inspection.shards_unread {
        notes.push(format!("whether each shard has the indexes was not checked: {error}"));
    }
    if inspection.facts.ambiguous > 0 {
        notes.push(format!(
            "{} documents have a participant whose name contains the separator: two sets of participants may get one key",
            inspection.facts.ambiguous
        ));
    }
    if let Some(index) = &inspection.index
        && let (Some(protecting), false) = (&index.protecting, index.weak.is_empty())
    {
        let weak: Vec<&str> = index.weak.iter().map(|(name, _)| name.as_str()).collect();
        notes.push(format!("`{protecting}` keeps the key unique; {} on the same field is not needed", weak.join(", ")));
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
