//! Small routes, each with a race and without: axum with MongoDB's driver for Rust. It runs in a process of its own, which is
//! this test program once more.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::ReturnDocument;
use mongodb::{Client, Collection, Database};
use serde_json::{Value, json};

type Answer = Result<(u16, Value), Error>;

struct Service {
    database: Database,
    buggy: bool,
}

/// Serves until the process ends.
pub async fn serve(port: u16, uri: &str, buggy: bool) {
    let client = Client::with_uri_str(uri).await.unwrap();
    let database = client.default_database().unwrap();
    let router = Router::new()
        .route("/health", get(|| async { "{}" }))
        .route("/{name}/{key}", post(call))
        .with_state(Arc::new(Service { database, buggy }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    axum::serve(listener, router).await.unwrap();
}

async fn call(State(service): State<Arc<Service>>, Path((name, key)): Path<(String, String)>) -> Response {
    let answer = match name.as_str() {
        "prepare" => service.prepare(&key).await,
        "subscribe" => service.subscribe(&key).await,
        "withdraw" => service.withdraw(&key).await,
        "like" => service.like(&key).await,
        "ticket" => service.ticket(&key).await,
        "hook" => service.hook(&key).await,
        "seat" => service.seat(&key).await,
        "visit" => service.visit(&key).await,
        "rename" => service.rename(&key).await,
        _ => Ok((404, Value::Null)),
    };
    let (status, body) = answer.unwrap_or_else(|error| (500, json!({ "error": error.to_string() })));
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn is_taken(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == 11000)
}

impl Service {
    fn of(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    async fn prepare(&self, key: &str) -> Answer {
        let new = doc! { "$setOnInsert": { "cents": 100, "likes": 0, "title": "old", "edits": 0 } };
        self.of("things").update_one(doc! { "_id": key }, new).upsert(true).await?;
        Ok((200, json!({})))
    }

    /// Find, then insert.
    async fn subscribe(&self, key: &str) -> Answer {
        if self.buggy {
            if self.of("subscribers").find_one(doc! { "email": key }).await?.is_some() {
                return Ok((200, json!({ "created": false })));
            }
            self.of("subscribers").insert_one(doc! { "email": key }).await?;
            return Ok((201, json!({ "created": true })));
        }
        match self.of("subscribers").insert_one(doc! { "_id": key }).await {
            Ok(_) => Ok((201, json!({ "created": true }))),
            Err(error) if is_taken(&error) => Ok((200, json!({ "created": false }))),
            Err(error) => Err(error),
        }
    }

    /// The balance is looked at before it is used.
    async fn withdraw(&self, key: &str) -> Answer {
        let enough = doc! { "_id": key, "cents": { "$gte": 70 } };
        let take = doc! { "$inc": { "cents": -70 } };
        let refused = Ok((400, json!({ "error": "too little" })));
        if self.buggy {
            if self.of("things").find_one(enough).await?.is_none() {
                return refused;
            }
            self.of("things").update_one(doc! { "_id": key }, take).await?;
        } else if self.of("things").update_one(enough, take).await?.modified_count == 0 {
            return refused;
        }
        Ok((200, json!({})))
    }

    /// A counter, read and written.
    async fn like(&self, key: &str) -> Answer {
        let change = if self.buggy {
            let found = self.of("things").find_one(doc! { "_id": key }).await?.unwrap_or_default();
            doc! { "$set": { "likes": found.get_i32("likes").unwrap_or(0) + 1 } }
        } else {
            doc! { "$inc": { "likes": 1 } }
        };
        self.of("things").update_one(doc! { "_id": key }, change).await?;
        Ok((200, json!({})))
    }

    /// The highest number, plus one.
    async fn ticket(&self, key: &str) -> Answer {
        let number = if self.buggy {
            let last = self.of("tickets").find_one(doc! { "queue": key }).sort(doc! { "number": -1 }).await?;
            last.and_then(|last| last.get_i32("number").ok()).unwrap_or(0) + 1
        } else {
            let queues = self.of("queues");
            let next = queues.find_one_and_update(doc! { "_id": key }, doc! { "$inc": { "last": 1 } });
            let after = next.upsert(true).return_document(ReturnDocument::After).await?;
            after.and_then(|after| after.get_i32("last").ok()).unwrap_or(0)
        };
        self.of("tickets").insert_one(doc! { "queue": key, "number": number }).await?;
        Ok((201, json!({ "number": number })))
    }

    /// An effect that must happen once.
    async fn hook(&self, key: &str) -> Answer {
        if self.buggy {
            if self.of("events").find_one(doc! { "event": key }).await?.is_some() {
                return Ok((200, json!({})));
            }
            self.of("mails").insert_one(doc! { "event": key }).await?;
            self.of("events").insert_one(doc! { "event": key }).await?;
            return Ok((200, json!({})));
        }
        match self.of("events").insert_one(doc! { "_id": key }).await {
            Err(error) if is_taken(&error) => return Ok((200, json!({}))),
            done => done?,
        };
        self.of("mails").insert_one(doc! { "event": key }).await?;
        Ok((200, json!({})))
    }

    /// Insert, look again, remove oneself: both do.
    async fn seat(&self, key: &str) -> Answer {
        let refused = Ok((409, json!({ "error": "taken" })));
        if self.buggy {
            let made = self.of("seats").insert_one(doc! { "seat": key }).await?;
            if self.of("seats").count_documents(doc! { "seat": key }).await? > 1 {
                self.of("seats").delete_one(doc! { "_id": made.inserted_id }).await?;
                return refused;
            }
            return Ok((201, json!({})));
        }
        match self.of("seats").insert_one(doc! { "_id": key }).await {
            Ok(_) => Ok((201, json!({}))),
            Err(error) if is_taken(&error) => refused,
            Err(error) => Err(error),
        }
    }

    /// Statistics of all keys.
    async fn visit(&self, _: &str) -> Answer {
        let all = doc! { "_id": "all" };
        let change = if self.buggy {
            let found = self.of("statistics").find_one(all.clone()).await?.unwrap_or_default();
            doc! { "$set": { "visits": found.get_i32("visits").unwrap_or(0) + 1 } }
        } else {
            doc! { "$inc": { "visits": 1 } }
        };
        self.of("statistics").update_one(all, change).upsert(true).await?;
        Ok((200, json!({})))
    }

    /// The whole document is written back.
    async fn rename(&self, key: &str) -> Answer {
        if self.buggy {
            let mut found = self.of("things").find_one(doc! { "_id": key }).await?.unwrap_or_default();
            found.insert("title", "new");
            found.insert("edits", found.get_i32("edits").unwrap_or(0) + 1);
            self.of("things").replace_one(doc! { "_id": key }, found).await?;
        } else {
            let change = doc! { "$set": { "title": "new" }, "$inc": { "edits": 1 } };
            self.of("things").update_one(doc! { "_id": key }, change).await?;
        }
        Ok((200, json!({})))
    }
}
