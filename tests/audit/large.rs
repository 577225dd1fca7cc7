//! Documents near the server's limits: what a plan promises is done, what cannot be done is refused with the sizes, and
//! neither stops the rest.

use std::collections::BTreeSet;

use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};
use onlyone::audit::{Profile, RepairOptions, apply, plan, restore};
use onlyone::report::{ActionKind, RepairAction};
use onlyone::verdict::Verdict;

use crate::support::{all, contents, exact, profile, rooms, server};

const MB: usize = 1024 * 1024;

/// Elements of 100 kB each, numbered from `first`.
fn elements(megabytes: usize, first: i32) -> Vec<Document> {
    let number = i32::try_from(megabytes * MB / 100_000).unwrap();
    (0..number).map(|at| doc! { "_id": first + at, "t": "y".repeat(99_960) }).collect()
}

/// A document of exactly so many bytes.
fn sized(mut document: Document, bytes: usize) -> Document {
    document.insert("blob", "");
    let size = document.to_vec().unwrap().len();
    document.insert("blob", "x".repeat(bytes - size));
    document
}

fn room(id: i32, key: i32, log: Vec<Document>) -> Document {
    doc! { "_id": id, "k": key, "log": log }
}

struct Case {
    name: &'static str,
    rooms: Vec<Document>,
    visits: Vec<Document>,
    /// What the plan says of what is not done; nothing if all is.
    refused: Option<&'static str>,
}

fn cases() -> Vec<Case> {
    let small = || [room(91, 9, vec![doc! { "_id": 1 }]), room(92, 9, vec![doc! { "_id": 2 }])];
    let with = |rooms: Vec<Document>| [rooms, small().to_vec()].concat();
    let pair =
        |left: usize, right: usize| with(vec![room(1, 1, elements(left, 0)), room(2, 1, elements(right, 1_000))]);
    let two = || with(vec![room(1, 1, vec![]), room(2, 1, vec![])]);
    let limit = 16 * MB;
    let many: Vec<Bson> = [vec![Bson::Int32(2)], vec!["x".repeat(MB).into(); 9]].concat();
    vec![
        Case { name: "taken", rooms: pair(2, 11), visits: vec![], refused: None },
        // What it is and what it was are too large for one command: it is undone field by field.
        Case { name: "undone", rooms: pair(4, 10), visits: vec![], refused: None },
        Case {
            name: "twice",
            rooms: with(vec![room(1, 1, [elements(5, 0), elements(5, 0)].concat())]),
            visits: vec![],
            refused: None,
        },
        Case {
            name: "together",
            rooms: pair(9, 8),
            visits: vec![],
            refused: Some("documents 1, 2 together are too large for one: they have 17,"),
        },
        Case {
            name: "visit",
            rooms: two(),
            visits: vec![sized(doc! { "_id": 1, "room": 2 }, limit)],
            refused: Some("the backup of document 1 would have 16,777,"),
        },
        Case {
            name: "references",
            rooms: two(),
            visits: vec![doc! { "_id": 1, "room": many }],
            refused: Some("the command that changes document 1 would have 1"),
        },
        Case {
            name: "beside",
            rooms: two(),
            visits: vec![
                doc! { "_id": 1, "room": 1, "who": "x" },
                sized(doc! { "_id": 2, "room": 2, "who": "x" }, 9 * MB),
            ],
            refused: Some("the backup of document 2 would have 18,"),
        },
    ]
}

async fn filled(database: &Database, case: &Case) {
    for (name, documents) in [("rooms", &case.rooms), ("visits", &case.visits)] {
        for document in documents {
            database.collection::<Document>(name).insert_one(document).await.unwrap();
        }
    }
}

fn count(actions: &[RepairAction], kind: ActionKind) -> u64 {
    actions.iter().filter(|action| action.kind == kind).map(|action| action.count).sum()
}

#[tokio::test]
async fn what_fits_is_done_and_what_does_not_is_refused_with_the_sizes() {
    let (mongod, client) = server().await;
    let rooms = rooms();
    for case in cases() {
        let name = case.name;
        let database = client.database(&format!("onlyone_large_{name}"));
        filled(&database, &case).await;
        let original = contents(&database).await;
        let planned = plan(&database, &rooms, &RepairOptions::default()).await.unwrap();
        let refused: Vec<&String> =
            planned.left.iter().filter(|left| left.contains(" would have ") || left.contains("too large")).collect();
        match case.refused {
            Some(says) => assert!(refused.len() == 1 && refused[0].contains(says), "{name}: {:?}", planned.left),
            None => assert_eq!(planned.left, [] as [String; 0], "{name}"),
        }
        let done = apply(&database, &rooms, &RepairOptions::default(), "x").await.unwrap();
        assert!(done.actions == planned.actions(), "{name}: what was planned was done");
        let sorted = |left: &[String]| left.iter().cloned().collect::<BTreeSet<String>>();
        assert_eq!(sorted(&done.left), sorted(&planned.left), "{name}");
        assert_eq!(done.audited.reasons, [] as [String; 0], "{name}");
        assert!(count(&done.actions, ActionKind::Merge) >= 1, "{name}: the small ones are merged in any case");
        let holds = done.audited.verdict() == Verdict::Holds;
        assert_eq!(holds, case.refused.is_none(), "{name}: {:?}", done.left);
        let restored = restore(&database, "x").await.unwrap();
        assert_eq!((&restored.left, &restored.changed), (&vec![], &vec![]), "{name}");
        assert!(exact(&contents(&database).await) == exact(&original), "{name}");
        database.drop().await.unwrap();
    }
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_document_that_leaves_no_room_for_its_backup_is_left_and_said_so() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_large_key");
    let chat = sized(doc! { "_id": 1, "participants": ["a", "b"], "participantsKey": "b_a" }, 16 * MB);
    database.collection::<Document>("chats").insert_one(&chat).await.unwrap();
    database.collection("chats").insert_one(doc! { "_id": 2, "participants": ["c", "d"] }).await.unwrap();
    let chats = profile("chats");
    let planned = plan(&database, &chats, &RepairOptions::default()).await.unwrap();
    let done = apply(&database, &chats, &RepairOptions::default(), "x").await.unwrap();
    assert_eq!((&done.actions, &done.left), (&planned.actions(), &planned.left));
    assert_eq!(count(&done.actions, ActionKind::SetKey), 1);
    let told = "document 1 is left as it is: the backup of document 1 would have 16,777,";
    assert!(done.left.iter().any(|left| left.starts_with(told)), "{:?}", done.left);
    let after = all(&database, "chats").await;
    assert!(after[0] == chat && after[1].get_str("participantsKey").unwrap() == "c_d");
    mongod.stop().await.unwrap();
}

/// As an older version left it: the duplicate is removed, and the entry that says what the kept one becomes did not fit.
#[tokio::test]
async fn a_repair_that_an_older_version_could_not_finish_is_finished() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_large_older");
    let profile: Profile = rooms();
    let (kept, gone) = (room(1, 1, elements(4, 0)), room(2, 1, elements(4, 1_000)));
    database.collection::<Document>("rooms").insert_one(&kept).await.unwrap();
    let backup = database.collection::<Document>("onlyone_backup_old");
    let key = |is: &str, id: i32| doc! { "is": is, "collection": "rooms", "id": id };
    for entry in [
        doc! { "_id": "repair", "format_version": 4, "collection": "rooms", "profile": "rooms", "state": "applying" },
        doc! { "_id": { "is": "merge", "id": 2 }, "keeper": 1, "state": "removed", "duplicate": &gone },
        doc! { "_id": key("before", 2), "document": &gone },
        doc! { "_id": key("after", 2), "removed": true },
        doc! { "_id": key("before", 1), "document": &kept },
    ] {
        backup.insert_one(entry).await.unwrap();
    }
    let done = apply(&database, &profile, &RepairOptions::default(), "new").await.unwrap();
    assert!(done.resumed && done.left.is_empty() && done.audited.reasons.is_empty(), "{:?}", done.left);
    assert_eq!(done.audited.verdict(), Verdict::Holds);
    let header = backup.find_one(doc! { "_id": "repair" }).await.unwrap().unwrap();
    assert!(header.get_i32("format_version").unwrap() > 4, "an older version would misread what was added: {header}");
    let rooms = all(&database, "rooms").await;
    let log = rooms[0].get_array("log").unwrap();
    let whole: Vec<Bson> = [elements(4, 0), elements(4, 1_000)].concat().into_iter().map(Bson::from).collect();
    assert!(*log == whole);
    assert_eq!(restore(&database, "old").await.unwrap().left, [] as [String; 0]);
    assert!(all(&database, "rooms").await == [kept, gone]);
    mongod.stop().await.unwrap();
}
