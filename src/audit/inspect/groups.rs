//! From candidates to duplicates: their documents are read again by id and told apart by their keys.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc, oid::ObjectId};
use rustc_hash::FxHashMap;

use super::hash_index::hash;
use super::scan::paths;
use super::{AuditOptions, collation};
use crate::audit::canon::Texts;
use crate::audit::error::{Result, Step};
use crate::audit::key::{Derived, Thing, things};
use crate::audit::raw::{at, push_bytes};
use crate::audit::{KeySpec, Profile};

/// Documents that may stand for one thing.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit) struct Candidate {
    /// Hash of the key that they may have in common; `None` if it is any of their keys.
    pub(in crate::audit) hash: Option<u64>,
    pub(in crate::audit) ids: Vec<Bson>,
}

/// Documents that stand for one thing, the oldest first.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit) struct Group {
    pub(in crate::audit) key: Derived,
    pub(in crate::audit) ids: Vec<Bson>,
    /// Some of them have other keys as well, from an array: they are not the same thing, and cannot be made one.
    pub(in crate::audit) partial: bool,
}

/// Duplicates, and different things whose keys have one text.
#[derive(Debug, Default)]
pub(in crate::audit) struct Groups {
    pub(in crate::audit) duplicates: Vec<Group>,
    /// Each holds one document for each of the things.
    pub(in crate::audit) collisions: Vec<Vec<Group>>,
}

impl Groups {
    /// Documents that have a key of an older one.
    pub(in crate::audit) fn repeated(&self) -> u64 {
        let repeated = self.duplicates.iter().flat_map(|group| group.ids.iter().skip(1).map(bytes_of));
        if self.duplicates.iter().any(|group| group.partial) {
            // One document may repeat several.
            return repeated.collect::<BTreeSet<_>>().len() as u64;
        }
        repeated.count() as u64
    }
}

/// Documents read by one query.
const AT_ONCE: usize = 1_000;

/// Reads the candidates again.
pub(super) async fn split(
    collection: &Collection<Document>,
    profile: &Profile,
    key: &KeySpec,
    candidates: &[Candidate],
    options: &AuditOptions,
) -> Result<Groups> {
    let mut groups = Groups::default();
    options.progress.begin("groups of documents compared".to_owned(), Some(candidates.len() as u64));
    let mut pending = candidates;
    while !pending.is_empty() {
        let mut documents = 0;
        let take = pending
            .iter()
            .take_while(|group| {
                documents += group.ids.len();
                documents <= AT_ONCE
            })
            .count()
            .max(1);
        let (now, rest) = pending.split_at(take);
        let members = read(collection, profile, key, now).await?;
        let before = groups.duplicates.len();
        for candidate in now {
            sort_out(key, candidate, &members, &mut groups);
        }
        options.progress.more(now.len());
        options.progress.found((groups.duplicates.len() - before) as u64);
        pending = rest;
    }
    groups.duplicates.sort_by(|left, right| left.key.text.cmp(&right.key.text));
    Ok(groups)
}

/// What orders documents by age: the date of the profile where all have it, then the time within the id, then the id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Age(Option<i64>, Vec<u8>);

struct Member {
    things: Vec<Thing>,
    age: Age,
}

async fn read(
    collection: &Collection<Document>,
    profile: &Profile,
    key: &KeySpec,
    candidates: &[Candidate],
) -> Result<BTreeMap<Vec<u8>, Member>> {
    let ids: Vec<&Bson> = candidates.iter().flat_map(|candidate| &candidate.ids).collect();
    let oldest = profile.merge.oldest.iter().map(String::as_str);
    let projection =
        paths(key.field.all().iter().chain(&key.participants).chain(&key.prefix).map(String::as_str).chain(oldest));
    let raw = collection.clone_with_type::<RawDocumentBuf>();
    let step = format!("read candidates in `{}`", collection.name());
    let database = &collection.namespace().db;
    let filter = key.among(doc! { "_id": { "$in": ids } });
    let cursor = raw.find(filter).projection(projection).await.reading(database, &step)?;
    let documents: Vec<RawDocumentBuf> = cursor.try_collect().await.reading(database, &step)?;
    let classes = collation::classes(collection, key, documents.iter().map(AsRef::as_ref)).await?;
    let texts = classes.as_ref().map_or(Texts::Exact, Texts::Classes);
    let mut members = BTreeMap::new();
    for document in &documents {
        let Some(id) = at(document, "_id") else { continue };
        let date =
            profile.merge.oldest.as_ref().and_then(|field| at(document, field)).and_then(|date| date.as_datetime());
        let millis = match (date, id.as_object_id()) {
            (Some(date), _) => Some(date.timestamp_millis()),
            (None, Some(id)) => Some(ObjectId::timestamp(&id).timestamp_millis()),
            (None, None) => None,
        };
        let mut bytes = Vec::new();
        push_bytes(id, &mut bytes);
        let age = Age(millis, bytes.clone());
        members.insert(bytes, Member { things: things(key, document, texts), age });
    }
    Ok(members)
}

/// Splits a candidate by the keys themselves. What has gone or changed meanwhile drops out.
fn sort_out(spec: &KeySpec, candidate: &Candidate, members: &BTreeMap<Vec<u8>, Member>, groups: &mut Groups) {
    type Documents<'a> = Vec<(&'a Age, &'a Member, &'a Bson)>;
    let mut by_key: FxHashMap<&[u8], (&Derived, Documents<'_>)> = FxHashMap::default();
    for id in &candidate.ids {
        let Some(member) = members.get(&bytes_of(id)) else { continue };
        for thing in &member.things {
            // Made of participants, keys are hashed as text, so that collisions are candidates too.
            let hashed = if spec.participants.is_some() { thing.key.comparable() } else { &thing.bytes };
            if candidate.hash.is_none_or(|wanted| wanted == hash(hashed)) {
                by_key.entry(&thing.bytes).or_insert((&thing.key, Vec::new())).1.push((&member.age, member, id));
            }
        }
    }
    let mut by_text: BTreeMap<&str, Vec<(&[u8], Group)>> = BTreeMap::new();
    for (bytes, (key, mut documents)) in by_key {
        documents.sort_by_key(|(age, _, _)| *age);
        let partial = documents.len() > 1 && documents.iter().any(|(_, member, _)| member.things.len() > 1);
        let ids = documents.into_iter().map(|(_, _, id)| id.clone()).collect();
        by_text.entry(&key.text).or_default().push((bytes, Group { key: key.clone(), ids, partial }));
    }
    for mut things in by_text.into_values() {
        things.sort_by_key(|(bytes, _)| *bytes);
        let things: Vec<Group> = things.into_iter().map(|(_, group)| group).collect();
        let texts = things.iter().filter(|thing| thing.key.stored.is_none()).cloned();
        let texts: Vec<Group> = texts.collect();
        if texts.len() > 1 && spec.participants.is_some() {
            groups.collisions.push(texts);
        }
        groups.duplicates.extend(things.into_iter().filter(|group| group.ids.len() > 1));
    }
}

fn bytes_of(id: &Bson) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(raw) = mongodb::bson::RawBson::try_from(id.clone()) {
        push_bytes(raw.as_raw_bson_ref(), &mut bytes);
    }
    bytes
}
