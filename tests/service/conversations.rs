//! Conversations: both inputs, reading, and messages that must not be lost.

use std::time::Duration;

use futures::future::join_all;
use onlyone::service::Settings;
use onlyone::strategy::InjectedDelay;
use serde_json::{Value, json};

use super::support::{Answer, Api, mongod, settings, start};

#[tokio::test(flavor = "multi_thread")]
async fn text_and_voice_write_one_conversation() {
    let mongod = mongod().await;
    let api = start(&mongod, settings("conversation", &[])).await;
    let ann = api.user("ann").await;
    ann.get("/api/conversations/s1").await.refuses(404, "no such conversation");
    let first = ann.post_as("5", "/api/conversations/s1/text", json!({ "text": "hello", "sender": 3, "n": 1 })).await;
    let id = first.body["conversationId"].as_str().unwrap();
    let expected =
        json!({ "sessionId": "s1", "conversationId": id, "created": true, "reply": "re: hello", "position": 0 });
    assert_eq!((first.status, &first.body), (200, &expected));
    let second = ann.post_as("6", "/api/conversations/s1/voice", json!({ "text": "world" })).await;
    assert_eq!((&second.body["created"], &second.body["position"]), (&json!(false), &json!(2)));

    let conversation = ann.get("/api/conversations/s1").await.body["conversation"].clone();
    assert_eq!((&conversation["_id"], &conversation["createdByOp"]), (&json!(id), &json!(5)));
    let messages: Vec<Value> = conversation["messages"].as_array().unwrap().clone();
    let shown: Vec<Value> = messages
        .iter()
        .map(|message| json!([message["opId"], message["role"], message["text"], message["path"], message["sender"]]))
        .collect();
    let expected = json!([
        [5, "user", "hello", "text", 3],
        [5, "bot", "re: hello", "text", 3],
        [6, "user", "world", "voice", 0],
        [6, "bot", "re: world", "voice", 0]
    ]);
    assert_eq!(json!(shown), expected);
    assert_eq!(ann.get("/api/conversations?sessionId=s1").await.body["conversations"], json!([conversation]));
    assert_eq!(ann.get("/api/conversations?sessionId=s2").await.body["conversations"], json!([]));

    let bodies = [
        ("{}", "missing field `text`"),
        (r#"{"text":""}"#, "`text` must have"),
        (r#"{"text":["x"]}"#, "expected a string"),
        (r#"{"text":"x","sender":-1}"#, "u32"),
    ];
    for path in ["/api/conversations/s1/text", "/api/conversations/s1/voice"] {
        for (body, part) in bodies {
            ann.post_text(path, body).await.refuses(400, part);
        }
        api.post(path, json!({ "text": "hello" })).await.refuses(401, "log in");
        ann.post_as("x", path, json!({ "text": "hello" })).await.refuses(400, "X-Op-Id");
    }
    for path in ["/api/conversations", "/api/conversations/s1"] {
        api.get(path).await.refuses(401, "log in");
    }
    let long = format!("/api/conversations/{}/text", "s".repeat(257));
    ann.post(&long, json!({ "text": "hello" })).await.refuses(400, "`sessionId` must not be longer");
    assert_eq!(ann.get("/api/conversations/s1").await.body["conversation"], conversation, "mistakes changed nothing");
    mongod.stop().await.unwrap();
}

/// Sends messages to one session at once; the answers, and the conversations that there are.
async fn burst(api: &Api) -> (Vec<Answer>, Vec<Value>) {
    let ann = api.user("ann").await;
    let send = |index: u32| {
        let path = if index.is_multiple_of(2) { "/api/conversations/s/text" } else { "/api/conversations/s/voice" };
        let (ann, op) = (ann.clone(), index.to_string());
        async move { ann.post_as(&op, path, json!({ "text": format!("m{op}") })).await }
    };
    let answers = join_all((0..24).map(send)).await;
    let listed = ann.get("/api/conversations?sessionId=s").await.body;
    (answers, listed["conversations"].as_array().unwrap().clone())
}

fn messages(conversations: &[Value]) -> usize {
    conversations.iter().map(|conversation| conversation["messages"].as_array().unwrap().len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn correct_strategies_keep_every_message_and_racy_ones_do_not() {
    let mongod = mongod().await;
    let delay = InjectedDelay { read: Duration::from_millis(100), write: Duration::ZERO };
    for (index, name) in ["upsert-push", "save-retry", "whole-array-versioned"].into_iter().enumerate() {
        let api = start(&mongod, settings(&format!("kept{index}"), &[&format!("append={name}")])).await;
        let (answers, conversations) = burst(&api).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{name}: {answers:?}");
        assert_eq!((conversations.len(), messages(&conversations)), (1, 48), "{name}");
    }

    let racy = |name: &str, unique_index: bool| {
        let choice = format!("append={name}");
        let database = format!("lost_{name}_{unique_index}");
        Settings { unique_index, delay, ..settings(&database, &[&choice]) }
    };
    let (answers, conversations) = burst(&start(&mongod, racy("find-then-save", false)).await).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert!(conversations.len() > 1, "without the index there are several conversations");

    let (answers, conversations) = burst(&start(&mongod, racy("find-then-save", true)).await).await;
    let leaked = answers.iter().filter(|answer| answer.status == 500 && answer.body["code"] == 11000).count();
    assert!(leaked > 0, "with it, the error reaches callers: {answers:?}");
    assert_eq!((conversations.len(), messages(&conversations)), (1, 48 - 2 * leaked), "and their messages are lost");

    let api = start(&mongod, racy("whole-array", true)).await;
    // The session is there, so that no insert stands between the reads and the writes.
    let first = api.user("ann").await.post("/api/conversations/s/text", json!({ "text": "first" })).await;
    let (answers, conversations) = burst(&api).await;
    assert!(answers.iter().chain([&first]).all(|answer| answer.status == 200), "{answers:?}");
    assert!(messages(&conversations) < 2 + 48, "acknowledged messages are lost: {conversations:?}");
    mongod.stop().await.unwrap();
}
