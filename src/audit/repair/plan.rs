//! The plan of a repair: what would be set, merged, removed and created, per document. It writes nothing.

use mongodb::Database;
use mongodb::bson::Bson;
use serde_json::{Value, json};

use super::RepairOptions;
use crate::audit::error::{AuditError, Result};
use crate::audit::inspect::{CollectionKind, Inspection, conclude, inspect, kind, shown};
use crate::audit::{Audited, Profile};
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
    /// What cannot be repaired, a sentence each.
    pub left: Vec<String>,
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
        let index: Vec<Value> = self.index.iter().map(|name| json!({ "index": name })).collect();
        [
            (ActionKind::Merge, merged.len() as u64, merged),
            (ActionKind::Remove, removed.len() as u64, removed),
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
        let mut plan = Plan { audited, steps: Vec::new(), index: None, left: Vec::new() };
        for group in &inspection.groups.duplicates {
            plan.steps.push(Step::Merge { key: group.key.text.clone(), documents: group.ids.clone() });
        }
        let gone: Vec<&Bson> = inspection.groups.duplicates.iter().flat_map(|group| &group.ids[1..]).collect();
        let gone: std::collections::BTreeSet<String> = gone.into_iter().map(|id| format!("{id:?}")).collect();
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
        {
            plan.index = Some(free_name(&key.index_name(), index.facts.iter().map(|index| index.name.as_str())));
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
    repairable(database, profile).await?;
    let inspection = inspect(database, profile, &options.audit, usize::MAX).await?;
    let audited = conclude(database, profile, &options.audit, &inspection).await;
    Ok(Plan::of(profile, &inspection, audited))
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
