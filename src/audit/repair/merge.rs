//! Merging duplicates, many groups at once: each duplicate is removed exactly as it was read, then its content is taken
//! into the document that is kept.
//!
//! Removal comes first because it is what stops writers: from then on the content is in the backup and nowhere else, and
//! cannot change. The backup of a duplicate is never deleted, also where it was not removed after all.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document, doc};

use super::decide::{Circumstances, Group, Merge, decide, id_of};
use super::edit::{Edit, Written};
use super::guard::{rearranged, same_beginning, same_field, same_rest};
use super::journal::{After, MergeState};
use super::limits;
use super::merging::{FieldChange, Outcome, Rules, merged};
use super::refer::{Referring, name};
use super::touch::Touch;
use super::work::{Repair, still_changing};
use crate::audit::error::Result;

/// Duplicates that are removed, and the document that takes their content in.
#[derive(Debug, Clone)]
pub(super) struct TakeIn {
    pub(super) keeper: Bson,
    pub(super) duplicates: Vec<Document>,
}

impl Repair<'_> {
    /// Merges groups, and redirects what refers to what is merged.
    pub(super) async fn merge(&mut self, groups: &[Group], referring: &mut [Referring<'_>]) -> Result<()> {
        let mut pending: Vec<Group> = groups.iter().filter(|group| self.may_be_merged(group)).cloned().collect();
        let mut merged = Vec::new();
        let mut tries = self.tries();
        while !pending.is_empty() && tries.next() {
            let (profile, strict) = (self.profile, self.options.strict);
            let database = self.database.clone();
            let indexes = &self.indexes;
            let with = Circumstances { database: &database, profile, referring, indexes, strict };
            let decision = decide(with, &pending).await?;
            for refused in decision.refused {
                self.refused += refused.duplicates();
                self.unmerged.extend(refused.documents.iter().map(name));
                self.left(refused.why);
            }
            if !decision.merges.is_empty() {
                self.open().await?;
                self.create_reference_indexes(referring).await?;
            }
            pending = self.remove(&decision.merges, &mut merged).await?;
        }
        for group in pending {
            let (keeper, others) =
                (group.documents.first().cloned().unwrap_or(Bson::Null), group.documents.iter().skip(1));
            for duplicate in others {
                self.unmerged.insert(name(duplicate));
                self.kept_changing(duplicate, &be_merged(&keeper));
            }
        }
        self.redirect(&merged, referring).await
    }

    fn may_be_merged(&mut self, group: &Group) -> bool {
        let Some((keeper, others)) = group.documents.split_first() else { return false };
        let restless: Vec<String> = others
            .iter()
            .filter(|duplicate| self.is_restless(duplicate))
            .map(|duplicate| still_changing(duplicate, &be_merged(keeper)))
            .collect();
        let put_back: Vec<String> =
            others.iter().filter_map(|duplicate| self.put_back.get(&name(duplicate)).cloned()).collect();
        let may = restless.is_empty() && put_back.is_empty();
        if !may {
            self.unmerged.extend(group.documents.iter().map(name));
        }
        if !put_back.is_empty() {
            self.refused += others.len() as u64;
        }
        self.left.extend(restless.into_iter().chain(put_back));
        may
    }

    /// Removes the duplicates and takes them in. Returns the groups of which one changed meanwhile.
    async fn remove(&mut self, merges: &[Merge], merged: &mut Vec<(Bson, Bson)>) -> Result<Vec<Group>> {
        let keepers: Vec<Bson> = merges.iter().map(Merge::keeper).collect();
        let duplicates: Vec<(&Document, &Bson)> = merges
            .iter()
            .zip(&keepers)
            .flat_map(|(merge, keeper)| merge.others.iter().map(move |other| (other, keeper)))
            .collect();
        // The entry is the backup of the duplicate until it is removed.
        self.journal.put_merges(&duplicates, MergeState::Removing).await?;
        let documents: Vec<&Document> = duplicates.iter().map(|(document, _)| *document).collect();
        let collection = self.profile.collection.clone();
        let gone = self.remove_exact(&collection, &documents).await?;
        let removed: Vec<(&Document, &Bson)> =
            duplicates.iter().zip(&gone).filter(|(_, gone)| **gone).map(|(pair, _)| *pair).collect();
        self.removed(&removed).await?;
        let left: Vec<String> = documents
            .iter()
            .zip(&gone)
            .filter(|(_, gone)| !**gone)
            .map(|(document, _)| name(&id_of(document)))
            .collect();
        let (mut work, mut again) = (Vec::new(), Vec::new());
        for merge in merges {
            let (there, taken): (Vec<&Document>, Vec<&Document>) =
                merge.others.iter().partition(|other| left.contains(&name(&id_of(other))));
            if !there.is_empty() {
                let ids = std::iter::once(merge.keeper()).chain(there.into_iter().map(id_of)).collect();
                again.push(Group { key: merge.key.clone(), documents: ids });
            }
            if !taken.is_empty() {
                work.push(TakeIn { keeper: merge.keeper(), duplicates: taken.into_iter().cloned().collect() });
            }
        }
        merged.extend(
            work.iter()
                .flat_map(|work| work.duplicates.iter().map(|duplicate| (id_of(duplicate), work.keeper.clone()))),
        );
        let keys: BTreeMap<String, String> =
            merges.iter().map(|merge| (name(&merge.keeper()), merge.key.clone())).collect();
        self.take_in(work, &keys).await?;
        merged.retain(|(duplicate, _)| !self.put_back.contains_key(&name(duplicate)));
        Ok(again)
    }

    /// Notes that duplicates are removed. Their backup is what they were before the repair first touched them.
    pub(super) async fn removed(&mut self, removed: &[(&Document, &Bson)]) -> Result<()> {
        let touches: Vec<Touch<'_>> =
            removed.iter().map(|(now, _)| Touch { now, after: After::Removed, taking: &[] }).collect();
        self.journal.touch_all(&self.profile.collection, &touches, self.array_field()).await?;
        self.journal.put_merges(removed, MergeState::Removed).await?;
        for (document, _) in removed {
            self.record.removed(None, &id_of(document), None, &[]);
        }
        Ok(())
    }

    /// Takes removed duplicates into the kept documents.
    pub(super) async fn take_in(&mut self, mut work: Vec<TakeIn>, keys: &BTreeMap<String, String>) -> Result<()> {
        let collection = self.profile.collection.clone();
        let mut tries = self.tries();
        while !work.is_empty() && tries.next() {
            let ids: Vec<Bson> = work.iter().map(|one| one.keeper.clone()).collect();
            let mut now = self.documents(&collection, &ids).await?;
            let mut edits = Vec::new();
            let mut outcomes = Vec::new();
            let mut done = Vec::new();
            for one in std::mem::take(&mut work) {
                let Some(kept) = now.remove(&name(&one.keeper)) else {
                    self.keeper_is_gone(&one.keeper);
                    continue;
                };
                match merged(&Rules::of(self.profile, &self.indexes), &kept, &one.duplicates) {
                    Err(why) => self.duplicates_back(&one, &why).await?,
                    Ok(outcome) if outcome.changes.is_empty() => done.push((one, outcome)),
                    Ok(outcome) => {
                        edits.push(edit(kept, &outcome, one.duplicates.iter().map(id_of).collect()));
                        outcomes.push((one, outcome));
                    }
                }
            }
            let written = self.write(&collection, &edits).await?;
            for ((one, outcome), written) in outcomes.into_iter().zip(written) {
                match written {
                    Written::Done => done.push((one, outcome)),
                    Written::NotDone => work.push(one),
                    Written::Refused(_) | Written::TooLarge(_) => {
                        let why = written.refusal().unwrap_or_default();
                        self.duplicates_back(&one, &why).await?;
                    }
                    Written::Unknown => {
                        let why = "whether it has them cannot be told, because all its fields were changed since";
                        self.unfinished.push(self.only_in_backup(&one.keeper, why));
                    }
                }
            }
            self.taken_in(&done, keys).await?;
        }
        for one in work {
            let why = "it kept changing; run the repair again to finish it";
            self.unfinished.push(self.only_in_backup(&one.keeper, why));
        }
        Ok(())
    }

    async fn taken_in(&mut self, done: &[(TakeIn, Outcome)], keys: &BTreeMap<String, String>) -> Result<()> {
        let all: Vec<(&Document, &Bson)> =
            done.iter().flat_map(|(one, _)| one.duplicates.iter().map(|duplicate| (duplicate, &one.keeper))).collect();
        self.journal.put_merges(&all, MergeState::Done).await?;
        for (one, outcome) in done {
            let key = keys.get(&name(&one.keeper)).map_or("", String::as_str);
            let duplicates: Vec<Bson> = one.duplicates.iter().map(id_of).collect();
            self.record.merged(key, &one.keeper, &duplicates, &outcome.lost);
        }
        Ok(())
    }

    fn keeper_is_gone(&mut self, keeper: &Bson) {
        self.unfinished.push(format!(
            "document {keeper} is gone: what was to be merged into it is in `{}` only; restore brings it back",
            self.journal.name()
        ));
    }

    pub(super) fn only_in_backup(&self, keeper: &Bson, why: &str) -> String {
        format!(
            "document {keeper}: duplicates that are to be merged into it are in `{}` only: {why}",
            self.journal.name()
        )
    }
}

/// The change of a kept document, which takes effect only on what was read; where a field can be worked out by the server,
/// a service that writes it all the time is not in the way. Where that takes a larger command than the server does, the
/// array must be what was read to its end.
pub(super) fn edit(kept: Document, outcome: &Outcome, taking: Vec<Bson>) -> Edit {
    let edit = edit_with(kept, outcome, taking, true);
    if limits::fits(&edit) {
        return edit;
    }
    edit_with(edit.before, outcome, edit.taking, false)
}

fn edit_with(kept: Document, outcome: &Outcome, taking: Vec<Bson>, may_grow: bool) -> Edit {
    let (mut set, mut conditions) = (Document::new(), Vec::new());
    for (field, change, _) in &outcome.changes {
        match change {
            FieldChange::Array { order, others, own } => {
                set.insert(field, rearranged(field, own.len(), order, others));
                if may_grow {
                    conditions.push(same_beginning(field, own));
                    conditions.push(same_rest(field, own.len(), others));
                } else {
                    conditions.push(same_field(field, kept.get(field)));
                }
            }
            FieldChange::Union(all) => {
                let own = doc! { "$ifNull": [format!("${field}"), []] };
                let new = doc! { "$filter": {
                    "input": { "$literal": all.clone() }, "cond": { "$not": { "$in": ["$$this", own.clone()] } },
                } };
                set.insert(field, doc! { "$concatArrays": [own, new] });
            }
            FieldChange::Largest(value) => {
                set.insert(field, doc! { "$max": [format!("${field}"), { "$literal": value }] });
            }
            FieldChange::Set(value) => {
                set.insert(field, doc! { "$literal": value });
                conditions.push(same_field(field, kept.get(field)));
            }
        }
    }
    let condition = doc! { "$and": conditions }.into();
    Edit { before: kept, changed: outcome.changed(), condition, set, taking }
}

fn be_merged(keeper: &Bson) -> String {
    format!("be merged into {keeper}")
}
