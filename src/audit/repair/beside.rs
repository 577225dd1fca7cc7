//! Referring documents that go beside another one: each is removed exactly as it was read, then its content is taken into
//! the one that stays, as it is with duplicates.
//!
//! The journal has the twin, and what is to be taken over, before it is removed: a repair that is killed anywhere, or whose
//! writes others get in the way of, finishes from there. What is noted of a twin is what was removed, never an older state.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document};

use super::decide::id_of;
use super::edit::{Edit, Written, evidence};
use super::journal::{After, MergeState, Touched, TwinEntry};
use super::limits;
use super::rate_limiter::batches;
use super::redirect::edit;
use super::refer::{Redirection, Referring, Targets, Twin, name, redirected, united};
use super::there::{Now, is_there, replaced};
use super::touch::Touch;
use super::work::Repair;
use crate::audit::error::Result;

/// Documents of one referring collection that are removed, and the one that takes their content in.
struct Beside {
    beside: Bson,
    twins: Vec<TwinEntry>,
    /// What is to become of the references of the one that stays, by the same write.
    redirection: Option<Redirection>,
}

impl Repair<'_> {
    /// Removes what goes beside others and makes one of each of these. Takes those out of `stay`: they are redirected, or
    /// wait until what goes beside them can go. True if some documents changed meanwhile and must be read again.
    pub(super) async fn unite(
        &mut self,
        referring: &Referring<'_>,
        targets: &Targets,
        gone: Vec<Redirection>,
        stay: &mut Vec<Redirection>,
    ) -> Result<bool> {
        let mut groups: BTreeMap<String, Vec<Redirection>> = BTreeMap::new();
        for document in gone {
            // The plan refuses such merges: it has grown since.
            if let Some(why) = entry(referring.collection, &document).and_then(|entry| limits::of_twin(&entry)) {
                let id = document.id();
                self.left(format!("document {id} of `{}` cannot be redirected: {why}", referring.collection));
                continue;
            }
            groups.entry(document.beside().map(name).unwrap_or_default()).or_default().push(document);
        }
        // One that goes itself, and takes others in, does so first: it goes when the documents are read again.
        let takes_in: BTreeSet<String> = groups.keys().cloned().collect();
        let mut again = false;
        for group in groups.values_mut() {
            let all = group.len();
            group.retain(|document| !takes_in.contains(&name(&document.id())));
            again |= group.len() < all;
        }
        let mut redirections: BTreeMap<String, Redirection> = BTreeMap::new();
        for document in std::mem::take(stay) {
            match takes_in.contains(&name(&document.id())) {
                true => redirections.insert(name(&document.id()), document).map_or((), drop),
                false => stay.push(document),
            }
        }
        let groups: Vec<Vec<Redirection>> = groups.into_values().filter(|group| !group.is_empty()).collect();
        for groups in batches(&groups, |group| group.len() + 1, self.options.rate) {
            self.rate_limiter.turns(groups.iter().map(|group| group.len() + 1).sum()).await;
            again |= self.unite_groups(referring, targets, groups, &mut redirections).await?;
        }
        Ok(again)
    }

    async fn unite_groups(
        &mut self,
        referring: &Referring<'_>,
        targets: &Targets,
        groups: &[Vec<Redirection>],
        redirections: &mut BTreeMap<String, Redirection>,
    ) -> Result<bool> {
        let collection = referring.collection;
        let gone: Vec<&Redirection> = groups.iter().flatten().collect();
        let entries: Vec<TwinEntry> = gone.iter().filter_map(|document| entry(collection, document)).collect();
        self.open().await?;
        // The entry is the backup of the twin until it is removed.
        self.journal.put_twins(&entries, MergeState::Removing).await?;
        let twins: Vec<&Document> = entries.iter().map(|entry| &entry.twin).collect();
        let removed = self.remove_exact(collection, &twins).await?;
        let (mut work, mut waits): (BTreeMap<String, Beside>, BTreeSet<String>) = (BTreeMap::new(), BTreeSet::new());
        for ((entry, document), removed) in entries.into_iter().zip(gone).zip(&removed) {
            if !removed {
                waits.insert(name(&entry.beside));
                continue;
            }
            self.record.removed(Some(collection), &document.id(), document.beside(), &document.lost);
            let beside = entry.beside.clone();
            let one = || Beside { beside: beside.clone(), twins: Vec::new(), redirection: None };
            work.entry(name(&beside)).or_insert_with(one).twins.push(entry);
        }
        for (id, one) in &mut work {
            // Beside one that is still there it must not be redirected: a unique index would not let it in.
            one.redirection = redirections.remove(id).filter(|_| !waits.contains(id));
        }
        let work: Vec<Beside> = work.into_values().collect();
        let all: Vec<TwinEntry> = work.iter().flat_map(|one| one.twins.iter().cloned()).collect();
        self.twins_removed(collection, &all).await?;
        self.take_twins_in(referring, Some(targets), work).await?;
        Ok(!waits.is_empty())
    }

    /// Notes that twins are removed.
    async fn twins_removed(&self, collection: &str, twins: &[TwinEntry]) -> Result<()> {
        let touch = |entry| {
            let TwinEntry { twin, .. }: &TwinEntry = entry;
            Touch { now: twin, after: After::Removed, taking: &[] }
        };
        let touches: Vec<Touch<'_>> = twins.iter().map(touch).collect();
        self.journal.touch_all(collection, &touches, None).await?;
        self.journal.put_twins(twins, MergeState::Removed).await
    }

    /// Takes removed twins into the documents that stay.
    async fn take_twins_in(
        &mut self,
        referring: &Referring<'_>,
        targets: Option<&Targets>,
        mut work: Vec<Beside>,
    ) -> Result<()> {
        let collection = referring.collection;
        let mut tries = self.tries();
        while !work.is_empty() && tries.next() {
            let ids: Vec<Bson> = work.iter().map(|one| one.beside.clone()).collect();
            let mut now = self.documents(collection, &ids).await?;
            let (mut edits, mut pending): (Vec<Edit>, Vec<Beside>) = (Vec::new(), Vec::new());
            for one in std::mem::take(&mut work) {
                let Some(kept) = now.remove(&name(&one.beside)) else {
                    self.twins_only_in_backup(collection, &one, "it is gone; restore brings it back");
                    continue;
                };
                match edit_of(referring, targets, &one, kept) {
                    Err(why) => self.back_or_in_backup(collection, &one, &why).await?,
                    Ok(edit) => {
                        edits.push(edit);
                        pending.push(one);
                    }
                }
            }
            let written = self.write_changes(collection, &edits).await?;
            for (one, written) in pending.into_iter().zip(written) {
                match written {
                    Written::Done => self.twins_taken_in(collection, &one).await?,
                    Written::NotDone => work.push(one),
                    Written::Refused(_) | Written::TooLarge(_) => {
                        let why = written.refusal().unwrap_or_default();
                        self.back_or_in_backup(collection, &one, &why).await?;
                    }
                    Written::Unknown => {
                        let why = "whether it has them cannot be told, because all its fields were changed since";
                        self.twins_only_in_backup(collection, &one, why);
                    }
                }
            }
        }
        for one in &work {
            self.twins_only_in_backup(collection, one, "it kept changing; run the repair again to finish it");
        }
        Ok(())
    }

    /// Writes those of the changes that change anything.
    async fn write_changes(&mut self, collection: &str, edits: &[Edit]) -> Result<Vec<Written>> {
        let changes: Vec<Edit> = edits.iter().filter(|edit| !edit.changed.is_empty()).cloned().collect();
        let mut written = self.write(collection, &changes).await?.into_iter();
        let of = |edit: &Edit| if edit.changed.is_empty() { Some(Written::Done) } else { written.next() };
        Ok(edits.iter().filter_map(of).collect())
    }

    async fn twins_taken_in(&mut self, collection: &str, one: &Beside) -> Result<()> {
        self.journal.put_twins(&one.twins, MergeState::Done).await?;
        if let Some(redirection) = &one.redirection {
            self.record.redirected(collection, redirection);
        }
        Ok(())
    }

    async fn back_or_in_backup(&mut self, collection: &str, one: &Beside, why: &str) -> Result<()> {
        if let Some(why) = self.twins_back(collection, &one.twins, why).await? {
            self.twins_only_in_backup(collection, one, &why);
        }
        Ok(())
    }

    fn twins_only_in_backup(&mut self, collection: &str, one: &Beside, why: &str) {
        self.unfinished.push(format!(
            "document {} of `{collection}`: what went beside it is in `{}` only: {why}",
            one.beside,
            self.journal.name()
        ));
    }

    /// Finishes what a kill, or others' writes, left half done. The references of the ones that stay are redirected later.
    pub(super) async fn recover_twins(&mut self, referring: &[Referring<'_>]) -> Result<()> {
        let mut open: BTreeMap<String, Vec<TwinEntry>> = BTreeMap::new();
        for entry in self.journal.open_twins().await? {
            open.entry(entry.collection.clone()).or_default().push(entry);
        }
        for (collection, entries) in open {
            let Some(referring) = referring.iter().find(|referring| referring.collection == collection) else {
                self.unfinished.push(format!(
                    "documents of `{collection}` that were removed beside others are in `{}` only: the profile names no such \
                     reference any more",
                    self.journal.name()
                ));
                continue;
            };
            let ids: Vec<Bson> = entries.iter().map(|entry| id_of(&entry.twin)).collect();
            // One that is there was not removed: the references find it again.
            let there = self.documents(&collection, &ids).await?;
            let gone: Vec<TwinEntry> =
                entries.into_iter().filter(|entry| !is_there(&entry.twin, entry.state, &there)).collect();
            let unsaid: Vec<TwinEntry> =
                gone.iter().filter(|entry| entry.state == MergeState::Removing).cloned().collect();
            self.twins_removed(&collection, &unsaid).await?;
            for entry in &unsaid {
                self.record.removed(Some(&collection), &id_of(&entry.twin), Some(&entry.beside), &[]);
            }
            let mut work: BTreeMap<String, Beside> = BTreeMap::new();
            for entry in gone {
                let beside = entry.beside.clone();
                let one = || Beside { beside: beside.clone(), twins: Vec::new(), redirection: None };
                work.entry(name(&beside)).or_insert_with(one).twins.push(entry);
            }
            let keepers: Vec<Bson> = work.values().map(|one| one.beside.clone()).collect();
            let known = self.journal.touched_all(&collection, &keepers).await?;
            let now = self.documents(&collection, &keepers).await?;
            let mut left = Vec::new();
            for (id, one) in work {
                let one = self.twins_not_taken_in(one, known.get(&id), now.get(&id)).await?;
                left.extend(one.and_then(|one| self.twins_not_replaced(&collection, one, &there)));
            }
            self.take_twins_in(referring, None, left).await?;
        }
        Ok(())
    }

    /// What is to be taken in without asking, as it is with duplicates.
    fn twins_not_replaced(&mut self, collection: &str, mut one: Beside, there: &Now) -> Option<Beside> {
        let (replaced_ones, left): (Vec<TwinEntry>, Vec<TwinEntry>) =
            one.twins.into_iter().partition(|entry| there.contains_key(&name(&id_of(&entry.twin))));
        let sentence = |entry: &TwinEntry| replaced(&id_of(&entry.twin), collection, self.journal.name());
        self.unfinished.extend(replaced_ones.iter().map(sentence));
        one.twins = left;
        (!one.twins.is_empty()).then_some(one)
    }

    /// What is still to be taken in: a change that took effect must not again.
    async fn twins_not_taken_in(
        &mut self,
        one: Beside,
        known: Option<&Touched>,
        now: Option<&Document>,
    ) -> Result<Option<Beside>> {
        let (Some(Touched { taking, last: Some((read, changed)), collection, .. }), Some(now)) = (known, now) else {
            return Ok(Some(one));
        };
        let (begun, mut twins): (Vec<TwinEntry>, Vec<TwinEntry>) =
            one.twins.into_iter().partition(|entry| taking.contains(&id_of(&entry.twin)));
        let beside = one.beside;
        if !begun.is_empty() {
            match evidence(read, changed, now, None) {
                Written::Done => self.journal.put_twins(&begun, MergeState::Done).await?,
                Written::NotDone => twins.extend(begun),
                Written::Unknown | Written::Refused(_) | Written::TooLarge(_) => {
                    let unknown = Beside { beside: beside.clone(), twins: begun, redirection: None };
                    let why = "whether it has them cannot be told, because all its fields were changed since";
                    self.twins_only_in_backup(collection, &unknown, why);
                }
            }
        }
        Ok((!twins.is_empty()).then_some(Beside { beside, twins, redirection: None }))
    }
}

pub(super) fn entry(collection: &str, document: &Redirection) -> Option<TwinEntry> {
    let Twin { id, field } = document.twin.clone()?;
    Some(TwinEntry {
        collection: collection.to_owned(),
        field,
        twin: document.before.clone(),
        content: document.after.clone(),
        beside: id,
        state: MergeState::Removing,
    })
}

/// The change of a document that takes twins in; one that changes nothing has no fields. `Err` is a sentence.
fn edit_of(referring: &Referring<'_>, targets: Option<&Targets>, one: &Beside, kept: Document) -> Result<Edit, String> {
    let unchanged = |kept: Document| Redirection { after: kept.clone(), before: kept, ..Redirection::default() };
    let mut document = match targets.filter(|_| one.redirection.is_some()) {
        Some(targets) => redirected(referring, kept, targets).map_err(|obstacle| obstacle.why)?,
        None => unchanged(kept),
    };
    let fields: BTreeSet<&str> = one.twins.iter().map(|entry| entry.field.as_str()).collect();
    for field in fields {
        let reference = referring.references.iter().find(|reference| reference.field == field);
        let reference = reference.ok_or_else(|| format!("the profile has no reference `{field}` any more"))?;
        let theirs = one.twins.iter().filter(|entry| entry.field == field).map(|entry| entry.content.clone());
        let outcome = united((reference, &referring.indexes), &document.after, theirs.collect())?;
        document.after = outcome.result(&document.after);
    }
    Ok(Edit { taking: one.twins.iter().map(|entry| id_of(&entry.twin)).collect(), ..edit(&document) })
}
