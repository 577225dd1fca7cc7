//! What would become of groups of duplicates, as they are now: merged, or refused with the reason. It only reads.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};

use super::merge::edit;
use super::merging::{Outcome, Rules, merged, ranked};
use super::refer::{Obstacle, PIECE, Redirection, Referring, Targets, name, obstacle, resolve, targets};
use super::twice::Read;
use super::validator::Validator;
use super::{beside, limits, redirect};
use crate::audit::Profile;
use crate::audit::canon::Texts;
use crate::audit::error::{Result, Step};
use crate::audit::inspect::{classes, shown};
use crate::audit::key::things;

/// Documents that stand for one thing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) key: String,
    pub(super) documents: Vec<Bson>,
}

/// A group that can become one document.
#[derive(Debug, Clone)]
pub(super) struct Merge {
    pub(super) key: String,
    pub(super) kept: Document,
    /// From the oldest on.
    pub(super) others: Vec<Document>,
    pub(super) outcome: Outcome,
}

impl Merge {
    pub(super) fn keeper(&self) -> Bson {
        id_of(&self.kept)
    }

    /// Each duplicate with what it is merged into.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (Bson, Bson)> {
        let keeper = self.keeper();
        self.others.iter().map(move |other| (id_of(other), keeper.clone()))
    }

    fn refused(&self, why: &str) -> Refused {
        let documents = std::iter::once(self.keeper()).chain(self.others.iter().map(id_of)).collect();
        Refused { documents, why: sentence(&self.key, why) }
    }
}

/// A group that is not merged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refused {
    pub(super) documents: Vec<Bson>,
    /// Why, in a sentence.
    pub(super) why: String,
}

impl Refused {
    /// How many duplicates remain.
    pub(super) fn duplicates(&self) -> u64 {
        self.documents.len().saturating_sub(1) as u64
    }
}

/// What becomes of groups.
#[derive(Debug, Default)]
pub(super) struct Decision {
    pub(super) merges: Vec<Merge>,
    /// Groups that are not merged.
    pub(super) refused: Vec<Refused>,
    /// What becomes of referring documents, by collection.
    pub(super) redirections: Vec<(String, Vec<Redirection>)>,
}

pub(super) fn id_of(document: &Document) -> Bson {
    document.get("_id").cloned().unwrap_or(Bson::Null)
}

/// What decides: the profile, what refers, and whether fields without a rule refuse a merge.
#[derive(Clone, Copy)]
pub(super) struct Circumstances<'a> {
    pub(super) database: &'a Database,
    pub(super) profile: &'a Profile,
    pub(super) referring: &'a [Referring<'a>],
    /// What the server lists of the indexes of the audited collection.
    pub(super) indexes: &'a [Document],
    pub(super) strict: bool,
}

/// Reads the groups again, and decides.
pub(super) async fn decide(with: Circumstances<'_>, groups: &[Group]) -> Result<Decision> {
    let ids: Vec<Bson> = groups.iter().flat_map(|group| group.documents.iter().cloned()).collect();
    let Judged { mut documents, raw, twice } = judged(with, &ids).await?;
    let keys = keys_of(with, &raw).await?;
    let mut decision = Decision::default();
    for group in groups {
        let members = group.documents.iter().filter_map(|id| documents.remove(&name(id))).collect();
        let members = of_one_key(members, &keys);
        if let Some(refused) = has_twice(group, &members, &twice) {
            decision.refused.push(refused);
            continue;
        }
        match merge_of(with, group, members) {
            Ok(merge) => decision.merges.extend(merge),
            Err(refused) => decision.refused.push(refused),
        }
    }
    decision.validate(with).await?;
    loop {
        let obstacles = redirections(with, &mut decision).await?;
        if obstacles.is_empty() {
            return Ok(decision);
        }
        decision.refuse(&obstacles);
    }
}

impl Decision {
    /// Refuses the merges whose results the collection's validator refuses.
    async fn validate(&mut self, with: Circumstances<'_>) -> Result<()> {
        let Some(validator) = Validator::of(with.database, &with.profile.collection).await? else { return Ok(()) };
        let changed = self.merges.iter().filter(|merge| !merge.outcome.changes.is_empty());
        let changes: Vec<_> = changed.map(|merge| (merge.kept.clone(), merge.outcome.result(&merge.kept))).collect();
        let refused = validator.refused(with.database, &changes).await?;
        let (refused, merges): (Vec<Merge>, Vec<Merge>) =
            std::mem::take(&mut self.merges).into_iter().partition(|merge| refused.contains(&name(&merge.keeper())));
        self.merges = merges;
        self.refused.extend(refused.iter().map(|merge| merge.refused(&validator.sentence(&merge.keeper()))));
        Ok(())
    }

    /// Refuses the merges that obstacles forbid.
    fn refuse(&mut self, obstacles: &[Obstacle]) {
        let forbidden: BTreeSet<String> =
            obstacles.iter().flat_map(|obstacle| obstacle.duplicates.iter().map(name)).collect();
        let (refused, merges): (Vec<Merge>, Vec<Merge>) = std::mem::take(&mut self.merges)
            .into_iter()
            .partition(|merge| merge.others.iter().any(|other| forbidden.contains(&name(&id_of(other)))));
        // An obstacle that names no duplicate of a merge forbids all of them, so that this comes to an end.
        let (refused, merges) = if refused.is_empty() { (merges, Vec::new()) } else { (refused, merges) };
        self.merges = merges;
        for merge in refused {
            let own: BTreeSet<String> = merge.others.iter().map(|other| name(&id_of(other))).collect();
            let because = obstacles
                .iter()
                .find(|obstacle| obstacle.duplicates.iter().any(|id| own.contains(&name(id))))
                .or(obstacles.first());
            self.refused.push(merge.refused(because.map_or("", |obstacle| &obstacle.why)));
        }
    }
}

fn sentence(key: &str, why: &str) -> String {
    format!("the documents of the key `{key}` are not merged: {why}")
}

/// Refuses a group with a document that has a field twice, or cannot be read.
fn has_twice(group: &Group, members: &[Document], twice: &BTreeMap<String, String>) -> Option<Refused> {
    let told = |member| {
        let id = id_of(member);
        twice.get(&name(&id)).map(|why| format!("document {id} cannot be merged: {why}"))
    };
    let why = members.iter().filter(|_| members.len() > 1).find_map(told)?;
    Some(Refused { documents: members.iter().map(id_of).collect(), why: sentence(&group.key, &why) })
}

/// One group, as its documents are now.
fn merge_of(
    Circumstances { profile, strict, indexes, .. }: Circumstances<'_>,
    group: &Group,
    members: Vec<Document>,
) -> Result<Option<Merge>, Refused> {
    if members.len() < 2 {
        return Ok(None);
    }
    let rules = Rules::of(profile, indexes);
    let mut others = ranked(members, &profile.merge);
    let mut outcome = merged(&rules, &others[0], &others[1..]);
    if outcome.is_err()
        && let Some((kept, rest)) = rules.livelier(&others)
    {
        outcome = merged(&rules, &kept, &rest);
        others = std::iter::once(kept).chain(rest).collect();
    }
    let kept = others.remove(0);
    let refused = |why: &str| {
        let documents = std::iter::once(&kept).chain(&others).map(id_of).collect();
        Refused { documents, why: sentence(&group.key, why) }
    };
    if others.iter().chain([&kept]).any(|document| matches!(id_of(document), Bson::Null)) {
        return Err(refused("one of them has no id that could be referred to"));
    }
    let outcome = outcome.map_err(|why| refused(&why))?;
    let unruled = outcome.unruled();
    if strict && !unruled.is_empty() {
        let kept = shown(&id_of(&kept));
        return Err(refused(&format!(
            "{} differ, and no rule of `merge` names them (--strict; {kept} would stay)",
            unruled.join(", ")
        )));
    }
    let id = id_of(&kept);
    let too_large = || {
        let removal = |other| limits::of_removal(&profile.collection, other, &id);
        others.iter().find_map(removal).or_else(|| {
            let taking = others.iter().map(id_of).collect();
            limits::of_edit(&profile.collection, &edit(kept.clone(), &outcome, taking))
        })
    };
    match too_large() {
        Some(why) => Err(refused(&why)),
        None => Ok(Some(Merge { key: group.key.clone(), kept, others, outcome })),
    }
}

/// Documents as they are now, by the names of their ids.
#[derive(Debug, Default)]
struct Judged {
    documents: BTreeMap<String, Document>,
    /// As the server has them. The audit takes their keys from this, also of those that cannot be decoded.
    raw: BTreeMap<String, RawDocumentBuf>,
    /// What is said of those that have a field twice or cannot be read.
    twice: BTreeMap<String, String>,
}

/// The documents among which the key is unique.
async fn judged(with: Circumstances<'_>, ids: &[Bson]) -> Result<Judged> {
    let mut judged = Judged::default();
    let step = format!("read `{}`", with.profile.collection);
    let collection = with.database.collection::<RawDocumentBuf>(&with.profile.collection);
    for ids in ids.chunks(1_000) {
        let by_id = doc! { "_id": { "$in": ids } };
        let filter = with.profile.key.as_ref().map_or_else(|| by_id.clone(), |key| key.among(by_id.clone()));
        let mut read = collection.find(filter).await.reading(with.database.name(), &step)?;
        while let Some(raw) = read.try_next().await.reading(with.database.name(), &step)? {
            let Read { document, twice, .. } = Read::of(&raw);
            let id = name(&id_of(&document));
            judged.twice.extend(twice.map(|told| (id.clone(), told)));
            judged.raw.insert(id.clone(), raw);
            judged.documents.insert(id, document);
        }
    }
    Ok(judged)
}

/// The keys of documents, all that each of them has, by the names of their ids.
async fn keys_of(
    with: Circumstances<'_>,
    raw: &BTreeMap<String, RawDocumentBuf>,
) -> Result<BTreeMap<String, Vec<Vec<u8>>>> {
    let Some(key) = &with.profile.key else { return Ok(BTreeMap::new()) };
    let collection = with.database.collection::<Document>(&with.profile.collection);
    let classes = classes(&collection, key, raw.values().map(AsRef::as_ref)).await?;
    let texts = classes.as_ref().map_or(Texts::Exact, Texts::Classes);
    let keys = |document: &RawDocumentBuf| things(key, document, texts).into_iter().map(|thing| thing.bytes).collect();
    Ok(raw.iter().map(|(id, document)| (id.clone(), keys(document))).collect())
}

/// The documents that have the key that most of them, and of equally many the first, have now.
fn of_one_key(members: Vec<Document>, keys: &BTreeMap<String, Vec<Vec<u8>>>) -> Vec<Document> {
    let key = |document: &Document| keys.get(&name(&id_of(document))).filter(|keys| !keys.is_empty());
    let mut counts: BTreeMap<&Vec<Vec<u8>>, usize> = BTreeMap::new();
    members.iter().filter_map(key).for_each(|key| *counts.entry(key).or_default() += 1);
    // Of several largest the last: from behind that is the first.
    let Some(best) = members.iter().rev().filter_map(key).max_by_key(|key| counts.get(*key)) else {
        return Vec::new();
    };
    members.into_iter().filter(|document| key(document) == Some(best)).collect()
}

/// What becomes of documents that refer to the duplicates; returns what stands in the way.
async fn redirections(with: Circumstances<'_>, decision: &mut Decision) -> Result<Vec<Obstacle>> {
    decision.redirections.clear();
    let pairs: Vec<(Bson, Bson)> = decision.merges.iter().flat_map(Merge::pairs).collect();
    if pairs.is_empty() || with.referring.is_empty() {
        return Ok(Vec::new());
    }
    let targets = targets(with.database, &with.profile.collection, &pairs).await?;
    let keepers: Vec<Bson> = decision.merges.iter().map(Merge::keeper).collect();
    let mut obstacles = Vec::new();
    for referring in with.referring {
        let validator = Validator::of(with.database, referring.collection).await?;
        let mut pieces = referring.open(with.database, &targets, &keepers, PIECE).await?;
        let mut all = Vec::new();
        loop {
            let piece = pieces.next().await?;
            if piece.is_empty() {
                break;
            }
            let mut outcome = resolve(referring, piece, &targets, with.strict);
            obstacles.extend(outcome.obstacles);
            outcome.documents.retain(|document| {
                let why = too_large(referring, document);
                obstacles.extend(why.as_ref().map(|why| obstacle(referring, &[&document.before], &targets, why)));
                why.is_none()
            });
            if let Some(validator) = &validator {
                obstacles.extend(invalid(with, (referring, validator), &outcome.documents, &targets).await?);
            }
            // What is shown of an ordinary one are its references, not the document.
            all.extend(outcome.documents.into_iter().map(Redirection::slim));
        }
        decision.redirections.push((referring.collection.to_owned(), all));
    }
    Ok(obstacles)
}

/// Why the server would not take what becomes of a referring document.
fn too_large(referring: &Referring<'_>, document: &Redirection) -> Option<String> {
    match beside::entry(referring.collection, document) {
        Some(twin) => limits::of_twin(&twin),
        None => limits::of_edit(referring.collection, &redirect::edit(document)),
    }
}

/// The referring documents that the validator of their collection would refuse.
async fn invalid(
    with: Circumstances<'_>,
    (referring, validator): (&Referring<'_>, &Validator<'_>),
    documents: &[Redirection],
    targets: &Targets,
) -> Result<Vec<Obstacle>> {
    let stay = documents.iter().filter(|document| document.twin.is_none());
    let changes: Vec<_> = stay.map(|document| (document.before.clone(), document.after.clone())).collect();
    let refused = validator.refused(with.database, &changes).await?;
    let is_refused = |id: &Bson| refused.contains(&name(id));
    // What goes beside one that is refused cannot go either.
    let concerned =
        documents.iter().filter(|document| is_refused(&document.id()) || document.beside().is_some_and(is_refused));
    let obstacle = |document: &Redirection| {
        let id = document.beside().cloned().unwrap_or_else(|| document.id());
        obstacle(referring, &[&document.before], targets, &validator.sentence(&id))
    };
    Ok(concerned.map(obstacle).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_most_have_counts_and_of_equally_many_the_first() {
        for (of, expected) in
            [("abb", vec![2, 3]), ("abab", vec![1, 3]), ("ba", vec![1]), ("-ab", vec![2]), ("--", vec![])]
        {
            let ids = (1..).zip(of.bytes());
            let members: Vec<Document> = ids.clone().map(|(id, _)| doc! { "_id": id }).collect();
            let keys = ids.map(|(id, key)| (name(&Bson::Int32(id)), Vec::from_iter((key != b'-').then(|| vec![key]))));
            let found = of_one_key(members, &keys.collect());
            let found: Vec<i32> = found.iter().filter_map(|document| document.get_i32("_id").ok()).collect();
            assert_eq!(found, expected, "{of}");
        }
    }
}
