//! What the server refuses: a merge that a validator or an index does not let in is not done, and nothing is lost by trying.

use std::time::{Duration, Instant};

use mongodb::Database;
use mongodb::bson::{Document, doc};
use onlyone::audit::{Applied, Profile, RepairOptions, apply, plan, restore};
use onlyone::report::{ActionKind, RepairAction};
use onlyone::verdict::Verdict;

use crate::support::{audited, contents, exact, failing, failing_no_more, failing_server, rooms, server};

/// A database that the server would not let become what the rules say.
struct Case {
    name: &'static str,
    rooms: Vec<Document>,
    visits: Vec<Document>,
    /// Sent when the documents are there.
    commands: Vec<Document>,
    /// What is said of it: of the plan, and of what `--apply` did.
    says: [&'static str; 2],
    /// What the plan does.
    planned: Vec<(ActionKind, u64)>,
}

fn validator(collection: &str, rule: Document, level: &str) -> Document {
    doc! { "collMod": collection, "validator": rule, "validationLevel": level }
}

fn index(collection: &str, key: Document) -> Document {
    doc! { "createIndexes": collection, "indexes": [{ "key": key, "name": "other" }] }
}

fn pair() -> Vec<Document> {
    vec![doc! { "_id": 1, "k": 1, "tags": ["a"], "x": [1] }, doc! { "_id": 2, "k": 1, "tags": ["b"], "y": [1] }]
}

fn cases() -> Vec<Case> {
    let of_the_merge = "the validator of `rooms` refuses what document 1 would become";
    let of_the_visit = "document 2 of `visits` cannot be redirected: the validator of `visits` refuses what document 2";
    let of_the_twin = "the validator of `visits` refuses what document 1 would become";
    let written = "document 2 is not merged into 1: the server refuses what it would become (code 171)";
    let visit = |id: i32, room: i32, who: &str, tag: &str| doc! { "_id": id, "room": room, "who": who, "tags": [tag] };
    vec![
        Case {
            name: "validator",
            rooms: pair(),
            visits: vec![visit(1, 2, "x", "t")],
            commands: vec![validator("rooms", doc! { "tags.1": { "$exists": false } }, "strict")],
            says: [of_the_merge; 2],
            planned: vec![],
        },
        Case {
            name: "schema",
            rooms: pair(),
            visits: vec![],
            commands: vec![validator(
                "rooms",
                doc! { "$jsonSchema": { "properties": { "tags": { "maxItems": 1 } } } },
                "moderate",
            )],
            says: [of_the_merge; 2],
            planned: vec![],
        },
        Case {
            name: "visits",
            rooms: pair(),
            visits: vec![visit(1, 1, "x", "t"), visit(2, 2, "y", "t")],
            commands: vec![validator("visits", doc! { "$or": [{ "room": { "$ne": 1 } }, { "who": "x" }] }, "strict")],
            says: [of_the_visit; 2],
            planned: vec![],
        },
        Case {
            name: "twins",
            rooms: pair(),
            visits: vec![visit(1, 1, "x", "t"), visit(2, 2, "x", "u")],
            commands: vec![validator("visits", doc! { "tags.1": { "$exists": false } }, "strict")],
            says: [of_the_twin; 2],
            planned: vec![],
        },
        Case {
            name: "array",
            rooms: vec![doc! { "_id": 1, "k": 1, "log": ["a", "a"] }],
            visits: vec![],
            commands: vec![validator("rooms", doc! { "log.1": { "$exists": true } }, "strict")],
            says: [of_the_merge, "document 1 is left as it is: the server refuses its change (code 121)"],
            planned: vec![(ActionKind::CreateIndex, 1)],
        },
        Case {
            name: "index",
            rooms: pair(),
            visits: vec![visit(1, 2, "x", "t")],
            commands: vec![index("rooms", doc! { "x": 1, "y": 1 })],
            says: ["", written],
            planned: vec![
                (ActionKind::Merge, 1),
                (ActionKind::Remove, 1),
                (ActionKind::Redirect, 1),
                (ActionKind::CreateIndex, 1),
            ],
        },
    ]
}

fn counted(actions: &[RepairAction]) -> Vec<(ActionKind, u64)> {
    actions.iter().map(|action| (action.kind, action.count)).collect()
}

async fn applied(database: &Database, profile: &Profile, id: &str) -> Applied {
    apply(database, profile, &RepairOptions::default(), id).await.unwrap()
}

async fn filled(database: &Database, case: &Case) {
    for (name, documents) in [("rooms", &case.rooms), ("visits", &case.visits)] {
        database.create_collection(name).await.unwrap();
        if !documents.is_empty() {
            database.collection::<Document>(name).insert_many(documents).await.unwrap();
        }
    }
    for command in &case.commands {
        database.run_command(command.clone()).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_server_refuses_is_not_done_and_nothing_is_lost() {
    let (mongod, client) = server().await;
    let rooms = rooms();
    for case in cases() {
        let name = case.name;
        let database = client.database(&format!("onlyone_refused_{name}"));
        filled(&database, &case).await;
        let original = contents(&database).await;
        let planned = plan(&database, &rooms, &RepairOptions::default()).await.unwrap();
        assert_eq!(counted(&planned.actions()), case.planned, "{name}: {:?}", planned.left);
        let says = |left: &[String], what: &str| left.iter().any(|left| left.contains(what));
        assert!(case.says[0].is_empty() || says(&planned.left, case.says[0]), "{name}: {:?}", planned.left);
        for id in ["x", "y"] {
            let done = applied(&database, &rooms, id).await;
            assert!(says(&done.left, case.says[1]), "{name}: {:?}", done.left);
            assert_eq!(done.audited.reasons, [] as [String; 0], "{name}");
            assert_eq!(done.audited.verdict(), Verdict::Violated, "{name}: {:?}", done.audited.findings);
            let kept = |contents: &std::collections::BTreeMap<String, Vec<Document>>| {
                ["rooms", "visits"].map(|name| exact(contents)[name].clone())
            };
            assert_eq!(kept(&contents(&database).await), kept(&original), "{name}");
            let removed = done.actions.iter().any(|action| action.kind == ActionKind::Remove);
            assert!(!removed, "{name}: {:?}", done.actions);
        }
        let backups = onlyone::audit::backups(&database).await.unwrap();
        for backup in backups {
            let restored = restore(&database, &backup).await.unwrap();
            assert_eq!((&restored.left, &restored.changed), (&vec![], &vec![]), "{name}");
        }
        assert!(exact(&contents(&database).await) == exact(&original), "{name}");
    }
    mongod.stop().await.unwrap();
}

/// The plan cannot know of it: only an index refuses, when it is written.
#[tokio::test]
async fn referring_documents_come_back_where_what_they_go_beside_cannot_take_them_in() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_refused_beside");
    let visits = vec![
        doc! { "_id": 1, "room": 1, "who": "x", "x": [1] },
        doc! { "_id": 2, "room": 2, "who": "x", "y": [2] },
        doc! { "_id": 3, "room": 2, "who": "z" },
    ];
    let commands = vec![index("visits", doc! { "x": 1, "y": 1 })];
    let pair = vec![doc! { "_id": 1, "k": 1 }, doc! { "_id": 2, "k": 1 }];
    let case = Case { name: "beside", rooms: pair, visits, commands, says: [""; 2], planned: vec![] };
    filled(&database, &case).await;
    let original = contents(&database).await;
    let profile = rooms();
    let done = applied(&database, &profile, "x").await;
    let sentence = "document 2 of `visits` is not united with 1: the server refuses what it would become (code 171)";
    assert!(done.left.iter().any(|left| left == sentence), "{:?}", done.left);
    let twin = crate::support::all(&database, "visits").await[1].clone();
    assert_eq!(twin, case.visits[1], "it is there, and refers to what was merged");
    assert_eq!(done.audited.verdict(), Verdict::Violated, "an orphan: {:?}", done.audited.findings);
    assert_eq!(restore(&database, "x").await.unwrap().left, [] as [String; 0]);
    assert!(exact(&contents(&database).await) == exact(&original));
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn restoring_goes_past_a_validator_that_came_later() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_refused_restored");
    let visits = vec![doc! { "_id": 1, "room": 2, "who": "x" }];
    let case = Case { name: "later", rooms: pair(), visits, commands: vec![], says: [""; 2], planned: vec![] };
    filled(&database, &case).await;
    let original = contents(&database).await;
    let profile = rooms();
    assert_eq!(applied(&database, &profile, "x").await.audited.verdict(), Verdict::Holds);
    for command in
        [validator("rooms", doc! { "x": [1], "y": [1] }, "strict"), validator("visits", doc! { "room": 1 }, "strict")]
    {
        database.run_command(command).await.unwrap();
    }
    let restored = restore(&database, "x").await.unwrap();
    assert_eq!((restored.restored, &restored.left, &restored.changed), (3, &vec![], &vec![]));
    assert!(exact(&contents(&database).await) == exact(&original));
    mongod.stop().await.unwrap();
}

/// Documents that a validator refuses already may change under `moderate`: the plan must not refuse them.
#[tokio::test]
async fn a_moderate_validator_does_not_keep_what_it_lets_be() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_refused_moderate");
    let rule = validator("rooms", doc! { "new": { "$exists": true } }, "moderate");
    let case = Case { name: "m", rooms: pair(), visits: vec![], commands: vec![rule], says: [""; 2], planned: vec![] };
    filled(&database, &case).await;
    let original = contents(&database).await;
    let profile = rooms();
    let done = applied(&database, &profile, "x").await;
    assert_eq!(done.audited.verdict(), Verdict::Holds, "{:?}", done.left);
    assert_eq!(restore(&database, "x").await.unwrap().left, [] as [String; 0]);
    assert!(exact(&contents(&database).await) == exact(&original), "the one that was removed is no valid document");
    assert_eq!(audited(&database, &profile).await.verdict(), Verdict::Violated);
    mongod.stop().await.unwrap();
}

/// The plan cannot know of it: the validator comes when the repair has begun to remove what it would refuse to take in.
#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_comes_meanwhile_loses_nothing() {
    let (mongod, slow, service) = failing_server().await;
    let rooms = rooms();
    let visit = |id: i32, room: i32, tag: &str| doc! { "_id": id, "room": room, "who": "x", "tags": [tag] };
    let of_the_twin = "document 2 of `visits` is not united with 1: the server refuses what it would become (code 121)";
    let of_the_merge = "document 2 is not merged into 1: the server refuses what it would become (code 121)";
    for (name, collection, sentence) in [("twin", "visits", of_the_twin), ("merge", "rooms", of_the_merge)] {
        let (repaired, database) = (slow.database(name), service.database(name));
        let (visits, commands) = (vec![visit(1, 1, "t"), visit(2, 2, "u")], vec![]);
        let case = Case { name, rooms: pair(), visits, commands, says: [""; 2], planned: vec![] };
        filled(&database, &case).await;
        let waiting = doc! {
            "failCommands": ["delete"], "namespace": format!("{name}.{collection}"), "blockConnection": true, "blockTimeMS": 1500,
        };
        failing(&service, "slow", doc! { "times": 1 }, waiting).await;
        let removed = if collection == "rooms" { "merge" } else { "twin" };
        let meanwhile = tokio::spawn(async move {
            let backup = database.collection::<Document>("onlyone_backup_x");
            let deadline = Instant::now() + Duration::from_secs(60);
            while backup.find_one(doc! { "_id.is": removed }).await.unwrap().is_none() {
                assert!(Instant::now() < deadline, "the repair has ended and removed no {removed}");
                tokio::task::yield_now().await;
            }
            let rule = validator(collection, doc! { "tags.1": { "$exists": false } }, "strict");
            database.run_command(rule).await.unwrap();
            database
        });
        let done = applied(&repaired, &rooms, "x").await;
        let database = meanwhile.await.unwrap();
        failing_no_more(&service).await;
        assert!(done.left.iter().any(|left| left == sentence), "{name}: {:?}", done.left);
        assert_eq!(done.audited.verdict(), Verdict::Violated, "{name}: {:?}", done.audited.findings);
        let there = &crate::support::all(&database, collection).await[1];
        assert_eq!(there.get_i32("_id").unwrap(), 2, "{name}: it is there");
        assert_eq!(restore(&database, "x").await.unwrap().left, [] as [String; 0], "{name}");
        for (name, documents) in [("rooms", &case.rooms), ("visits", &case.visits)] {
            assert_eq!(&crate::support::all(&database, name).await, documents);
        }
    }
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn an_audit_that_cannot_read_a_backup_does_not_hold() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_newer");
    let unique = doc! { "createIndexes": "rooms", "indexes": [{ "key": { "k": 1 }, "name": "k", "unique": true }] };
    let case = Case {
        name: "",
        rooms: vec![doc! { "_id": 1, "k": 1 }],
        visits: vec![],
        commands: vec![unique],
        says: [""; 2],
        planned: vec![],
    };
    filled(&database, &case).await;
    let header = doc! { "_id": "repair", "format_version": 999, "collection": "rooms", "state": "applying" };
    // What it did to another collection, or has ended, is in nobody's way.
    for (id, field, value) in [("o", "collection", "visits"), ("e", "state", "applied")] {
        let mut other = header.clone();
        other.insert(field, value);
        database.collection(&format!("onlyone_backup_{id}")).insert_one(other).await.unwrap();
    }
    let found = audited(&database, &rooms()).await;
    assert_eq!((found.verdict(), found.reasons), (Verdict::Holds, vec![]));
    database.collection("onlyone_backup_n").insert_one(header).await.unwrap();
    let found = audited(&database, &rooms()).await;
    let told = "whether a repair was cut short cannot be told: `onlyone_backup_n` was written by a newer onlyone";
    assert_eq!((found.verdict(), found.reasons), (Verdict::Inconclusive, vec![told.to_owned()]));
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_may_not_look_for_backups_says_what_the_server_says() {
    let (mongod, slow, service) = failing_server().await;
    let database = slow.database("onlyone_unseen");
    service.database("onlyone_unseen").collection("rooms").insert_one(doc! { "_id": 1, "k": 1 }).await.unwrap();
    service.database("onlyone_unseen").collection("onlyone_backup_n").insert_one(doc! { "_id": "x" }).await.unwrap();
    let backup = "onlyone_unseen.onlyone_backup_n";
    failing(&service, "slow", "alwaysOn", doc! { "failCommands": ["find"], "namespace": backup, "errorCode": 8 }).await;
    let found = audited(&database, &rooms()).await;
    failing_no_more(&service).await;
    let told = found.reasons.iter().find(|reason| reason.starts_with("whether a repair was cut short cannot be told"));
    let told = told.unwrap_or_else(|| panic!("{:?}", found.reasons));
    assert!(told.contains("read the backup failed: ") && told.contains("failCommand"), "{told}");
    mongod.stop().await.unwrap();
}
