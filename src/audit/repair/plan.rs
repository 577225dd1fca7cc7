//! The plan of a repair: what would be set, merged, removed and created, per document. It writes nothing.

use mongodb::Database;
use mongodb::bson::Bson;

use super::RepairOptions;
use super::decide::Group;
use super::record::Record;
use crate::audit::error::{AuditError, Result};
use crate::audit::inspect::{CollectionKind, Inspection, conclude, inspect, kind, shown};
use crate::audit::key::Derived;
use crate::audit::{Audited, KeySpec, Profile};
use crate::report::RepairAction;

/// What a repair would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What the audit found.
    pub audited: Audited,
    pub(super) merges: Vec<Group>,
    /// Documents whose keys are to be set. Which of them are merged away before is not known yet.
    pub(super) set_keys: Vec<Bson>,
    /// Documents whose arrays repeat elements.
    pub(super) deduplicate: Vec<Bson>,
    /// Name of the unique index to create.
    pub(super) index: Option<String>,
    pub(super) record: Record,
    /// What cannot be repaired, a sentence each.
    pub left: Vec<String>,
    /// What an index or the references say and the profile does not, which must be said before anything is written.
    pub(super) unsaid: Option<String>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.size() == 0 && self.index.is_none()
    }

    /// How many steps it has.
    pub(super) fn size(&self) -> usize {
        self.merges.len() + self.set_keys.len() + self.deduplicate.len()
    }

    /// The actions by kind, with every document.
    pub fn actions(&self) -> Vec<RepairAction> {
        self.record.actions()
    }

    /// The plan for what was found.
    pub(super) fn of(profile: &Profile, inspection: &Inspection, audited: Audited) -> Self {
        let mut plan = Plan {
            audited,
            merges: Vec::new(),
            set_keys: Vec::new(),
            deduplicate: Vec::new(),
            index: None,
            record: Record::default(),
            left: Vec::new(),
            unsaid: None,
        };
        if let (Some(narrower), Some(key)) = (&inspection.narrower, &profile.key) {
            plan.unsaid = Some(narrower.sentence(key));
            plan.left.extend(plan.unsaid.clone());
        }
        let misnamed = inspection.orphans.misnamed(&profile.collection);
        if !misnamed.is_empty() {
            plan.unsaid.get_or_insert_with(|| misnamed.join("; "));
        }
        let (partial, whole): (Vec<_>, Vec<_>) = inspection.groups.duplicates.iter().partition(|group| group.partial);
        let (blank, whole): (Vec<_>, Vec<_>) = whole.into_iter().partition(|group| !group.key.blank.is_empty());
        plan.left.extend(blank.iter().map(|group| without_a_value(&group.key, group.ids.len())));
        for group in &whole {
            plan.merges.push(Group { key: group.key.text.clone(), documents: group.ids.clone() });
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
        for deviant in inspection.facts.missing.kept.iter().chain(&inspection.facts.wrong.kept) {
            match &deviant.derived {
                Some(_) => plan.set_keys.push(deviant.id.clone()),
                None => plan.left.push(format!(
                    "document {} has no key and no usable participants to make one of",
                    shown(&deviant.id)
                )),
            }
        }
        plan.deduplicate.extend(inspection.facts.repeating.kept.iter().map(|repeating| repeating.id.clone()));
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
            && blank.is_empty()
            && inspection.facts.null.count <= 1
        {
            match index.in_the_way().or_else(|| refused_by_index(key, inspection)) {
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

/// Why documents are not merged that have the same key, as far as they have one.
fn without_a_value(key: &Derived, documents: usize) -> String {
    let fields: Vec<String> = key.blank.iter().map(|field| format!("`{field}`")).collect();
    let named: Vec<String> = key.blank.iter().map(|field| format!("\"{field}\"")).collect();
    format!(
        "{documents} documents have no {} and are otherwise alike in their key (`{}`): a unique index lets in one, and whether they stand for one \
         thing is not known, so they are left; if it is so, say `blank = [{}]` in [key]",
        fields.join(" and no "),
        key.text,
        named.join(", ")
    )
}

/// The usual name, or another one where an index that does not protect has it.
fn free_name<'a>(usual: &str, taken: impl Iterator<Item = &'a str> + Clone) -> String {
    let is_taken = |name: &str| taken.clone().any(|taken| taken == name);
    if is_taken(usual) { format!("{usual}_unique") } else { usual.to_owned() }
}

/// Documents that a unique index lets in only once, though they have no key: nulls, empty texts and, where it is not
/// sparse, documents without the field.
fn refused_by_index(key: &KeySpec, inspection: &Inspection) -> Option<String> {
    let without = inspection.facts.missing.kept.iter().filter(|deviant| deviant.derived.is_none());
    let (mut nulls, mut empty) = (0_u64, 0_u64);
    for deviant in without {
        match &deviant.stored {
            Some(Bson::String(_)) => empty += 1,
            Some(_) => nulls += 1,
            None if !key.sparse => nulls += 1,
            None => {}
        }
    }
    let field = key.field.all().join(", ");
    let (count, what) = if nulls > 1 { (nulls, "null or nothing") } else { (empty, "an empty text") };
    let hint = if key.sparse { "" } else { "; `sparse = true` leaves out those without the field" };
    (count > 1).then(|| {
        format!("the unique index of `{field}` cannot be built: {count} documents have {what} there, and it lets in one{hint}")
    })
}

/// The plan without what it means for documents that refer to duplicates: these are looked for when they are redirected.
pub(super) async fn draft(database: &Database, profile: &Profile, options: &RepairOptions) -> Result<Plan> {
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
