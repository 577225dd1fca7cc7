//! Applying a repair: what a killed one left half done first, then round after round until nothing is left to do.

use std::collections::BTreeMap;

use mongodb::Database;
use mongodb::bson::{Bson, Document};
use mongodb::options::{Acknowledgment, DatabaseOptions, ReadPreference, SelectionCriteria, WriteConcern};

use super::decide::id_of;
use super::edit::{Written, documents, evidence};
use super::journal::{Journal, MergeEntry, MergeState, Merged, PREFIX, Touched};
use super::lease::Lease;
use super::mend::Mending;
use super::merge::TakeIn;
use super::outlook::{not_built, not_looked_for, slow};
use super::plan::{Plan, draft, repairable};
use super::preflight;
use super::rate_limiter::batches;
use super::redirect::are_referred_to;
use super::refer::{Referring, indexes, name, references_of, targets};
use super::there::{Now, is_there, replaced};
use super::work::{Repair, RepairOptions};
use crate::audit::error::{AuditError, Result};
use crate::audit::{Audited, Profile};
use crate::report::{ActionKind, RepairAction};

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

/// Merges of earlier rounds and repairs whose references are looked for by one query: nothing refers to most any more.
const SWEPT_AT_ONCE: usize = 1_000;

/// Repairs. `id` names the backup of a new repair; one that was cut short goes on under its own.
pub async fn apply(
    database: &Database,
    profile: &Profile,
    options: &RepairOptions,
    id: &str,
) -> Result<Applied, AuditError> {
    repairable(database, profile).await?;
    preflight::rights(database, profile, options, &format!("{PREFIX}{id}")).await?;
    let database = &durable(database);
    // Before the first write, also of the lease, what would fail late.
    let first = draft(database, profile, options).await?;
    preflight::index(database, profile, &first).await?;
    if let (false, Some(unsaid)) = (first.is_empty(), &first.unsaid) {
        return Err(AuditError::Usage(unsaid.clone()));
    }
    // A sound database is left as it is, without so much as a lease.
    if first.is_empty() && !is_unfinished(database, profile).await? {
        let (backup, actions) = (None, Vec::new());
        return Ok(Applied { backup, resumed: false, actions, left: first.left, audited: first.audited });
    }
    let lease = Lease::acquire(database, &format!("the repair `{id}` of `{}`", profile.collection)).await?;
    let applied = apply_alone(database, profile, options, (id, &lease)).await;
    match applied {
        Err(AuditError::LeaseLost) => Err(AuditError::LeaseLost),
        applied => {
            let released = lease.release().await;
            let applied = applied?;
            released.map(|()| applied)
        }
    }
}

/// Whether earlier repairs leave something to do: one was cut short, or references to what one merged may have come since.
async fn is_unfinished(database: &Database, profile: &Profile) -> Result<bool> {
    let referring = references_of(database, profile).await?;
    if !Journal::all(database, Some(&profile.collection), &["applying"]).await?.is_empty() {
        return Ok(true);
    }
    if referring.is_empty() {
        return Ok(false);
    }
    for redirections in redirections(database, profile).await?.chunks(SWEPT_AT_ONCE) {
        let targets = targets(database, &profile.collection, redirections).await?;
        if are_referred_to(database, &targets, &referring).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What repairs of the collection merged, each duplicate with the document that is kept in the end.
async fn redirections(database: &Database, profile: &Profile) -> Result<Vec<(Bson, Bson)>> {
    let mut merged = Merged::new();
    for journal in Journal::all(database, Some(&profile.collection), &["applying", "applied"]).await? {
        merged.extend(journal.done_merges().await?);
    }
    let mut redirections = Vec::new();
    for (duplicate, keeper) in merged.values() {
        let mut keeper = keeper;
        // What was kept once may have been merged later.
        for _ in 0..merged.len() {
            let Some((_, next)) = merged.get(&name(keeper)) else { break };
            keeper = next;
        }
        redirections.push((duplicate.clone(), keeper.clone()));
    }
    // A service that gives ids by itself may have made a document of this id anew: what refers to that one is right.
    let ids: Vec<Bson> = redirections.iter().map(|(duplicate, _)| duplicate.clone()).collect();
    let alive = documents(database, &profile.collection, &ids).await?;
    redirections.retain(|(duplicate, _)| !alive.contains_key(&name(duplicate)));
    Ok(redirections)
}

async fn apply_alone(
    database: &Database,
    profile: &Profile,
    options: &RepairOptions,
    (id, lease): (&str, &Lease),
) -> Result<Applied> {
    let open = Journal::all(database, Some(&profile.collection), &["applying"]).await?;
    let resumed = !open.is_empty();
    let journal = open.into_iter().next().unwrap_or_else(|| Journal::named(database, &format!("{PREFIX}{id}")));
    let journal = Journal { token: lease.token(), ..journal };
    if resumed {
        journal.claim().await?;
    }
    let header = journal.header().await?;
    if !resumed && header.is_some() {
        return Err(AuditError::Backup(format!(
            "there is a backup `{}` already: name the repair otherwise",
            journal.name()
        )));
    }
    if header.is_some_and(|header| header.get_i32("format_version").is_ok_and(|version| version < 2)) {
        return Err(AuditError::Backup(format!(
            "the repair `{}` was begun by an older onlyone: finish it with that one, or restore it",
            journal.name()
        )));
    }
    if resumed {
        journal.renew().await?;
    }
    let mut repair = Repair::new(database, profile, options, (journal, resumed), lease);
    let mut last = repair.rounds().await?;
    if repair.opened && repair.unfinished.is_empty() {
        repair.journal.seal(lease).await?;
    }
    // Nothing in the collection shows that something is missing from it: it must not be taken for sound.
    last.audited.reasons.append(&mut repair.unfinished);
    let actions = repair.record.actions();
    let backup = repair.opened.then(|| repair.journal.name().to_owned());
    let mut left = repair.left;
    left.extend(last.left);
    left.dedup();
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
        let database = self.database.clone();
        let mut referring = references_of(&database, self.profile).await?;
        self.indexes = indexes(&database, &self.profile.collection).await?;
        let mut rounds = 0;
        loop {
            if self.opened {
                self.recover().await?;
                self.recover_twins(&referring).await?;
            }
            self.sweep(&referring).await?;
            let mut plan = draft(&self.database, self.profile, self.options).await?;
            if self.record.counts().contains_key(&ActionKind::Merge) {
                plan.audited.preflight.notes.extend(slow(&referring));
                plan.audited.preflight.notes.push(not_looked_for(self.profile));
            }
            plan.audited.preflight.notes.extend(self.notes.iter().cloned());
            if plan.is_empty() || rounds == ROUNDS {
                return Ok(plan);
            }
            if let Some(unsaid) = plan.unsaid {
                return Err(AuditError::Usage(unsaid));
            }
            preflight::index(&self.database, self.profile, &plan).await?;
            let before = self.record.counts();
            self.left.clear();
            self.refused = 0;
            self.unmerged.clear();
            rounds += 1;
            let work = format!("steps of round {rounds}");
            self.options.audit.progress.begin(work, Some(plan.size() as u64));
            self.execute(&plan, &mut referring).await?;
            match &plan.index {
                Some(name) if self.refused > 0 => {
                    self.left(not_built(name, self.refused));
                }
                Some(name) => self.create_index(name).await?,
                None => {}
            }
            if self.record.counts() == before {
                return Ok(plan);
            }
        }
    }

    async fn execute(&mut self, plan: &Plan, referring: &mut [Referring<'_>]) -> Result<()> {
        for groups in batches(&plan.merges, |group| group.documents.len(), self.options.rate) {
            self.rate_limiter.turns(groups.iter().map(|group| group.documents.len()).sum()).await;
            self.merge(groups, referring).await?;
            self.options.audit.progress.more(groups.len());
        }
        // Of documents that stay duplicates, the keys stay as they are.
        let keyed: Vec<Bson> = plan.set_keys.iter().filter(|id| !self.unmerged.contains(&name(id))).cloned().collect();
        self.mend(Mending::SetKey, &keyed).await?;
        self.mend(Mending::Deduplicate, &plan.deduplicate).await
    }

    /// Finishes the merges that a kill, or others' writes, left half done.
    async fn recover(&mut self) -> Result<()> {
        self.unfinished.clear();
        let collection = self.profile.collection.clone();
        let entries = self.journal.open_merges().await?;
        let ids: Vec<Bson> = entries.iter().map(|entry| id_of(&entry.duplicate)).collect();
        // One that is there was not removed: the plan finds it again.
        let there = self.documents(&collection, &ids).await?;
        let gone: Vec<MergeEntry> =
            entries.into_iter().filter(|entry| !is_there(&entry.duplicate, entry.state, &there)).collect();
        let unsaid: Vec<(&Document, &Bson)> = gone
            .iter()
            .filter(|entry| entry.state == MergeState::Removing)
            .map(|entry| (&entry.duplicate, &entry.keeper))
            .collect();
        self.removed(&unsaid).await?;
        let mut by_keeper: BTreeMap<String, TakeIn> = BTreeMap::new();
        for MergeEntry { duplicate, keeper, .. } in gone {
            let work = by_keeper.entry(name(&keeper)).or_insert_with(|| TakeIn { keeper, duplicates: Vec::new() });
            work.duplicates.push(duplicate);
        }
        let keepers: Vec<Bson> = by_keeper.values().map(|work| work.keeper.clone()).collect();
        let known = self.journal.touched_all(&collection, &keepers).await?;
        let now = self.documents(&collection, &keepers).await?;
        let mut work = Vec::new();
        for (keeper, one) in by_keeper {
            let one = self.not_taken_in(one, known.get(&keeper), now.get(&keeper)).await?;
            work.extend(one.and_then(|one| self.not_replaced(one, &there)));
        }
        self.take_in(work, &BTreeMap::new()).await
    }

    /// What is to be taken in without asking: of a duplicate under whose `_id` there is another document nobody can tell
    /// whether that one has its content.
    fn not_replaced(&mut self, mut one: TakeIn, there: &Now) -> Option<TakeIn> {
        let (replaced_ones, left): (Vec<Document>, Vec<Document>) =
            one.duplicates.into_iter().partition(|duplicate| there.contains_key(&name(&id_of(duplicate))));
        let sentence = |was: &Document| replaced(&id_of(was), &self.profile.collection, self.journal.name());
        self.unfinished.extend(replaced_ones.iter().map(sentence));
        one.duplicates = left;
        (!one.duplicates.is_empty()).then_some(one)
    }

    /// What of a merge that was cut short is still to be taken in: a change that took effect must not again.
    async fn not_taken_in(
        &mut self,
        one: TakeIn,
        known: Option<&Touched>,
        now: Option<&Document>,
    ) -> Result<Option<TakeIn>> {
        let (Some(Touched { taking, last: Some((read, changed)), .. }), Some(now)) = (known, now) else {
            return Ok(Some(one));
        };
        let (begun, new): (Vec<Document>, Vec<Document>) =
            one.duplicates.into_iter().partition(|duplicate| taking.contains(&id_of(duplicate)));
        let keeper = one.keeper;
        let left = match evidence(read, changed, now, self.array_field()) {
            _ if begun.is_empty() => new,
            Written::Done => {
                let done: Vec<(&Document, &Bson)> = begun.iter().map(|duplicate| (duplicate, &keeper)).collect();
                self.journal.put_merges(&done, MergeState::Done).await?;
                new
            }
            Written::NotDone => [begun, new].concat(),
            Written::Unknown | Written::Refused(_) | Written::TooLarge(_) => {
                self.unfinished.push(format!(
                    "document {keeper}: whether it has what was merged into it cannot be told, because all its fields were \
                     changed since; the duplicates are in `{}`",
                    self.journal.name()
                ));
                new
            }
        };
        Ok((!left.is_empty()).then_some(TakeIn { keeper, duplicates: left }))
    }

    /// Redirects what refers to a document that this repair or an earlier one removed: services that had it open go on
    /// referring to it for a while, and a kill may have come before its references were redirected.
    async fn sweep(&mut self, referring: &[Referring<'_>]) -> Result<()> {
        if referring.is_empty() {
            return Ok(());
        }
        let redirections = redirections(&self.database, self.profile).await?;
        for redirections in redirections.chunks(SWEPT_AT_ONCE) {
            let targets = targets(&self.database, &self.profile.collection, redirections).await?;
            if are_referred_to(&self.database, &targets, referring).await? {
                self.redirect(redirections, referring).await?;
            }
        }
        Ok(())
    }
}
