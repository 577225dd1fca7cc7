//! What an audit finds, what it costs the server, and how it fails.

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};
use onlyone::audit::{AuditError, AuditOptions, Profile, RepairOptions, SHIPPED, SeedSpec, apply, audit, restore};
use onlyone::report::FindingKind;
use onlyone::verdict::Verdict;

use crate::support::{audited, counts, profile, seeded, server, writes};

#[tokio::test]
async fn an_audit_finds_exactly_what_was_seeded_and_writes_nothing() {
    let (mongod, client) = server().await;
    for (name, _) in SHIPPED {
        let profile = profile(name);
        let database = client.database(&format!("onlyone_{name}"));
        let derived = profile.key.as_ref().is_some_and(|key| key.participants.is_some());
        let keyed = u64::from(profile.key.is_some());
        let spec = SeedSpec {
            documents: 300,
            duplicates: 40,
            missing_keys: if derived { 30 } else { 0 },
            wrong_keys: if derived { 20 } else { 0 },
            repeats: if profile.array.is_some() { 17 } else { 0 },
            orphans: if profile.references.is_empty() { 0 } else { 5 },
            ..SeedSpec::default()
        };
        let seeded = seeded(&database, &profile, spec).await;
        let before = writes(&client).await;
        let found = audited(&database, &profile).await;
        assert_eq!(counts(&found), seeded.expected, "{name}");
        assert_eq!(found.verdict(), Verdict::Violated);
        for keys_in_memory in [50, 299] {
            let options = AuditOptions { keys_in_memory, batch_size: 7, ..AuditOptions::default() };
            let in_parts = audit(&database, &profile, &options).await.unwrap();
            assert_eq!(counts(&in_parts), seeded.expected, "{name} in parts of {keys_in_memory}");
        }
        assert_eq!(writes(&client).await, before, "{name}");
        assert_eq!(found.preflight.lookup_plan.as_deref(), (keyed == 1).then_some("COLLSCAN"));
    }
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_seeded_is_known_where_fields_are_paths_and_keys_need_not_be_there() {
    let (mongod, client) = server().await;
    let paths = "name='p'\ncollection='rooms'\n[key]\nfield='meta.key'\nREQUIRED\n[array]\nfield='log'\n\
        order='meta.at'\nidentity=[['meta.id']]\n[merge]\noldest='meta.made'\n\
        [[references]]\ncollection='visits'\nfield='to.room'\nunique_with=['by.who']\n\
        [[references]]\ncollection='visits'\nfield='from.room'";
    let derived = "name='p'\ncollection='rooms'\n[key]\nfield='key'\nparticipants='people'\nmember='user.id'\n\
        prefix=['meta.type']\nREQUIRED";
    for (number, text) in [paths, derived].into_iter().enumerate() {
        for (at, required) in ["", "required=false", "required=false\nsparse=false"].into_iter().enumerate() {
            let profile = Profile::parse(&text.replace("REQUIRED", required), "p").unwrap();
            let database = client.database(&format!("onlyone_paths_{number}_{at}"));
            let (array, orphans) = if number == 0 { (3, 4) } else { (0, 0) };
            let spec = SeedSpec {
                documents: 20,
                duplicates: 5,
                missing_keys: 3,
                repeats: array,
                orphans,
                ..SeedSpec::default()
            };
            let seeded = seeded(&database, &profile, spec).await;
            let found = audited(&database, &profile).await;
            assert_eq!(counts(&found), seeded.expected, "{text}\n{required}");
            let mut written = std::collections::BTreeMap::new();
            for name in seeded.written.keys() {
                let documents = crate::support::all(&database, name).await;
                let dotted = |document: &Document| document.keys().any(|field| field.contains('.'));
                assert!(!documents.iter().any(dotted), "{name}: {}", documents[0]);
                written.insert(name.clone(), documents.len() as u64);
            }
            assert_eq!(seeded.written, written);
        }
    }
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn keys_are_judged_by_what_the_participants_give() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_keys");
    let chats = database.collection::<Document>("chats");
    let id = ObjectId::new();
    chats
        .insert_many([
            doc! { "_id": 1, "participantsKey": "a_b", "participants": ["b", "a"] },
            doc! { "_id": 2, "participants": ["a", "b"] },
            doc! { "_id": 3, "participantsKey": "B_A", "participants": ["A", "B"] },
            doc! { "_id": 4, "participantsKey": "a_b_c", "participants": ["a_b", "c"] },
            doc! { "_id": 5, "participantsKey": "a_b_c", "participants": ["a", "b_c"] },
            doc! { "_id": 6, "participantsKey": null, "participants": ["x", "y"] },
            doc! { "_id": 7, "participantsKey": null, "participants": ["x", "z"] },
            doc! { "_id": 8, "participantsKey": id, "participants": [id] },
            doc! { "_id": id, "participantsKey": format!("{}_q", id.to_hex()), "participants": ["q", id.to_hex()] },
            doc! { "_id": "9", "participantsKey": format!("{}_q", id.to_hex()), "participants": [id, "q"] },
        ])
        .await
        .unwrap();
    let found = audited(&database, &profile("chats")).await;
    let expected = [
        (FindingKind::DuplicateKey, 2),
        (FindingKind::MissingKey, 3),
        (FindingKind::WrongKey, 3),
        (FindingKind::MissingIndex, 1),
    ];
    assert_eq!(counts(&found), expected.into());
    let example = |kind| {
        let finding = found.findings.iter().find(|finding| finding.kind == kind).unwrap();
        serde_json::to_string(&finding.examples).unwrap()
    };
    let wrong = example(FindingKind::WrongKey);
    for difference in ["delimiter-collision", "order", "type"] {
        assert!(wrong.contains(difference), "{wrong}");
    }
    assert!(example(FindingKind::DuplicateKey).contains(r#"{"key":"a_b","documents":[1,2]}"#));
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn indexes_and_large_documents_are_reported() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_indexes");
    let chats = database.collection::<Document>("chats");
    let padding = "x".repeat(13 * 1024 * 1024);
    chats.insert_one(doc! { "participantsKey": "a_b", "participants": ["a", "b"], "padding": padding }).await.unwrap();
    let create = |options: Document| {
        let mut index = doc! { "key": { "participantsKey": 1 }, "name": "key" };
        index.extend(options);
        let database = database.clone();
        async move {
            database.run_command(doc! { "createIndexes": "chats", "indexes": [index] }).await.unwrap();
        }
    };
    create(doc! { "sparse": true }).await;
    let found = audited(&database, &profile("chats")).await;
    assert_eq!(counts(&found), [(FindingKind::WeakIndex, 1), (FindingKind::LargeDocument, 1)].into());
    database.run_command(doc! { "dropIndexes": "chats", "index": "key" }).await.unwrap();
    create(doc! { "sparse": true, "unique": true }).await;
    let found = audited(&database, &profile("chats")).await;
    assert_eq!(counts(&found), [(FindingKind::LargeDocument, 1)].into());
    assert_eq!(found.verdict(), Verdict::Holds, "a large document is no violation");
    assert_eq!(found.preflight.lookup_plan.as_deref(), Some("IXSCAN key"));
    mongod.stop().await.unwrap();
}

/// A server that may neither sort nor group more than a kilobyte in memory, nor use the disk for it.
#[tokio::test]
async fn an_audit_needs_no_memory_of_the_server() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_limits");
    let chats = profile("chats");
    let spec = SeedSpec { documents: 3_000, duplicates: 40, missing_keys: 5, repeats: 6, ..SeedSpec::default() };
    let seeded = seeded(&database, &chats, spec).await;
    for name in [
        "internalDocumentSourceGroupMaxMemoryBytes",
        "internalQuerySlotBasedExecutionHashAggApproxMemoryUseInBytesBeforeSpill",
        "internalQueryMaxBlockingSortMemoryUsageBytes",
    ] {
        client.database("admin").run_command(doc! { "setParameter": 1, name: 1024 }).await.unwrap();
    }
    client.database("admin").run_command(doc! { "setParameter": 1, "allowDiskUseByDefault": false }).await.unwrap();
    let collection = database.collection::<Document>("chats");
    let by_hand = collection.aggregate([doc! { "$group": { "_id": "$participantsKey", "n": { "$sum": 1 } } }]).await;
    let by_hand = match by_hand {
        Ok(cursor) => cursor.try_collect::<Vec<Document>>().await,
        Err(error) => Err(error),
    };
    assert!(by_hand.unwrap_err().to_string().contains("allowDiskUse"), "the limit is in force");
    assert_eq!(counts(&audited(&database, &chats).await), seeded.expected);
    let done = apply(&database, &chats, &RepairOptions::default(), "x").await.unwrap();
    assert_eq!((done.audited.verdict(), done.left), (Verdict::Holds, vec![]));
    assert_eq!(restore(&database, "x").await.unwrap().left, [] as [String; 0]);
    assert_eq!(counts(&audited(&database, &chats).await), seeded.expected);
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_audited_is_named_and_nothing_to_audit_is_inconclusive() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_kinds");
    let run = |command: Document| {
        let database = database.clone();
        async move { database.run_command(command).await.unwrap() }
    };
    let chats = profile("chats");
    let nothing = audited(&database, &chats).await;
    assert_eq!(nothing.verdict(), Verdict::Inconclusive);
    assert!(nothing.reasons[0].contains("has no collection `chats` (it is empty"), "{:?}", nothing.reasons);
    run(doc! { "create": "other" }).await;
    let nothing = audited(&database, &chats).await;
    assert!(nothing.reasons[0].contains("(it has other)"), "{:?}", nothing.reasons);
    run(doc! { "create": "chats" }).await;
    assert_eq!(audited(&database, &chats).await.verdict(), Verdict::Inconclusive);
    run(doc! { "drop": "chats" }).await;
    for (options, expected) in [
        (doc! { "viewOn": "other", "pipeline": [] }, "`chats` is a view on `other`"),
        (doc! { "timeseries": { "timeField": "t" } }, "`chats` is a time-series collection"),
    ] {
        let mut create = doc! { "create": "chats" };
        create.extend(options);
        run(create).await;
        let error = audit(&database, &chats, &AuditOptions::default()).await.unwrap_err();
        assert!(matches!(error, AuditError::Unsuitable { .. }));
        assert!(error.to_string().contains(expected), "{error}");
        run(doc! { "drop": "chats" }).await;
    }
    run(doc! { "create": "chats", "capped": true, "size": 100_000 }).await;
    database.collection("chats").insert_one(doc! { "participants": ["a", Bson::Null] }).await.unwrap();
    let found = audited(&database, &chats).await;
    assert_eq!(counts(&found), [(FindingKind::MissingKey, 1), (FindingKind::MissingIndex, 1)].into());
    mongod.stop().await.unwrap();
}
