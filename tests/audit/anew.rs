//! A service makes a document anew under the `_id` of one that a repair has removed: what the removed one held is lost from
//! the collection, and that is told.

use mongodb::Database;
use mongodb::bson::{Document, doc};
use onlyone::audit::{RepairOptions, apply, restore};
use onlyone::verdict::Verdict;

use crate::support::{all, audited, failing, failing_no_more, failing_server, rooms};

/// Two rooms that are one, each visited by the same guest.
async fn filled(database: &Database) {
    let room = |id: i32| doc! { "_id": id, "k": 1, "tags": [format!("room {id}")] };
    let visit = |id: i32| doc! { "_id": id, "room": id, "who": "x", "tags": [format!("visit {id}")] };
    database.collection("rooms").insert_many([room(1), room(2)]).await.unwrap();
    database.collection("visits").insert_many([visit(1), visit(2)]).await.unwrap();
    let index = doc! { "key": { "room": 1, "who": 1 }, "name": "who", "unique": true };
    database.run_command(doc! { "createIndexes": "visits", "indexes": [index] }).await.unwrap();
}

/// What the service makes anew.
fn anew(collection: &str) -> Document {
    match collection {
        "rooms" => doc! { "_id": 2, "k": 2 },
        _ => doc! { "_id": 2, "room": 2, "who": "another" },
    }
}

fn lost(collection: &str) -> String {
    format!(
        "document 2 of `{collection}` is not the one that was removed: it was made anew, or put back and changed; what the \
         removed one held is in `onlyone_backup_first`, and may be nowhere else"
    )
}

/// The repair is cut short when it has noted that it removed a document, and has not taken it in.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_removed_document_held_is_not_forgotten_when_another_has_its_id() {
    let (mongod, slow, service) = failing_server().await;
    for collection in ["rooms", "visits"] {
        let name = format!("onlyone_anew_{collection}");
        let database = slow.database(&name);
        filled(&service.database(&name)).await;
        let original = all(&database, collection).await;
        let cut = doc! { "failCommands": ["update"], "namespace": format!("{name}.{collection}"), "errorCode": 8 };
        failing(&service, "slow", "alwaysOn", cut).await;
        apply(&database, &rooms(), &RepairOptions::default(), "first").await.unwrap_err();
        failing_no_more(&service).await;
        assert_eq!(all(&database, collection).await.len(), 1, "{name}: it was removed");
        service.database(&name).collection(collection).insert_one(anew(collection)).await.unwrap();
        let told = |reasons: &[String]| reasons.iter().filter(|reason| **reason == lost(collection)).count();
        let found = audited(&database, &rooms()).await;
        assert_eq!(told(&found.reasons), 1, "{name}: {:?}", found.reasons);
        for _ in 0..2 {
            let done = apply(&database, &rooms(), &RepairOptions::default(), "second").await.unwrap();
            assert!(done.resumed, "{name}");
            assert_eq!(told(&done.audited.reasons), 1, "{name}: {:?}", done.audited.reasons);
            assert_eq!(done.audited.verdict(), Verdict::Inconclusive, "{name}: {:?}", done.audited.findings);
        }
        let restored = restore(&database, "first").await.unwrap();
        assert!(restored.changed.iter().any(|changed| changed.contains("document 2 of")), "{name}: {restored:?}");
        assert_eq!(all(&database, collection).await[0], original[0], "{name}");
    }
    mongod.stop().await.unwrap();
}

/// The same moment, but it was taken in, and the repair was not told: then nothing is lost, and nothing is to be said.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_in_is_not_told_as_lost() {
    let (mongod, slow, service) = failing_server().await;
    for collection in ["rooms", "visits"] {
        let name = format!("onlyone_taken_{collection}");
        let database = slow.database(&name);
        filled(&service.database(&name)).await;
        let cut = doc! { "code": 64, "errmsg": "cut short" };
        let cut =
            doc! { "failCommands": ["update"], "namespace": format!("{name}.{collection}"), "writeConcernError": cut };
        failing(&service, "slow", "alwaysOn", cut).await;
        apply(&database, &rooms(), &RepairOptions::default(), "first").await.unwrap_err();
        failing_no_more(&service).await;
        let kept = &all(&database, collection).await[0];
        assert_eq!(kept.get_array("tags").unwrap().len(), 2, "{name}: it was taken in");
        service.database(&name).collection(collection).insert_one(anew(collection)).await.unwrap();
        let done = apply(&database, &rooms(), &RepairOptions::default(), "second").await.unwrap();
        assert_eq!(done.audited.reasons, [] as [String; 0], "{name}");
        let there = all(&database, collection).await;
        assert_eq!(there.len(), 2, "{name}: {there:?}");
    }
    mongod.stop().await.unwrap();
}

/// What cannot be merged is put back; the service is quicker.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_put_back_because_another_has_its_id_is_told() {
    let (mongod, slow, service) = failing_server().await;
    for collection in ["rooms", "visits"] {
        let name = format!("onlyone_quicker_{collection}");
        let (repaired, database) = (slow.database(&name), service.database(&name));
        filled(&database).await;
        let sides = [(1, "x"), (2, "y")];
        for (id, side) in sides {
            let update = doc! { "$set": { side: [1] } };
            database.collection::<Document>(collection).update_one(doc! { "_id": id }, update).await.unwrap();
        }
        let parallel = doc! { "key": { "x": 1, "y": 1 }, "name": "parallel" };
        database.run_command(doc! { "createIndexes": collection, "indexes": [parallel] }).await.unwrap();
        let waiting = doc! {
            "failCommands": ["insert"], "namespace": format!("{name}.{collection}"), "blockConnection": true, "blockTimeMS": 1500,
        };
        failing(&service, "slow", doc! { "times": 1 }, waiting).await;
        let meanwhile = tokio::spawn(async move {
            let documents = database.collection::<Document>(collection);
            while documents.find_one(doc! { "_id": 2 }).await.unwrap().is_some() {
                tokio::task::yield_now().await;
            }
            documents.insert_one(anew(collection)).await.unwrap();
        });
        let done = apply(&repaired, &rooms(), &RepairOptions::default(), "first").await.unwrap();
        meanwhile.await.unwrap();
        failing_no_more(&service).await;
        assert!(done.audited.reasons.contains(&lost(collection)), "{name}: {:?}", done.audited.reasons);
        assert!(!done.left.iter().any(|left| left.starts_with("document 2")), "it is not there: {:?}", done.left);
        assert_eq!(done.audited.verdict(), Verdict::Inconclusive, "{name}");
    }
    mongod.stop().await.unwrap();
}
