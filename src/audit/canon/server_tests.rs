//! The canonical form held against the server: random documents are inserted into collections with a unique index, and each
//! must be refused exactly where the canonical keys say so.

use mongodb::bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, RawDocumentBuf, Regex, Timestamp, doc,
    oid::ObjectId, spec::BinarySubtype,
};
use mongodb::{Client, Collection, Database};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rustc_hash::FxHashSet;

use super::{Texts, Unindexable, entries};
use crate::audit::inspect::classes;
use crate::audit::{KeySpec, Profile};
use crate::mongod::{Mongod, Options};
use crate::scenario::MongodSpec;

/// Documents in one collection, and rounds of all kinds of keys.
const DOCUMENTS: usize = 100;
const ROUNDS: u64 = 9;

/// Keys of every shape: plain, sparse, paths through documents and arrays, positions, several fields, a collation.
const KEYS: [&str; 10] = [
    "field='a'",
    "field='a'\nsparse=false",
    "field='a.b'",
    "field='a.b'\nsparse=false",
    "field='a.0'\nsparse=false",
    "field='a.0.b'\nsparse=false",
    "field=['a','c']",
    "field=['a.b','a.c','c']\nsparse=false",
    "field=['a','c']\nsparse=false\nignore_case=true",
    "field='a'\ncollation={ locale='de', strength=1 }",
];

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse::<Decimal128>().unwrap())
}

/// A value from a small stock, so that equal ones meet.
fn scalar(random: &mut ChaCha8Rng) -> Bson {
    let id = ObjectId::from_bytes([7; 12]);
    let binary = |subtype, bytes: &[u8]| Bson::Binary(Binary { subtype, bytes: bytes.to_vec() });
    let regex = |options: &str| {
        let (pattern, options) = ("x".try_into().unwrap(), options.try_into().unwrap());
        Bson::RegularExpression(Regex { pattern, options })
    };
    let stock: Vec<Bson> = vec![
        Bson::Null,
        Bson::Undefined,
        Bson::MinKey,
        Bson::MaxKey,
        0.into(),
        1.into(),
        1_i64.into(),
        1.0.into(),
        decimal("1.00"),
        (-0.0).into(),
        decimal("0E+10"),
        decimal("-0"),
        f64::NAN.into(),
        decimal("NaN"),
        f64::INFINITY.into(),
        decimal("Infinity"),
        decimal("-Infinity"),
        0.1.into(),
        decimal("0.1"),
        decimal("0.1000000000000000055511151231257827"),
        0.5.into(),
        decimal("0.50"),
        i64::MAX.into(),
        2_f64.powi(63).into(),
        decimal("9223372036854775807"),
        decimal("9223372036854775808"),
        1e23.into(),
        decimal("1E23"),
        decimal("99999999999999991611392"),
        f64::from_bits(1).into(),
        (2_f64.powi(53) + 2.0).into(),
        9_007_199_254_740_993_i64.into(),
        "".into(),
        "1".into(),
        "a".into(),
        "A".into(),
        "ä".into(),
        "ss".into(),
        "ß".into(),
        "a\u{0}b".into(),
        Bson::Symbol("a".into()),
        id.into(),
        id.to_hex().into(),
        true.into(),
        false.into(),
        DateTime::from_millis(1).into(),
        Bson::Timestamp(Timestamp { time: 0, increment: 1 }),
        Bson::Timestamp(Timestamp { time: 1, increment: 0 }),
        binary(BinarySubtype::Generic, b"x"),
        binary(BinarySubtype::Uuid, b"x"),
        binary(BinarySubtype::Generic, b""),
        regex(""),
        regex("i"),
        Bson::JavaScriptCode("a".into()),
        Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: "a".into(), scope: doc! { "x": 1 } }),
        Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: "a".into(), scope: doc! { "x": 1.0 } }),
    ];
    stock[random.random_range(0..stock.len())].clone()
}

fn value(random: &mut ChaCha8Rng, depth: u32) -> Bson {
    match random.random_range(0..if depth == 0 { 6 } else { 10 }) {
        0..=5 => scalar(random),
        6 | 7 => {
            let length = random.random_range(0..3);
            Bson::Array((0..length).map(|_| value(random, depth - 1)).collect())
        }
        _ => Bson::Document(document(random, depth - 1)),
    }
}

fn document(random: &mut ChaCha8Rng, depth: u32) -> Document {
    let mut document = Document::new();
    let names = ["b", "c", "0"];
    for _ in 0..random.random_range(0..3) {
        document.insert(names[random.random_range(0..names.len())], value(random, depth));
    }
    document
}

/// What the server says to each document, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accepted,
    Duplicate,
    Unindexable,
}

async fn answers(collection: &Collection<Document>, documents: &[Document]) -> Vec<Answer> {
    let mut answers = vec![Answer::Accepted; documents.len()];
    if let Err(error) = collection.insert_many(documents).ordered(false).await {
        let mongodb::error::ErrorKind::InsertMany(errors) = *error.kind else { panic!("{error}") };
        for error in errors.write_errors.unwrap() {
            answers[error.index] = match error.code {
                11000 => Answer::Duplicate,
                // The last is that of a symbol where there is a collation.
                171 | 16746 | 201 => Answer::Unindexable,
                _ => panic!("{error:?}"),
            };
        }
    }
    answers
}

async fn expected(database: &Database, key: &KeySpec, documents: &[Document]) -> Vec<Answer> {
    let raw: Vec<RawDocumentBuf> = documents.iter().map(|it| RawDocumentBuf::try_from(it).unwrap()).collect();
    let one = database.collection::<Document>("one");
    let classes = classes(&one, key, raw.iter().map(AsRef::as_ref)).await.unwrap();
    let texts = classes.as_ref().map_or(Texts::Exact, Texts::Classes);
    let mut taken = FxHashSet::default();
    let mut answer = |(document, decoded): (&RawDocumentBuf, &Document)| {
        let mut values = key.field.all().iter().filter_map(|field| decoded.get(field));
        if key.collation().is_some() && values.any(|value| format!("{value:?}").contains("Symbol(")) {
            return Answer::Unindexable;
        }
        let mut keys: Vec<Vec<u8>> = match entries(key.field.all(), document) {
            Ok(entries) => entries.iter().filter(|it| !key.sparse || !it.missing).map(|it| it.bytes(texts)).collect(),
            Err(Unindexable::ParallelArrays | Unindexable::Ambiguous) => return Answer::Unindexable,
        };
        keys.sort_unstable();
        keys.dedup();
        if keys.iter().any(|key| taken.contains(key)) {
            return Answer::Duplicate;
        }
        taken.extend(keys);
        Answer::Accepted
    };
    raw.iter().zip(documents).map(&mut answer).collect()
}

#[tokio::test]
async fn a_unique_index_refuses_exactly_what_has_a_key_of_another_document() {
    let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: false })).await.unwrap();
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    let database = client.database("onlyone_canonical");
    database.collection("one").insert_one(doc! {}).await.unwrap();
    let (mut duplicates, mut compared) = (0, 0);
    for seed in 0..ROUNDS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for (number, lines) in KEYS.into_iter().enumerate() {
            let profile = format!("name='x'\ncollection='c'\n[key]\n{lines}");
            let key = Profile::parse(&profile, "test").unwrap().key.unwrap();
            let name = format!("c{seed}_{number}");
            let mut index = key.index();
            index.insert("name", "key");
            database.run_command(doc! { "createIndexes": &name, "indexes": [index] }).await.unwrap();
            let depth = u32::try_from(seed % 3).unwrap() + 1;
            let make = |id: usize, random: &mut ChaCha8Rng| {
                let mut document = doc! { "_id": i64::try_from(id).unwrap() };
                for field in ["a", "c"] {
                    if random.random_range(0..5) > 0 {
                        document.insert(field, value(random, depth));
                    }
                }
                document
            };
            let documents: Vec<Document> = (0..DOCUMENTS).map(|id| make(id, &mut random)).collect();
            let said = answers(&database.collection(&name), &documents).await;
            let ours = expected(&database, &key, &documents).await;
            for (document, (said, ours)) in documents.iter().zip(said.iter().zip(&ours)) {
                assert_eq!(said, ours, "seed {seed}, {lines}: {document}");
                duplicates += usize::from(*said == Answer::Duplicate);
                compared += 1;
            }
        }
    }
    assert!(compared == 9_000 && duplicates > 500, "{duplicates} of {compared}");
    mongod.stop().await.unwrap();
}
