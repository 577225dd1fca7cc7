//! Threads: looking up, starting, expanding and resigning, by the rules and under concurrency.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use onlyone::service::Settings;
use onlyone::strategy::InjectedDelay;
use serde_json::{Value, json};

use super::support::{Answer, Api, mongod, settings, start};

const CHECK: &str = "/api/chat/check-existing-thread";
const START: &str = "/api/chat/start-conversation";
const THREADS: &str = "/api/chat/threads";

fn named(participants: &[&str], kind: &str) -> Value {
    json!({ "participants": participants, "thread_type": kind, "message_content": "hi" })
}

fn data(answer: &Answer) -> &Value {
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("success")), "{answer:?}");
    &answer.body["data"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_is_found_by_its_participants_and_grows() {
    let mongod = mongod().await;
    let api = start(&mongod, settings("threads", &[])).await;
    let (ann, bob) = (api.user("ann").await, api.user("bob").await);
    let none = ann.post(CHECK, named(&["bob", "eve"], "group")).await;
    assert_eq!(data(&none), &json!({ "exists": false, "thread": null }));

    let started = ann.post_as("4", START, named(&["bob", "eve"], "group")).await;
    let started = data(&started);
    assert_eq!(started["is_existing_thread"], false);
    assert_eq!(started["thread"]["participants"], json!(["ann", "bob", "eve"]));
    assert_eq!((&started["thread"]["title"], &started["thread"]["createdByOp"]), (&json!("3 participants"), &json!(4)));
    let message = &started["message"];
    assert_eq!((&message["sender"], &message["text"], &message["opId"]), (&json!("ann"), &json!("hi"), &json!(4)));
    let id = started["thread"]["id"].as_str().unwrap();
    assert_eq!(message["thread"], id);

    // Order and the caller's own name do not matter; another set or kind is another thread.
    let again = bob.post(START, named(&["eve", "bob", "ann"], "group")).await;
    assert_eq!((&data(&again)["is_existing_thread"], &data(&again)["thread"]["id"]), (&json!(true), &json!(id)));
    let direct = ann.post(START, named(&["bob"], "direct")).await;
    assert_ne!(data(&direct)["thread"]["id"], id);
    let found = bob.post(CHECK, named(&["ann", "eve"], "group")).await;
    let found = &data(&found)["thread"];
    assert_eq!((&found["id"], &found["message_count"]), (&json!(id), &json!(2)));

    let expand = format!("{THREADS}/{id}/expand");
    let expanded = ann.post(&expand, json!({ "new_participants": ["dan", "bob"], "message_content": "welcome" })).await;
    let expanded = data(&expanded);
    assert_eq!((&expanded["added_participants"], &expanded["new_title"]), (&json!(["dan"]), &json!("4 participants")));
    assert_eq!(expanded["thread"]["id"], id);
    let messages = ann.get(&format!("{THREADS}/{id}/messages")).await;
    let texts: Vec<&Value> = data(&messages)["messages"].as_array().unwrap().iter().map(|m| &m["text"]).collect();
    assert_eq!(json!(texts), json!(["hi", "hi", "welcome"]), "the history is kept");

    // The old set has no thread any more; started again and expanded, it would be the same as the first.
    let anew = ann.post(START, named(&["bob", "eve"], "group")).await;
    let second = data(&anew)["thread"]["id"].as_str().unwrap();
    let join = json!({ "new_participants": ["dan"] });
    ann.post(&format!("{THREADS}/{second}/expand"), join.clone()).await.refuses(409, "another thread");
    bob.post(&expand, join.clone()).await.refuses(403, "only an admin");
    let resigned = ann.post(&format!("{THREADS}/{id}/resign"), json!({})).await;
    assert_eq!(data(&resigned)["thread"]["admins"], json!([]));
    ann.post(&expand, join).await.refuses(403, "only an admin");
    ann.post(&format!("{THREADS}/{id}/resign"), json!({})).await.refuses(403, "only an admin");

    let one = ann.get(&format!("{THREADS}/{id}")).await;
    assert_eq!(data(&one)["thread"]["participants"], json!(["ann", "bob", "eve", "dan"]));
    let listed = ann.get(&format!("{THREADS}?participant=dan")).await;
    assert_eq!(data(&listed)["threads"].as_array().unwrap().len(), 1);
    let listed = ann.get(&format!("{THREADS}?participantsKey=group:ann,bob,dan,eve")).await;
    assert_eq!(data(&listed)["threads"][0]["_id"], id);
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_refused_with_a_message() {
    let mongod = mongod().await;
    let api = start(&mongod, settings("thread_mistakes", &[])).await;
    let ann = api.user("ann").await;
    let direct = ann.post(START, named(&["bob"], "direct")).await;
    let direct = data(&direct)["thread"]["id"].as_str().unwrap().to_owned();
    let bodies = [
        (json!({}), "missing field `participants`"),
        (json!({ "participants": "bob", "thread_type": "direct", "message_content": "x" }), "expected a sequence"),
        (named(&["bob"], "pair"), "`direct` or `group`"),
        (named(&["bob", "eve"], "direct"), "exactly two participants, with the caller; these are 3"),
        (named(&["ann"], "direct"), "these are 1"),
        (named(&[], "group"), "two participants or more"),
        (named(&["bob", ""], "group"), "must not be empty"),
        (named(&["bob,eve", "dan"], "group"), "must not contain `,`"),
    ];
    for (body, part) in bodies {
        for path in [CHECK, START] {
            ann.post(path, body.clone()).await.refuses(400, part);
            api.post(path, body.clone()).await.refuses(401, "log in");
        }
    }
    let silent = json!({ "participants": ["bob"], "thread_type": "direct", "message_content": "" });
    ann.post(START, silent).await.refuses(400, "`message_content` must have");
    let (missing, join) = ("65a1b2c3d4e5f60718293a4b", json!({ "new_participants": ["dan"] }));
    let posts = [
        (format!("{direct}/expand"), join.clone(), 400, "never becomes a group"),
        (format!("{direct}/expand"), json!({ "new_participants": [] }), 400, "must name somebody"),
        (format!("{direct}/expand"), json!({ "participants": ["dan"] }), 400, "missing field `new_participants`"),
        (format!("{missing}/expand"), join.clone(), 404, "no such thread"),
        (format!("{missing}/resign"), json!({}), 404, "no such thread"),
        ("x/expand".to_owned(), join, 400, "`x` is not the id"),
        ("x/resign".to_owned(), json!({}), 400, "`x` is not the id"),
    ];
    for (path, body, status, part) in posts {
        ann.post(&format!("{THREADS}/{path}"), body.clone()).await.refuses(status, part);
        api.post(&format!("{THREADS}/{path}"), body).await.refuses(401, "log in");
    }
    for (path, status) in [("x", 400), ("x/messages", 400), (missing, 404), (&format!("{missing}/messages"), 404)] {
        ann.get(&format!("{THREADS}/{path}")).await.refuses(status, "thread");
        api.get(&format!("{THREADS}/{path}")).await.refuses(401, "log in");
    }
    mongod.stop().await.unwrap();
}

/// Three callers start one group at once, several times each, in different orders; the threads that there are.
async fn starts(api: &Api) -> (Vec<Answer>, Vec<Value>) {
    let mut callers = Vec::new();
    for (user, others) in [("a", ["b", "c"]), ("b", ["c", "a"]), ("c", ["b", "a"])] {
        callers.push((api.user(user).await, named(&others, "group")));
    }
    let answers = join_all((0..24).map(|index| {
        let (caller, body) = &callers[index % 3];
        caller.post(START, body.clone())
    }))
    .await;
    let listed = callers[0].0.get(THREADS).await;
    let threads = data(&listed)["threads"].as_array().unwrap().clone();
    (answers, threads)
}

/// An admin adds several people at once, each twice; who is a member then.
async fn expansions(api: &Api) -> Vec<String> {
    let ann = api.user("ann").await;
    let started = ann.post(START, named(&["bob"], "group")).await;
    let thread = format!("{THREADS}/{}", data(&started)["thread"]["id"].as_str().unwrap());
    let expand = format!("{thread}/expand");
    join_all((0..16).map(|index| ann.post(&expand, json!({ "new_participants": [format!("n{}", index / 2)] })))).await;
    let found = ann.get(&thread).await;
    let members = data(&found)["thread"]["participants"].as_array().unwrap().clone();
    members.iter().map(|member| member.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn correct_strategies_keep_the_rules_under_concurrency_and_racy_ones_do_not() {
    let mongod = mongod().await;
    let with = |name: &str, unique_index: bool| {
        let delay = InjectedDelay { read: Duration::from_millis(100), write: Duration::ZERO };
        Settings { unique_index, delay, ..settings(&format!("t_{name}_{unique_index}"), &[&format!("thread={name}")]) }
    };
    let api = start(&mongod, with("keyed-upsert", true)).await;
    let (answers, threads) = starts(&api).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let new = answers.iter().filter(|answer| answer.body["data"]["is_existing_thread"] == false).count();
    assert_eq!((threads.len(), new), (1, 1));
    let messages =
        api.user("a").await.get(&format!("{THREADS}/{}/messages", threads[0]["_id"].as_str().unwrap())).await;
    assert_eq!(data(&messages)["messages"].as_array().unwrap().len(), 24, "every message arrived");
    let members = expansions(&api).await;
    assert_eq!((members.len(), members.iter().collect::<BTreeSet<_>>().len()), (10, 10), "{members:?}");

    let (_, threads) = starts(&start(&mongod, with("find-then-insert", false)).await).await;
    assert!(threads.len() > 1, "two found none and both inserted");
    let (_, threads) = starts(&start(&mongod, with("unsorted-key", true)).await).await;
    assert!(threads.len() > 1, "each order of the names has a thread");
    let members = expansions(&start(&mongod, with("members-push", true)).await).await;
    assert!(members.len() > members.iter().collect::<BTreeSet<_>>().len(), "somebody is added twice: {members:?}");
    let members = expansions(&start(&mongod, with("members-overwrite", true)).await).await;
    assert!(members.len() < 10, "somebody is lost: {members:?}");
    mongod.stop().await.unwrap();
}
