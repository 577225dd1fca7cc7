//! One repair at work: what it works on, what it did, and what it had to leave. Main type: [`Repair`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mongodb::bson::{Bson, Document};
use mongodb::{Collection, Database};

use super::journal::Journal;
use super::lease::Lease;
use super::rate_limiter::{RateLimiter, Tries};
use super::record::Record;
use super::refer::name;
use crate::audit::error::Result;
use crate::audit::{AuditOptions, Profile};

/// How a repair goes about it.
#[derive(Debug, Clone)]
pub struct RepairOptions {
    /// How it reads.
    pub audit: AuditOptions,
    /// Documents a second; without a limit if absent.
    pub rate: Option<f64>,
    /// How often a document that others keep changing is tried before it is left and reported.
    pub attempts: u32,
    /// How long, if that is over sooner.
    pub patience: Duration,
    /// Documents whose fields differ are not merged where no rule of the profile names these fields.
    pub strict: bool,
    /// The indexes that make references fast to find are created where they are missing.
    pub reference_indexes: bool,
}

impl Default for RepairOptions {
    fn default() -> Self {
        RepairOptions {
            audit: AuditOptions::default(),
            rate: None,
            attempts: 20,
            patience: Duration::from_secs(5),
            strict: false,
            reference_indexes: false,
        }
    }
}

/// Rounds in which a document may keep changing before it is not tried again.
const ROUNDS_OF_CHANGE: u32 = 2;

/// One repair at work.
pub(super) struct Repair<'a> {
    pub(super) database: Database,
    pub(super) profile: &'a Profile,
    pub(super) options: &'a RepairOptions,
    pub(super) journal: Journal,
    pub(super) rate_limiter: RateLimiter,
    /// Merges whose duplicate is removed and not taken in: its content is in the backup only.
    pub(super) unfinished: Vec<String>,
    /// Its backup exists.
    pub(super) opened: bool,
    /// Duplicates of groups that were refused in this round.
    pub(super) refused: u64,
    /// The documents of groups that were not merged in this round.
    pub(super) unmerged: BTreeSet<String>,
    /// Duplicates that were put back because the server refuses what they would be merged into, with a sentence each.
    pub(super) put_back: BTreeMap<String, String>,
    /// What was done.
    pub(super) record: Record,
    pub(super) lease: &'a Lease,
    /// What could not be repaired, a sentence each.
    pub(super) left: Vec<String>,
    /// What went otherwise than was wanted and harms nothing, a sentence each.
    pub(super) notes: Vec<String>,
    /// What the server lists of the indexes of the audited collection.
    pub(super) indexes: Vec<Document>,
    /// The indexes that references lack were created, where that is wanted.
    pub(super) references_indexed: bool,
    /// In how many rounds a document kept changing.
    restless: BTreeMap<String, u32>,
}

impl<'a> Repair<'a> {
    /// One that has done nothing yet; `resumed` if an earlier process began it.
    pub(super) fn new(
        database: &Database,
        profile: &'a Profile,
        options: &'a RepairOptions,
        (journal, resumed): (Journal, bool),
        lease: &'a Lease,
    ) -> Self {
        Repair {
            database: database.clone(),
            profile,
            options,
            journal,
            rate_limiter: RateLimiter::new(options.rate),
            unfinished: Vec::new(),
            opened: resumed,
            refused: 0,
            unmerged: BTreeSet::new(),
            put_back: BTreeMap::new(),
            record: Record::default(),
            lease,
            left: Vec::new(),
            notes: Vec::new(),
            indexes: Vec::new(),
            references_indexed: false,
            restless: BTreeMap::new(),
        }
    }

    /// Whether a document changed through so many rounds that it is left alone. It is told either way.
    pub(super) fn is_restless(&self, id: &Bson) -> bool {
        self.restless.get(&name(id)).is_some_and(|&rounds| rounds >= ROUNDS_OF_CHANGE)
    }

    /// Notes that others changed a document at each try.
    pub(super) fn kept_changing(&mut self, id: &Bson, what_for: &str) {
        *self.restless.entry(name(id)).or_default() += 1;
        self.left(still_changing(id, what_for));
    }

    /// The tries that one document is worth.
    pub(super) fn tries(&self) -> Tries {
        Tries::new(self.options.attempts, self.options.patience)
    }

    /// Begins the backup, if that was not done yet.
    pub(super) async fn open(&mut self) -> Result<()> {
        if !self.opened {
            self.lease.check().await?;
            self.journal.open(&self.profile.collection, &self.profile.name).await?;
            self.opened = true;
        }
        Ok(())
    }

    pub(super) fn collection(&self) -> Collection<Document> {
        self.database.collection(&self.profile.collection)
    }

    pub(super) fn array_field(&self) -> Option<&str> {
        self.profile.array.as_ref().map(|array| array.field.as_str())
    }

    pub(super) fn left(&mut self, sentence: String) {
        self.left.push(sentence);
    }
}

/// The sentence for a document that is left because others write to it all the time.
pub(super) fn still_changing(id: &Bson, what_for: &str) -> String {
    format!(
        "document {id} kept changing while it was to {what_for}: it is as it was; repair it when less is written to it"
    )
}
