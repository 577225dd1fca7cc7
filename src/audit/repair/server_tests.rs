//! A repair that lost its lease writes nothing more.

use mongodb::bson::{Bson, Document, doc};
use mongodb::{Client, Database};

use super::bulk;
use super::journal::Journal;
use super::lease::Lease;
use super::merge::TakeIn;
use super::work::{Repair, RepairOptions};
use crate::audit::Profile;
use crate::audit::error::AuditError;
use crate::mongod::{Mongod, Options};
use crate::scenario::MongodSpec;

#[tokio::test]
async fn neither_documents_nor_the_end_of_a_journal_are_written_without_the_lease() {
    let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: false })).await.unwrap();
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    let database = client.database("onlyone_lost");
    let lease = Lease::acquire(&database, "a repair").await.unwrap();
    let journal = Journal { token: lease.token(), ..Journal::named(&database, "onlyone_backup_l") };
    journal.open("c", "p").await.unwrap();
    let documents = database.collection::<Document>("c");
    documents.insert_one(doc! { "_id": 1 }).await.unwrap();
    let update = [doc! { "q": { "_id": 1 }, "u": { "$set": { "a": 1 } } }];
    assert_eq!(bulk::update(&database, Some(&lease), "c", &update).await.unwrap().matched, 1);
    let taken = doc! { "$set": { "holder": "another" }, "$inc": { "token": 1_i64 } };
    database.collection::<Document>("onlyone_backup_lease").update_one(doc! {}, taken).await.unwrap();
    let lost = |written: Result<(), AuditError>| matches!(written, Err(AuditError::LeaseLost));
    let update = [doc! { "q": { "_id": 1 }, "u": { "$set": { "a": 2 } } }];
    assert!(lost(bulk::update(&database, Some(&lease), "c", &update).await.map(drop)));
    assert!(lost(bulk::delete(&database, &lease, "c", &[doc! { "q": { "_id": 1 }, "limit": 1 }]).await.map(drop)));
    assert!(lost(bulk::insert_again(&database, &lease, "c", &[doc! { "_id": 2 }]).await.map(drop)));
    assert!(lost(journal.seal(&lease).await) && lost(journal.restored(&lease).await));
    let found = documents.find_one(doc! {}).await.unwrap();
    assert_eq!((found, documents.count_documents(doc! {}).await.unwrap()), (Some(doc! { "_id": 1, "a": 1 }), 1));
    assert_eq!(journal.header().await.unwrap().unwrap().get_str("state").unwrap(), "applying");
    mongod.stop().await.unwrap();
}

/// A repair that was paused after it had looked at its lease cannot end what its successor goes on with.
#[tokio::test]
async fn a_journal_that_a_successor_has_claimed_is_the_successors_to_end() {
    let (mongod, database) = started().await;
    let lease = Lease::acquire(&database, "a repair").await.unwrap();
    let successor = Journal { token: lease.token(), ..Journal::named(&database, "onlyone_backup_s") };
    let paused = Journal { token: lease.token() - 1, ..successor.clone() };
    paused.open("c", "p").await.unwrap();
    successor.claim().await.unwrap();
    for ended in [paused.seal(&lease).await, paused.restored(&lease).await, paused.claim().await] {
        assert!(matches!(ended, Err(AuditError::LeaseLost)), "{ended:?}");
    }
    let state = || async { successor.header().await.unwrap().unwrap().get_str("state").unwrap().to_owned() };
    assert_eq!(state().await, "applying");
    successor.seal(&lease).await.unwrap();
    assert_eq!(state().await, "applied");
    mongod.stop().await.unwrap();
}

async fn started() -> (Mongod, Database) {
    let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: false })).await.unwrap();
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    (mongod, client.database("onlyone_back"))
}

#[tokio::test]
async fn what_is_put_back_is_noted_under_the_lease_alone() {
    let (mongod, database) = started().await;
    let journal = Journal { token: 2, ..Journal::named(&database, "onlyone_backup_b") };
    let removed = |token: i64| {
        doc! { "_id": { "is": "after", "collection": "c", "id": 1 }, "removed": true, "earlier": { "a": 2 }, "token": token }
    };
    let entry = || async { journal.collection.find_one(doc! {}).await.unwrap().unwrap() };
    journal.collection.insert_one(removed(1)).await.unwrap();
    journal.not_removed("c", &[Bson::Int32(1)]).await.unwrap();
    let mut noted = removed(2);
    noted.remove("removed");
    noted.remove("earlier");
    noted.insert("changed", doc! { "a": 2 });
    assert_eq!(entry().await, noted);
    journal.not_removed("c", &[Bson::Int32(1)]).await.unwrap();
    assert_eq!(entry().await, noted, "what was changed stays noted");
    journal.collection.replace_one(doc! {}, removed(3)).await.unwrap();
    let lost = journal.not_removed("c", &[Bson::Int32(1)]).await;
    assert!(matches!(lost, Err(AuditError::LeaseLost)), "{lost:?}");
    assert_eq!(entry().await, removed(3), "it is its successor's");
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_put_back_is_told_with_what_the_server_says() {
    let (mongod, database) = started().await;
    let profile = Profile::parse("name='p'\ncollection='c'\n[key]\nfield='k'", "p").unwrap();
    let options = RepairOptions::default();
    let lease = Lease::acquire(&database, "a repair").await.unwrap();
    let journal = Journal { token: lease.token(), ..Journal::named(&database, "onlyone_backup_b") };
    let index = doc! { "key": { "mail": 1 }, "name": "mail", "unique": true };
    database.run_command(doc! { "createIndexes": "c", "indexes": [index] }).await.unwrap();
    let others = [doc! { "_id": 1, "k": "a" }, doc! { "_id": 9, "mail": "m" }];
    database.collection::<Document>("c").insert_many(others).await.unwrap();
    let mut repair = Repair::new(&database, &profile, &options, (journal, true), &lease);
    let duplicates = vec![doc! { "_id": 2, "k": "a", "mail": "m" }, doc! { "_id": 3, "k": "a", "mail": "n" }];
    let one = TakeIn { keeper: Bson::Int32(1), duplicates };
    repair.duplicates_back(&one, "nobody wants it").await.unwrap();
    let told = &repair.unfinished;
    assert!(told.len() == 1 && told[0].contains("nobody wants it, and it cannot be put back: E11000"), "{told:?}");
    assert!(told[0].contains("index: mail ") && told[0].ends_with("(code 11000)"), "{told:?}");
    assert_eq!(repair.left, ["document 3 is not merged into 1: nobody wants it"]);
    mongod.stop().await.unwrap();
}
