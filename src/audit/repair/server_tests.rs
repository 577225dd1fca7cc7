//! A repair that lost its lease writes nothing more.

use mongodb::Client;
use mongodb::bson::{Document, doc};

use super::bulk;
use super::journal::Journal;
use super::lease::Lease;
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
