//! The plan in full: what would become of every document, those that refer to duplicates too. It writes nothing.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};
use serde_json::json;

use super::decide::{Circumstances, Merge, decide, id_of};
use super::indexes::reference_index;
use super::mend::{Mending, cleaned, keyed, mended};
use super::plan::{Plan, draft};
use super::rate_limiter::batches;
use super::refer::{Referring, name, references_of};
use super::unfinished::unfinished;
use super::validator::Validator;
use super::{RepairOptions, preflight};
use crate::audit::Profile;
use crate::audit::error::{AuditError, Result, Step};
use crate::report::{ActionKind, plural};

/// Documents read by one query.
const AT_ONCE: usize = 500;

/// Plans a repair, without writing.
pub async fn plan(database: &Database, profile: &Profile, options: &RepairOptions) -> Result<Plan, AuditError> {
    let mut plan = draft(database, profile, options).await?;
    let mut referring = references_of(database, profile).await?;
    if options.reference_indexes && !plan.merges.is_empty() {
        for referring in &mut referring {
            for field in std::mem::take(&mut referring.unindexed) {
                let detail = json!({ "collection": referring.collection, "index": reference_index(field) });
                plan.record.add(ActionKind::CreateIndex, 1, detail);
            }
        }
    }
    if !plan.merges.is_empty() {
        plan.audited.preflight.notes.extend(slow(&referring));
    }
    if let Err(error) = preflight::index(database, profile, &plan).await {
        plan.left.push(error.to_string());
    }
    plan.audited.reasons.extend(unfinished(database, &profile.collection).await?);
    let outlook = merges(database, profile, options, &referring, &mut plan).await?;
    outlook.singles(database, profile, &mut plan).await?;
    match plan.index.take() {
        Some(name) if outlook.remaining > 0 => {
            plan.left.push(not_built(&name, outlook.remaining));
        }
        Some(name) => {
            plan.record.add(ActionKind::CreateIndex, 1, json!({ "index": name }));
            plan.index = Some(name);
        }
        None => {}
    }
    Ok(plan)
}

/// What merging will have done by the time that single documents are mended.
#[derive(Debug, Default)]
struct Outlook {
    /// Documents that are merged into others, and those that took them in: what becomes of these is recorded already.
    merged: BTreeSet<String>,
    /// Documents of groups that are not merged.
    unmerged: BTreeSet<String>,
    /// Duplicates that remain.
    remaining: u64,
}

async fn merges(
    database: &Database,
    profile: &Profile,
    options: &RepairOptions,
    referring: &[Referring<'_>],
    plan: &mut Plan,
) -> Result<Outlook> {
    let mut outlook = Outlook::default();
    let with = Circumstances { database, profile, referring, strict: options.strict };
    options.audit.progress.begin("groups of duplicates planned".to_owned(), Some(plan.merges.len() as u64));
    let groups = plan.merges.clone();
    for groups in batches(&groups, |group| group.documents.len(), None) {
        let decision = decide(with, groups).await?;
        plan.record.planned(&decision);
        for merge in &decision.merges {
            outlook.taken_in(profile, merge, plan);
        }
        for refused in decision.refused {
            outlook.remaining += refused.duplicates();
            outlook.unmerged.extend(refused.documents.iter().map(name));
            plan.left.push(refused.why);
        }
        options.audit.progress.more(groups.len());
    }
    Ok(outlook)
}

impl Outlook {
    /// What will be done to a document that took others in.
    fn taken_in(&mut self, profile: &Profile, merge: &Merge, plan: &mut Plan) {
        self.merged.extend(merge.others.iter().chain([&merge.kept]).map(|document| name(&id_of(document))));
        let result = merge.outcome.result(&merge.kept);
        if let Some((_, action)) = profile.key.as_ref().and_then(|key| keyed(key, &result)) {
            plan.record.act(action);
        }
        if let Some(cleaned) = profile.array.as_ref().and_then(|array| cleaned(array, &result)) {
            plan.record.act(cleaned.action);
        }
    }

    /// What will be done to all others.
    async fn singles(&self, database: &Database, profile: &Profile, plan: &mut Plan) -> Result<()> {
        let collection = database.collection::<Document>(&profile.collection);
        let step = format!("read `{}`", profile.collection);
        let rests = |id: &&Bson| !self.merged.contains(&name(id));
        let keyless: Vec<&Bson> =
            plan.set_keys.iter().filter(rests).filter(|id| !self.unmerged.contains(&name(id))).collect();
        let repeating: Vec<&Bson> = plan.deduplicate.iter().filter(rests).collect();
        let validator = Validator::of(database, &profile.collection).await?;
        for (ids, mending) in [(keyless, Mending::SetKey), (repeating, Mending::Deduplicate)] {
            for ids in ids.chunks(AT_ONCE) {
                let found = collection.find(doc! { "_id": { "$in": ids } }).await;
                let mut found = found.reading(database.name(), &step)?;
                let (mut changes, mut actions) = (Vec::new(), Vec::new());
                while let Some(document) = found.try_next().await.reading(database.name(), &step)? {
                    if let Some(mended) = mended(profile, mending, document) {
                        let after = mended.edit.result();
                        changes.push((mended.edit.before, after));
                        actions.push(mended.action);
                    }
                }
                let refused = match &validator {
                    Some(validator) => validator.refused(database, &changes).await?,
                    None => BTreeSet::new(),
                };
                for ((before, _), action) in changes.iter().zip(actions) {
                    let id = id_of(before);
                    match validator.as_ref().filter(|_| refused.contains(&name(&id))) {
                        Some(validator) => plan.left.push(validator.sentence(&id)),
                        None => plan.record.act(action),
                    }
                }
            }
        }
        Ok(())
    }
}

/// What is said of a unique index that duplicates are in the way of.
pub(super) fn not_built(index: &str, duplicates: u64) -> String {
    let remain = if duplicates == 1 { "remains" } else { "remain" };
    format!("the unique index `{index}` is not built: {} {remain}", plural(duplicates, "duplicate"))
}

/// What makes the repair slow, with what helps, a sentence each.
pub(super) fn slow(referring: &[Referring<'_>]) -> Vec<String> {
    let sentence = |referring: &Referring<'_>, field: &str| {
        let collection = referring.collection;
        format!(
            "no index begins with `{field}` of `{collection}`: each batch of duplicates reads the whole collection; \
             --create-reference-indexes creates it, or db.getCollection({collection:?}).createIndex({{ {field:?}: 1 }})"
        )
    };
    referring.iter().flat_map(|referring| referring.unindexed.iter().map(|field| sentence(referring, field))).collect()
}
