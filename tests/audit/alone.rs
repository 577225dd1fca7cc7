//! One repair at a time: a second one is refused while the first lives, and follows one that died.

use std::process::{Child, Command, Stdio};

use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use onlyone::audit::{RepairOptions, SeedSpec, apply, restore};
use onlyone::mongod::{Mongod, Options};
use onlyone::scenario::MongodSpec;
use onlyone::verdict::Verdict;

use crate::support::{contents, profile, seeded};

fn spawn(uri: &str, database: &str, id: &str, out: &std::path::Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_onlyone"))
        .args(["repair", "--apply", "--database", database, "--profile", "chats", "--run-id", id, "--rate", "20"])
        .env("ONLYONE_MONGO_URI", uri)
        .current_dir(out)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until the first repair has begun its backup: progress, not the clock, sets the moment.
async fn begun(database: &Database, id: &str, child: &mut Child) {
    let backup = database.collection::<Document>(&format!("onlyone_backup_{id}"));
    while backup.estimated_document_count().await.unwrap() < 5 {
        assert_eq!(child.try_wait().unwrap(), None, "it ended too soon");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_repair_is_refused_while_the_first_lives_and_follows_it_when_it_died() {
    let rounds: usize = std::env::var("ONLYONE_TEST_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: false })).await.unwrap();
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    let out = tempfile::tempdir().unwrap();
    for round in 0..rounds {
        let name = format!("onlyone_alone_{round}");
        let database = client.database(&name);
        let spec = SeedSpec { documents: 120, duplicates: 60, missing_keys: 20, repeats: 9, ..SeedSpec::default() };
        seeded(&database, &profile("chats"), spec).await;
        let original = contents(&database).await;
        let mut first = spawn(&mongod.uri(), &name, "first", out.path());
        begun(&database, "first", &mut first).await;
        let refused = apply(&database, &profile("chats"), &RepairOptions::default(), "second").await.unwrap_err();
        assert!(refused.to_string().contains("the repair `first` of `chats` is at work"), "{refused}");
        first.kill().unwrap();
        first.wait().unwrap();
        let done = apply(&database, &profile("chats"), &RepairOptions::default(), "second").await.unwrap();
        assert!(done.resumed);
        assert_eq!((done.audited.verdict(), &done.left), (Verdict::Holds, &vec![]));
        let restored = restore(&database, "first").await.unwrap();
        assert_eq!((&restored.left, &restored.changed), (&vec![], &vec![]));
        assert_eq!(contents(&database).await, original);
        std::fs::remove_dir_all(out.path().join("reports")).ok();
        database.drop().await.unwrap();
    }
    mongod.stop().await.unwrap();
}

/// Whoever took the lease over, the one that was paused may not write any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_lost_its_lease_stops_before_its_next_write() {
    let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: false })).await.unwrap();
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    let database = client.database("onlyone_fenced");
    let spec = SeedSpec { documents: 200, duplicates: 100, ..SeedSpec::default() };
    seeded(&database, &profile("chats"), spec).await;
    let original = contents(&database).await;
    let out = tempfile::tempdir().unwrap();
    let mut first = spawn(&mongod.uri(), "onlyone_fenced", "first", out.path());
    begun(&database, "first", &mut first).await;
    // As a successor does that waited for the silence to last.
    let lease = database.collection::<Document>("onlyone_backup_lease");
    let taken = doc! { "$set": { "holder": null }, "$inc": { "token": 1_i64 } };
    lease.update_one(doc! {}, taken).await.unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(4), "another repair took over");
    let done = apply(&database, &profile("chats"), &RepairOptions::default(), "second").await.unwrap();
    assert!(done.resumed && done.audited.verdict() == Verdict::Holds);
    assert_eq!(restore(&database, "first").await.unwrap().left, [] as [String; 0]);
    assert_eq!(contents(&database).await, original);
    mongod.stop().await.unwrap();
}
