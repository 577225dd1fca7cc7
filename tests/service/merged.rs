//! Merged messages: contents that are delivered more than once, by several ways.

use std::time::Duration;

use futures::future::join_all;
use onlyone::service::Settings;
use onlyone::strategy::InjectedDelay;
use serde_json::{Value, json};

use super::support::{Answer, Api, mongod, settings, start};

fn merged(id: &str) -> Value {
    json!({ "mergeId": id, "batchId": "b", "batchIndex": 0, "imageId": format!("i-{id}"), "url": "http://x/1" })
}

async fn messages(api: &Api, chat: &str) -> Vec<Value> {
    let answer = api.get(&format!("/api/user-chats/{chat}")).await;
    answer.body["chat"]["messages"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_is_stored_once_whichever_way_it_comes() {
    let mongod = mongod().await;
    let api = start(&mongod, settings("merged", &[])).await;
    let ann = api.user("ann").await;
    let path = |way: &str| format!("/api/user-chats/c1/{way}");
    ann.get("/api/user-chats/c1").await.refuses(404, "no such chat");
    // A missing chat is not taken for a repetition.
    ann.post(&path("webhook"), merged("m1")).await.refuses(404, "no such chat");
    let opened = ann.post_as("3", "/api/user-chats/c1", json!({})).await;
    assert_eq!((opened.status, &opened.body["created"]), (201, &json!(true)), "{opened:?}");
    assert_eq!((&opened.body["chatId"], &opened.body["createdByOp"]), (&json!("c1"), &json!(3)));
    let again = ann.post("/api/user-chats/c1", json!({})).await;
    assert_eq!((again.status, &again.body["created"]), (200, &json!(false)));
    assert_eq!(again.body["_id"], opened.body["_id"]);

    let batch = json!({ "batchId": "b", "batchIndex": 1, "imageId": "i1", "url": "http://x/2" });
    let plain = json!({ "imageId": "i2", "url": "http://x/3", "path": "gallery-added" });
    let video = json!({ "videoId": "v1", "url": "http://x/4" });
    let contents = [merged("m1"), merged("m2"), batch, plain, video];
    for (index, content) in contents.iter().enumerate() {
        let first = ann.post_as(&format!("{}", 10 + index), &path("webhook"), content.clone()).await;
        assert_eq!((first.status, &first.body["applied"]), (200, &json!(true)), "{content}: {first:?}");
        for way in ["webhook", "polling"] {
            let repeated = ann.post(&path(way), content.clone()).await;
            assert_eq!(repeated.body, json!({ "applied": false, "chatSeen": true }), "{way} {content}");
        }
    }
    assert_eq!(ann.post(&path("manual-merge"), merged("m2")).await.body["applied"], false);
    assert_eq!(ann.post(&path("manual-merge"), merged("m3")).await.body["applied"], true);
    let stored = messages(&ann, "c1").await;
    assert_eq!(stored.len(), 6);
    let first = &stored[0];
    assert_eq!(
        (&first["type"], &first["isMerged"], &first["mergeId"]),
        (&json!("mergeFace"), &json!(true), &json!("m1"))
    );
    assert_eq!((&first["opId"], &first["url"], &first["batchIndex"]), (&json!(10), &json!("http://x/1"), &json!(0)));
    assert_eq!(ann.get("/api/user-chats?chatId=c1").await.body["chats"][0]["messages"], json!(stored));
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_refused_with_a_message() {
    let mongod = mongod().await;
    let api = start(&mongod, settings("merge_mistakes", &[])).await;
    let ann = api.user("ann").await;
    ann.post("/api/user-chats/c1", json!({})).await;
    let bodies = [
        (json!({}), "missing field `url`"),
        (json!({ "url": "x" }), "a `mergeId`, an `imageId` or a `videoId`"),
        (json!({ "url": "x", "batchId": "b" }), "come together"),
        (json!({ "url": "x", "batchId": "b", "batchIndex": 1 }), "a `mergeId`, an `imageId` or a `videoId`"),
        (json!({ "url": "x", "videoId": "v", "mergeId": "m" }), "no other identifier"),
        (json!({ "url": "x", "mergeId": "" }), "`mergeId` must not be empty"),
        (json!({ "url": "x", "mergeId": { "$ne": 1 } }), "expected a string"),
        (json!({ "url": "x", "imageId": "i", "path": "other" }), "unknown variant"),
    ];
    for way in ["webhook", "polling"] {
        let path = format!("/api/user-chats/c1/{way}");
        for (body, part) in &bodies {
            ann.post(&path, body.clone()).await.refuses(400, part);
        }
        api.post(&path, merged("m")).await.refuses(401, "log in");
    }
    ann.post("/api/user-chats/c1/manual-merge", json!({ "url": "x", "imageId": "i" })).await.refuses(400, "`mergeId`");
    api.post("/api/user-chats/c1", json!({})).await.refuses(401, "log in");
    api.get("/api/user-chats/c1").await.refuses(401, "log in");
    assert!(messages(&ann, "c1").await.is_empty(), "mistakes changed nothing");
    mongod.stop().await.unwrap();
}

/// Delivers each of four contents six times at once; the answers, and how many messages there are.
async fn deliveries(api: &Api) -> (Vec<Answer>, usize) {
    let ann = api.user("ann").await;
    ann.post("/api/user-chats/c", json!({})).await;
    let deliver = |index: usize| {
        let way = if index.is_multiple_of(2) { "webhook" } else { "polling" };
        let content = merged(&format!("m{}", index / 2 % 4));
        let (ann, path) = (ann.clone(), format!("/api/user-chats/c/{way}"));
        async move { ann.post(&path, content).await }
    };
    let answers = join_all((0..24).map(deliver)).await;
    (answers, messages(&ann, "c").await.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn correct_strategies_merge_once_and_racy_ones_do_not() {
    let mongod = mongod().await;
    let with = |name: &str| {
        let delay = InjectedDelay { read: Duration::from_millis(100), write: Duration::ZERO };
        Settings { delay, ..settings(&format!("m_{name}"), &[&format!("merge={name}")]) }
    };
    for name in ["conditional-push", "lock-collection", "lock-in-memory"] {
        let (answers, stored) = deliveries(&start(&mongod, with(name)).await).await;
        let applied = answers.iter().filter(|answer| answer.body["applied"] == true).count();
        assert!(answers.iter().all(|answer| answer.status == 200), "{name}: {answers:?}");
        assert_eq!((stored, applied), (4, 4), "{name}");
    }
    for name in ["find-then-push", "wrong-path"] {
        let (_, stored) = deliveries(&start(&mongod, with(name)).await).await;
        assert!(stored > 4, "{name} stores contents more than once: {stored}");
    }
    let (_, stored) = deliveries(&start(&mongod, with("wrong-key")).await).await;
    assert_eq!(stored, 1, "merged images of one batch are taken for one");
    mongod.stop().await.unwrap();
}
