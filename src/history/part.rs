//! A part of a run's keys, judged apart from the others: [`KeyPart`].

use std::fmt;
use std::str::FromStr;

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::{Appended, Observation, Observed, OpId, Operation, Outcome, Returned, Value, family_of};

/// One of several parts of the keys. Keys of one family are in the same part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyPart {
    /// Which, from 0.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

impl KeyPart {
    /// All of them.
    pub fn all(of: u32) -> impl Iterator<Item = KeyPart> {
        (0..of).map(move |index| KeyPart { index, of })
    }

    /// The number of the part that a key belongs to. It is the same on every machine and in every version.
    pub fn index_of(key: &str, of: u32) -> u32 {
        // FNV-1a, then a multiplication that brings the upper bits, which are the mixed ones, into the range.
        let hash = family_of(key)
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        u32::try_from((mixed * u64::from(of.max(1))) >> 32).unwrap_or_default()
    }

    /// Whether a key is of this part.
    pub fn has(self, key: &str) -> bool {
        self.of < 2 || Self::index_of(key, self.of) == self.index
    }

    /// Whether this is the one that looks at what belongs to no key.
    pub fn is_first(self) -> bool {
        self.index == 0
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for KeyPart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const MOST: u32 = 10_000;
        let wrong = || format!("`{text}` is no part: `0/4` is the first of four");
        let (index, of) = text.split_once('/').ok_or_else(wrong)?;
        let (index, of) = (index.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
        match index < of && of <= MOST {
            true => Ok(KeyPart { index, of }),
            false => {
                Err(format!("there is no part {index} of {of}: they are counted from 0, and there are at most {MOST}"))
            }
        }
    }
}

/// The operations that operations and documents of a part name and that are not among them: their keys may be of another part.
pub(crate) fn named_elsewhere(part: KeyPart, operations: &[Operation], documents: &[Observed]) -> FxHashSet<OpId> {
    let mut named = FxHashSet::default();
    // Many name the same.
    let mut met = FxHashSet::default();
    let mut name = |op: OpId| {
        if met.insert(op) && operations.binary_search_by_key(&op, |operation| operation.id).is_err() {
            named.insert(op);
        }
    };
    for operation in operations {
        named_by(&operation.outcome, &mut name);
        if let Some(late) = &operation.late {
            named_by(&late.outcome, &mut name);
        }
    }
    // Those of the serial control are looked at by all.
    let control: FxHashSet<&str> =
        operations.iter().filter(|operation| !operation.phase.is_main()).map(|operation| &*operation.key).collect();
    for document in documents.iter().filter(|document| part.has(&document.key) || control.contains(&*document.key)) {
        named_by_document(document, &mut name);
    }
    if part.is_first() {
        shared_under_another_key(documents).filter_map(|document| document.created_by).for_each(name);
    }
    named
}

/// Documents that are stored under one key and belong to several: the first part looks at them.
fn shared_under_another_key(documents: &[Observed]) -> impl Iterator<Item = &Observed> {
    let mut first = rustc_hash::FxHashMap::<&str, &Observed>::default();
    documents.iter().flat_map(move |document| {
        let stored = document.stored_key.as_deref();
        let holder = stored.map(|stored| *first.entry(stored).or_insert(document));
        holder.filter(|holder| holder.key != document.key).into_iter().flat_map(move |holder| [holder, document])
    })
}

fn named_by(outcome: &Outcome, name: &mut impl FnMut(OpId)) {
    match outcome {
        Outcome::Ok(
            Value::Document(Returned { created_by, .. })
            | Value::Appended(Appended { session: Returned { created_by, .. }, .. }),
        ) => created_by.iter().copied().for_each(name),
        Outcome::Ok(Value::Messages(seen)) => {
            seen.body.iter().flat_map(|body| body.iter().filter_map(|element| element.op())).for_each(name);
        }
        Outcome::Ok(Value::Found(_) | Value::Delivered(_) | Value::Thread(_))
        | Outcome::Failed(_)
        | Outcome::Unknown(_) => {}
    }
}

fn named_by_document(document: &Observed, name: &mut impl FnMut(OpId)) {
    document.created_by.into_iter().chain(document.last_message).for_each(&mut *name);
    document.messages.iter().filter_map(|message| message.op).for_each(&mut *name);
    let Some(thread) = &document.thread else { return };
    thread.members.iter().filter_map(|member| member.added_by).for_each(&mut *name);
    thread.changes.iter().flatten().copied().for_each(name);
}

impl Observation {
    /// Keys as they are stored that documents of several keys have.
    pub(crate) fn shared_stored_keys(&self) -> impl Iterator<Item = &str> {
        shared_under_another_key(&self.documents).filter_map(|document| document.stored_key.as_deref())
    }

    /// What was read of these keys, with all that is said of the reading itself.
    pub(crate) fn of_keys(&self, keys: &FxHashSet<&str>) -> Observation {
        let documents = self.documents.iter().filter(|document| keys.contains(&*document.key));
        Observation {
            source: self.source,
            quiescent: self.quiescent,
            documents: documents.cloned().collect(),
            set_aside: self.set_aside.clone(),
            vanished: self.vanished.clone(),
            effects: std::sync::Arc::new(self.effects.of_keys(keys)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_of_one_part_and_a_family_stays_together() {
        let mut sizes = [0_u32; 7];
        for number in 0..7_000 {
            let key = format!("r1-k{number}");
            let owners: Vec<u32> = KeyPart::all(7).filter(|part| part.has(&key)).map(|part| part.index).collect();
            assert_eq!(owners.len(), 1, "{key}");
            sizes[owners[0] as usize] += 1;
            let member = KeyPart::index_of(&format!("{key}.c"), 7);
            assert_eq!(member, owners[0]);
        }
        assert!(sizes.iter().all(|size| (800..1_200).contains(size)), "{sizes:?}");
        // Parts of one run are judged by different machines: this must never change.
        assert_eq!(["a", "ann_ben", "r1-k17"].map(|key| KeyPart::index_of(key, 1_000)), [378, 895, 853]);
    }

    #[test]
    fn a_part_is_read_from_its_two_numbers() {
        assert_eq!("2/3".parse(), Ok(KeyPart { index: 2, of: 3 }));
        for wrong in ["3/3", "1", "1/0", "a/b", "-1/2", "0/10001"] {
            assert!(wrong.parse::<KeyPart>().is_err(), "{wrong}");
        }
    }
}
