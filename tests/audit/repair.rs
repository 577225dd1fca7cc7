//! What a repair mends, what it leaves, and that it can be undone.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document, doc};
use mongodb::{Client, Database};
use onlyone::audit::{Applied, AuditError, Profile, RepairOptions, SHIPPED, SeedSpec, apply, backups, plan, restore};
use onlyone::mongod::{Mongod, Options};
use onlyone::report::{ActionKind, FindingKind};
use onlyone::scenario::MongodSpec;
use onlyone::verdict::Verdict;

use crate::support::{all, audited, contents, counts, profile, seeded, server, writes};

async fn applied(database: &Database, profile: &Profile, id: &str) -> Applied {
    apply(database, profile, &RepairOptions::default(), id).await.unwrap()
}

fn actions(actions: &[onlyone::report::RepairAction]) -> BTreeMap<ActionKind, u64> {
    actions.iter().map(|action| (action.kind, action.count)).collect()
}

fn texts(document: &Document, array: &str) -> Vec<String> {
    let elements = document.get_array(array).unwrap().iter();
    elements.map(|element| element.as_document().unwrap().get_str("text").unwrap().to_owned()).collect()
}

/// Ten chats without keys, two of them duplicates, messages embedded and apart, on both sides.
#[tokio::test]
async fn ten_chats_without_keys_and_two_duplicate_pairs_are_mended() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_s1");
    let chats = profile("chats");
    let spec = SeedSpec { documents: 10, duplicates: 2, missing_keys: 10, messages: 3, ..SeedSpec::default() };
    seeded(&database, &chats, spec).await;
    let original = contents(&database).await;

    let before = writes(&client).await;
    let planned = plan(&database, &chats, &RepairOptions::default()).await.unwrap();
    let expected =
        [(FindingKind::DuplicateKey, 2), (FindingKind::MissingKey, 10), (FindingKind::MissingIndex, 1)].into();
    assert_eq!(counts(&planned.audited), expected);
    let expected = [
        (ActionKind::Merge, 2),
        (ActionKind::Remove, 2),
        (ActionKind::Redirect, 6),
        (ActionKind::SetKey, 8),
        (ActionKind::CreateIndex, 1),
    ];
    assert_eq!(actions(&planned.actions()), expected.into());
    assert_eq!(writes(&client).await, before, "a plan writes nothing");

    let done = applied(&database, &chats, "first").await;
    assert_eq!((done.audited.verdict(), done.left.as_slice()), (Verdict::Holds, &[] as &[String]));
    assert_eq!(actions(&done.actions)[&ActionKind::Redirect], 6);
    let after = contents(&database).await;
    assert_eq!(after["chats"].len(), 8);
    assert_eq!(after["messages"].len(), 30, "every message is there");
    for chat in &after["chats"][..2] {
        let number = texts(chat, "messages");
        assert_eq!(number.len(), 6, "both sides");
        let times: Vec<_> = chat
            .get_array("messages")
            .unwrap()
            .iter()
            .map(|message| *message.as_document().unwrap().get_datetime("createdAt").unwrap())
            .collect();
        assert!(times.is_sorted(), "in order");
        let id = chat.get("_id").unwrap().clone();
        assert_eq!(after["messages"].iter().filter(|message| message.get("chat") == Some(&id)).count(), 6);
    }
    let embedded = |contents: &BTreeMap<String, Vec<Document>>| {
        let mut all: Vec<String> = contents["chats"].iter().flat_map(|chat| texts(chat, "messages")).collect();
        all.sort();
        all
    };
    assert_eq!(embedded(&after), embedded(&original), "every message exactly once");

    let again = applied(&database, &chats, "second").await;
    assert_eq!((again.backup, again.actions), (None, vec![]), "a second repair does nothing");
    assert_eq!(contents(&database).await, after);

    let restored = restore(&database, "first").await.unwrap();
    assert!(restored.left.is_empty() && restored.index_dropped, "{restored:?}");
    assert_eq!(contents(&database).await, original, "document by document");
    assert_eq!(restore(&database, "first").await.unwrap().restored, 0);
    assert_eq!(backups(&database).await.unwrap(), [] as [String; 0]);
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn of_1648_elements_with_1573_repeats_the_first_75_remain() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_s4");
    let messages = profile("messages");
    let merged = |n: i32| doc! { "mergeId": format!("m{}", n % 75), "batchId": "b", "batchIndex": n % 75, "type": "mergeFace", "n": n };
    let elements: Vec<Document> = (0..1648).map(merged).collect();
    let keyless: Vec<Bson> =
        vec![doc! { "text": "hi" }.into(), "plain".into(), doc! { "text": "hi" }.into(), Bson::Null, Bson::Null];
    let chats = database.collection::<Document>("userChat");
    chats.insert_one(doc! { "_id": 1, "messages": &elements, "other": 1 }).await.unwrap();
    chats.insert_one(doc! { "_id": 2, "messages": &keyless }).await.unwrap();
    let found = audited(&database, &messages).await;
    assert_eq!(counts(&found), [(FindingKind::DuplicateElement, 1573)].into());
    assert_eq!(found.invariants[0].checked, 1648, "the others fit no rule of identity");
    assert!(
        found.preflight.notes.iter().any(|note| note.starts_with("5 of 1653 elements")),
        "{:?}",
        found.preflight.notes
    );
    let done = applied(&database, &messages, "r").await;
    assert_eq!(actions(&done.actions), [(ActionKind::Deduplicate, 1573)].into());
    let after = all(&database, "userChat").await;
    assert_eq!(after[0], doc! { "_id": 1, "messages": &elements[..75], "other": 1 });
    assert_eq!(after[1], doc! { "_id": 2, "messages": keyless }, "elements without identity stay");
    assert_eq!(done.audited.verdict(), Verdict::Holds);
    restore(&database, "r").await.unwrap();
    assert_eq!(all(&database, "userChat").await[0], doc! { "_id": 1, "messages": &elements, "other": 1 });
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn every_profile_is_mended_and_restored() {
    let (mongod, client) = server().await;
    for (name, _) in SHIPPED {
        let profile = profile(name);
        let database = client.database(&format!("onlyone_{name}"));
        let derived = profile.key.as_ref().is_some_and(|key| key.participants.is_some());
        let spec = SeedSpec {
            documents: 60,
            duplicates: if profile.key.is_some() { 35 } else { 7 },
            missing_keys: if derived { 6 } else { 0 },
            wrong_keys: if derived { 5 } else { 0 },
            repeats: if profile.array.is_some() { 9 } else { 0 },
            ..SeedSpec::default()
        };
        seeded(&database, &profile, spec).await;
        let original = contents(&database).await;
        let done = applied(&database, &profile, "x").await;
        assert_eq!(done.left, [] as [String; 0], "{name}");
        assert_eq!(done.audited.verdict(), Verdict::Holds, "{name}: {:?}", done.audited.findings);
        let restored = restore(&database, "x").await.unwrap();
        assert_eq!(restored.left, [] as [String; 0], "{name}");
        assert_eq!(contents(&database).await, original, "{name}");
    }
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_repaired_is_refused_or_left_and_nothing_changes() {
    let (mongod, client) = server().await;
    let chats = profile("chats");
    let database = client.database("onlyone_wrong");
    let error = apply(&database, &chats, &RepairOptions::default(), "x").await.unwrap_err();
    assert!(matches!(error, AuditError::NoCollection { .. }));
    database.create_collection("other").await.unwrap();
    for create in [
        doc! { "create": "chats", "viewOn": "other", "pipeline": [] },
        doc! { "create": "chats", "timeseries": { "timeField": "t" } },
        doc! { "create": "chats", "capped": true, "size": 100_000 },
    ] {
        database.run_command(create.clone()).await.unwrap();
        let before = writes(&client).await;
        let error = apply(&database, &chats, &RepairOptions::default(), "x").await.unwrap_err();
        assert!(matches!(error, AuditError::Unsuitable { .. }), "{create}: {error}");
        assert_eq!(writes(&client).await, before);
        database.run_command(doc! { "drop": "chats" }).await.unwrap();
    }
    let collection = database.collection::<Document>("chats");
    let documents = [
        doc! { "_id": 1, "participantsKey": "a_b_c", "participants": ["a_b", "c"] },
        doc! { "_id": 2, "participantsKey": "a_b_c", "participants": ["a", "b_c"] },
        doc! { "_id": 3, "title": "no participants" },
    ];
    collection.insert_many(&documents).await.unwrap();
    let done = applied(&database, &chats, "y").await;
    assert_eq!((done.backup, done.actions), (None, vec![]));
    assert!(done.left.iter().any(|left| left.contains("different sets of participants")), "{:?}", done.left);
    assert!(done.left.iter().any(|left| left.contains("document 3 has no key")), "{:?}", done.left);
    assert_eq!(done.audited.verdict(), Verdict::Violated);
    assert_eq!(all(&database, "chats").await, documents);
    let error = restore(&database, "nothing").await.unwrap_err().to_string();
    assert!(error.contains("has no backup `onlyone_backup_nothing` (it has none)"), "{error}");
    mongod.stop().await.unwrap();
}

/// Two people who gave no address are two people, though a unique index has room for one of them.
#[tokio::test]
async fn who_has_no_key_is_nobodys_duplicate() {
    let (mongod, client) = server().await;
    let head = "name = 'users'\ncollection = 'users'\n[key]\n";
    let one = "field = 'email'\nrequired = false\n";
    let two = "field = ['tenant', 'email']\n";
    let known = || doc! { "tenant": "t", "email": "a@b" };
    for (name, key, nobody, said) in [
        ("empty", one, doc! { "email": "" }, r#"2 documents have no `email`"#),
        ("any_case", "field = 'email'\nrequired = false\nignore_case = true\n", doc! { "email": "" }, "no `email`"),
        ("part_null", two, doc! { "tenant": "t", "email": null }, "no `email`"),
        ("part_gone", two, doc! { "tenant": "t" }, r#"say `blank = ["email"]`"#),
        ("part_empty", two, doc! { "tenant": "", "email": "a@b" }, "no `tenant`"),
    ] {
        let database = client.database(&format!("onlyone_{name}"));
        let users = database.collection::<Document>("users");
        let with = |id: i32, mut fields: Document| {
            fields.insert("_id", id);
            fields
        };
        let documents = [with(1, nobody.clone()), with(2, nobody), with(3, known()), with(4, known())];
        users.insert_many(&documents).await.unwrap();
        let profile = Profile::parse(&format!("{head}{key}"), "users.toml").unwrap();
        let found = audited(&database, &profile).await.findings;
        let examples = found.iter().filter(|finding| finding.kind == FindingKind::DuplicateKey);
        let examples: Vec<_> = examples.flat_map(|finding| &finding.examples).collect();
        let without = examples.iter().filter(|example| example["without"].as_array().is_some_and(|of| of.len() == 1));
        assert_eq!((examples.len(), without.count()), (2, 1), "{name}: {examples:?}");
        let done = applied(&database, &profile, "x").await;
        assert!(done.left.iter().any(|left| left.contains(said)), "{name}: {:?}", done.left);
        assert_eq!(done.audited.verdict(), Verdict::Violated, "{name}");
        let ids: Vec<i32> =
            all(&database, "users").await.iter().map(|document| document.get_i32("_id").unwrap()).collect();
        assert_eq!(ids, [1, 2, 3], "{name}: who has a key is merged");
        let blank = if key == two { "blank = ['tenant', 'email']\n" } else { "blank = ['email']\n" };
        let profile = Profile::parse(&format!("{head}{key}{blank}"), "users.toml").unwrap();
        let done = applied(&database, &profile, "y").await;
        assert_eq!((done.left, done.audited.verdict()), (vec![], Verdict::Holds), "{name}");
        assert_eq!(all(&database, "users").await.len(), 2, "{name}");
    }
    mongod.stop().await.unwrap();
}

/// The service removes the document that was kept, between a kill and the next repair.
#[tokio::test]
async fn what_is_in_the_backup_only_is_never_taken_for_sound() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_gone");
    let chats = profile("chats");
    seeded(&database, &chats, SeedSpec { documents: 4, duplicates: 1, ..SeedSpec::default() }).await;
    let original = contents(&database).await;
    applied(&database, &chats, "x").await;
    // As a kill leaves it right after the duplicate was removed.
    let backup = database.collection::<Document>("onlyone_backup_x");
    backup.update_one(doc! { "_id": "repair" }, doc! { "$set": { "state": "applying" } }).await.unwrap();
    let merge = doc! { "_id.is": "merge" };
    backup.update_one(merge.clone(), doc! { "$set": { "state": "removed" } }).await.unwrap();
    let keeper = backup.find_one(merge).await.unwrap().unwrap().get("keeper").unwrap().clone();
    database.collection::<Document>("chats").delete_one(doc! { "_id": keeper }).await.unwrap();
    database.collection::<Document>("messages").delete_many(doc! {}).await.unwrap();
    let only = "1 document of `chats` is in `onlyone_backup_x` only";
    let planned = plan(&database, &chats, &RepairOptions::default()).await.unwrap().audited;
    for found in [audited(&database, &chats).await, planned] {
        assert_eq!(found.verdict(), Verdict::Inconclusive, "{:?}", found.findings);
        assert!(found.reasons.iter().any(|reason| reason.contains(only)), "{:?}", found.reasons);
    }
    for _ in 0..2 {
        let done = applied(&database, &chats, "y").await;
        assert!(done.resumed);
        assert_eq!(done.audited.verdict(), Verdict::Inconclusive, "{:?}", done.audited.findings);
        let reason = &done.audited.reasons[0];
        assert!(reason.contains("is gone") && reason.contains("`onlyone_backup_x` only"), "{reason}");
    }
    let restored = restore(&database, "x").await.unwrap();
    assert!(restored.left.iter().any(|left| left.contains("is gone since")), "{restored:?}");
    let duplicate = original["chats"].last().unwrap();
    assert!(contents(&database).await["chats"].contains(duplicate), "its messages are back");
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn an_index_that_does_not_protect_gets_another_beside_it_and_restoring_leaves_the_first() {
    let (mongod, client) = server().await;
    let chats = profile("chats");
    for (number, options) in [
        doc! { "sparse": true },
        doc! { "key": { "participantsKey": "hashed" } },
        doc! { "key": { "participantsKey": 1, "archived": 1 }, "unique": true },
    ]
    .into_iter()
    .enumerate()
    {
        let database = client.database(&format!("onlyone_weak_{number}"));
        let index = sound_but_for(&database, options).await;
        let original = contents(&database).await;
        let found = audited(&database, &chats).await;
        assert_eq!(counts(&found), [(FindingKind::WeakIndex, 1)].into(), "{index}");
        let done = applied(&database, &chats, "x").await;
        assert_eq!(done.audited.verdict(), Verdict::Holds, "{index}");
        assert!(restore(&database, "x").await.unwrap().index_dropped);
        assert_eq!(contents(&database).await, original, "{index}");
    }
    mongod.stop().await.unwrap();
}

/// A database without a defect but for what its index may be. Returns the index.
async fn sound_but_for(database: &Database, options: Document) -> Document {
    seeded(database, &profile("chats"), SeedSpec { duplicates: 0, ..SeedSpec::default() }).await;
    let mut index = doc! { "key": { "participantsKey": 1 }, "name": "mine" };
    index.extend(options);
    database.run_command(doc! { "createIndexes": "chats", "indexes": [&index] }).await.unwrap();
    index
}

#[tokio::test]
async fn an_index_that_lets_no_duplicate_in_needs_no_other_beside_it() {
    let (mongod, client) = server().await;
    let chats = profile("chats");
    for (number, options) in [
        doc! { "unique": true },
        doc! { "unique": true, "partialFilterExpression": { "archived": false } },
        doc! { "unique": true, "sparse": true, "collation": { "locale": "en", "strength": 2 } },
        doc! { "unique": true, "sparse": true, "hidden": true },
    ]
    .into_iter()
    .enumerate()
    {
        let database = client.database(&format!("onlyone_sound_{number}"));
        let index = sound_but_for(&database, options).await;
        database
            .collection::<Document>("chats")
            .update_many(doc! {}, doc! { "$set": { "archived": false } })
            .await
            .unwrap();
        let original = contents(&database).await;
        let done = applied(&database, &chats, "x").await;
        assert_eq!((done.audited.verdict(), done.backup), (Verdict::Holds, None), "{index}");
        assert_eq!(contents(&database).await, original, "{index}");
    }
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn without_room_for_the_index_nothing_is_changed() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_no_room");
    let chats = profile("chats");
    seeded(&database, &chats, SeedSpec { missing_keys: 3, ..SeedSpec::default() }).await;
    let indexes: Vec<Document> =
        (0..63).map(|n| doc! { "key": { format!("f{n}"): 1 }, "name": format!("f{n}") }).collect();
    database.run_command(doc! { "createIndexes": "chats", "indexes": indexes }).await.unwrap();
    let (original, before) = (contents(&database).await, writes(&client).await);
    let error = apply(&database, &chats, &RepairOptions::default(), "x").await.unwrap_err().to_string();
    assert!(error.contains("at the server's limit of 64 indexes") && error.contains("drop one"), "{error}");
    assert_eq!((contents(&database).await, writes(&client).await), (original, before));
    database.run_command(doc! { "dropIndexes": "chats", "index": "f0" }).await.unwrap();
    assert_eq!(applied(&database, &chats, "x").await.audited.verdict(), Verdict::Holds);
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_failed_index_build_is_an_error_and_a_repair_goes_on_where_it_failed() {
    let spec = MongodSpec { replica_set: 0, test_commands: true };
    let mongod = Mongod::start(&Options::new(spec)).await.unwrap();
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    let database = client.database("onlyone_index_fails");
    let chats = profile("chats");
    database.collection("chats").insert_one(doc! { "_id": 1, "participants": ["a", "b"] }).await.unwrap();
    let original = contents(&database).await;
    let data = doc! { "failCommands": ["createIndexes"], "errorCode": 14031 };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": data };
    client.database("admin").run_command(fail).await.unwrap();
    let error = apply(&database, &chats, &RepairOptions::default(), "x").await.unwrap_err();
    assert!(error.to_string().contains("create the index `participantsKey_1` failed"), "{error}");
    assert_eq!(error.code(), Some(14031));
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("(code 14031)") && !source.contains("RawDocumentBuf"), "{source}");
    let done = applied(&database, &chats, "y").await;
    assert!(done.resumed && done.audited.verdict() == Verdict::Holds);
    assert_eq!(done.backup.as_deref(), Some("onlyone_backup_x"));
    assert!(restore(&database, "x").await.unwrap().index_dropped);
    assert_eq!(contents(&database).await, original);
    mongod.stop().await.unwrap();
}
