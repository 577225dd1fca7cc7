//! Applying a repair: what a killed one left half done first, then round after round until nothing is left to do.

use mongodb::Database;
use mongodb::bson::Bson;
use mongodb::options::{Acknowledgment, DatabaseOptions, ReadPreference, SelectionCriteria, WriteConcern};

use super::journal::{Journal, MergeState, Merged, PREFIX};
use super::plan::{Plan, Step as Task, draft, repairable};
use super::work::{Repair, RepairOptions};
use crate::audit::error::{AuditError, Result};
use crate::audit::{Audited, Profile};
use crate::report::RepairAction;

/// Indexes that a collection may have.
const MAX_INDEXES: usize = 64;

/// Rounds before a repair gives up on a database that is broken again as fast as it is mended.
const ROUNDS: usize = 8;

/// What a repair did.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// Name of the backup collection; absent when there was nothing to do.
    pub backup: Option<String>,
    /// It went on with a repair that had been cut short.
    pub resumed: bool,
    /// What was done, by kind.
    pub actions: Vec<RepairAction>,
    /// What could not be repaired, a sentence each.
    pub left: Vec<String>,
    /// The database afterwards.
    pub audited: Audited,
}

/// Merged documents whose references are looked for by one query.
const MERGED_AT_ONCE: usize = 100;

/// The same for merges of earlier rounds and repairs, most of which nothing refers to any more.
const SWEPT_AT_ONCE: usize = 1_000;

/// Repairs. `id` names the backup of a new repair; one that was cut short goes on under its own.
pub async fn apply(
    database: &Database,
    profile: &Profile,
    options: &RepairOptions,
    id: &str,
) -> Result<Applied, AuditError> {
    repairable(database, profile).await?;
    let database = &durable(database);
    let open = Journal::all(database, Some(&profile.collection), &["applying"]).await?;
    let resumed = !open.is_empty();
    let journal = open.into_iter().next().unwrap_or_else(|| Journal::named(database, &format!("{PREFIX}{id}")));
    if !resumed && journal.header().await?.is_some() {
        return Err(AuditError::Backup(format!(
            "there is a backup `{}` already: name the repair otherwise",
            journal.name()
        )));
    }
    let mut repair = Repair::new(database, profile, options, journal, resumed);
    let mut last = repair.rounds().await?;
    if repair.opened && repair.unfinished.is_empty() {
        repair.journal.set_state("applied").await?;
    }
    // Nothing in the collection shows that something is missing from it: it must not be taken for sound.
    last.audited.reasons.append(&mut repair.unfinished);
    let actions = repair.done.iter().map(|(&kind, &count)| RepairAction { kind, count, details: Vec::new() }).collect();
    let backup = repair.opened.then(|| repair.journal.name().to_owned());
    let mut left = repair.left;
    left.extend(last.left);
    Ok(Applied { backup, resumed, actions, left, audited: last.audited })
}

/// The database with writes that survive a fail-over, and reads that see them whatever the connection string prefers.
/// Within one server no more is needed: its log has the backup before the change, and after a crash it has a beginning of
/// that order.
pub(super) fn durable(database: &Database) -> Database {
    let options = DatabaseOptions::builder()
        .write_concern(WriteConcern::builder().w(Acknowledgment::Majority).build())
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .build();
    database.client().database_with_options(database.name(), options)
}

impl Repair<'_> {
    /// Works until a plan is empty, or a round changed nothing. Returns the last plan.
    async fn rounds(&mut self) -> Result<Plan> {
        let mut rounds = 0;
        loop {
            if self.opened {
                self.recover().await?;
            }
            self.sweep().await?;
            let plan = draft(&self.database, self.profile, self.options).await?;
            if plan.is_empty() || rounds == ROUNDS {
                return Ok(plan);
            }
            if let Some(unsaid) = plan.unsaid {
                return Err(AuditError::Usage(unsaid));
            }
            room_for_index(self.profile, &plan)?;
            self.open().await?;
            let before = self.done.clone();
            self.left.clear();
            self.carry_out(&plan).await?;
            if let Some(name) = &plan.index {
                self.create_index(name).await?;
            }
            if self.done == before {
                return Ok(plan);
            }
            rounds += 1;
        }
    }

    async fn carry_out(&mut self, plan: &Plan) -> Result<()> {
        let mut merged = Merged::new();
        self.options.progress.begin(plan.steps.len());
        for task in &plan.steps {
            match task {
                Task::Merge { documents, .. } => self.merge(documents, &mut merged).await?,
                Task::SetKey { document, .. } => self.set_key(document).await?,
                Task::Deduplicate { document, .. } => self.deduplicate(document).await?,
            }
            self.options.progress.step();
            // Many at once, because without an index of the references each search reads their whole collection.
            if merged.len() >= MERGED_AT_ONCE {
                self.redirect(&std::mem::take(&mut merged)).await?;
            }
        }
        self.redirect(&merged).await
    }

    /// Finishes the merges that a kill, or others' writes, left half done.
    async fn recover(&mut self) -> Result<()> {
        self.unfinished.clear();
        for entry in self.journal.open_merges().await? {
            let duplicate = entry.duplicate.get("_id").cloned().unwrap_or(Bson::Null);
            if entry.state == MergeState::Removing && self.read(&duplicate).await?.is_some() {
                // It was not removed: the plan will find it again.
                self.journal.drop_merge(&duplicate).await?;
                continue;
            }
            if entry.state == MergeState::Removing {
                self.removed(&entry.duplicate, &entry.keeper).await?;
            }
            self.take_in(&entry.duplicate, &entry.keeper, true).await?;
        }
        Ok(())
    }

    /// Redirects what refers to a document that this repair or an earlier one removed: services that had it open go on
    /// referring to it for a while, and a kill may have come before its references were redirected.
    async fn sweep(&mut self) -> Result<()> {
        if self.profile.references.is_empty() {
            return Ok(());
        }
        let mut merged = Merged::new();
        for journal in Journal::all(&self.database, Some(&self.profile.collection), &["applying", "applied"]).await? {
            merged.extend(journal.done_merges().await?);
        }
        let mut redirections = Merged::new();
        for (name, (duplicate, keeper)) in &merged {
            let mut keeper = keeper;
            // What was kept once may have been merged later.
            for _ in 0..merged.len() {
                let Some((_, next)) = merged.get(&keeper.to_string()) else { break };
                keeper = next;
            }
            redirections.insert(name.clone(), (duplicate.clone(), keeper.clone()));
            if redirections.len() >= SWEPT_AT_ONCE {
                self.redirect_if_any(&std::mem::take(&mut redirections)).await?;
            }
        }
        self.redirect_if_any(&redirections).await
    }

    async fn redirect_if_any(&mut self, merged: &Merged) -> Result<()> {
        if self.are_referred_to(merged).await? {
            self.open().await?;
            self.redirect(merged).await?;
        }
        Ok(())
    }
}

/// Refuses before anything is changed what could not be finished.
fn room_for_index(profile: &Profile, plan: &Plan) -> Result<()> {
    if plan.index.is_none() || plan.audited.preflight.indexes.len() < MAX_INDEXES {
        return Ok(());
    }
    Err(AuditError::Unsuitable {
        collection: profile.collection.clone(),
        kind: format!("at the server's limit of {MAX_INDEXES} indexes"),
        hint: "there must be room for the unique index; drop one that is not used".to_owned(),
    })
}
