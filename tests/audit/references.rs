//! Merges with everything that can refer to a document: as id and as text, in arrays, unique beside other fields.

use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use onlyone::audit::{Profile, RepairOptions, apply, plan, restore};
use onlyone::report::{ActionKind, RepairAction};
use onlyone::verdict::Verdict;
use serde_json::Value;

use crate::support::{all, contents, server};

const MEMBERS: &str = r#"
name = "members"
collection = "members"
[key]
field = "card"
[[references]]
collection = "loans"
field = "member"
[[references]]
collection = "notes"
field = "by"
[[references]]
collection = "clubs"
field = "readers"
[[references]]
collection = "clubs"
field = "roles.who"
[[references]]
collection = "seats"
field = "member"
unique_with = ["room"]
[merge]
oldest = "joined"
union = ["tags"]
fields = { fees = "sum", phone = "fill" }
"#;

fn id(number: u8) -> ObjectId {
    ObjectId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number])
}

fn members() -> Profile {
    Profile::parse(MEMBERS, "members").unwrap()
}

async fn filled(database: &Database) {
    let member = |number: u8, fields: Document| {
        let mut member = doc! { "_id": id(number), "card": "c1", "joined": DateTime::from_millis(i64::from(number)) };
        member.extend(fields);
        member
    };
    let put = async |name: &str, documents: Vec<Document>| {
        database.collection(name).insert_many(documents).await.unwrap();
    };
    put(
        "members",
        vec![
            member(1, doc! { "fees": 5, "tags": ["a"] }),
            member(2, doc! { "fees": 7, "phone": "55", "tags": ["b"], "nick": "two" }),
            member(3, doc! { "fees": 0.5, "tags": ["a"] }),
            doc! { "_id": id(9), "card": "c9", "fees": 1 },
        ],
    )
    .await;
    let loans = [1, 2, 3, 9].map(|number| doc! { "_id": i32::from(number), "member": id(number) });
    put("loans", loans.to_vec()).await;
    let notes = [1, 2, 9].map(|number| doc! { "_id": i32::from(number), "by": id(number).to_hex() });
    put("notes", [notes.to_vec(), vec![doc! { "_id": 4, "by": null }, doc! { "_id": 5 }]].concat()).await;
    let clubs = vec![
        doc! { "_id": 1, "readers": [id(3), id(9), id(1)], "roles": [{ "who": id(2), "as": "host" }, { "who": id(9), "as": "host" }] },
        doc! { "_id": 2, "readers": [] },
    ];
    put("clubs", clubs).await;
    let seats = vec![
        doc! { "_id": 1, "member": id(1), "room": "red", "row": 1 },
        doc! { "_id": 2, "member": id(2), "room": "red", "row": 8 },
        doc! { "_id": 3, "member": id(3), "room": "blue", "row": 3 },
    ];
    put("seats", seats).await;
    let index = doc! { "key": { "member": 1, "room": 1 }, "name": "seat", "unique": true };
    database.run_command(doc! { "createIndexes": "seats", "indexes": [index] }).await.unwrap();
}

fn details(actions: &[RepairAction], kind: ActionKind) -> Vec<Value> {
    actions.iter().filter(|action| action.kind == kind).flat_map(|action| action.details.clone()).collect()
}

#[tokio::test]
async fn every_reference_is_redirected_and_the_plan_names_all_that_goes() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_members");
    filled(&database).await;
    let original = contents(&database).await;
    let planned = plan(&database, &members(), &RepairOptions::default()).await.unwrap();
    // What an audit takes for an orphan is another matter.
    let merging = |left: &[String]| left.iter().filter(|left| !left.contains("refer to one that is gone")).count();
    assert_eq!(merging(&planned.left), 0, "{:?}", planned.left);
    let removed = details(&planned.actions(), ActionKind::Remove);
    let seat = removed.iter().find(|detail| detail["collection"] == "seats").unwrap();
    assert_eq!(
        (&seat["document"], &seat["lost"][0]["field"], &seat["lost"][0]["value"]),
        (&2.into(), &"row".into(), &8.into())
    );
    let merged = details(&planned.actions(), ActionKind::Merge);
    let lost: Vec<&Value> = merged.iter().flat_map(|detail| detail["lost"].as_array().into_iter().flatten()).collect();
    let nick = lost.iter().find(|lost| lost["field"] == "nick").unwrap();
    assert_eq!((&nick["value"], &nick["rule"]), (&"two".into(), &Value::Null));
    assert!(!lost.iter().any(|lost| ["fees", "phone", "tags"].contains(&lost["field"].as_str().unwrap())), "{lost:?}");

    let done = apply(&database, &members(), &RepairOptions::default(), "m").await.unwrap();
    assert_eq!((done.audited.count(onlyone::report::FindingKind::DuplicateKey), merging(&done.left)), (0, 0));
    assert_eq!(done.actions, planned.actions(), "what was planned was done");
    let kept = &all(&database, "members").await[0];
    assert_eq!(kept.get("fees"), Some(&Bson::Double(12.5)));
    assert_eq!((kept.get_str("phone").unwrap(), kept.get_array("tags").unwrap().len()), ("55", 2));
    assert!(all(&database, "loans").await[..3].iter().all(|loan| loan.get("member") == Some(&id(1).into())));
    let notes = all(&database, "notes").await;
    assert_eq!(notes[1].get_str("by").unwrap(), id(1).to_hex());
    let club = &all(&database, "clubs").await[0];
    assert_eq!(club.get_array("readers").unwrap(), &vec![Bson::from(id(1)), id(9).into()], "each once");
    assert_eq!(club.get_array("roles").unwrap()[0].as_document().unwrap().get("who"), Some(&id(1).into()));
    let seats = all(&database, "seats").await;
    assert_eq!(seats.iter().map(|seat| seat.get_i32("row").unwrap()).collect::<Vec<_>>(), [1, 3]);

    let restored = restore(&database, "m").await.unwrap();
    assert_eq!((&restored.left, &restored.changed), (&vec![], &vec![]));
    assert_eq!(restored.digests.0.as_deref(), Some(restored.digests.1.as_str()), "proved by the digest");
    assert_eq!(contents(&database).await, original);
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_text_that_is_referred_to_as_the_number_that_it_writes_leaves_no_orphan() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_numbered");
    let profile =
        "name='rooms'\ncollection='rooms'\n[key]\nfield='name'\n[[references]]\ncollection='visits'\nfield='room'";
    let profile = Profile::parse(profile, "rooms").unwrap();
    let rooms = ["3", "7"].map(|id| doc! { "_id": id, "name": "hall" });
    database.collection("rooms").insert_many(rooms).await.unwrap();
    let visits = [Bson::from(7), 7_i64.into(), "7".into(), 3.into()].into_iter().zip(1..);
    let visits = visits.map(|(room, id)| doc! { "_id": id, "room": room });
    database.collection("visits").insert_many(visits).await.unwrap();
    let original = contents(&database).await;
    let done = apply(&database, &profile, &RepairOptions::default(), "n").await.unwrap();
    assert_eq!((done.audited.verdict(), &done.left), (Verdict::Holds, &vec![]), "{:?}", done.audited.findings);
    let rooms: Vec<Bson> =
        all(&database, "visits").await.iter().map(|visit| visit.get("room").unwrap().clone()).collect();
    assert_eq!(rooms, [3_i64.into(), 3_i64.into(), "3".into(), Bson::from(3)]);
    assert_eq!(restore(&database, "n").await.unwrap().left, [] as [String; 0]);
    assert_eq!(contents(&database).await, original);
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn a_merge_whose_references_cannot_all_be_redirected_is_refused_and_said() {
    let (mongod, client) = server().await;
    let cases = [
        // The unique index is not named in `unique_with`.
        (MEMBERS.replace("unique_with = [\"room\"]", ""), doc! {}, "the unique index `seat` lets in one"),
        // Of two seats one would go, and the one that stays, which refers to the kept member already, cannot take its row.
        (
            MEMBERS.replace(
                "unique_with = [\"room\"]",
                "unique_with = [\"room\"]\nmerge.fields = { row = \"concatenate\" }",
            ),
            doc! {},
            "cannot be put one after the other",
        ),
        // The array would hold one member twice, with two roles.
        (
            MEMBERS.to_owned(),
            doc! { "roles": [{ "who": id(1), "as": "host" }, { "who": id(2), "as": "guest" }] },
            "elements that differ",
        ),
    ];
    for (number, (profile, club, expected)) in cases.into_iter().enumerate() {
        let database = client.database(&format!("onlyone_refused_{number}"));
        let profile = Profile::parse(&profile, "members").unwrap();
        filled(&database).await;
        if !club.is_empty() {
            database.collection("clubs").insert_one(club).await.unwrap();
        }
        let original = contents(&database).await;
        let planned = plan(&database, &profile, &RepairOptions::default()).await.unwrap();
        assert!(planned.left.iter().any(|left| left.contains(expected)), "{:?}", planned.left);
        assert!(
            planned.left.iter().any(|left| left.contains("is not built: 2 duplicates remain")),
            "{:?}",
            planned.left
        );
        assert_eq!(planned.actions(), []);
        let done = apply(&database, &profile, &RepairOptions::default(), "m").await.unwrap();
        assert_eq!(done.audited.verdict(), Verdict::Violated);
        assert!(done.left.iter().any(|left| left.contains(expected)), "{:?}", done.left);
        assert_eq!(contents(&database).await, original, "nothing changed");
    }
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn the_indexes_that_references_lack_are_offered_created_on_demand_and_dropped_by_restoring() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_offered");
    filled(&database).await;
    let original = contents(&database).await;
    let plain = plan(&database, &members(), &RepairOptions::default()).await.unwrap();
    let offers = plain.audited.preflight.notes.iter().filter(|note| note.contains("--create-reference-indexes"));
    assert_eq!(offers.count(), 4, "all but that of the seats: {:?}", plain.audited.preflight.notes);
    let names = |actions: &[RepairAction]| {
        let details = details(actions, ActionKind::CreateIndex);
        let name = |detail: &Value| format!("{} {}", detail["collection"].as_str().unwrap_or("-"), detail["index"]);
        details.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(&plain.actions()), [r#"- "card_1""#]);
    let options = RepairOptions { reference_indexes: true, ..RepairOptions::default() };
    let planned = plan(&database, &members(), &options).await.unwrap();
    assert!(!planned.audited.preflight.notes.iter().any(|note| note.contains("--create-reference-indexes")));
    assert_eq!(contents(&database).await, original, "a plan creates none");
    let done = apply(&database, &members(), &options, "m").await.unwrap();
    assert_eq!(names(&done.actions), names(&planned.actions()));
    let created =
        [r#"- "card_1""#, r#"clubs "readers_1""#, r#"clubs "roles.who_1""#, r#"loans "member_1""#, r#"notes "by_1""#];
    assert_eq!(
        names(&done.actions).into_iter().collect::<std::collections::BTreeSet<_>>(),
        created.map(str::to_owned).into()
    );
    assert!(
        contents(&database).await["notes: indexes"]
            .iter()
            .any(|index| index.get_str("name").is_ok_and(|name| name == "by_1"))
    );
    let restored = restore(&database, "m").await.unwrap();
    assert!(restored.index_dropped && restored.left.is_empty());
    assert_eq!(contents(&database).await, original);
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn strict_refuses_fields_that_no_rule_names() {
    let (mongod, client) = server().await;
    let database = client.database("onlyone_strict");
    filled(&database).await;
    let original = contents(&database).await;
    let strict = RepairOptions { strict: true, ..RepairOptions::default() };
    let done = apply(&database, &members(), &strict, "m").await.unwrap();
    assert!(done.left.iter().any(|left| left.contains("nick differ") && left.contains("--strict")), "{:?}", done.left);
    assert_eq!(contents(&database).await, original);
    mongod.stop().await.unwrap();
}
