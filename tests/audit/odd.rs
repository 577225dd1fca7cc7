//! Odd references and documents: DBRefs of several collections, references within an `_id`, fields that are there twice, keys
//! for which an index has no room. What cannot be done is refused in the plan, and then nothing is written.

use std::collections::BTreeSet;

use mongodb::Database;
use mongodb::bson::{Document, RawDocumentBuf, cstr, doc};
use onlyone::audit::{Applied, Profile, RepairOptions, apply, plan, restore};
use onlyone::report::{ActionKind, FindingKind};
use onlyone::verdict::Verdict;

use crate::support::{all, audited, contents, exact, profile, server};

fn chats(references: &[(&str, &str)]) -> Profile {
    let reference = |(collection, field): &(&str, &str)| {
        format!("[[references]]\ncollection = \"{collection}\"\nfield = \"{field}\"\n")
    };
    let references: String = references.iter().map(reference).collect();
    Profile::parse(&format!("name = \"chats\"\ncollection = \"chats\"\n[key]\nfield = \"k\"\n{references}"), "c")
        .unwrap()
}

/// Two chats that are one, and two others that are one.
async fn filled(database: &Database, collection: &str, documents: Vec<Document>) {
    let chats = [(1, "a"), (2, "a"), (3, "b"), (4, "b")].map(|(id, key)| doc! { "_id": id, "k": key });
    database.collection("chats").insert_many(chats).await.unwrap();
    database.collection(collection).insert_many(documents).await.unwrap();
}

fn sorted(left: &[String]) -> BTreeSet<&String> {
    left.iter().collect()
}

/// What was planned is done, and can be undone.
async fn repaired(database: &Database, profile: &Profile) -> (Applied, Vec<Document>) {
    let original = contents(database).await;
    let planned = plan(database, profile, &RepairOptions::default()).await.unwrap();
    let done = apply(database, profile, &RepairOptions::default(), "x").await.unwrap();
    assert_eq!((&done.actions, sorted(&done.left)), (&planned.actions(), sorted(&planned.left)));
    let name = profile.references.first().map_or("chats", |reference| reference.collection.as_str());
    let after = all(database, name).await;
    if done.backup.is_some() {
        assert_eq!(restore(database, "x").await.unwrap().left, [] as [String; 0]);
    }
    assert!(exact(&contents(database).await) == exact(&original));
    (done, after)
}

#[tokio::test]
async fn a_dbref_refers_to_the_collection_and_the_database_that_it_names() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_dbrefs");
    let pin = |id: i32, on: Document| doc! { "_id": id, "on": on };
    let dbref = |collection: &str, id: i32| doc! { "$ref": collection, "$id": id };
    let elsewhere = |database: &str| doc! { "$ref": "chats", "$id": 2, "$db": database };
    let pins = vec![
        pin(1, dbref("chats", 2)),
        pin(2, dbref("rooms", 2)),
        pin(3, dbref("rooms", 77)),
        pin(4, elsewhere("other")),
        pin(5, elsewhere("onlyone_dbrefs")),
        doc! { "_id": 6, "on": [dbref("rooms", 2), dbref("chats", 2)] },
    ];
    filled(&database, "pins", pins.clone()).await;
    let profile = chats(&[("pins", "on.$id")]);
    let found = audited(&database, &profile).await;
    assert_eq!(found.count(FindingKind::Orphan), 0, "{:?}", found.findings);
    let (done, after) = repaired(&database, &profile).await;
    assert_eq!((done.audited.verdict(), &done.left), (Verdict::Holds, &vec![]));
    let mut expected = pins;
    expected[0] = pin(1, dbref("chats", 1));
    expected[4].get_document_mut("on").unwrap().insert("$id", 1);
    expected[5].insert("on", vec![dbref("rooms", 2), dbref("chats", 1)]);
    assert_eq!(after, expected);
    // What names another collection is nothing to come back to.
    apply(&database, &profile, &RepairOptions::default(), "y").await.unwrap();
    let again = apply(&database, &profile, &RepairOptions::default(), "z").await.unwrap();
    assert_eq!((again.backup, again.actions), (None, vec![]));
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_field_may_hold_ids_and_dbrefs_if_the_profile_names_both() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_mixed");
    let dbref = |id: i32| doc! { "$ref": "chats", "$id": id };
    let messages = vec![
        doc! { "_id": 1, "chat": 2 },
        doc! { "_id": 2, "chat": dbref(2) },
        doc! { "_id": 3, "chat": dbref(1) },
        doc! { "_id": 4, "chat": [4, { "id": 2 }] },
    ];
    filled(&database, "messages", messages).await;
    let all_three = [("messages", "chat"), ("messages", "chat.$id"), ("messages", "chat.id")];
    let (done, after) = repaired(&database, &chats(&all_three)).await;
    assert_eq!((done.audited.verdict(), &done.left), (Verdict::Holds, &vec![]));
    let expected = [
        doc! { "_id": 1, "chat": 1 },
        doc! { "_id": 2, "chat": dbref(1) },
        doc! { "_id": 3, "chat": dbref(1) },
        doc! { "_id": 4, "chat": [3, { "id": 1 }] },
    ];
    assert_eq!(after, expected);
    for missing in [&all_three[..1], &all_three[..2]] {
        let refused = apply(&database, &chats(missing), &RepairOptions::default(), "n").await.unwrap_err();
        assert!(refused.to_string().contains("the profile must name the path to the id inside them"), "{refused}");
    }
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_reference_within_an_id_is_refused_and_the_other_groups_are_merged() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_ids");
    filled(&database, "reads", vec![doc! { "_id": { "chat": 2, "who": "x" }, "seen": 3 }]).await;
    let (done, after) = repaired(&database, &chats(&[("reads", "_id.chat")])).await;
    let note = "references from documents of `chats` to others of `chats` are not looked for";
    assert!(done.audited.preflight.notes.iter().any(|said| said.starts_with(note)), "{:?}", done.audited.preflight);
    let why = "`_id.chat` is part of its `_id`, which cannot be changed";
    assert!(done.left.iter().any(|left| left.contains(why)), "{:?}", done.left);
    assert_eq!(done.audited.count(FindingKind::Orphan), 0);
    assert_eq!(done.audited.count(FindingKind::DuplicateKey), 1, "the other two are one");
    assert_eq!(after, [doc! { "_id": { "chat": 2, "who": "x" }, "seen": 3 }]);
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_late_reference_that_cannot_be_read_is_said_and_stops_nothing() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_late");
    filled(&database, "visits", vec![doc! { "_id": 1, "chat": 1 }]).await;
    let profile = chats(&[("visits", "chat")]);
    let done = apply(&database, &profile, &RepairOptions::default(), "x").await.unwrap();
    assert_eq!(done.audited.verdict(), Verdict::Holds, "{:?}", done.left);
    // No text in UTF-8 has this byte.
    let mut bytes = doc! { "_id": 9, "chat": 2, "m": "?" }.to_vec().unwrap();
    let at = bytes.iter().rposition(|byte| *byte == b'?').unwrap();
    bytes[at] = 0xff;
    let visit = RawDocumentBuf::from_bytes(bytes).unwrap();
    database.collection::<RawDocumentBuf>("visits").insert_one(visit).await.unwrap();
    let again = apply(&database, &profile, &RepairOptions::default(), "y").await.unwrap();
    let told = "document 9 of `visits` cannot be redirected: it holds what cannot be read";
    assert!(again.left.iter().any(|left| left.contains(told)), "{:?}", again.left);
    assert_eq!(again.audited.verdict(), Verdict::Violated, "an orphan");
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_late_reference_that_cannot_be_redirected_leaves_no_backup() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_late_id");
    filled(&database, "reads", vec![doc! { "_id": { "chat": 1, "who": "x" } }]).await;
    let profile = chats(&[("reads", "_id.chat")]);
    let done = apply(&database, &profile, &RepairOptions::default(), "x").await.unwrap();
    assert_eq!(done.audited.verdict(), Verdict::Holds, "{:?}", done.left);
    let late = doc! { "_id": { "chat": 2, "who": "x" } };
    database.collection::<Document>("reads").insert_one(late).await.unwrap();
    let again = apply(&database, &profile, &RepairOptions::default(), "y").await.unwrap();
    let why = "`_id.chat` is part of its `_id`, which cannot be changed";
    assert!(again.left.iter().any(|left| left.contains(why)), "{:?}", again.left);
    assert_eq!((again.backup, again.actions), (None, vec![]), "nothing was done");
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_field_that_is_there_twice_is_said_and_nothing_of_it_is_lost() {
    let (mongod, client) = server().await;
    let twice = |id: i32, field: &mongodb::bson::raw::CStr, key: &str| {
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("_id"), id);
        document.append(cstr!("k"), key);
        document.append(field, 1);
        document.append(field, 2);
        document
    };
    let told = |left: &[String], who: &str| {
        left.iter().any(|left| left.contains(who) && left.contains("twice, and which of the two counts cannot be told"))
    };
    let database = client.database("onlyone_twice_merged");
    filled(&database, "visits", vec![doc! { "_id": 1, "chat": 1 }]).await;
    database.collection::<RawDocumentBuf>("chats").insert_one(twice(5, cstr!("m"), "b")).await.unwrap();
    let (done, _) = repaired(&database, &chats(&[("visits", "other")])).await;
    assert!(told(&done.left, "document 5 cannot be merged: it has the field `m`"), "{:?}", done.left);
    assert!(!done.left.iter().any(|left| left.contains("kept changing")), "{:?}", done.left);

    let database = client.database("onlyone_twice_referring");
    filled(&database, "visits", vec![doc! { "_id": 1, "chat": 1 }]).await;
    let mut visit = twice(2, cstr!("m"), "");
    visit.append(cstr!("chat"), 2);
    database.collection::<RawDocumentBuf>("visits").insert_one(visit).await.unwrap();
    let (done, _) = repaired(&database, &chats(&[("visits", "chat")])).await;
    assert!(told(&done.left, "document 2 of `visits` cannot be redirected"), "{:?}", done.left);

    // One that refers to the kept chat already would be united with one that refers to the other.
    let database = client.database("onlyone_twice_united");
    filled(&database, "seats", vec![doc! { "_id": 2, "chat": 2, "who": "x", "n": 1 }]).await;
    let mut seat = twice(1, cstr!("m"), "");
    seat.append(cstr!("chat"), 1);
    seat.append(cstr!("who"), "x");
    database.collection::<RawDocumentBuf>("seats").insert_one(seat).await.unwrap();
    let mut profile_of_seats = chats(&[("seats", "chat")]);
    profile_of_seats.references[0].unique_with = vec!["who".to_owned()];
    profile_of_seats.references[0].merge.default = Some(onlyone::audit::FieldRule::Fill);
    let (done, _) = repaired(&database, &profile_of_seats).await;
    assert!(told(&done.left, "document 1, which is left as it is: it has the field `m`"), "{:?}", done.left);

    let database = client.database("onlyone_twice_key");
    let mut chat = twice(1, cstr!("m"), "");
    chat.append(cstr!("participants"), mongodb::bson::rawbson!(["a", "b"]));
    database.collection::<RawDocumentBuf>("chats").insert_one(chat).await.unwrap();
    let (done, _) = repaired(&database, &profile("chats")).await;
    assert!(told(&done.left, "document 1 does not get its key"), "{:?}", done.left);
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_duplicate_that_cannot_be_read_is_said_and_its_group_is_left() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_unreadable");
    filled(&database, "visits", vec![doc! { "_id": 1, "chat": 1 }]).await;
    // No text in UTF-8 has this byte.
    let mut bytes = doc! { "_id": 5, "k": "b", "m": "?" }.to_vec().unwrap();
    let at = bytes.iter().rposition(|byte| *byte == b'?').unwrap();
    bytes[at] = 0xff;
    let chat = RawDocumentBuf::from_bytes(bytes).unwrap();
    database.collection::<RawDocumentBuf>("chats").insert_one(chat).await.unwrap();
    let profile = chats(&[("visits", "chat")]);
    let planned = plan(&database, &profile, &RepairOptions::default()).await.unwrap();
    let done = apply(&database, &profile, &RepairOptions::default(), "x").await.unwrap();
    assert_eq!((&done.actions, sorted(&done.left)), (&planned.actions(), sorted(&planned.left)));
    let told = "document 5 cannot be merged: it holds what cannot be read";
    assert!(done.left.iter().any(|left| left.contains(told)), "{:?}", done.left);
    assert_eq!(done.audited.count(FindingKind::DuplicateKey), 2, "4 and 5 beside 3");
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_key_for_which_an_index_has_no_room_is_not_promised() {
    let (mongod, client) = server().await;
    let chat =
        |id: i32, key: &str, of: [&str; 2]| doc! { "_id": id, "participantsKey": key, "participants": of.to_vec() };
    let chats = [chat(1, "c_d", ["c", "d"]), chat(2, "D_C", ["C", "D"]), chat(3, "f_e", ["e", "f"])];
    let collation = doc! { "locale": "en", "strength": 2 };
    for (name, options, blocked) in [
        ("collated", doc! { "collation": collation.clone() }, true),
        ("simple", doc! {}, false),
        ("left_out", doc! { "collation": collation, "partialFilterExpression": { "old": true } }, false),
    ] {
        let database = client.database(&format!("onlyone_room_{name}"));
        let mut index = doc! { "key": { "participantsKey": 1 }, "name": "participantsKey_1", "unique": true };
        index.extend(options);
        database.collection::<Document>("chats").insert_many(&chats).await.unwrap();
        database.run_command(doc! { "createIndexes": "chats", "indexes": [index] }).await.unwrap();
        let mut profile = profile("chats");
        profile.references.clear();
        profile.key.as_mut().unwrap().r#where = Some(onlyone::audit::Filter(doc! {}));
        let (done, after) = repaired(&database, &profile).await;
        let told = "document 2: another document has its key \"C_D\"";
        assert_eq!(done.left.iter().any(|left| left == told), blocked, "{name}: {:?}", done.left);
        let set = done.actions.iter().find(|action| action.kind == ActionKind::SetKey).unwrap();
        assert_eq!(set.count, if blocked { 1 } else { 2 }, "{name}");
        assert_eq!(after[1].get_str("participantsKey").unwrap(), if blocked { "D_C" } else { "C_D" }, "{name}");
    }
    mongod.stop().await.unwrap();
}
