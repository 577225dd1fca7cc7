//! What is read is the truth, and a server that lost what it had acknowledged is told as that.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mongodb::Client;
use mongodb::bson::{Document, doc};
use onlyone::mongod::{Mongod, Options};
use onlyone::scenario::MongodSpec;
use serde_json::Value;

async fn server() -> Mongod {
    Mongod::start(&Options::new(MongodSpec { replica_set: 1, test_commands: false })).await.unwrap()
}

fn start(arguments: &[&str], out: &std::path::Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_onlyone"))
        .args(["run", "--quiet", "--format", "json", "--seed", "1", "--out"])
        .arg(out)
        .args(arguments)
        .env_remove("ONLYONE_MONGO_URI")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn report(output: &Output) -> (Option<i32>, Value) {
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    (output.status.code(), report)
}

/// Waits until something is so; far longer than a loaded machine needs.
async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A run of a correct strategy in the midst of which the documents are gone.
async fn run_that_loses_documents(mongod: &Mongod, id: &str, elected_anew: bool) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("steady.toml");
    let text = r#"name = "steady"
workload = "create-or-get"
[target.mongo]
strategy = "upsert-retry"
unique_index = true
database = "onlyone_truth"
[load.closed]
clients = 4
duration = "12s"
keys = { uniform = { count = 20 } }
"#;
    std::fs::write(&path, text).unwrap();
    let uri = format!("{}&w=1&readPreference=primaryPreferred&readConcernLevel=local", mongod.uri());
    let running = start(&[path.to_str().unwrap(), "--mongo", &uri, "--run-id", id], folder.path());
    let client = Client::with_uri_str(mongod.uri()).await.unwrap();
    let database = client.database("onlyone_truth");
    let chats = database.collection::<Document>(&format!("onlyone_{id}_chats"));
    eventually("every key has its document", || async {
        chats.count_documents(doc! { "participantsKey": { "$exists": true } }).await.is_ok_and(|count| count >= 20)
    })
    .await;
    if elected_anew {
        // The only member: it is elected again a little later, in the next term.
        let down = doc! { "replSetStepDown": 1, "force": true };
        client.database("admin").run_command(down).await.ok();
    }
    eventually("the documents are gone", || async { chats.delete_many(doc! {}).await.is_ok() }).await;
    let output = tokio::task::spawn_blocking(move || running.wait_with_output().unwrap()).await.unwrap();
    report(&output)
}

#[tokio::test]
async fn data_that_a_new_primary_does_not_have_is_not_held_against_the_strategy() {
    let mongod = server().await;
    let (code, report) = run_that_loses_documents(&mongod, "elected", true).await;
    assert_eq!((code, &report["verdict"]), (Some(3), &Value::from("inconclusive")), "{}", report["invariants"]);
    let said = format!("{} {}", report["reasons"], report["invariants"]);
    assert!(said.contains("acknowledged data may have been lost") && said.contains("term"), "{said}");

    // Its twin: on a server that stayed the same nobody else can have done it.
    let (code, report) = run_that_loses_documents(&mongod, "stayed", false).await;
    assert_eq!((code, &report["verdict"]), (Some(1), &Value::from("violated")), "{}", report["invariants"]);
}

#[tokio::test]
async fn the_final_state_is_read_from_the_primary_whatever_the_connection_string_prefers() {
    let mongod = server().await;
    let folder = tempfile::tempdir().unwrap();
    // There is no secondary: who insists on one reads nothing.
    let observed = format!("observe.mongo.uri=\"{}&readPreference=secondary&readConcernLevel=local\"", mongod.uri());
    let uri = mongod.uri();
    let more = ["--mongo", &uri, "--run-id", "truth", "--set", &observed];
    let database = ["--set", "observe.mongo.database=\"onlyone_truth\"", "--set", "load.burst.rounds=6"];
    let scenario = ["scenarios/http-create-or-get.toml", "--set", "load.burst.clients=[2,8]"];
    let running = start(&[&scenario[..], &more[..], &database[..]].concat(), folder.path());
    let output = tokio::task::spawn_blocking(move || running.wait_with_output().unwrap()).await.unwrap();
    let (code, report) = report(&output);
    assert_eq!((code, &report["verdict"]), (Some(0), &Value::from("holds")), "{}", report["reasons"]);
}
