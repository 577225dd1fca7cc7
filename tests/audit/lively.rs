//! What lives does not vanish in a merge: not into a document that is deleted, that expires sooner, or that an index of the
//! service leaves out.

use mongodb::bson::{DateTime, Document, doc};
use onlyone::audit::{Profile, RepairOptions, apply, plan, restore};
use onlyone::verdict::Verdict;

use crate::support::{all, contents, exact, server};

const CHATS: &str = r#"
name = "chats"
collection = "chats"
[key]
field = "k"
[array]
field = "log"
[[references]]
collection = "seats"
field = "chat"
unique_with = ["who"]
"#;

struct Case {
    name: &'static str,
    /// Added to the profile.
    merge: &'static str,
    index: Option<Document>,
    chats: [Document; 2],
    seats: Vec<Document>,
    /// The one that is kept, as it is afterwards; or why it is refused.
    expected: Result<Document, &'static str>,
}

fn at(millis: i64) -> DateTime {
    // Far enough in the future: the server really removes documents whose time is up.
    DateTime::from_millis(4_000_000_000_000 + millis)
}

fn chat(id: i32, fields: Document) -> Document {
    let mut chat = doc! { "_id": id, "k": "a", "log": [id] };
    chat.extend(fields);
    chat
}

fn cases() -> Vec<Case> {
    let ttl = || doc! { "key": { "until": 1 }, "name": "ttl", "expireAfterSeconds": 0 };
    let open = || doc! { "key": { "at": 1 }, "name": "open", "partialFilterExpression": { "state": "open" } };
    let kept = |id: i32, fields: Document| {
        let mut kept = chat(id, fields);
        kept.insert("log", [id, 3 - id]);
        Ok(kept)
    };
    let case = |name, merge, index, chats, expected| Case { name, merge, index, chats, seats: vec![], expected };
    let deleted = || doc! { "deletedAt": at(1) };
    let seat = |id: i32, chat: i32, fields: Document| {
        let mut seat = doc! { "_id": id, "chat": chat, "who": "x" };
        seat.extend(fields);
        seat
    };
    vec![
        case("deleted", "", None, [chat(1, deleted()), chat(2, doc! {})], kept(2, doc! {})),
        case("live", "default='fill'", None, [chat(1, doc! {}), chat(2, deleted())], kept(1, doc! {})),
        case("both", "", None, [chat(1, deleted()), chat(2, deleted())], kept(1, deleted())),
        case(
            "named",
            "deleted=['gone']",
            None,
            [chat(1, doc! { "gone": true }), chat(2, deleted())],
            kept(2, deleted()),
        ),
        case(
            "ruled",
            "fields={ deletedAt = 'fill' }",
            None,
            [chat(1, deleted()), chat(2, doc! {})],
            Err("what lives would vanish: by `deletedAt` it would be deleted, and document 2 is not"),
        ),
        case(
            "sooner",
            "",
            Some(ttl()),
            [chat(1, doc! { "until": at(1) }), chat(2, doc! { "until": at(2) })],
            kept(2, doc! { "until": at(2) }),
        ),
        case(
            "never",
            "default='fill'",
            Some(ttl()),
            [chat(1, doc! {}), chat(2, doc! { "until": at(2) })],
            kept(1, doc! {}),
        ),
        case(
            "largest",
            "newest=['until']",
            Some(ttl()),
            [chat(1, doc! { "until": at(1) }), chat(2, doc! { "until": at(2) })],
            kept(1, doc! { "until": at(2) }),
        ),
        case(
            "either",
            "",
            Some(ttl()),
            [chat(1, doc! { "until": at(2), "deletedAt": at(1) }), chat(2, doc! { "until": at(1) })],
            Err("what lives would vanish: by `deletedAt` it would be deleted, and document 2 is not"),
        ),
        case(
            "open",
            "",
            Some(open()),
            [chat(1, doc! { "state": "closed" }), chat(2, doc! { "state": "open" })],
            kept(2, doc! { "state": "open" }),
        ),
        Case {
            name: "seats",
            merge: "",
            index: None,
            chats: [chat(1, doc! {}), chat(2, doc! {})],
            seats: vec![seat(1, 1, deleted()), seat(2, 2, doc! {})],
            expected: kept(1, doc! {}),
        },
    ]
}

#[tokio::test]
async fn the_document_that_lives_is_kept_or_the_merge_is_refused() {
    let (mongod, client) = server().await;
    for case in cases() {
        let name = case.name;
        let database = client.database(&format!("onlyone_lively_{name}"));
        let profile = Profile::parse(&format!("{CHATS}[merge]\n{}\n", case.merge), "chats").unwrap();
        database.collection::<Document>("chats").insert_many(&case.chats).await.unwrap();
        if !case.seats.is_empty() {
            database.collection::<Document>("seats").insert_many(&case.seats).await.unwrap();
        }
        if let Some(index) = &case.index {
            database.run_command(doc! { "createIndexes": "chats", "indexes": [index] }).await.unwrap();
        }
        let original = contents(&database).await;
        let planned = plan(&database, &profile, &RepairOptions::default()).await.unwrap();
        let done = apply(&database, &profile, &RepairOptions::default(), "x").await.unwrap();
        assert_eq!((&done.actions, &done.left), (&planned.actions(), &planned.left), "{name}");
        let after = all(&database, "chats").await;
        match &case.expected {
            Ok(kept) => {
                assert_eq!(after, std::slice::from_ref(kept), "{name}: {:?}", done.left);
                assert_eq!(done.audited.verdict(), Verdict::Holds, "{name}");
            }
            Err(why) => {
                assert!(done.left.iter().any(|left| left.contains(why)), "{name}: {:?}", done.left);
                assert_eq!(after, case.chats, "{name}");
                assert_eq!(done.backup, None, "{name}: nothing was done");
            }
        }
        if let [_, live] = case.seats.as_slice() {
            let mut live = live.clone();
            live.insert("chat", 1);
            assert_eq!(all(&database, "seats").await, [live], "{name}");
        }
        if done.backup.is_some() {
            assert_eq!(restore(&database, "x").await.unwrap().left, [] as [String; 0], "{name}");
        }
        assert!(exact(&contents(&database).await) == exact(&original), "{name}");
    }
    mongod.stop().await.unwrap();
}
