//! A bounded run of hostile frames: random, and mutated from real ones. Nothing may panic, and most must be refused.

use mongodb::bson::{RawDocumentBuf, rawdoc};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::frame::tests::frame;
use super::message::tests::{msg, query};
use super::{Inspected, inspect};

const MUTATIONS: u64 = 30_000;

/// Frames of every shape that the parsers know.
fn seeds() -> Vec<Vec<u8>> {
    let filter = || rawdoc! { "$and": [{ "k": "a" }, { "n": { "$eq": 1 } }], "m.id": { "$ne": null } };
    let update = rawdoc! { "q": filter(), "u": { "$set": { "a": [1, 2] }, "$push": { "m": { "$each": [{}] } } }, "upsert": true };
    let hello = rawdoc! { "hosts": ["a:1"], "me": "a:1", "compression": ["zlib"], "ok": 1.0 };
    let cursor = rawdoc! { "cursor": { "id": 7_i64, "firstBatch": [{ "a": 1 }], "ns": "a.b" }, "ok": 1 };
    let failed = rawdoc! { "n": 0, "writeErrors": [{ "index": 0, "code": 11000 }], "ok": 1 };
    let documents: Vec<RawDocumentBuf> =
        vec![rawdoc! { "find": "c", "filter": filter(), "$db": "d" }, hello.clone(), cursor, failed];
    let mut seeds: Vec<Vec<u8>> = documents.iter().map(|document| msg(0, document, &[]).bytes().to_vec()).collect();
    let sequenced = rawdoc! { "update": "c", "$db": "d" };
    seeds.push(msg(1, &sequenced, &[("updates", &[update.clone(), update])]).bytes().to_vec());
    seeds.push(query("d.$cmd", &rawdoc! { "$query": { "isMaster": 1 } }).bytes().to_vec());
    seeds.push(frame(1, &[&[0; 20], hello.as_bytes()].concat()));
    let named = [&[0; 4], &b"d.c\0"[..], &[1, 0, 0, 0], filter().as_bytes(), filter().as_bytes()].concat();
    seeds.extend([2001, 2002, 2005, 2006, 2007, 2012].map(|opcode| frame(opcode, &named)));
    seeds
}

fn mutate(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..6) {
        if bytes.len() < 20 {
            return;
        }
        let at = random.random_range(16..bytes.len());
        match random.random_range(0..5) {
            0 => bytes[at] = random.random(),
            1 => bytes[at] = bytes[at].wrapping_add(1),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.random()),
            _ => {
                let end = random.random_range(at..bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.extend(copy);
            }
        }
    }
}

/// Makes the length true, so that the rest is looked at.
fn with_length(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = i32::try_from(bytes.len()).unwrap().to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes
}

/// Whether a frame is refused; one that is not is passed on as it came.
fn is_refused(bytes: &[u8]) -> bool {
    let inspected = inspect(bytes);
    let sound = |inspected: &Inspected| inspected.same_from_a_stream && inspected.rewritten_once;
    assert!(inspected.as_ref().is_ok_and(sound) || inspected.is_err(), "{inspected:?} {bytes:?}");
    inspected.is_err()
}

#[test]
fn hostile_frames_are_refused_and_never_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let seeds = seeds();
    assert!(seeds[..8].iter().all(|seed| inspect(seed).is_ok()));
    let mut refused = 0;
    for number in 0..MUTATIONS {
        let mut bytes = seeds[usize::try_from(number).unwrap() % seeds.len()].clone();
        mutate(&mut bytes, &mut random);
        refused += u64::from(is_refused(&with_length(bytes)));
    }
    for _ in 0..MUTATIONS / 10 {
        let length = random.random_range(16..200);
        let mut bytes: Vec<u8> = (0..length).map(|_| random.random()).collect();
        bytes[12..16].copy_from_slice(&2013_i32.to_le_bytes());
        refused += u64::from(is_refused(&with_length(bytes)));
    }
    assert!(refused > MUTATIONS / 4, "{refused} of {MUTATIONS}");
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    // Ten thousand documents in each other, which no driver sends and no parser may follow.
    let mut inner = vec![5, 0, 0, 0, 0];
    for _ in 0..10_000 {
        let mut outer = vec![0, 0, 0, 0, 3, b'a', 0];
        outer.extend_from_slice(&inner);
        outer.push(0);
        let length = i32::try_from(outer.len()).unwrap().to_le_bytes();
        outer[..4].copy_from_slice(&length);
        inner = outer;
    }
    let body = [&[0, 0, 0, 0, 0][..], &inner].concat();
    assert!(inspect(&frame(2013, &body)).is_ok());
}
