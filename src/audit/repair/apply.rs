//! Applying a repair: what a killed one left half done first, then round after round until nothing is left to do.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::options::{Acknowledgment, DatabaseOptions, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Collection, Database};

use super::guard::{From, rearranged, same_beginning, same_field};
use super::journal::{After, Journal, MergeState, PREFIX};
use super::merge::too_large;
use super::pace::Pace;
use super::plan::{Plan, Step as Task, plan, repairable};
use super::redirect::set_path;
use crate::audit::dedupe::repeated;
use crate::audit::error::{AuditError, Result, Step, code};
use crate::audit::key::{KeyState, state};
use crate::audit::{AuditOptions, Audited, Profile};
use crate::report::{ActionKind, RepairAction};

/// How a repair goes about it.
#[derive(Debug, Clone, PartialEq)]
pub struct RepairOptions {
    /// How it reads.
    pub audit: AuditOptions,
    /// Documents a second; without a limit if absent.
    pub rate: Option<f64>,
    /// How often a document that others keep changing is tried again before it is left and reported.
    pub attempts: u32,
}

impl Default for RepairOptions {
    fn default() -> Self {
        RepairOptions { audit: AuditOptions::default(), rate: None, attempts: 20 }
    }
}

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

/// One repair at work.
pub(super) struct Repair<'a> {
    pub(super) database: Database,
    pub(super) profile: &'a Profile,
    pub(super) options: &'a RepairOptions,
    pub(super) journal: Journal,
    pub(super) pace: Pace,
    pub(super) unfinished: bool,
    opened: bool,
    done: BTreeMap<ActionKind, u64>,
    left: Vec<String>,
}

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
    let mut repair = Repair {
        database: database.clone(),
        profile,
        options,
        journal,
        pace: Pace::new(options.rate),
        unfinished: false,
        opened: resumed,
        done: BTreeMap::new(),
        left: Vec::new(),
    };
    if resumed {
        repair.recover().await?;
    }
    let last = repair.rounds().await?;
    if repair.opened && !repair.unfinished {
        repair.journal.set_state("applied").await?;
    }
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
            self.sweep().await?;
            let plan = plan(&self.database, self.profile, self.options).await?;
            if plan.is_empty() || rounds == ROUNDS {
                return Ok(plan);
            }
            self.open().await?;
            let before = self.done.clone();
            self.left.clear();
            for task in &plan.steps {
                match task {
                    Task::Merge { documents, .. } => self.merge(documents).await?,
                    Task::SetKey { document, .. } => self.set_key(document).await?,
                    Task::Deduplicate { document, .. } => self.deduplicate(document).await?,
                }
            }
            if let Some(name) = &plan.index {
                self.create_index(name).await?;
            }
            if self.done == before {
                return Ok(plan);
            }
            rounds += 1;
        }
    }

    /// Finishes the merges that a kill left half done.
    async fn recover(&mut self) -> Result<()> {
        for entry in self.journal.merges().await? {
            let duplicate = entry.duplicate.get("_id").cloned().unwrap_or(Bson::Null);
            match entry.state {
                MergeState::Done => {}
                MergeState::Removing if self.read(&duplicate).await?.is_some() => {
                    // It was not removed: the plan will find it again.
                    self.journal.drop_merge(&duplicate).await?;
                }
                state @ (MergeState::Removing | MergeState::Removed) => {
                    if state == MergeState::Removing {
                        self.removed(&entry.duplicate, &entry.keeper).await?;
                    }
                    self.take_in(&entry.duplicate, &entry.keeper, true).await?;
                    self.redirect(&duplicate, &entry.keeper).await?;
                }
            }
        }
        Ok(())
    }

    /// Redirects what refers to a document that this repair or an earlier one removed: services that had it open go on
    /// referring to it for a while.
    async fn sweep(&mut self) -> Result<()> {
        let mut merges = Vec::new();
        for journal in Journal::all(&self.database, Some(&self.profile.collection), &["applying", "applied"]).await? {
            merges.extend(journal.merges().await?.into_iter().filter(|entry| entry.state == MergeState::Done));
        }
        let kept_for = |id: &Bson| merges.iter().find(|entry| entry.duplicate.get("_id") == Some(id));
        let mut redirections = Vec::new();
        for entry in &merges {
            let mut keeper = &entry.keeper;
            // What was kept once may have been merged later.
            for _ in 0..merges.len() {
                let Some(next) = kept_for(keeper) else { break };
                keeper = &next.keeper;
            }
            redirections.push((entry.duplicate.get("_id").cloned().unwrap_or(Bson::Null), keeper.clone()));
        }
        for (duplicate, keeper) in redirections {
            if self.is_referred_to(&duplicate).await? {
                self.open().await?;
                self.redirect(&duplicate, &keeper).await?;
            }
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<()> {
        if !self.opened {
            self.journal.open(&self.profile.collection, &self.profile.name).await?;
            self.opened = true;
        }
        Ok(())
    }

    /// Gives a document the key that its participants give.
    async fn set_key(&mut self, id: &Bson) -> Result<()> {
        let (Some(key), name) = (&self.profile.key, &self.profile.collection) else { return Ok(()) };
        self.pace.turn().await;
        for _ in 0..self.options.attempts {
            let Some(document) = self.read(id).await? else { return Ok(()) };
            let Ok(raw) = RawDocumentBuf::try_from(&document) else { return Ok(()) };
            let derived = match state(key, &raw) {
                KeyState::Right(_) | KeyState::Missing(None) => return Ok(()),
                KeyState::Missing(Some(derived)) | KeyState::Wrong(derived, _) => derived,
            };
            let root = key.field.split('.').next().unwrap_or(&key.field);
            let mut changed = document.clone();
            set_path(&mut changed, &key.field, derived.text.as_str().into());
            let changed = doc! { root: changed.get(root).cloned().unwrap_or(Bson::Null) };
            let fields = std::iter::once(root).chain(key.participants.iter().chain(&key.prefix).map(String::as_str));
            let same: Vec<Bson> = fields
                .map(|field| field.split('.').next().unwrap_or(field))
                .map(|field| same_field(field, document.get(field)))
                .collect();
            let known = self.journal.touch(name, &document, After::Changed(changed), self.array_field()).await?;
            let filter = doc! { "_id": id, "$expr": { "$and": same } };
            match self.collection().update_one(filter, doc! { "$set": { &key.field: &derived.text } }).await {
                Ok(updated) if updated.matched_count == 1 => {
                    self.count(ActionKind::SetKey, 1);
                    return Ok(());
                }
                Ok(_) => self.journal.untouch(name, id, known).await?,
                Err(error) if code(&error) == Some(DUPLICATE_KEY) => {
                    self.journal.untouch(name, id, known).await?;
                    let key = derived.text;
                    self.left(format!("document {id}: another document has its key `{key}`"));
                    return Ok(());
                }
                Err(error) => return Err(error).writing(self.database.name(), "set a key"),
            }
        }
        self.left(format!("document {id} kept changing while it was to get its key"));
        Ok(())
    }

    /// Removes the repeated elements of a document's array; the first of each stays.
    async fn deduplicate(&mut self, id: &Bson) -> Result<()> {
        let (Some(spec), name) = (&self.profile.array, &self.profile.collection) else { return Ok(()) };
        self.pace.turn().await;
        for _ in 0..self.options.attempts {
            let Some(document) = self.read(id).await? else { return Ok(()) };
            let Ok(raw) = RawDocumentBuf::try_from(&document) else { return Ok(()) };
            let (Ok(raw), Ok(elements)) = (raw.get_array(spec.field.as_str()), document.get_array(&spec.field)) else {
                return Ok(());
            };
            let again = repeated(spec, raw).repeated;
            if again.is_empty() {
                return Ok(());
            }
            if too_large(&[&document]) {
                self.left(format!("document {id} is too large to be compared with what was read"));
                return Ok(());
            }
            let kept: Vec<usize> = (0..elements.len()).filter(|at| again.binary_search(at).is_err()).collect();
            let after: Vec<Bson> = kept.iter().map(|&at| elements[at].clone()).collect();
            let order: Vec<From> = kept.into_iter().map(From::Own).collect();
            let changed = doc! { &spec.field: after };
            let known = self.journal.touch(name, &document, After::Changed(changed), self.array_field()).await?;
            let filter = doc! { "_id": id, "$expr": same_beginning(&spec.field, elements) };
            let set = doc! { "$set": { &spec.field: rearranged(&spec.field, elements.len(), &order, &[]) } };
            let updated = self.collection().update_one(filter, vec![set]).await;
            if updated.writing(self.database.name(), "remove repeated elements")?.matched_count == 1 {
                self.count(ActionKind::Deduplicate, again.len() as u64);
                return Ok(());
            }
            self.journal.untouch(name, id, known).await?;
        }
        self.left(format!("document {id} kept changing while its array was to be cleaned"));
        Ok(())
    }

    async fn create_index(&mut self, name: &str) -> Result<()> {
        let Some(key) = &self.profile.key else { return Ok(()) };
        self.journal.put_index(name).await?;
        let index = doc! { "key": { &key.field: 1 }, "name": name, "unique": true, "sparse": key.sparse };
        let command = doc! { "createIndexes": &self.profile.collection, "indexes": [index] };
        match self.database.run_command(command).await {
            Ok(_) => self.count(ActionKind::CreateIndex, 1),
            Err(error) if code(&error) == Some(DUPLICATE_KEY) => {
                self.left(format!("the unique index `{name}` cannot be built: there are duplicates"));
            }
            Err(error) => return Err(error).writing(self.database.name(), &format!("create the index `{name}`")),
        }
        Ok(())
    }

    pub(super) fn collection(&self) -> Collection<Document> {
        self.database.collection(&self.profile.collection)
    }

    /// The document as it is.
    pub(super) async fn read(&self, id: &Bson) -> Result<Option<Document>> {
        self.collection().find_one(doc! { "_id": id }).await.reading(self.database.name(), "read a document")
    }

    pub(super) fn array_field(&self) -> Option<&str> {
        self.profile.array.as_ref().map(|array| array.field.as_str())
    }

    pub(super) fn count(&mut self, kind: ActionKind, count: u64) {
        if count > 0 {
            *self.done.entry(kind).or_default() += count;
        }
    }

    pub(super) fn left(&mut self, sentence: String) {
        self.left.push(sentence);
    }
}

const DUPLICATE_KEY: i32 = 11000;
