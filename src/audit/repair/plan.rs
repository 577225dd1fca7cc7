//! The plan of a repair: what would be set, merged, removed and created, per document. It writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};

use super::RepairOptions;
use super::redirect::value_at;
use crate::audit::error::{AuditError, Result, Step as _};
use crate::audit::inspect::{CollectionKind, Inspection, conclude, inspect, kind, shown};
use crate::audit::{Audited, Profile, Reference};
use crate::report::{ActionKind, RepairAction};

/// One thing to do. What it does exactly is decided when the documents are read again.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Takes all documents into the first.
    Merge { key: String, documents: Vec<Bson> },
    /// Gives the document the key of its participants.
    SetKey { document: Bson, key: String },
    /// Removes the repeated elements of its array.
    Deduplicate { document: Bson, elements: u64, repeated: u64 },
}

/// What a repair would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What the audit found.
    pub audited: Audited,
    pub(super) steps: Vec<Step>,
    /// Name of the unique index to create.
    pub(super) index: Option<String>,
    /// Documents that refer to a duplicate, and are to refer to what is kept.
    redirects: Vec<Redirect>,
    /// What cannot be repaired, a sentence each.
    pub left: Vec<String>,
    /// What an index says and the profile does not, which must be said before anything is written.
    pub(super) unsaid: Option<String>,
}

/// Documents of one collection that refer to one duplicate.
#[derive(Debug, Clone, PartialEq)]
struct Redirect {
    collection: String,
    field: String,
    from: Bson,
    to: Bson,
    documents: u64,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.index.is_none()
    }

    /// The actions by kind, with every document.
    pub fn actions(&self) -> Vec<RepairAction> {
        let mut set = Vec::new();
        let (mut merged, mut removed, mut cleaned) = (Vec::new(), Vec::new(), Vec::new());
        let mut elements = 0;
        for step in &self.steps {
            match step {
                Step::SetKey { document, key } => set.push(json!({ "document": shown(document), "key": key })),
                Step::Deduplicate { document, elements: of, repeated } => {
                    elements += repeated;
                    cleaned.push(json!({ "document": shown(document), "elements": of, "removed": repeated, "kept": of - repeated }));
                }
                Step::Merge { key, documents } => {
                    let into = documents.first().map(shown);
                    for document in documents.iter().skip(1).map(shown) {
                        merged.push(json!({ "key": key, "document": document, "into": into }));
                        removed.push(json!({ "document": document }));
                    }
                }
            }
        }
        let mut redirected = 0;
        let mut redirects = Vec::new();
        for Redirect { collection, field, from, to, documents } in &self.redirects {
            redirected += documents;
            let (from, to) = (shown(from), shown(to));
            redirects.push(
                json!({ "collection": collection, "field": field, "from": from, "to": to, "documents": documents }),
            );
        }
        let index: Vec<Value> = self.index.iter().map(|name| json!({ "index": name })).collect();
        [
            (ActionKind::Merge, merged.len() as u64, merged),
            (ActionKind::Remove, removed.len() as u64, removed),
            (ActionKind::Redirect, redirected, redirects),
            (ActionKind::SetKey, set.len() as u64, set),
            (ActionKind::Deduplicate, elements, cleaned),
            (ActionKind::CreateIndex, index.len() as u64, index),
        ]
        .into_iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(kind, count, details)| RepairAction { kind, count, details })
        .collect()
    }

    /// The plan for what was found.
    pub(super) fn of(profile: &Profile, inspection: &Inspection, audited: Audited) -> Self {
        let mut plan =
            Plan { audited, steps: Vec::new(), index: None, redirects: Vec::new(), left: Vec::new(), unsaid: None };
        if let (Some(narrower), Some(key)) = (&inspection.narrower, &profile.key) {
            plan.unsaid = Some(narrower.sentence(key));
            plan.left.extend(plan.unsaid.clone());
        }
        let (partial, whole): (Vec<_>, Vec<_>) = inspection.groups.duplicates.iter().partition(|group| group.partial);
        for group in &whole {
            plan.steps.push(Step::Merge { key: group.key.text.clone(), documents: group.ids.clone() });
        }
        for group in &partial {
            plan.left.push(format!(
                "{} documents have the key `{}` in common and other keys besides: they are not the same thing, and are left",
                group.ids.len(),
                group.key.text
            ));
        }
        if inspection.facts.null.count > 1 {
            plan.left.push(format!(
                "{} documents have a null for a key, of which a unique index lets in one",
                inspection.facts.null.count
            ));
        }
        let gone: Vec<&Bson> = whole.iter().flat_map(|group| &group.ids[1..]).collect();
        let gone: BTreeSet<String> = gone.into_iter().map(|id| format!("{id:?}")).collect();
        for deviant in inspection.facts.missing.kept.iter().chain(&inspection.facts.wrong.kept) {
            match &deviant.derived {
                _ if gone.contains(&format!("{:?}", deviant.id)) => {}
                Some(derived) => {
                    plan.steps.push(Step::SetKey { document: deviant.id.clone(), key: derived.text.clone() });
                }
                None => plan.left.push(format!(
                    "document {} has no key and no usable participants to make one of",
                    shown(&deviant.id)
                )),
            }
        }
        for repeating in &inspection.facts.repeating.kept {
            if !gone.contains(&format!("{:?}", repeating.id)) {
                let (elements, repeated) = (repeating.elements, repeating.repeated);
                plan.steps.push(Step::Deduplicate { document: repeating.id.clone(), elements, repeated });
            }
        }
        for things in &inspection.groups.collisions {
            let key = things.first().map_or("", |thing| thing.key.text.as_str());
            plan.left.push(format!(
                "the key `{key}` stands for {} different sets of participants: they are no duplicates, and only another \
                 separator can tell them apart",
                things.len()
            ));
        }
        if inspection.orphans.orphans.count > 0 {
            plan.left.push(format!("{} documents refer to one that is gone", inspection.orphans.orphans.count));
        }
        if let (Some(key), Some(index)) = (&profile.key, &inspection.index)
            && index.protecting.is_none()
            && inspection.groups.collisions.is_empty()
            && partial.is_empty()
            && inspection.facts.null.count <= 1
        {
            match index.in_the_way() {
                Some(sentence) => plan.left.push(sentence),
                None => {
                    let taken = index.facts.iter().map(|index| index.name.as_str());
                    plan.index = Some(free_name(&key.index_name(), taken));
                }
            }
        }
        plan
    }
}

/// The usual name, or another one where an index that does not protect has it.
fn free_name<'a>(usual: &str, taken: impl Iterator<Item = &'a str> + Clone) -> String {
    let is_taken = |name: &str| taken.clone().any(|taken| taken == name);
    if is_taken(usual) { format!("{usual}_unique") } else { usual.to_owned() }
}

/// Plans a repair, without writing.
pub async fn plan(database: &Database, profile: &Profile, options: &RepairOptions) -> Result<Plan, AuditError> {
    let mut plan = draft(database, profile, options).await?;
    let merges: Vec<(&Bson, &Bson)> = plan.steps.iter().flat_map(duplicates).collect();
    let mut redirects = Vec::new();
    for merges in merges.chunks(LOOKED_UP_AT_ONCE) {
        for reference in &profile.references {
            redirects.extend(referring(database, reference, merges, options).await?);
        }
    }
    plan.redirects = redirects;
    Ok(plan)
}

/// The plan without what it means for documents that refer to duplicates: these are looked for when they are redirected.
pub(super) async fn draft(database: &Database, profile: &Profile, options: &RepairOptions) -> Result<Plan> {
    repairable(database, profile).await?;
    let inspection = inspect(database, profile, &options.audit, usize::MAX).await?;
    let audited = conclude(database, profile, &options.audit, &inspection).await;
    Ok(Plan::of(profile, &inspection, audited))
}

/// Duplicates whose references are counted by one query.
const LOOKED_UP_AT_ONCE: usize = 10_000;

/// The duplicates of a merge, each with the document that is kept.
fn duplicates(step: &Step) -> impl Iterator<Item = (&Bson, &Bson)> {
    let documents = match step {
        Step::Merge { documents, .. } => documents.as_slice(),
        _ => &[],
    };
    documents.iter().skip(1).zip(std::iter::repeat(documents.first().unwrap_or(&Bson::Null)))
}

/// Counts what refers to the duplicates.
async fn referring(
    database: &Database,
    reference: &Reference,
    merges: &[(&Bson, &Bson)],
    options: &RepairOptions,
) -> Result<Vec<Redirect>> {
    let step = format!("read `{}`", reference.collection);
    let duplicates: Vec<&Bson> = merges.iter().map(|(duplicate, _)| *duplicate).collect();
    let collection = database.collection::<Document>(&reference.collection);
    let mut found = collection
        .find(doc! { &reference.field: { "$in": duplicates } })
        .projection(doc! { "_id": 0, &reference.field: 1 })
        .max_time(options.audit.max_time)
        .await
        .reading(database.name(), &step)?;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    while let Some(document) = found.try_next().await.reading(database.name(), &step)? {
        if let Some(duplicate) = value_at(&document, &reference.field) {
            *counts.entry(duplicate.to_string()).or_default() += 1;
        }
    }
    let redirect = |&(from, to): &(&Bson, &Bson)| {
        let documents = *counts.get(&from.to_string())?;
        let (collection, field) = (reference.collection.clone(), reference.field.clone());
        Some(Redirect { collection, field, from: from.clone(), to: to.clone(), documents })
    };
    Ok(merges.iter().filter_map(redirect).collect())
}

/// Refuses collections whose documents cannot be removed.
pub(super) async fn repairable(database: &Database, profile: &Profile) -> Result<()> {
    let collections = std::iter::once(&profile.collection).chain(profile.references.iter().map(|to| &to.collection));
    for (number, collection) in collections.enumerate() {
        match kind(database, collection).await {
            Ok(CollectionKind::Plain) => {}
            Ok(CollectionKind::Capped) => {
                return Err(AuditError::Unsuitable {
                    collection: collection.clone(),
                    kind: "a capped collection".to_owned(),
                    hint: "its documents cannot be repaired in place; copy them to an ordinary one".to_owned(),
                });
            }
            Err(AuditError::NoCollection { .. }) if number > 0 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
