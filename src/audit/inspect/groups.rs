//! From candidates to duplicates: their documents are read again by id and told apart by the parts of their keys.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc, oid::ObjectId};

use crate::audit::error::{Result, Step};
use crate::audit::key::{Derived, KeyState, state};
use crate::audit::raw::{at, push_bytes};
use crate::audit::{KeySpec, Profile};

/// Documents that stand for one thing, the oldest first.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::audit) struct Group {
    pub(in crate::audit) key: Derived,
    pub(in crate::audit) ids: Vec<Bson>,
}

/// Duplicates, and different things whose keys have one text.
#[derive(Debug, Default)]
pub(in crate::audit) struct Groups {
    pub(in crate::audit) duplicates: Vec<Group>,
    /// Each holds one document for each of the things.
    pub(in crate::audit) collisions: Vec<Vec<Group>>,
}

/// Documents read by one query.
const AT_ONCE: usize = 1_000;

/// Reads the candidates again.
pub(super) async fn split(
    collection: &Collection<Document>,
    profile: &Profile,
    key: &KeySpec,
    candidates: &[Vec<Bson>],
) -> Result<Groups> {
    let mut groups = Groups::default();
    let mut pending = candidates;
    while !pending.is_empty() {
        let mut documents = 0;
        let take = pending
            .iter()
            .take_while(|group| {
                documents += group.len();
                documents <= AT_ONCE
            })
            .count()
            .max(1);
        let (now, rest) = pending.split_at(take);
        let members = read(collection, profile, key, now).await?;
        for candidate in now {
            sort_out(candidate, &members, &mut groups);
        }
        pending = rest;
    }
    groups.duplicates.sort_by(|left, right| left.key.text.cmp(&right.key.text));
    Ok(groups)
}

/// What orders documents by age: the date of the profile where all have it, then the time within the id, then the id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Age(Option<i64>, Vec<u8>);

struct Member {
    key: Derived,
    age: Age,
}

async fn read(
    collection: &Collection<Document>,
    profile: &Profile,
    key: &KeySpec,
    candidates: &[Vec<Bson>],
) -> Result<BTreeMap<Vec<u8>, Member>> {
    let ids: Vec<&Bson> = candidates.iter().flatten().collect();
    let mut projection = doc! { &key.field: 1 };
    let fields = key.participants.iter().chain(&key.prefix).chain(&profile.merge.oldest);
    projection.extend(fields.map(|field| (field.clone(), Bson::Int32(1))));
    let raw = collection.clone_with_type::<RawDocumentBuf>();
    let step = format!("read candidates in `{}`", collection.name());
    let database = &collection.namespace().db;
    let cursor = raw.find(doc! { "_id": { "$in": ids } }).projection(projection).await.reading(database, &step)?;
    let documents: Vec<RawDocumentBuf> = cursor.try_collect().await.reading(database, &step)?;
    let mut members = BTreeMap::new();
    for document in &documents {
        let (KeyState::Right(derived) | KeyState::Missing(Some(derived)) | KeyState::Wrong(derived, _)) =
            state(key, document)
        else {
            continue;
        };
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
        members.insert(bytes, Member { key: derived, age });
    }
    Ok(members)
}

/// Splits a candidate by the parts of the keys. What has gone or changed meanwhile drops out.
fn sort_out(candidate: &[Bson], members: &BTreeMap<Vec<u8>, Member>, groups: &mut Groups) {
    type ByParticipants<'a> = BTreeMap<&'a [String], Vec<(&'a Age, &'a Member, &'a Bson)>>;
    let mut by_text: BTreeMap<&str, ByParticipants<'_>> = BTreeMap::new();
    for id in candidate {
        let mut bytes = Vec::new();
        if let Ok(raw) = mongodb::bson::RawBson::try_from(id.clone()) {
            push_bytes(raw.as_raw_bson_ref(), &mut bytes);
        }
        if let Some(member) = members.get(&bytes) {
            let parts = by_text.entry(&member.key.text).or_default().entry(&member.key.parts).or_default();
            parts.push((&member.age, member, id));
        }
    }
    for things in by_text.into_values() {
        let things: Vec<Group> = things
            .into_values()
            .filter_map(|mut documents| {
                documents.sort_by_key(|(age, _, _)| *age);
                let key = documents.first()?.1.key.clone();
                Some(Group { key, ids: documents.into_iter().map(|(_, _, id)| id.clone()).collect() })
            })
            .collect();
        if things.len() > 1 {
            groups.collisions.push(things.clone());
        }
        groups.duplicates.extend(things.into_iter().filter(|group| group.ids.len() > 1));
    }
}

/// The value as it is in examples.
pub(in crate::audit) fn shown(value: &Bson) -> serde_json::Value {
    match value {
        Bson::ObjectId(id) => id.to_hex().into(),
        other => serde_json::to_value(other).unwrap_or_default(),
    }
}
