//! Direct chats: create-or-get with every strategy, and reading.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use onlyone::service::ServiceError;
use onlyone::strategy::InjectedDelay;
use serde_json::{Value, json};

use super::support::{Answer, Api, mongod, settings, start, try_start};

const CREATE: &str = "/api/chats/create-or-get";

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_created_once_and_then_found_by_both() {
    let mongod = mongod().await;
    let api = start(&mongod, settings("chats", &[])).await;
    let (ann, bob) = (api.user("ann").await, api.user("bob").await);

    ann.get("/api/chats/with/bob").await.refuses(404, "no such chat");
    let created = ann.post_as("7", CREATE, json!({ "participantId": "bob" })).await;
    assert_eq!((created.status, &created.body["created"]), (201, &json!(true)), "{created:?}");
    let chat = &created.body["chat"];
    assert_eq!(chat["participantsKey"], "ann_bob");
    assert_eq!(chat["participants"], json!(["ann", "bob"]));
    assert_eq!(
        (&chat["createdBy"], &chat["createdByOp"], &chat["status"]),
        (&json!("ann"), &json!(7), &json!("active"))
    );
    let id = chat["_id"].as_str().unwrap();
    assert_eq!(id.len(), 24, "{id}");
    assert!(chat["createdAt"].as_str().unwrap().ends_with('Z'), "{chat}");

    let found = bob.post_as("8", CREATE, json!({ "participantId": "ann" })).await;
    assert_eq!((found.status, &found.body["created"], &found.body["chat"]), (200, &json!(false), chat));
    // Without a number, the service makes one up and still knows what it created.
    let other = bob.post(CREATE, json!({ "participantId": "eve", "ignored": 1 })).await;
    assert_eq!((other.status, &other.body["created"]), (201, &json!(true)));
    assert!(other.body["chat"]["createdByOp"].as_u64().unwrap() >= 1 << 52);
    let again = bob.post(CREATE, json!({ "participantId": "eve" })).await;
    assert_eq!((again.status, &again.body["created"]), (200, &json!(false)));

    assert_eq!(&bob.get("/api/chats/with/ann").await.body["chat"], chat);
    assert_eq!(&bob.get(&format!("/api/chats/{id}")).await.body["chat"], chat);
    for key in ["ann_bob", "bob_ann"] {
        let listed = ann.get(&format!("/api/chats?participantsKey={key}")).await;
        assert_eq!(listed.body, json!({ "chats": [chat], "next": null }));
    }
    let first = ann.get("/api/chats?limit=1").await;
    assert_eq!((first.body["chats"].as_array().unwrap().len(), first.body["next"].as_str()), (1, Some(id)));
    let second = ann.get(&format!("/api/chats?limit=5&after={id}")).await;
    assert_eq!(second.body, json!({ "chats": [other.body["chat"]], "next": null }));
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_refused_with_a_message() {
    let mongod = mongod().await;
    let api = start(&mongod, settings("mistakes", &[])).await;
    let ann = api.user("ann").await;
    let long = format!(r#"{{"participantId":"{}"}}"#, "x".repeat(257));
    let huge = format!(r#"{{"participantId":"{}"}}"#, "x".repeat(3_000_000));
    let bodies = [
        ("", 400, "JSON"),
        ("{", 400, "JSON"),
        ("[]", 400, "JSON"),
        ("{}", 400, "missing field `participantId`"),
        (r#"{"participantId":3}"#, 400, "expected a string"),
        (r#"{"participantId":null}"#, 400, "expected a string"),
        (r#"{"participantId":""}"#, 400, "must not be empty"),
        (r#"{"participantId":{"$ne":""}}"#, 400, "expected a string"),
        (r#"{"participantId":"ann"}"#, 400, "is the caller"),
        (r#"{"participantId":"bob_eve"}"#, 400, "must not contain `_`"),
        (&long, 400, "not be longer than 256"),
        (&huge, 413, "larger"),
    ];
    for (body, status, part) in bodies {
        ann.post_text(CREATE, body).await.refuses(status, part);
    }
    let body = json!({ "participantId": "bob" });
    for op in ["x", "-1", "1.5", "", "4503599627370496"] {
        ann.post_as(op, CREATE, body.clone()).await.refuses(400, "X-Op-Id");
    }
    api.user("a_b").await.post(CREATE, body.clone()).await.refuses(400, "`user` must not contain `_`");
    let paths = [
        ("/api/chats/x", 400, "`x` is not the id"),
        ("/api/chats/65a1b2c3d4e5f60718293a4b", 404, "no such chat"),
        ("/api/chats?participantsKey=ann", 400, "joined by `_`"),
        ("/api/chats?after=ann", 400, "`after`"),
        ("/api/chats?limit=0", 400, "from 1 to 1000"),
        ("/api/chats?limit=many", 400, "limit"),
    ];
    for (path, status, part) in paths {
        ann.get(path).await.refuses(status, part);
        api.get(path).await.refuses(401, "log in");
    }
    let cut = &ann.token()[1..];
    for (stranger, part) in [(api.clone(), "log in"), (api.with_token("x"), "token"), (api.with_token(cut), "token")] {
        stranger.post(CREATE, body.clone()).await.refuses(401, part);
        stranger.get("/api/chats/with/bob").await.refuses(401, part);
    }
    assert_eq!(ann.get("/api/chats").await.body["chats"], json!([]), "nothing was created by mistake");
    mongod.stop().await.unwrap();
}

/// The answers to several concurrent requests for one chat, from both sides, and the documents they left.
pub(crate) async fn burst(apis: &[Api], pair: &str) -> (Vec<Answer>, Vec<Value>) {
    let (a, b) = (format!("{pair}a"), format!("{pair}b"));
    let mut callers = Vec::new();
    for index in 0..24 {
        let api = &apis[index % apis.len()];
        // Each instance is asked from both sides.
        let (from, to) = if index % 4 < 2 { (&a, &b) } else { (&b, &a) };
        callers.push((api.user(from).await, to.clone()));
    }
    let answers =
        join_all(callers.iter().map(|(caller, to)| caller.post(CREATE, json!({ "participantId": to })))).await;
    let listed = callers[0].0.get(&format!("/api/chats?participantsKey={a}_{b}")).await;
    (answers, listed.body["chats"].as_array().unwrap().clone())
}

fn ids(answers: &[Answer]) -> BTreeSet<&str> {
    answers.iter().filter_map(|answer| answer.body["chat"]["_id"].as_str()).collect()
}

fn created(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.body["created"] == true).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn correct_strategies_leave_one_chat_and_racy_ones_do_what_they_are_there_for() {
    let mongod = mongod().await;
    let delay = InjectedDelay { read: Duration::from_millis(100), write: Duration::ZERO };
    for (index, name) in ["upsert-retry", "insert-first", "lock-collection", "lock-in-memory"].into_iter().enumerate() {
        let choice = format!("create-or-get={name}");
        let api = start(&mongod, settings(&format!("correct{index}"), &[&choice])).await;
        let (answers, documents) = burst(&[api], "p").await;
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201)), "{name}: {answers:?}");
        assert_eq!((documents.len(), ids(&answers).len(), created(&answers)), (1, 1, 1), "{name}: {answers:?}");
    }

    let racy = |database: &str, name: &str, unique_index: bool| {
        let choice = format!("create-or-get={name}");
        onlyone::service::Settings { unique_index, delay, ..settings(database, &[&choice]) }
    };
    let api = start(&mongod, racy("bare", "find-then-insert", false)).await;
    let (answers, documents) = burst(&[api], "p").await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201)), "{answers:?}");
    assert!(documents.len() > 1 && ids(&answers).len() > 1, "without the index there are duplicates: {answers:?}");

    let api = start(&mongod, racy("indexed", "find-then-insert", true)).await;
    let (answers, documents) = burst(&[api], "p").await;
    assert_eq!(documents.len(), 1, "with the index there are none");
    let leaked: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 500).collect();
    assert!(!leaked.is_empty(), "but its error reaches callers: {answers:?}");
    for answer in leaked {
        answer.refuses(500, "E11000 duplicate key error");
        assert_eq!(answer.body["code"], 11000, "{answer:?}");
    }

    let api = start(&mongod, racy("unsorted", "unsorted-key", true)).await;
    let (_, documents) = burst(&[api], "p").await;
    assert_eq!(documents.len(), 2, "one for each order of the names");

    let api = start(&mongod, racy("local", "local-id", true)).await;
    let (answers, documents) = burst(&[api], "p").await;
    assert_eq!((documents.len(), ids(&answers).len()), (1, 24), "every caller is told an id of its own");
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_was_not_asked_for_is_reported_and_kept() {
    let mongod = mongod().await;
    let with = settings("index", &[]);
    let without = onlyone::service::Settings { unique_index: false, ..with.clone() };
    start(&mongod, with.clone()).await;
    let error = try_start(&mongod, without).await.unwrap_err();
    assert!(matches!(error, ServiceError::UniqueIndex { .. }), "{error}");
    assert!(error.to_string().contains("`chats`") && error.to_string().contains("participantsKey"), "{error}");
    start(&mongod, with).await;
    mongod.stop().await.unwrap();
}
