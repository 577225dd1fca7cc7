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

/// What one window holds after this was done to a server that keeps an oplog.
async fn written_by(
    mongod: &Mongod,
    database: &str,
    done: impl AsyncFnOnce(&Database),
) -> (Vec<String>, BTreeSet<String>) {
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    let mut capture = Capture::begin(client.clone(), BTreeSet::from([database.to_owned()])).await.unwrap();
    assert!(capture.has_oplog);
    capture.open(false).await.unwrap();
    done(&client.database(database)).await;
    let number = capture.close(&BTreeSet::new(), None).await.unwrap();
    capture.collect().await.unwrap();
    let window = capture.window(number).unwrap();
    let shown = |document: &Option<Document>| document.as_ref().map_or("-".to_owned(), ToString::to_string);
    let told = window.written().map(|one| format!("{}: {} → {}", one.namespace, shown(&one.before), shown(&one.after)));
    (told.collect(), window.changes.keys().cloned().collect())
}

#[tokio::test]
async fn measurements_and_whole_collections_are_told_as_what_is_stored() {
    let mongod = Mongod::start(&Options::new(MongodSpec { replica_set: 1, test_commands: false })).await.unwrap();
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    let app = client.database("app");
    app.run_command(doc! { "create": "m", "timeseries": { "timeField": "at", "metaField": "sensor" } }).await.unwrap();
    let at = mongodb::bson::DateTime::from_millis(1_700_000_000_000);
    let measured = |n: i32| doc! { "_id": n, "at": at, "sensor": "s1", "n": n };
    let series = app.collection::<Document>("m");
    series.insert_one(measured(1)).await.unwrap();
    let (told, namespaces) = written_by(&mongod, "app", async |app: &Database| {
        app.collection::<Document>("m").insert_many([measured(3), measured(2)]).await.unwrap();
    })
    .await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|one| one.starts_with("app.m: - → ") && one.contains(r#""sensor": "s1""#)), "{told:?}");
    assert_eq!(namespaces, BTreeSet::from(["app.m".to_owned()]));
    let (told, _) = written_by(&mongod, "app", async |app: &Database| {
        app.collection::<Document>("m").drop().await.unwrap();
    })
    .await;
    assert!(told.len() == 3 && told.iter().all(|one| one.starts_with("app.m: ") && one.ends_with("→ -")), "{told:?}");

    let (drafts, shown) = (app.collection::<Document>("drafts"), app.collection::<Document>("shown"));
    drafts.insert_one(doc! { "_id": 1, "text": "new" }).await.unwrap();
    shown.insert_many([doc! { "_id": 1, "text": "old" }, doc! { "_id": 2, "text": "old" }]).await.unwrap();
    let publish = async |app: &Database| {
        app.collection::<Document>("drafts").aggregate([doc! { "$out": "shown" }]).await.unwrap();
    };
    let (told, namespaces) = written_by(&mongod, "app", publish).await;
    let expected = [
        r#"app.shown: { "_id": 1, "text": "old" } → { "_id": 1, "text": "new" }"#,
        r#"app.shown: { "_id": 2, "text": "old" } → -"#,
    ];
    assert_eq!(
        (told.as_slice(), namespaces),
        (&expected.map(str::to_owned)[..], BTreeSet::from(["app.shown".to_owned()]))
    );
    let (told, _) = written_by(&mongod, "app", async |app: &Database| app.drop().await.unwrap()).await;
    assert_eq!(told.len(), 2, "{told:?}");
    mongod.stop().await.unwrap();
}
