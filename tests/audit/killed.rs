//! A repair that is killed at any moment, and clients that write while it goes on.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use onlyone::audit::{Profile, RepairOptions, SeedSpec, apply, backups, restore};
use onlyone::verdict::Verdict;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::support::{all, contents, exact, profile, seeded, server};

const CHILD: &str = "ONLYONE_TEST_REPAIR_OF";

fn spec() -> SeedSpec {
    SeedSpec {
        documents: 24,
        duplicates: 10,
        missing_keys: 8,
        wrong_keys: 4,
        repeats: 6,
        messages: 3,
        ..SeedSpec::default()
    }
}

/// Not a test of its own: the process that the test below kills.
#[tokio::test]
async fn child() {
    let Ok(uri) = std::env::var(CHILD) else { return };
    let client = Client::with_uri_str(&uri).await.unwrap();
    let database = client.default_database().unwrap();
    apply(&database, &profile("chats"), &RepairOptions::default(), "k").await.unwrap();
}

fn spawn_child(uri: &str, database: &Database) -> std::process::Child {
    let uri = format!("{}/{}", uri.split('?').next().unwrap().trim_end_matches('/'), database.name());
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child", "--nocapture"])
        .env(CHILD, uri)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until the backup collection holds so many entries: the progress of the repair, not the clock, sets the moment.
async fn wait_for_entries(database: &Database, child: &mut std::process::Child, entries: u64) {
    let backup = database.collection::<Document>("onlyone_backup_k");
    while backup.estimated_document_count().await.unwrap() < entries && child.try_wait().unwrap().is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_killed_at_any_moment_goes_on_to_the_same_end_and_can_be_undone() {
    let (mongod, client) = server().await;
    let chats = profile("chats");
    let reference = client.database("onlyone_reference");
    seeded(&reference, &chats, spec()).await;
    let original = contents(&reference).await;
    apply(&reference, &chats, &RepairOptions::default(), "k").await.unwrap();
    let mended = contents(&reference).await;
    let entries = reference.collection::<Document>("onlyone_backup_k").estimated_document_count().await.unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let rounds: u32 = std::env::var("ONLYONE_TEST_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let mut cut_short = 0;
    for round in 0..rounds {
        let database = client.database(&format!("onlyone_killed_{round}"));
        seeded(&database, &chats, spec()).await;
        // Killed twice: also while it recovers.
        for _ in 0..2 {
            let mut child = spawn_child(&mongod.uri(), &database);
            wait_for_entries(&database, &mut child, random.random_range(1..entries)).await;
            for _ in 0..random.random_range(0..200) {
                tokio::task::yield_now().await;
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let done = apply(&database, &chats, &RepairOptions::default(), "k2").await.unwrap();
        cut_short += u32::from(done.resumed);
        assert_eq!(done.left, [] as [String; 0]);
        assert!(contents(&database).await == mended, "round {round}: another end");
        for backup in backups(&database).await.unwrap() {
            assert_eq!(restore(&database, &backup).await.unwrap().left, [] as [String; 0]);
        }
        assert!(exact(&contents(&database).await) == exact(&original), "round {round}: not restored");
        database.drop().await.unwrap();
    }
    println!("{rounds} repairs killed twice each, {cut_short} were cut short");
    assert!(cut_short >= rounds / 2, "only {cut_short} of {rounds} were cut short");
    mongod.stop().await.unwrap();
}

/// Appends until told to stop; returns the texts that were acknowledged.
async fn append(database: Database, chats: Vec<(Bson, String)>, client: u64, stop: Arc<AtomicBool>) -> Vec<String> {
    let collection = database.collection::<Document>("chats");
    let messages = database.collection::<Document>("messages");
    let mut random = ChaCha8Rng::seed_from_u64(client);
    let mut acknowledged = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let (id, key) = &chats[random.random_range(0..chats.len())];
        let text = format!("client {client} number {number}");
        number += 1;
        let message = doc! { "messageId": &text, "text": &text, "createdAt": mongodb::bson::DateTime::now() };
        let push = doc! { "$push": { "messages": &message } };
        // By id, as a client that has the chat open; it is gone when nothing matched, and then by key.
        let mut matched = collection.update_one(doc! { "_id": id }, push.clone()).await.unwrap().matched_count;
        if matched == 0 {
            matched = collection.update_one(doc! { "participantsKey": key }, push).await.unwrap().matched_count;
        }
        if matched == 1 {
            acknowledged.push(text.clone());
        }
        if number % 4 == 0 {
            let apart = doc! { "text": &text, "chat": id };
            messages.insert_one(apart).await.unwrap();
        }
        // People pause between messages.
        tokio::time::sleep(std::time::Duration::from_millis(random.random_range(5..30))).await;
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_message_is_lost_while_fifty_clients_append() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_busy");
    let profile: Profile = profile("chats");
    let spec =
        SeedSpec { documents: 40, duplicates: 20, missing_keys: 10, messages: 5, repeats: 30, ..SeedSpec::default() };
    seeded(&database, &profile, spec).await;
    let mut expected: BTreeSet<String> = BTreeSet::new();
    let mut chats = Vec::new();
    for chat in all(&database, "chats").await {
        let mut people: Vec<&str> =
            chat.get_array("participants").unwrap().iter().map(|p| p.as_str().unwrap()).collect();
        people.sort_unstable();
        chats.push((chat.get("_id").unwrap().clone(), people.join("_")));
        for message in chat.get_array("messages").unwrap() {
            expected.insert(message.as_document().unwrap().get_str("text").unwrap().to_owned());
        }
    }
    let mut options = ClientOptions::parse(mongod.uri()).await.unwrap();
    options.max_pool_size = Some(60);
    let writers = Client::with_options(options).unwrap().database("onlyone_busy");
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> =
        (0..50).map(|client| tokio::spawn(append(writers.clone(), chats.clone(), client, Arc::clone(&stop)))).collect();
    let apart_before = all(&database, "messages").await.len();
    apply(&database, &profile, &RepairOptions::default(), "busy").await.unwrap();
    let still_busy = tasks.iter().filter(|task| !task.is_finished()).count();
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    for task in tasks {
        let texts = task.await.unwrap();
        acknowledged += texts.len();
        expected.extend(texts);
    }
    let settled = apply(&database, &profile, &RepairOptions::default(), "calm").await.unwrap();
    let mut found = Vec::new();
    for chat in all(&database, "chats").await {
        for message in chat.get_array("messages").unwrap() {
            found.push(message.as_document().unwrap().get_str("text").unwrap().to_owned());
        }
    }
    found.sort();
    let lost: Vec<_> = expected.iter().filter(|text| found.binary_search(text).is_err()).collect();
    assert!(lost.is_empty(), "{} of {} lost: {:?}", lost.len(), expected.len(), &lost[..lost.len().min(5)]);
    let twice = found.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!((twice, found.len()), (0, expected.len()), "each message once");
    assert_eq!(all(&database, "chats").await.len(), 20);
    assert!(all(&database, "messages").await.len() > apart_before);
    assert_eq!(still_busy, 50, "the repair was done while they wrote");
    assert!(acknowledged > 50);
    assert_eq!((settled.audited.verdict(), settled.left), (Verdict::Holds, vec![]), "late references are redirected");
    mongod.stop().await.unwrap();
}
