//! Which keys were seen before, in bounded memory: one hash and one document id for each key.

use std::hash::Hasher;

use mongodb::bson::{Bson, RawBson, RawBsonRef, RawDocument, oid::ObjectId};
use rustc_hash::FxHashMap;

use crate::audit::canon::{Texts, push};
use crate::audit::forms::meant;
use crate::audit::raw::decoded;

/// A part of all keys: those whose hash has this remainder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) index: u64,
    pub(super) of: u64,
}

impl Partition {
    pub(super) fn holds(self, hash: u64) -> bool {
        self.of == 1 || hash % self.of == self.index
    }
}

/// Keys seen, and the documents of those that were seen more than once.
#[derive(Debug, Default)]
pub(super) struct HashIndex {
    /// Where the id of the first document with this hash begins in `ids`.
    first: FxHashMap<u64, u32>,
    ids: Vec<u8>,
    /// Documents of the hashes that were seen again, the first included.
    again: FxHashMap<u64, Vec<Bson>>,
}

impl HashIndex {
    /// Notes that the document has the key.
    pub(super) fn note(&mut self, hash: u64, id: RawBsonRef<'_>) {
        let next = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        match self.first.entry(hash) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(next);
                store(id, &mut self.ids);
            }
            std::collections::hash_map::Entry::Occupied(entry) => {
                let first = *entry.get() as usize;
                let documents = self.again.entry(hash).or_insert_with(|| vec![load(&self.ids[first..])]);
                documents.push(decoded(id));
            }
        }
    }

    /// The candidates: documents of one hash, which is nearly always one key.
    pub(super) fn into_groups(self) -> Vec<(u64, Vec<Bson>)> {
        let mut groups: Vec<(u64, Vec<Bson>)> = self.again.into_iter().collect();
        groups.sort_unstable_by_key(|(hash, _)| *hash);
        groups
    }
}

/// Hash of bytes, the same in every run.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    #[allow(deprecated)] // Its successor is seeded at random; this one is the same in each run.
    let mut hasher = std::hash::SipHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// Hash of an id. An ObjectId, a UUID or a whole number and its text are one here: services refer by either.
pub(super) fn hash_id(id: RawBsonRef<'_>, scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    let meant = id.as_str().and_then(meant).and_then(|id| RawBson::try_from(id).ok());
    push(meant.as_ref().map_or(id, RawBson::as_raw_bson_ref), Texts::Exact, scratch);
    hash(scratch)
}

const OBJECT_ID: u8 = 0x07;

/// An ObjectId takes 13 bytes, anything else its BSON.
fn store(id: RawBsonRef<'_>, ids: &mut Vec<u8>) {
    if let RawBsonRef::ObjectId(id) = id {
        ids.push(OBJECT_ID);
        ids.extend_from_slice(&id.bytes());
    } else {
        ids.push(0);
        let mut holder = mongodb::bson::RawDocumentBuf::new();
        holder.append(mongodb::bson::cstr!("v"), id);
        ids.extend_from_slice(holder.as_bytes());
    }
}

fn load(bytes: &[u8]) -> Bson {
    let load = || {
        if *bytes.first()? == OBJECT_ID {
            return Some(ObjectId::from_bytes(bytes.get(1..13)?.try_into().ok()?).into());
        }
        let length = i32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?);
        let document = bytes.get(1..1 + usize::try_from(length).ok()?)?;
        RawDocument::from_bytes(document).ok()?.get("v").ok().flatten().map(decoded)
    };
    load().unwrap_or(Bson::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_seen_again_become_groups_with_all_their_documents() {
        let mut seen = HashIndex::default();
        let ids: Vec<Bson> = vec![1.into(), ObjectId::from_bytes([7; 12]).into(), "x".into(), 2_i64.into(), "y".into()];
        for (id, hash) in ids.iter().zip([5, 6, 5, 7, 6]) {
            let raw = RawBson::try_from(id.clone()).unwrap();
            seen.note(hash, raw.as_raw_bson_ref());
        }
        let expected = [(5, vec![ids[0].clone(), ids[2].clone()]), (6, vec![ids[1].clone(), ids[4].clone()])];
        assert_eq!(seen.into_groups(), expected);
    }

    #[test]
    fn partitions_share_out_every_hash_once() {
        for hash in [0, 1, 2, u64::MAX] {
            let holders = (0..3).filter(|&index| Partition { index, of: 3 }.holds(hash)).count();
            assert_eq!(holders, 1);
        }
    }
}
