//! A service of your own, tried in your own tests.
//!
//! The service runs inside the test, on a MongoDB of the test's own. `cargo test --example in_a_test` tries it in two manners, a
//! correct one and one with a race; `cargo run --example in_a_test` shows the report of the race.

use std::error::Error;
use std::net::SocketAddr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{ErrorKind, WriteFailure};
use mongodb::options::IndexOptions;
use mongodb::{Client, Collection, IndexModel};
use onlyone::{EmbeddedMongo, Report, Scenario, Session};
use serde_json::{Value, json};

/// What is tried: callers who ask for the chat of the same two people at the same moment. It may as well stand in a file, for
/// [`Scenario::load`].
const ONE_CHAT_PER_PAIR: &str = r#"
    name = "one chat per pair"
    workload = "create-or-get"

    [target.http]
    base_urls = ["http://127.0.0.1:1"]          # the test says where the service listens

    [target.http.operations.create-or-get]
    path = "/chats"
    json = { from = "{{ pair.a }}", to = "{{ pair.b }}" }
    outcome = { id = "$.id", created = "$.created" }

    [observe.mongo]                             # the test says where it keeps its documents
    uri = "mongodb://127.0.0.1:1"
    database = "app"
    collection = "chats"
    key = "pair"

    [load.burst]
    clients = [2, 8]
    rounds = 30

    [limits]
    after_violation = "500ms"
"#;

/// How the service finds or makes a chat.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// One upsert, behind a unique index.
    Correct,
    /// It looks, and inserts if there is none: whoever looks in between inserts a second one.
    Racy,
}

/// The service under test.
#[derive(Clone)]
struct Chats {
    collection: Collection<Document>,
    manner: Manner,
}

impl Chats {
    /// The identifier of the chat, and whether this made it.
    async fn create_or_get(&self, pair: &str) -> mongodb::error::Result<(String, bool)> {
        if self.manner == Manner::Racy {
            if let Some(chat) = self.collection.find_one(doc! { "pair": pair }).await? {
                return Ok((hex(chat.get("_id")), false));
            }
            let inserted = self.collection.insert_one(doc! { "pair": pair }).await?;
            return Ok((hex(Some(&inserted.inserted_id)), true));
        }
        let upsert = || {
            self.collection.update_one(doc! { "pair": pair }, doc! { "$setOnInsert": { "pair": pair } }).upsert(true)
        };
        let updated = match upsert().await {
            // Of two upserts that insert at once the index lets one through; the other finds its document.
            Err(error) if is_duplicate(&error) => upsert().await?,
            updated => updated?,
        };
        match updated.upserted_id {
            Some(id) => Ok((hex(Some(&id)), true)),
            None => {
                let chat = self.collection.find_one(doc! { "pair": pair }).await?;
                Ok((hex(chat.as_ref().and_then(|chat| chat.get("_id"))), false))
            }
        }
    }
}

/// An identifier as clients see it.
fn hex(id: Option<&Bson>) -> String {
    id.and_then(Bson::as_object_id).map(|id| id.to_hex()).unwrap_or_default()
}

fn is_duplicate(error: &mongodb::error::Error) -> bool {
    matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == 11000)
}

/// `POST /chats`, with the two people in any order.
async fn post_chat(State(chats): State<Chats>, Json(body): Json<Value>) -> Result<Json<Value>, StatusCode> {
    let (Some(from), Some(to)) = (body["from"].as_str(), body["to"].as_str()) else {
        return Err(StatusCode::BAD_REQUEST);
    };
    let mut people = [from, to];
    people.sort_unstable();
    let (id, created) = chats.create_or_get(&people.join("_")).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(json!({ "id": id, "created": created })))
}

/// Starts the service on a free port of this machine; it ends with the runtime.
async fn serve(mongo: &EmbeddedMongo, manner: Manner) -> Result<SocketAddr, Box<dyn Error>> {
    let collection = Client::with_uri_str(mongo.uri()).await?.database("app").collection("chats");
    if manner == Manner::Correct {
        let unique = IndexOptions::builder().unique(true).build();
        collection.create_index(IndexModel::builder().keys(doc! { "pair": 1 }).options(unique).build()).await?;
    }
    let router = Router::new().route("/chats", post(post_chat)).with_state(Chats { collection, manner });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// Starts MongoDB and the service, and runs the scenario against it.
async fn try_service(manner: Manner) -> Result<Report, Box<dyn Error>> {
    let mongo = EmbeddedMongo::start().await?;
    let address = serve(&mongo, manner).await?;
    let scenario = Scenario::parse(ONE_CHAT_PER_PAIR, ".")?
        .set("target.http.base_urls", format!("[\"http://{address}\"]"))?
        .set("observe.mongo.uri", mongo.uri())?;
    let report = Session::new(scenario).out("target/onlyone").run().await?;
    mongo.stop().await?;
    Ok(report)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    use std::io::Write;
    let report = try_service(Manner::Racy).await?;
    Ok(std::io::stdout().write_all(report.to_string().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn one_chat_per_pair_however_many_ask_for_it() {
        let report = try_service(Manner::Correct).await.unwrap();
        assert!(report.holds(), "{report}");
        assert!(report.effective_trials() > 0, "requests met");
        let operations = &report.operations()[0];
        assert_eq!((operations.name.as_str(), operations.failed, operations.unknown), ("create-or-get", 0, 0));
        assert!(operations.latency.p50_us <= operations.latency.p99_us);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_look_before_an_insert_is_a_race() {
        let report = try_service(Manner::Racy).await.unwrap();
        assert!(report.is_violated(), "{report}");
        let violations = report.violations();
        let doubled = violations.iter().find(|found| found.invariant == "single-document").unwrap();
        assert!(doubled.violations > 0 && doubled.proofs[0].documents > 1, "{doubled:#?}");
        // What was recorded is judged alike at any later time.
        let again = onlyone::check(report.folder()).unwrap();
        assert_eq!(again.to_json().unwrap(), report.to_json().unwrap());
    }
}
