//! Repairs that others, failing commands, or a rate get in the way of: what refers to duplicates above all.

use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use onlyone::audit::{Profile, RepairOptions, apply, restore};
use onlyone::verdict::Verdict;

use crate::support::{all, contents, exact, failing, failing_no_more, failing_server, server};

const MEMBERS: &str = r#"
name = "members"
collection = "members"
[key]
field = "card"
[[references]]
collection = "seats"
field = "member"
unique_with = ["room"]
merge = { fields = { visits = "sum", note = "concatenate" } }
"#;

/// The commands by which a repair writes.
const WRITES: [&str; 4] = ["insert", "update", "delete", "createIndexes"];

/// The write is refused; or it is done, and the repair is not told.
fn ways() -> [Document; 2] {
    [doc! { "errorCode": 8 }, doc! { "writeConcernError": { "code": 64, "errmsg": "cut short" } }]
}

fn members() -> Profile {
    Profile::parse(MEMBERS, "members").unwrap()
}

/// Two members who are one, with a seat in the red room each, and one of them with a seat in the blue one.
async fn filled(database: &Database) {
    let members = [1, 2].map(|id| doc! { "_id": id, "card": "c" });
    database.collection("members").insert_many(members).await.unwrap();
    let seat = |id: i32, member: i32, room: &str, visits: i32| {
        doc! { "_id": id, "member": member, "room": room, "visits": visits, "note": format!("{id}") }
    };
    let seats = [seat(1, 1, "red", 1), seat(2, 2, "red", 10), seat(3, 2, "blue", 5)];
    database.collection("seats").insert_many(seats).await.unwrap();
    let index = doc! { "key": { "member": 1, "room": 1 }, "name": "seat", "unique": true };
    database.run_command(doc! { "createIndexes": "seats", "indexes": [index] }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_writes_to_a_document_that_goes_beside_another_is_kept_once_and_restored() {
    let (mongod, slow, service) = failing_server().await;
    let (repaired, database) = (slow.database("onlyone_beside"), service.database("onlyone_beside"));
    filled(&database).await;
    let original = contents(&database).await;
    let delete = doc! {
        "failCommands": ["delete"], "namespace": "onlyone_beside.seats", "blockConnection": true, "blockTimeMS": 1500,
    };
    failing(&service, "slow", doc! { "times": 1 }, delete).await;
    let writer = tokio::spawn(async move {
        let backup = database.collection::<Document>("onlyone_backup_b");
        while backup.find_one(doc! { "_id.collection": "seats" }).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        let update = doc! { "$inc": { "visits": 100 }, "$set": { "note": "changed" } };
        let written = database.collection::<Document>("seats").update_one(doc! { "_id": 2 }, update).await.unwrap();
        assert_eq!(written.matched_count, 1, "it was not removed yet");
    });
    let done = apply(&repaired, &members(), &RepairOptions::default(), "b").await.unwrap();
    writer.await.unwrap();
    assert_eq!((done.audited.verdict(), &done.left), (Verdict::Holds, &vec![]));
    let red = &all(&repaired, "seats").await[0];
    assert_eq!((red.get_i32("visits").unwrap(), red.get_str("note").unwrap()), (111, "1changed"), "{red}");
    let restored = restore(&repaired, "b").await.unwrap();
    assert_eq!((&restored.left, &restored.changed), (&vec![], &vec![]));
    let (seats, members) = (all(&repaired, "seats").await, all(&repaired, "members").await);
    assert_eq!(seats[1].get_i32("visits").unwrap(), 110, "what the service wrote is back");
    assert_eq!((seats.len(), &members), (3, &original["members"]));
    mongod.stop().await.unwrap();
}

/// The databases for one write: how many writes come before it, and whether the repair is gone on with before it is undone.
fn databases(way: usize, skip: usize) -> Vec<(i64, bool)> {
    let both = std::env::var("ONLYONE_TEST_ROUNDS").is_ok_and(|rounds| rounds == "2");
    let which = if both { vec![false, true] } else { vec![(way + skip).is_multiple_of(2)] };
    which.into_iter().map(|resumed| (skip as i64, resumed)).collect()
}

/// A repair is cut short before, or right after, each of its writes in turn. Every other database is undone once the repair was
/// gone on with, the rest at once: what one way of cutting it short does with even writes, the other does with odd ones.
/// `ONLYONE_TEST_ROUNDS=2` does both with every write.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_cut_short_at_any_write_goes_on_to_the_same_end_and_can_be_undone() {
    let (mongod, slow, service) = failing_server().await;
    let reference = service.database("onlyone_whole");
    filled(&reference).await;
    let original = contents(&reference).await;
    apply(&reference, &members(), &RepairOptions::default(), "w").await.unwrap();
    let mended = contents(&reference).await;
    assert_eq!(mended["seats"][0].get_i32("visits").unwrap(), 11);
    for (way, data) in ways().into_iter().enumerate() {
        let mut cut_short = 0;
        for (skip, resumed) in (0..).flat_map(|skip| databases(way, skip)) {
            let name = format!("onlyone_cut_{way}_{skip}_{resumed}");
            let database = slow.database(&name);
            filled(&service.database(&name)).await;
            let mut data = data.clone();
            data.insert("failCommands", WRITES.to_vec());
            failing(&service, "slow", doc! { "skip": skip }, data).await;
            let first = apply(&database, &members(), &RepairOptions::default(), "first").await;
            failing_no_more(&service).await;
            let whole = first.is_ok();
            cut_short += u32::from(!whole);
            if resumed {
                let done = apply(&database, &members(), &RepairOptions::default(), "second").await.unwrap();
                assert_eq!((done.audited.verdict(), &done.left), (Verdict::Holds, &vec![]), "{name}");
                assert_eq!(contents(&database).await, mended, "{name}: another end");
            }
            for backup in onlyone::audit::backups(&database).await.unwrap() {
                let restored = restore(&database, &backup).await.unwrap();
                assert_eq!((&restored.left, &restored.changed), (&vec![], &vec![]), "{name}");
            }
            let restored = contents(&database).await;
            assert_eq!(restored, original, "{name}: not restored");
            assert!(exact(&restored) == exact(&original), "{name}: fields in another order");
            database.drop().await.unwrap();
            if whole {
                break;
            }
        }
        assert!(cut_short > 10, "only {cut_short}");
    }
    mongod.stop().await.unwrap();
}

const FOLDERS: &str = r#"
name = "folders"
collection = "folders"
[key]
field = "k"
participants = "of"
[merge]
default = "fill"
"#;

/// A repair sets the key of a folder, and is cut short. Then a service makes an older one of the same key, and an index takes
/// no document with arrays in both fields: what goes on with the repair removes what the repair has changed before, and puts
/// it back.
async fn folders(service: &Client, slow: &Database, profile: &Profile) {
    let folders = service.database(slow.name()).collection("folders");
    folders.insert_one(doc! { "_id": 2, "k": "wrong", "of": ["a", "b"], "y": [1] }).await.unwrap();
    let index = doc! { "key": { "x": 1, "y": 1 }, "name": "parallel" };
    slow.run_command(doc! { "createIndexes": "folders", "indexes": [index] }).await.unwrap();
    failing(service, "slow", "alwaysOn", doc! { "failCommands": ["createIndexes"], "errorCode": 8 }).await;
    apply(slow, profile, &RepairOptions::default(), "first").await.unwrap_err();
    failing_no_more(service).await;
    let key = all(slow, "folders").await[0].get_str("k").unwrap().to_owned();
    assert_ne!(key, "wrong");
    folders.insert_one(doc! { "_id": 1, "k": key, "of": ["a", "b"], "x": [1] }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_cut_short_while_it_puts_documents_back_goes_on_and_can_be_undone() {
    let (mongod, slow, service) = failing_server().await;
    let profile = Profile::parse(FOLDERS, "folders").unwrap();
    let options = RepairOptions::default();
    let reference = slow.database("onlyone_folders");
    folders(&service, &reference, &profile).await;
    let whole = apply(&reference, &profile, &options, "w").await.unwrap();
    let put_back = "document 2 is not merged into 1: the server refuses what it would become (code 171)";
    assert!(whole.resumed && whole.left.iter().any(|left| left == put_back), "{:?}", whole.left);
    let mended = contents(&reference).await;
    // What the repair made of the first folder is undone; the other one is the service's.
    let mut original = mended.clone();
    original.get_mut("folders").unwrap()[1].insert("k", "wrong");
    for way in 0..2 {
        let (mut cut_short, mut back) = (0, 0);
        for (skip, resumed) in (0..).flat_map(|skip| databases(way, skip)) {
            let name = format!("onlyone_back_{way}_{resumed}_{skip}");
            let database = slow.database(&name);
            folders(&service, &database, &profile).await;
            let mut data = ways()[way].clone();
            data.insert("failCommands", WRITES.to_vec());
            failing(&service, "slow", doc! { "skip": skip }, data).await;
            let whole = apply(&database, &profile, &options, "second").await.is_ok();
            failing_no_more(&service).await;
            cut_short += u32::from(!whole);
            let removed = doc! { "removed": true, "earlier": { "$exists": true } };
            let noted = database.collection::<Document>("onlyone_backup_first").find_one(removed).await.unwrap();
            back += u32::from(noted.is_some() && all(&database, "folders").await.len() == 2);
            if resumed {
                let done = apply(&database, &profile, &options, "third").await.unwrap();
                assert!(done.left.iter().any(|left| left == put_back), "{name}: {:?}", done.left);
                assert_eq!(done.audited.reasons, [] as [String; 0], "{name}");
                assert_eq!(contents(&database).await, mended, "{name}: another end");
            }
            for backup in onlyone::audit::backups(&database).await.unwrap().iter().rev() {
                let restored = restore(&database, backup).await.unwrap();
                assert_eq!((&restored.left, &restored.changed), (&vec![], &vec![]), "{name}");
            }
            assert!(exact(&contents(&database).await) == exact(&original), "{name}: not restored");
            database.drop().await.unwrap();
            if whole {
                break;
            }
        }
        assert!(cut_short > 10, "only {cut_short}");
        assert!(back > 0, "never after it was put back and before that was noted");
    }
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restoring_that_fails_says_why_and_not_that_its_lease_stays() {
    let (mongod, slow, service) = failing_server().await;
    let database = slow.database("onlyone_unrestored");
    filled(&database).await;
    apply(&database, &members(), &RepairOptions::default(), "r").await.unwrap();
    failing(&service, "slow", doc! { "skip": 1 }, doc! { "failCommands": ["update"], "errorCode": 8 }).await;
    let failed = restore(&database, "r").await.unwrap_err();
    failing_no_more(&service).await;
    let said = format!("{:#}", anyhow::Error::new(failed));
    assert!(said.starts_with("renew the lease failed: ") && said.ends_with("(code 8)"), "{said}");
    assert!(!said.contains("give the lease back"), "{said}");
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn references_of_a_document_that_was_made_anew_are_its_own() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_anew");
    let profile =
        "name='r'\ncollection='rooms'\n[key]\nfield='name'\n[[references]]\ncollection='visits'\nfield='room'";
    let profile = Profile::parse(profile, "rooms").unwrap();
    let rooms = ["a", "b"].map(|id| doc! { "_id": id, "name": "hall" });
    database.collection("rooms").insert_many(rooms).await.unwrap();
    database.collection("visits").insert_one(doc! { "_id": 1, "room": "b" }).await.unwrap();
    apply(&database, &profile, &RepairOptions::default(), "first").await.unwrap();
    assert_eq!(all(&database, "visits").await, [doc! { "_id": 1, "room": "a" }]);
    database.collection("rooms").insert_one(doc! { "_id": "b", "name": "kitchen" }).await.unwrap();
    database.collection("visits").insert_one(doc! { "_id": 2, "room": "b" }).await.unwrap();
    let before = contents(&database).await;
    let done = apply(&database, &profile, &RepairOptions::default(), "second").await.unwrap();
    assert_eq!((done.backup, done.audited.verdict()), (None, Verdict::Holds));
    assert_eq!(contents(&database).await, before);
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_holds_for_merges_and_for_what_refers_to_them_little_by_little() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_slow");
    let plain = "name='r'\ncollection='rooms'\n[key]\nfield='name'\n";
    let room = |id: i32, name: i32| doc! { "_id": id, "name": name };
    database.collection("rooms").insert_many((0..12).map(|id| room(id, id / 2))).await.unwrap();
    let options = RepairOptions { rate: Some(6.0), ..RepairOptions::default() };
    let begun = Instant::now();
    apply(&database, &Profile::parse(plain, "rooms").unwrap(), &options, "merges").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs_f64(11.0 / 6.0), "{:?}", begun.elapsed());

    let referred = format!("{plain}[[references]]\ncollection='visits'\nfield='room'");
    database.collection::<Document>("rooms").drop().await.unwrap();
    database.collection("rooms").insert_many([room(1, 1), room(2, 1)]).await.unwrap();
    database.collection("visits").insert_many((0..18).map(|id| doc! { "_id": id, "room": 2 })).await.unwrap();
    let visits = database.collection::<Document>("visits");
    let repair = tokio::spawn(async move {
        apply(&database, &Profile::parse(&referred, "rooms").unwrap(), &options, "references").await.unwrap();
    });
    let mut seen = std::collections::BTreeSet::new();
    while !repair.is_finished() {
        seen.insert(visits.count_documents(doc! { "room": 1 }).await.unwrap());
    }
    repair.await.unwrap();
    assert!(seen.contains(&6) && seen.contains(&12), "by sixes: {seen:?}");
    mongod.stop().await.unwrap();
}

/// What tells whether the kept document has what it was to take in are the elements, wherever they stand by now.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_puts_elements_in_front_does_not_keep_a_merge_from_its_end() {
    let (mongod, slow, service) = failing_server().await;
    let (repaired, database) = (slow.database("onlyone_in_front"), service.database("onlyone_in_front"));
    let rooms = [1, 2].map(|id| doc! { "_id": id, "k": 1, "log": [format!("of {id}")] });
    database.collection("rooms").insert_many(rooms).await.unwrap();
    let update = doc! {
        "failCommands": ["update"], "namespace": "onlyone_in_front.rooms", "blockConnection": true, "blockTimeMS": 1500,
    };
    failing(&service, "slow", doc! { "times": 1 }, update).await;
    let writer = tokio::spawn(async move {
        let backup = database.collection::<Document>("onlyone_backup_f");
        let about = doc! { "_id": { "is": "after", "collection": "rooms", "id": 1 } };
        let deadline = Instant::now() + Duration::from_secs(60);
        while backup.find_one(about.clone()).await.unwrap().is_none() {
            assert!(Instant::now() < deadline, "nothing is taken in");
            tokio::task::yield_now().await;
        }
        let first = doc! { "$push": { "log": { "$each": ["first"], "$position": 0 } } };
        database.collection::<Document>("rooms").update_one(doc! { "_id": 1 }, first).await.unwrap();
        database
    });
    let done = apply(&repaired, &crate::support::rooms(), &RepairOptions::default(), "f").await.unwrap();
    let database = writer.await.unwrap();
    failing_no_more(&service).await;
    assert_eq!(done.audited.reasons, [] as [String; 0]);
    assert_eq!(done.audited.verdict(), Verdict::Holds, "{:?}", done.left);
    assert_eq!(all(&database, "rooms").await, [doc! { "_id": 1, "k": 1, "log": ["first", "of 1", "of 2"] }]);
    mongod.stop().await.unwrap();
}
