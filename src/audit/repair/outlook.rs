//! The plan in full: what would become of every document, those that refer to duplicates too. It writes nothing.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Bson, RawDocumentBuf, doc};
use serde_json::json;

use super::decide::{Circumstances, Merge, decide, id_of};
use super::indexes::reference_index;
use super::keys::{Setting, without_room};
use super::mend::{Action, Mended, Mending, has_twice, mended};
use super::plan::{Plan, draft};
use super::rate_limiter::batches;
use super::refer::{Referring, indexes, name, references_of};
use super::twice::Read;
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
    if let Err(error) = preflight::index(database, profile, &plan).await {
        plan.left.push(error.to_string());
    }
    plan.audited.reasons.extend(unfinished(database, &profile.collection).await?);
    let indexes = indexes(database, &profile.collection).await?;
    let (referring_now, strict) = (&referring, options.strict);
    let with = Circumstances { database, profile, referring: referring_now, indexes: &indexes, strict };
    let mut outlook = merges(with, options, &mut plan).await?;
    outlook.singles(database, profile, &mut plan).await?;
    outlook.keys(with, &mut plan).await?;
    if options.reference_indexes && !outlook.gone.is_empty() {
        for referring in &mut referring {
            for field in std::mem::take(&mut referring.unindexed) {
                let detail = json!({ "collection": referring.collection, "index": reference_index(field) });
                plan.record.add(ActionKind::CreateIndex, 1, detail);
            }
        }
    }
    if !plan.merges.is_empty() {
        plan.audited.preflight.notes.extend(slow(&referring));
        plan.audited.preflight.notes.push(not_looked_for(profile));
    }
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
    /// Documents that are merged into others.
    gone: BTreeSet<String>,
    /// Documents of groups that are not merged.
    unmerged: BTreeSet<String>,
    /// Documents that get another key.
    keyed: Vec<(Bson, Action)>,
    /// Duplicates that remain.
    remaining: u64,
}

async fn merges(with: Circumstances<'_>, options: &RepairOptions, plan: &mut Plan) -> Result<Outlook> {
    let mut outlook = Outlook::default();
    options.audit.progress.begin("groups of duplicates planned".to_owned(), Some(plan.merges.len() as u64));
    let groups = plan.merges.clone();
    for groups in batches(&groups, |group| group.documents.len(), None) {
        let decision = decide(with, groups).await?;
        plan.record.planned(&decision);
        for merge in &decision.merges {
            outlook.taken_in(with.profile, merge, plan);
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
        self.gone.extend(merge.others.iter().map(|document| name(&id_of(document))));
        let result = merge.outcome.result(&merge.kept);
        for mending in [Mending::SetKey, Mending::Deduplicate] {
            if let Some(mended) = mended(profile, mending, result.clone()) {
                self.mended(profile, mended, plan);
            }
        }
    }

    /// What will be done to one document, or why it will not.
    fn mended(&mut self, profile: &Profile, mended: Mended, plan: &mut Plan) {
        match mended.problem(&profile.collection) {
            Some(problem) => plan.left.push(problem),
            None if mended.action.kind == ActionKind::SetKey => self.keyed.push((mended.edit.id(), mended.action)),
            None => plan.record.act(mended.action),
        }
    }

    /// Which keys will be set: those for which unique indexes have room.
    async fn keys(&mut self, with: Circumstances<'_>, plan: &mut Plan) -> Result<()> {
        let settings: Vec<Setting> = self.keyed.iter().filter_map(|(id, action)| action.setting(id)).collect();
        let blocked = without_room(with.database, with.profile, with.indexes, &settings, &self.gone).await?;
        for setting in settings.iter().filter(|setting| blocked.contains(&name(&setting.id))) {
            plan.left.push(setting.sentence());
        }
        for (id, action) in std::mem::take(&mut self.keyed) {
            if !blocked.contains(&name(&id)) {
                plan.record.act(action);
            }
        }
        Ok(())
    }

    /// What will be done to all others.
    async fn singles(&mut self, database: &Database, profile: &Profile, plan: &mut Plan) -> Result<()> {
        let collection = database.collection::<RawDocumentBuf>(&profile.collection);
        let step = format!("read `{}`", profile.collection);
        let rests = |id: &&Bson| !self.merged.contains(&name(id));
        let (keyless, repeating) = (plan.set_keys.clone(), plan.deduplicate.clone());
        let keyless: Vec<&Bson> =
            keyless.iter().filter(rests).filter(|id| !self.unmerged.contains(&name(id))).collect();
        let repeating: Vec<&Bson> = repeating.iter().filter(rests).collect();
        let validator = Validator::of(database, &profile.collection).await?;
        for (ids, mending) in [(keyless, Mending::SetKey), (repeating, Mending::Deduplicate)] {
            for ids in ids.chunks(AT_ONCE) {
                let found = collection.find(doc! { "_id": { "$in": ids } }).await;
                let mut found = found.reading(database.name(), &step)?;
                let (mut changes, mut all) = (Vec::new(), Vec::new());
                while let Some(raw) = found.try_next().await.reading(database.name(), &step)? {
                    let Read { document, twice, .. } = Read::of(&raw);
                    let id = id_of(&document);
                    plan.left.extend(twice.as_ref().map(|why| has_twice(&id, mending, why)));
                    if let Some(mended) = mended(profile, mending, document).filter(|_| twice.is_none()) {
                        if mended.problem(&profile.collection).is_some() {
                            self.mended(profile, mended, plan);
                            continue;
                        }
                        if validator.is_some() {
                            changes.push((mended.edit.before.clone(), mended.edit.result()));
                        }
                        all.push(mended);
                    }
                }
                let refused = match &validator {
                    Some(validator) => validator.refused(database, &changes).await?,
                    None => BTreeSet::new(),
                };
                for mended in all {
                    let id = mended.edit.id();
                    match validator.as_ref().filter(|_| refused.contains(&name(&id))) {
                        Some(validator) => plan.left.push(validator.sentence(&id)),
                        None => self.mended(profile, mended, plan),
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

/// What is said of references from one document of the collection to another.
pub(super) fn not_looked_for(profile: &Profile) -> String {
    let collection = &profile.collection;
    format!(
        "references from documents of `{collection}` to others of `{collection}` are not looked for: they stay as they are"
    )
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
