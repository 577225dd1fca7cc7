//! What is read of a server whose connections break.

use std::collections::BTreeSet;

use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};

use super::{ATTEMPTS, Capture, CaptureError};
use crate::mongod::{Mongod, Options};
use crate::scenario::MongodSpec;

/// Breaks the connections of the next of these commands.
async fn break_off(admin: &Database, command: &str, times: u32) {
    let data = doc! { "failCommands": [command], "closeConnection": true };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data };
    admin.run_command(fail).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_hides_nothing_that_was_written() {
    let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 1, test_commands: true })).await.unwrap();
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    let admin = client.database("admin");
    let mut capture = Capture::of_nothing(client.clone());
    capture.databases.insert("app".to_owned());
    capture.read_to = capture.now().await.unwrap();
    break_off(&admin, "ping", ATTEMPTS - 1).await;
    capture.open(false).await.unwrap();
    client.database("app").collection::<Document>("chats").insert_one(doc! { "_id": 1 }).await.unwrap();
    let number = capture.close(&BTreeSet::from(["app.chats".to_owned()]), None).await.unwrap();
    // The driver itself reads a second time.
    break_off(&admin, "find", 2 * (ATTEMPTS - 1)).await;
    capture.collect().await.unwrap();
    assert_eq!(capture.window(number).unwrap().written().count(), 1);
    break_off(&admin, "find", 2 * ATTEMPTS).await;
    assert!(matches!(capture.collect().await, Err(CaptureError::Server(_))), "not for ever");
    mongod.stop().await.unwrap();
}
