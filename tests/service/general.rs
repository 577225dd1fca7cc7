//! What all endpoints have in common: health, log-in, unknown routes, the OpenAPI document.

use onlyone::service::{Secret, Settings};
use serde_json::json;

use super::support::{mongod, settings, start};

#[tokio::test(flavor = "multi_thread")]
async fn log_in_asks_for_the_password_if_there_is_one() {
    let mongod = mongod().await;
    let open = start(&mongod, settings("login", &[])).await;
    let closed = start(&mongod, Settings { password: Some(Secret::new("swordfish")), ..settings("login", &[]) }).await;
    assert_eq!(open.get("/health").await.body, json!({ "status": "ok", "practice": true }));
    for body in [json!({ "user": "ann" }), json!({ "user": "ann", "password": "any" })] {
        let answer = open.post("/login", body.clone()).await;
        assert_eq!((answer.status, &answer.body["user"]), (200, &json!("ann")));
        closed.post("/login", body).await.refuses(401, "password is wrong");
    }
    let answer = closed.post("/login", json!({ "user": "ann", "password": "swordfish" })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // Services that share the secret take each other's tokens.
    let ann = open.with_token(answer.body["token"].as_str().unwrap());
    ann.get("/api/chats/with/bob").await.refuses(404, "no such chat");
    for (body, part) in [("{}", "missing field `user`"), (r#"{"user":""}"#, "`user` must not be empty"), ("x", "JSON")]
    {
        open.post_text("/login", body).await.refuses(400, part);
    }
    mongod.stop().await.unwrap();
    closed.get("/health").await.refuses(503, "MongoDB does not answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_names_the_routes_that_there_are() {
    let mongod = mongod().await;
    let api = start(&mongod, settings("openapi", &[])).await;
    let document = api.get("/openapi.json").await.body;
    assert!(document["info"]["description"].as_str().unwrap().contains("practice target"));
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let answer = api.request(method, &path.replace(['{', '}'], "")).await;
            if operation.get("security").is_some() {
                answer.refuses(401, "log in");
            } else {
                assert!(matches!(answer.status, 200 | 400), "{method} {path}: {answer:?}");
            }
        }
        api.request("delete", path).await.refuses(405, "openapi.json");
    }
    for path in ["/", "/api", "/api/chats/create-or-get/x", "/login/"] {
        api.get(path).await.refuses(404, "no such route");
    }
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_too_much_is_answered_and_not_cut_off() {
    let mongod = mongod().await;
    let api = start(&mongod, settings("large", &[])).await;
    let full = format!(r#"{{"user":"{}"}}"#, "x".repeat(2 * 1024 * 1024 - 11));
    // So much that it does not fit into the buffers on the way.
    let large = format!("{full}{}", " ".repeat(10 * 1024 * 1024));
    for _ in 0..5 {
        for path in ["/login", "/api/chats/create-or-get", "/nowhere"] {
            api.post_text(path, &large).await.refuses(413, "larger than 2 MB");
        }
        api.post_text("/login", &full).await.refuses(400, "`user` must not be longer");
        api.post_text("/api/chats/create-or-get", &full).await.refuses(401, "log in");
        api.post_text("/nowhere", &full).await.refuses(404, "no such route");
    }
    mongod.stop().await.unwrap();
}
