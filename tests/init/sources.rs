//! Scenarios that write themselves, from documents that list requests: an OpenAPI document, a browser's recording, a Postman
//! collection, and what a service says of itself. The file runs unchanged, and finds the planted race.

// The lints look at test functions only, and these are helpers of tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::{Value, json};

use crate::support::{Running, onlyone, reference_service, report, stderr};

use crate::support;

const RACY: &str = "--strategy create-or-get=find-then-insert --no-unique-index";

fn root(path: &str) -> String {
    support::project().join(path).display().to_string()
}

/// Writes a scenario from a source, runs it unchanged, and gives what it came to.
fn written_and_run(source: [&str; 2], options: &str) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["init", source[0], source[1], "--out", "found.toml", "--"];
    let service = reference_service(options);
    arguments.extend(["sh", "-c", &service]);
    let output = onlyone(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = std::fs::read_to_string(folder.path().join("found.toml")).unwrap();
    assert!(text.starts_with("#:schema onlyone.schema.json\n"), "{text}");
    assert!(folder.path().join("onlyone.schema.json").exists());
    let output = onlyone(folder.path(), &["run", "found.toml", "--quiet", "--format", "json", "--seed", "1"]);
    (text, report(&output))
}

#[test]
fn a_scenario_from_an_openapi_document_or_a_browsers_recording_runs_unchanged() {
    let (openapi, har) = (root("src/service/openapi.json"), root("tests/recorded/browser-session.har"));
    for source in [["--openapi", openapi.as_str()], ["--har", har.as_str()]] {
        let (text, report) = written_and_run(source, RACY);
        assert_eq!(report["verdict"], "violated", "{source:?}: {text}");
        let single =
            report["invariants"].as_array().unwrap().iter().find(|one| one["name"] == "single-document").unwrap();
        assert_eq!(single["verdict"], "violated", "{source:?}: {text}");
        assert_ne!(report["serial_control"]["verdict"], "violated", "{source:?}: a race, and no plain defect");
        for word in [
            "{{ pair.b }}",
            "{{ client.user }}",
            "token = \"$.token\"",
            "id = \"$.chat._id\"",
            "key = \"participantsKey\"",
        ] {
            assert!(text.contains(word), "{source:?} lacks {word}: {text}");
        }
        assert!(!text.contains("Bearer "), "the recorded session is not written down: {text}");
        let (text, report) = written_and_run(source, "");
        assert_eq!(report["verdict"], "holds", "{source:?}: {text}\n{report}");
    }
}

#[test]
fn a_scenario_from_a_postman_collection_runs_unchanged() {
    let post = |path: &str, body: &str, headers: Value| {
        let body = json!({ "mode": "raw", "raw": body, "options": { "raw": { "language": "json" } } });
        let url = json!({ "raw": format!("{{{{baseUrl}}}}{path}") });
        json!({ "name": path, "request": { "method": "POST", "url": url, "header": headers, "body": body } })
    };
    let bearer = json!([{ "key": "Authorization", "value": "Bearer {{token}}" }]);
    let collection = json!({
        "info": { "name": "chat", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json" },
        "variable": [{ "key": "baseUrl", "value": "http://localhost:3000" }, { "key": "person", "value": "bob" }],
        "item": [
            post("/login", "{\"user\": \"ann\"}", json!([])),
            { "name": "chats", "item": [post("/api/chats/create-or-get", "{\"participantId\": \"{{person}}\"}", bearer)] },
        ],
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.postman_collection.json");
    std::fs::write(&file, collection.to_string()).unwrap();
    let source = ["--postman", file.to_str().unwrap()];
    for (options, verdict) in [(RACY, "violated"), ("", "holds")] {
        let (text, report) = written_and_run(source, options);
        assert_eq!(report["verdict"], verdict, "{text}\n{report}");
        assert!(text.contains("token = \"$.token\"") && text.contains("{{ pair.b }}"), "{text}");
    }
}

/// A service that runs already, and serves its own document.
#[test]
fn a_scenario_from_the_document_that_a_service_serves_runs_unchanged() {
    let server = Running::start(&["mongod"]);
    let racy: Vec<&str> = RACY.split(' ').collect();
    for (database, options, verdict) in [("onlyone_racy", &racy[..], "violated"), ("onlyone_fixed", &[], "holds")] {
        let place = ["serve", "--port", "0", "--mongo", &server.url, "--database", database];
        let service = Running::start(&[&place, options].concat());
        let folder = tempfile::tempdir().unwrap();
        let document = format!("{}/openapi.json", service.url);
        let init = ["init", "--openapi", &document, "--mongo", &server.url, "--out", "found.toml"];
        let output = onlyone(folder.path(), &init);
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        let text = std::fs::read_to_string(folder.path().join("found.toml")).unwrap();
        let (route, status) = (
            "POST /api/user-chats/{chatId}/webhook",
            "it was answered with HTTP 404: {\"error\":\"there is no such chat\"}",
        );
        for word in [&format!("base_urls = [\"{}\"]", service.url), &format!("#   {route}: {status}\n")] {
            assert!(text.contains(word), "it lacks {word}: {text}");
        }
        for word in ["POST /login is taken for the log-in", &format!("not in the scenario: {route}: {status}")] {
            assert!(said.contains(word), "it lacks {word}: {said}");
        }
        assert!(!text.contains(&server.url), "the server's address is not written down: {text}");
        let run = ["run", "found.toml", "--quiet", "--format", "json", "--seed", "1"];
        let mut command = support::command(&run);
        let output = command.current_dir(folder.path()).env("ONLYONE_MONGO_URI", &server.url).output();
        let report = report(&output.unwrap());
        assert_eq!(report["verdict"], verdict, "{text}\n{report}");
        assert_ne!(report["serial_control"]["verdict"], "violated", "a race, and no plain defect");
    }
}
